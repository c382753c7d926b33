"""The time of OR-mixup, compared with a training step."""

from __future__ import annotations

import math
import time

import torch

from _table import options, published, show
from rankaudio import CNN2d, LogMel, Tagger, lsep_loss, or_mixup

RATE = 44100


def mixup(repeats: int) -> None:
    """Time eight steps of 8 clips, because the activations of 64 clips do not fit into memory."""
    x, target = 0.1 * torch.randn(64, 10 * RATE), (torch.rand(64, 80) > 0.98).float()
    tagger = Tagger(LogMel(), CNN2d(80, base_depth=50))
    optimizer = torch.optim.Adam(tagger.parameters(), amsgrad=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        lsep_loss(tagger(x[:8]), target[:8]).backward()
        optimizer.step()

    times: dict[str, float] = {"or_mixup": math.inf, "step": math.inf}
    for _ in range(repeats):
        for name, run in (("or_mixup", lambda: or_mixup(x, target, p=1.0)), ("step", step)):
            start = time.perf_counter()
            run()
            times[name] = min(times[name], time.perf_counter() - start)
    share = times["or_mixup"] / (8 * times["step"])
    row = [f"{1e3 * times['or_mixup']:.0f}", f"{8 * times['step']:.1f}", f"{100 * share:.2f} %"]
    show("OR-mixup of 64 clips of 10 s", ["ms", "training step, 8 x 8 clips, s", "share"], [row])


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with published(arguments.out):
        mixup(arguments.repeats)


if __name__ == "__main__":
    main()
