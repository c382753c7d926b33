"""Fitted blend weights: lwlrap on new clips, the estimates of the fit, and CPU time."""

from __future__ import annotations

import time
from importlib.metadata import version

import torch
from torch import Tensor

from _table import options, published, show
from rankaudio import lwlrap
from rankaudio.ensemble import blend, fit_blend_weights

FRESH = 20_000


def draw(noise: list[float], clips: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Draw scores ``(M, N, C)`` with common errors and separate errors of each member, and the target."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(clips, classes, generator=generator) < 0.2 / classes
    target[torch.arange(clips), torch.randint(0, classes, (clips,), generator=generator)] = True
    common = 4 * target + torch.randn(clips, classes, generator=generator)
    own = [amount * torch.randn(clips, classes, generator=generator) for amount in noise]
    return torch.stack([common + each for each in own]), target


def compare(noise: list[float], clips: int, classes: int, rounds: int) -> list[str]:
    """Means over rounds of new draws: estimates of the fit, and the truth from clips outside the fit."""
    figures, seconds = [], []
    fresh, fresh_target = draw(noise, FRESH, classes, seed=10_000)
    plain = lwlrap(blend(fresh), fresh_target).item()
    for seed in range(rounds):
        scores, target = draw(noise, clips, classes, seed)
        start = time.process_time()
        fit = fit_blend_weights(scores, target)
        seconds.append(time.process_time() - start)
        truth = lwlrap(blend(fresh, weights=fit.weights), fresh_target).item()
        figures.append([fit.equal, fit.lwlrap, fit.nested, truth])
    equal, fitted, nested, truth = torch.tensor(figures).mean(0).tolist()
    values = [f"{value:.4f}" for value in (equal, fitted, nested, plain, truth)]
    return [f"{clips:,} x {classes}", str(len(noise)), *values, f"{min(seconds):.1f}"]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with published(arguments.out, f"scipy {version('scipy')}"):
        alike, unlike = [1.5] * 5, [1.0, 1.5, 2.0, 3.0, 4.0]
        sizes = [(alike, 150, 20), (unlike, 150, 20), (alike, 1000, 80), (unlike, 1000, 80)]
        rows = [compare(noise, clips, classes, arguments.rounds) for noise, clips, classes in sizes]
        eleven = [1.0 + 0.15 * m for m in range(11)]
        rows.append(compare(eleven, 5000, 80, rounds=1))
        header = [
            "clips",
            "members",
            "equal",
            "fitted",
            "nested",
            "equal, fresh clips",
            "fitted, fresh clips",
            "CPU seconds",
        ]
        show(f"Members equally good, and unequal; truth from {FRESH:,} fresh clips", header, rows)


if __name__ == "__main__":
    main()
