"""Options that several commands share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

_MOST_WORKERS = 1024


def add_model(command: argparse.ArgumentParser) -> None:
    """Add the model and the files."""
    command.add_argument(
        "model",
        type=Path,
        metavar="MODEL",
        help="file of Tagger.save, or folder of a run; the scores of its folds are averaged",
    )
    command.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="audio file, or folder with all its sub-folders; names are relative to the folder",
    )


def add_machine(command: argparse.ArgumentParser) -> None:
    """Add options for where to compute, and how much at once."""
    group = command.add_argument_group("machine")
    group.add_argument(
        "--device", type=_device, metavar="DEVICE", help="where to compute (default: the accelerator, or cpu)"
    )
    group.add_argument(
        "--workers",
        type=integer(0, _MOST_WORKERS),
        default=0,
        metavar="N",
        help="processes that read files (default: 0)",
    )
    group.add_argument(
        "--batch",
        type=number(above=0),
        default=60.0,
        metavar="SECONDS",
        help="sound that is scored at once (default: 60)",
    )
    group.add_argument("--quiet", action="store_true", help="no progress, only problems")


def add_table(group: Any, text: str) -> None:
    """Add the table that a command writes."""
    group.add_argument("--out", type=Path, metavar="FILE", help=text)
    group.add_argument(
        "--append",
        action="store_true",
        help="continue the table: files that are in it are not done again",
    )


def add_windows(group: Any) -> None:
    """Add the length of windows and their distance."""
    group.add_argument(
        "--window", type=number(above=0), metavar="SECONDS", help="score windows of this length"
    )
    group.add_argument(
        "--hop",
        type=number(above=0),
        metavar="SECONDS",
        help="from one window to the next (default: half a window)",
    )


def number(*, above: float | None = None, low: float | None = None) -> Callable[[str], float]:
    """Return a converter of finite numbers."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        limit = (
            "" if above is None and low is None else f" above {above:g}" if low is None else f" >= {low:g}"
        )
        if (
            not math.isfinite(value)
            or (above is not None and value <= above)
            or (low is not None and value < low)
        ):
            raise argparse.ArgumentTypeError(f"wanted a number{limit}, got {text!r}")
        return value

    return convert


def integer(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a converter of integers."""

    def convert(text: str) -> int:
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"wanted an integer >= {low}, got {text!r}")
        return value

    return convert


def device_of(args: argparse.Namespace) -> torch.device:
    """Return the device that was asked for, or the accelerator of this machine, or the CPU."""
    if args.device is not None:
        device: torch.device = args.device
        return device
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return torch.device("cpu") if accelerator is None else accelerator


def check_windows(args: argparse.Namespace) -> tuple[float, float] | None:
    """Return the seconds of window and hop, or None; a hop alone is bad usage."""
    if args.window is None:
        if args.hop is not None:
            args.refuse("argument --hop: wanted --window too")
        return None
    return args.window, args.window / 2 if args.hop is None else args.hop


def _device(text: str) -> torch.device:
    try:
        device = torch.device(text)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).partition("\n")[0]
        raise argparse.ArgumentTypeError(
            f"wanted a device of this machine, got {text!r} ({first[:100]})"
        ) from error
    return device
