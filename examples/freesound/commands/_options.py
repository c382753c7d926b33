"""Options that several commands have, and kinds of values that options take."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import torch


def add_machine(sub: argparse.ArgumentParser) -> None:
    """Where to compute, and how many processes read clips."""
    sub.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="where to compute"
    )
    sub.add_argument(
        "--workers", type=int, default=0, help="processes that read clips; 0: none beside this one"
    )


def at_least_one(text: str) -> int:
    """An integer from 1, or argparse's refusal."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"wanted an integer from 1, got {text}")
    return value


def number(
    *, at_least: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> Callable[[str], float]:
    """A kind of number, or argparse's refusal."""
    limits = [f"from {at_least:g}"] * (at_least > -math.inf) + [f"above {above:g}"] * (above > -math.inf)
    wanted = " ".join(["a number", *limits, *[f"below {below:g}"] * (below < math.inf)])

    def convert(text: str) -> float:
        value = float(text)
        if not (at_least <= value and above < value < below):
            raise argparse.ArgumentTypeError(f"wanted {wanted}, got {text}")
        return value

    convert.__name__ = "number"  # argparse's word for what is no number at all
    return convert
