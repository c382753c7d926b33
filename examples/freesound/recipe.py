"""The ``recipe`` command. Branch ``pipeline`` brings this module: HELP, add_options(command), run(args)."""

from __future__ import annotations

import argparse

HELP = "run the whole third-place system: folds, rounds over noisy clips, members, blend, submission.csv"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""


def run(args: argparse.Namespace) -> None:
    """Run the steps that are not done."""
    raise NotImplementedError
