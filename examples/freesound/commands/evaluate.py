"""``evaluate``: scores against labels."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from freesound.tables import read_columns, read_header, read_scored
from rankaudio import lwlrap

HELP = "compare scores with labels: lwlrap overall and per class"
LEADERBOARDS = ("public", "private")


def run(args: argparse.Namespace) -> None:
    """Print lwlrap, overall and per class, and of each leaderboard where the labels tell them apart."""
    scores, labels = read_scored(args.scores, args.labels)
    print(report(scores.scores, labels.target, labels.classes))
    usage = read_usage(args.labels)
    if usage:
        print(report_usage(scores.scores, labels.target, labels.classes, [usage[n] for n in labels.names]))


def report(scores: torch.Tensor, target: torch.Tensor, classes: tuple[str, ...]) -> str:
    """A table of lwlrap per class, best first, and the whole below it."""
    per_class = lwlrap(scores, target, average=None)
    order = per_class.lwlrap.nan_to_num(-1).argsort(descending=True, stable=True).tolist()
    width = _width(classes)
    lines = [f"{'class':{width}}  clips  lwlrap"]
    for c in order:
        support, value = int(per_class.support[c]), float(per_class.lwlrap[c])
        lines.append(
            f"{classes[c]:{width}}  {support:5d}  {value:6.4f}"
            if support
            else f"{classes[c]:{width}}      0       -"
        )
    lines.append(f"{'all labels':{width}}  {int(target.sum()):5d}  {float(lwlrap(scores, target)):6.4f}")
    return "\n".join(lines)


def read_usage(path: Path) -> dict[str, str]:
    """From clip to "public" or "private", or nothing where the table has no column ``usage``."""
    if "usage" not in read_header(path):
        return {}
    usage = {}
    for line, (name, value) in read_columns(path, ["fname", "usage"]):
        usage[name] = value.strip().lower()
        if usage[name] not in LEADERBOARDS:
            raise ValueError(f"{path}, line {line}: wanted Public or Private as usage, got {value!r}")
    return usage


def report_usage(
    scores: torch.Tensor, target: torch.Tensor, classes: tuple[str, ...], usage: list[str]
) -> str:
    """Labels, lwlrap and clips of each leaderboard."""
    lines = []
    for board in LEADERBOARDS:
        of_board = torch.tensor([one == board for one in usage])
        count = int(target[of_board].sum())
        value = f"{float(lwlrap(scores[of_board], target[of_board])):6.4f}" if count else "     -"
        lines.append(f"{board:{_width(classes)}}  {count:5d}  {value}  {int(of_board.sum())} clips")
    return "\n".join(lines)


def _width(classes: tuple[str, ...]) -> int:
    return max(len("all labels"), *(len(name) for name in classes))


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Two tables."""
    sub.add_argument("--scores", type=Path, required=True, help="CSV with fname and one column per class")
    sub.add_argument(
        "--labels", type=Path, required=True, help="CSV with fname and labels; and usage, Public or Private"
    )
