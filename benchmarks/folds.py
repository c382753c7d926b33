"""Time and balance of folds, next to iterative-stratification.

    python benchmarks/folds.py [--data DIR] [--all] [--out FILE]

``--data`` adds the labels of a folder in the Kaggle layout. The other package is the extra ``benchmarks``. It
takes minutes for the largest set, so only ``--all`` runs it there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from _table import options, published, show
from rankaudio.data import fold_balance, multilabel_folds, read_labels

FOLDS = 5
COLUMNS = ["folds", "s", "sizes differ by", "mean labels off", "largest", "largest share off, points"]


def simulated(clips: int, classes: int, mean: float) -> Tensor:
    """Draw rare and frequent labels; a clip without one gets one, as in most data sets."""
    generator = torch.Generator().manual_seed(0)
    rate = torch.rand(classes, generator=generator) ** 3
    target = torch.rand(clips, classes, generator=generator) < rate / rate.sum() * mean
    empty = ~target.any(1)
    label = torch.multinomial(rate, int(empty.sum()), replacement=True, generator=generator)
    target[empty, label] = True
    return target


def recordings(clips: int) -> Tensor:
    """Draw the recording of each clip: a third of them have one clip, and the mean is three."""
    generator = torch.Generator().manual_seed(1)
    uniform = torch.rand(clips, generator=generator, dtype=torch.float64)
    sizes = 1 + (uniform.log() / torch.tensor(2 / 3).log()).long()
    return torch.arange(clips).repeat_interleave(sizes)[:clips]


def theirs(target: Tensor) -> Tensor:
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    labels = target.int().numpy()
    folds = torch.empty(len(target), dtype=torch.int64)
    splits = MultilabelStratifiedKFold(FOLDS, shuffle=True, random_state=0).split(labels, labels)
    for number, (_, held_out) in enumerate(splits):
        folds[torch.from_numpy(held_out)] = number
    return folds


def ours(target: Tensor, groups: Tensor | None = None) -> Tensor:
    return multilabel_folds(target, n_folds=FOLDS, groups=groups)


def at_random(target: Tensor) -> Tensor:
    return torch.randperm(len(target), generator=torch.Generator().manual_seed(0)) % FOLDS


def row(name: str, target: Tensor, make: Callable[[], Tensor], repeats: int) -> list[str]:
    spent = []
    for _ in range(repeats):
        start = time.process_time()
        folds = make()
        spent.append(time.process_time() - start)
    balance = fold_balance(target, folds)
    differ = int(balance.sizes.max() - balance.sizes.min())
    seconds = f"{sorted(spent)[repeats // 2]:.3f}" if name != "random" else ""
    off = [f"{balance.mean_deviation:.3f}", f"{balance.largest_deviation:.1f}"]
    return [name, seconds, str(differ), *off, f"{100 * balance.largest_share_deviation:.3f}"]


def compare(title: str, target: Tensor, *, repeats: int, peer: bool = True) -> None:
    groups = recordings(len(target))
    rows = [
        row("multilabel_folds", target, lambda: ours(target), repeats),
        row("multilabel_folds, groups", target, lambda: ours(target, groups), repeats),
        row("random", target, lambda: at_random(target), 1),
    ]
    if peer:
        rows.insert(1, row("iterative-stratification", target, lambda: theirs(target), repeats))
    least = target.sum(0) % FOLDS
    best = (2.0 * least * (FOLDS - least) / FOLDS**2).mean()
    show(f"{FOLDS} folds of {title}; the least possible mean is {best:.3f}", COLUMNS, rows)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="also the labels of DIR/train_curated.csv")
    parser.add_argument("--all", action="store_true", help="also the other package on 200,000 x 527")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with published(arguments.out):
        if arguments.data is not None:
            target = read_labels(arguments.data / "train_curated.csv").target
            compare(f"the folder, {target.shape[0]:,} x {target.shape[1]}", target, repeats=7)
        compare("20,000 x 80", simulated(20_000, 80, 1.2), repeats=7)
        compare("200,000 x 527", simulated(200_000, 527, 2.5), repeats=1, peer=arguments.all)
        print("\nSeconds are processor seconds on one thread, the median of 7 calls (200,000 x 527: of 1).")


if __name__ == "__main__":
    main()
