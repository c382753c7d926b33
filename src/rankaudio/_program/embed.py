"""``embed``: embeddings of audio files, as a NumPy archive or a CSV table."""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rankaudio._program import options
from rankaudio._program.audio_files import find_files
from rankaudio._program.predict import load_model, scores_of_files
from rankaudio._program.report import Report
from rankaudio._program.row_table import RowTable, check_target
from rankaudio.data import write_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rankaudio._program.audio_files import AudioFile
    from rankaudio._program.model import Model

HELP = "compute an embedding of each audio file"
DESCRIPTION = """Compute embeddings: what the classifier of the network gets. With a name that ends in .npz,
the result is a NumPy archive with the arrays names (N,) and embeddings (N, d). Else it is a CSV table with
the columns fname, e0, e1 and so on."""


def add_options(command: argparse.ArgumentParser) -> None:
    """Add what is embedded, and the file for the result."""
    options.add_model(command)
    group = command.add_argument_group("result")
    options.add_table(group, "archive .npz or CSV table to write (default: a table on stdout)")
    options.add_machine(command)


def run(args: argparse.Namespace) -> int:
    """Embed the files, a group at a time, and return the exit status."""
    if args.append and args.out is None:
        args.refuse("argument --append: wanted --out too")
    check_target(args.out, append=args.append)
    report = Report(quiet=args.quiet)
    model = load_model(args)
    width = getattr(model.only("embed").backbone, "n_features", None)
    if width is None:
        raise ValueError(f"{args.model}: wanted a network with features, got none")
    if args.out is not None and args.out.suffix.lower() == ".npz":
        return _to_archive(args, model, report, width)
    with RowTable(args.out, [f"e{k}" for k in range(width)], append=args.append) as table:
        files = find_files(args.paths, report, skip=table.names)
        done = 0
        for names, _, rows in scores_of_files(model, files, report, batch=args.batch, embed=True):
            cells = ([f"{value:.9g}" for value in row] for row in rows.tolist())
            table.add([name, *row] for name, row in zip(names, cells, strict=True))
            done += len(names)
    return report.finish(done, args.out, before=len(table.names))


def _to_archive(args: argparse.Namespace, model: Model, report: Report, width: int) -> int:
    """Write an archive; after an interruption it has what was computed until then."""
    names, parts = _read_archive(args.out, width) if args.out.exists() else ([], [])
    before = len(names)
    files: list[AudioFile] = find_files(args.paths, report, skip=set(names))
    try:
        for new, _, rows in scores_of_files(model, files, report, batch=args.batch, embed=True):
            names += new
            parts.append(rows.numpy())
    finally:
        _write_archive(args.out, names, parts, width)
    return report.finish(len(names) - before, args.out, before=before)


def _read_archive(path: Path, width: int) -> tuple[list[str], list[NDArray[np.float32]]]:
    import numpy as np

    wanted = f"an archive of embed with embeddings (N, {width})"
    try:
        with np.load(path, allow_pickle=False) as archive:
            names, embeddings = archive["names"], archive["embeddings"]
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: wanted {wanted}, got another or a damaged file") from error
    if embeddings.shape != (len(names), width):
        raise ValueError(f"{path}: wanted {wanted}, got {embeddings.shape}")
    return [str(name) for name in names], [embeddings.astype(np.float32)]


def _write_archive(
    path: Path, names: Sequence[str], parts: Sequence[NDArray[np.float32]], width: int
) -> None:
    import numpy as np

    content = io.BytesIO()
    embeddings = np.concatenate([np.zeros((0, width), np.float32), *parts])
    np.savez(content, names=np.array(names, dtype=np.str_), embeddings=embeddings)
    write_bytes(path, content.getvalue())
