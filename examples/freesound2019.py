"""Freesound Audio Tagging 2019 with rankaudio: train, predict and evaluate on a folder of audio files.

Try it on sounds that it makes itself:

    python examples/freesound2019.py demo --out demo

Train on your own data. The folder DIR has the table train_curated.csv, with the columns fname and labels
(labels separated by commas), and the clips in train_curated/:

    python examples/freesound2019.py train --data DIR --run RUN
    python examples/freesound2019.py predict --run RUN --audio DIR/test --out scores.csv
    python examples/freesound2019.py evaluate --scores scores.csv --labels DIR/test.csv

Run the whole third-place system. It can be interrupted at any time and continued:

    python examples/freesound2019.py recipe --data DIR --run RUN

The first-place system is another plan: recipe --system first.

The programs in examples/tools/ download the data of the competition and look at data and results.
"""

from __future__ import annotations

from freesound import cli


def main(argv: list[str] | None = None) -> None:
    """Run one command."""
    cli.main(argv, description=__doc__)


if __name__ == "__main__":
    main()
