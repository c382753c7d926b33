"""Tag an archive of audio with a trained model, on this machine or on a cluster of Ray.

    python examples/tag_archive.py --model model.pt --audio DIR --out OUT
    python examples/tag_archive.py --model model.pt --audio list.txt --out OUT --address HOST:6379

`DIR` is searched with its sub-folders. A list has a path in each line, relative to its own folder. Each file
is cut into windows, and OUT gets these tables:

    scores/*.parquet     a row for each window: fname, start, end, and a raw score for each class
    events/*.parquet     with --threshold: fname, start, end, label, peak, mean
    unreadable.csv       files that could not be used: fname, message

The work is split into shards. A shard is whole or not there, and a shard that is there is not done again. So
the same command continues after an interruption, and also tags files that are new in the archive.

On a cluster, all machines see the model, the audio, OUT and this program under the same paths.
`pip install "rankaudio[ray]"` installs what this program needs.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from freesound.program import run_program
from rankaudio._program.options import integer, number

PROGRAM = "tag_archive.py"
EPILOG = (
    "Exit status: 0 if all is done; 1 after an error, or if a file could not be used; 2 for a wrong command."
)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    options = argparse.ArgumentParser(
        prog=PROGRAM,
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = options.add_argument
    add("--model", type=Path, required=True, metavar="FILE", help="file of Tagger.save")
    add("--audio", type=Path, required=True, metavar="DIR_OR_LIST", help="folder, or text file of paths")
    add(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the tables; an earlier one is continued",
    )
    _add_rows(options.add_argument_group("rows"))
    _add_machine(options.add_argument_group("machine"))
    return options


def _add_rows(group: argparse._ArgumentGroup) -> None:
    def seconds(name: str, default: float | None, text: str, **limits: float) -> None:
        shown = text if default is None else f"{text} (default: {default:g})"
        group.add_argument(name, type=number(**limits), default=default, metavar="SECONDS", help=shown)

    seconds("--window", 10.0, "length of a window", above=0)
    seconds("--hop", None, "from one window to the next (default: half a window)", above=0)
    seconds("--shard-seconds", 300.0, "sound in a shard, which bounds the memory", above=0)
    group.add_argument(
        "--embeddings", action="store_true", help="add a column with the embedding of each window"
    )
    text = "write events of classes at or above this score; 'saved': the thresholds in the model"
    group.add_argument("--threshold", type=_threshold, metavar="X", help=text)
    seconds("--min-gap", 0.0, "bridge shorter gaps between events of a class", low=0)
    seconds("--min-duration", 0.0, "leave out shorter events", low=0)


def _add_machine(group: argparse._ArgumentGroup) -> None:
    def count(name: str, low: int, default: int | None, text: str) -> None:
        group.add_argument(name, type=integer(low), default=default, metavar="N", help=text)

    group.add_argument("--address", metavar="HOST:PORT", help="of a cluster of Ray (default: start Ray here)")
    count("--cpus", 1, None, "CPUs of this machine that Ray may use (default: all); not with --address")
    count("--threads", 1, 1, "CPUs of each scorer (default: 1)")
    text = "share of a GPU of each scorer (default: 1 if there are GPUs, else 0)"
    group.add_argument("--num-gpus", type=number(low=0), metavar="X", help=text)
    count("--scorers", 1, None, "processes with the model (default: as many as fit)")
    count("--decoders", 0, None, "processes that read for the scorers (default: 0; with GPUs the CPUs left)")
    text = "sound that is scored at once (default: 60)"
    group.add_argument("--batch", type=number(above=0), default=60.0, metavar="SECONDS", help=text)


def _threshold(text: str) -> float | str:
    return text if text == "saved" else number()(text)


def _require(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        names = " and ".join(missing)
        raise ImportError(f'wanted the package {names}, got none; pip install "rankaudio[ray]"')


def main(argv: list[str] | None = None) -> None:
    """Tag an archive. Errors that the user can correct are one line."""
    options = parser()
    args = options.parse_args(argv)
    if args.address is not None and args.cpus is not None:
        options.error("argument --cpus: wanted no --address, because a cluster knows its CPUs")

    def work() -> None:
        _require("ray", "pyarrow")
        from archive.command import run

        status = run(args)
        if status:
            sys.exit(status)

    run_program(PROGRAM, work)


if __name__ == "__main__":
    main()
