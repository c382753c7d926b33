"""``download``: FSDKaggle2019 from its Zenodo record, in the layout that ``train`` reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from freesound.commands._options import at_least_one
from freesound.console import say
from freesound.download.disk import size_text
from freesound.download.layout import KNOWN_FAULTS, lay_out
from freesound.download.parts import PARTS, Part, check_room, check_root, parts_of
from freesound.download.record import FSDKAGGLE2019, ZENODO, read_record

HELP = "fetch FSDKaggle2019 from Zenodo: verified, unpacked, in the Kaggle layout"


def run(args: argparse.Namespace) -> None:
    """Bring what is not there yet, part after part; what was interrupted goes on where it was."""
    check_root(args.root)
    parts = parts_of(read_record(args.api, args.record), args.root, args.parts)
    dropped = () if args.keep_faulty else KNOWN_FAULTS
    wanted = [part for part in parts if not part.is_there(but=dropped)]
    if wanted:
        announce(wanted, args)
    there = [part.name for part in parts if part not in wanted]
    lay_out_if_known(there, args)
    for part in wanted:
        count = part.bring(keep_archives=args.keep_archives)
        say(f"{part.folder}: {count} files, verified and unpacked")
        there.append(part.name)
        # At once, so that what is there can be used, and what is amiss shows before the large parts.
        lay_out_if_known(there, args)
    say(f"{args.root}: {', '.join(there)} {'are' if len(there) > 1 else 'is'} there")


def lay_out_if_known(there: list[str], args: argparse.Namespace) -> None:
    """Write the tables, once the labels are there."""
    if "meta" in there:
        for line in lay_out(args.root, there, keep_faulty=args.keep_faulty):
            say(line)


def announce(parts: list[Part], args: argparse.Namespace) -> None:
    """Say what will be fetched, or refuse if there is no room for it."""
    say(f"record {args.record} of {args.api}:")
    for part in parts:
        for file in part.archives:
            say(f"  {file.key}  {size_text(file.size)}")
    room, free = check_room(parts, args.root, keep_archives=args.keep_archives)
    left = sum(part.still_to_come() for part in parts)
    say(f"{size_text(left)} to fetch, at most about {size_text(room)} on disk, {size_text(free)} free")


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Where to, and what."""
    add = sub.add_argument
    add("--root", type=Path, required=True, help="folder for the data, new or of an earlier download")
    add("--record", type=at_least_one, default=FSDKAGGLE2019, help="number of the Zenodo record")
    add("--api", default=ZENODO, help="address of the API that knows the record")
    add(
        "--parts",
        nargs="+",
        choices=list(PARTS),
        default=list(PARTS),
        help="clips come with meta, their labels",
    )
    add("--keep-archives", action="store_true", help="do not delete archives that have been unpacked")
    add("--keep-faulty", action="store_true", help="do not put the six clips with known faults aside")
