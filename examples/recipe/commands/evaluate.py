"""``evaluate``: scores against labels."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from rankaudio import lwlrap, read_labels, read_scores

HELP = "compare scores with labels: lwlrap overall and per class"


def run(args: argparse.Namespace) -> None:
    """Print lwlrap, overall and per class."""
    scores = read_scores(args.scores)
    labels = read_labels(args.labels, classes=scores.classes)
    try:
        scores = scores.select(labels.names)
    except ValueError as error:
        raise ValueError(
            f"{args.scores} does not have a row for every clip of {args.labels}: {error}"
        ) from error
    print(report(scores.scores, labels.target, labels.classes))


def report(scores: torch.Tensor, target: torch.Tensor, classes: tuple[str, ...]) -> str:
    """A table of lwlrap per class, best first, and the whole below it."""
    per_class = lwlrap(scores, target, average=None)
    order = per_class.lwlrap.nan_to_num(-1).argsort(descending=True, stable=True).tolist()
    width = max(len("class"), *(len(name) for name in classes))
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


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Two tables."""
    sub.add_argument("--scores", type=Path, required=True, help="CSV with fname and one column per class")
    sub.add_argument("--labels", type=Path, required=True, help="CSV with fname and labels")
