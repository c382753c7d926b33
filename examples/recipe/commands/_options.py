"""Options that several commands have, and kinds of values that options take."""

from __future__ import annotations

import argparse

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
