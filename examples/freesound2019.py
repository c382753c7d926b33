"""Freesound Audio Tagging 2019 with rankaudio: train, predict and evaluate on a folder of WAV files.

Try it on sounds that it makes itself:

    python examples/freesound2019.py demo --out demo

On the data of the competition, fetched into a folder (33 GB; --parts takes less):

    python examples/freesound2019.py download --root DIR

The whole plan of the third-place team on such a folder, to be interrupted and gone on with at will:

    python examples/freesound2019.py recipe --data DIR --run RUN

On data of your own, in a folder with train_curated.csv (columns fname and labels, labels separated
by commas) and the clips in train_curated/:

    python examples/freesound2019.py train --data DIR --run RUN
    python examples/freesound2019.py predict --run RUN --audio DIR/test --out scores.csv
    python examples/freesound2019.py evaluate --scores scores.csv --labels DIR/test.csv
"""

from __future__ import annotations

from freesound import console


def main(argv: list[str] | None = None) -> None:
    """Run one command."""
    console.main(argv, description=__doc__)


if __name__ == "__main__":
    main()
