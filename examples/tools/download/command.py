"""The download: what to fetch, where to, and the order of the work."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from freesound.options import integer_from_one
from freesound.progress import log
from tools._program import new_parser, run
from tools.download.disk import size_text
from tools.download.layout import KNOWN_FAULTS, write_layout
from tools.download.parts import PARTS, Part, check_room, check_root, parts_of
from tools.download.record import FSDKAGGLE2019, ZENODO, read_record

DESCRIPTION = """\
Fetch FSDKaggle2019 from Zenodo, verify and unpack it, and write the tables of the Kaggle layout.
A second call fetches only what is missing, and resumes what was interrupted.

  python examples/tools/download --root DIR
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    run(build_parser(), download, argv)


def download(args: argparse.Namespace) -> None:
    """Fetch the parts that are missing, one after the other."""
    check_root(args.root)
    parts = parts_of(read_record(args.api, args.record), args.root, args.parts)
    moved_out = () if args.keep_faulty else KNOWN_FAULTS
    missing = [part for part in parts if not part.is_complete(ignore=moved_out)]
    if missing:
        announce(missing, args)
    complete = [part.name for part in parts if part not in missing]
    write_tables(complete, args)
    for part in missing:
        count = part.fetch_and_unpack(keep_archives=args.keep_archives)
        log(f"{part.folder}: {count} files, verified and unpacked")
        complete.append(part.name)
        # Tables after each part: it can be used at once, and a problem shows before the large parts.
        write_tables(complete, args)
    log(f"{args.root}: {', '.join(complete)} complete")


def write_tables(complete: list[str], args: argparse.Namespace) -> None:
    """Write the tables once the labels are on disk."""
    if "meta" in complete:
        for line in write_layout(args.root, complete, keep_faulty=args.keep_faulty):
            log(line)


def announce(parts: list[Part], args: argparse.Namespace) -> None:
    """Print what will be fetched, and refuse if the disk has too little room."""
    log(f"record {args.record} of {args.api}:")
    for part in parts:
        for file in part.archives:
            log(f"  {file.key}  {size_text(file.size)}")
    room, free = check_room(parts, args.root, keep_archives=args.keep_archives)
    left = sum(part.bytes_to_fetch() for part in parts)
    log(f"{size_text(left)} to fetch, at most about {size_text(room)} on disk, {size_text(free)} free")


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = new_parser("download", DESCRIPTION)
    add = parser.add_argument_group("data").add_argument
    add("--root", type=Path, required=True, metavar="DIR", help="new folder, or that of an earlier download")
    add(
        "--parts",
        nargs="+",
        choices=list(PARTS),
        default=list(PARTS),
        metavar="PART",
        help=f"any of {', '.join(PARTS)} (default: all); clips come with meta, which has their labels",
    )
    add = parser.add_argument_group("what stays on disk").add_argument
    add("--keep-archives", action="store_true", help="keep archives after they have been unpacked")
    add("--keep-faulty", action="store_true", help="keep the six clips with known faults in the tables")
    add = parser.add_argument_group("source").add_argument
    add(
        "--record",
        type=integer_from_one,
        default=FSDKAGGLE2019,
        metavar="NUMBER",
        help="number of the Zenodo record (default: %(default)s)",
    )
    add("--api", default=ZENODO, metavar="URL", help="address of the Zenodo API (default: %(default)s)")
    return parser
