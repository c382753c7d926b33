"""Write the tables of the Kaggle layout from those that were published after the competition."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from freesound.tables import read_columns, read_rows
from rankaudio.data import write_text
from tools.download.parts import FAULTY, PARTS

# The README of the doc archive names these clips. The first five have a wrong label, and the published tables
# do not give the right one. The last clip has no signal.
KNOWN_FAULTS = (
    "f76181c4.wav",
    "77b925c2.wav",
    "6a1f682a.wav",
    "c7db12aa.wav",
    "7752cc8a.wav",
    "1d44b0bd.wav",
)

# For each part with clips: its table in `meta`, and the columns that are copied from it.
TABLES = {
    "curated": ("train_curated_post_competition.csv", ("fname", "labels")),
    "noisy": ("train_noisy_post_competition.csv", ("fname", "labels")),
    "test": ("test_post_competition.csv", ("fname", "labels", "usage")),
}


def write_layout(root: Path, parts: Collection[str], *, keep_faulty: bool) -> list[str]:
    """Write the tables of the parts that are complete, and move clips with known faults out or back.

    Returns:
        A line for each change, and none if nothing changed.

    Raises:
        ValueError: if a table lacks a column, names missing clips or has labels outside the vocabulary.
    """
    meta = root / "meta"
    lines = _move_faulty(root, keep_faulty=keep_faulty) if "curated" in parts else []
    classes = read_vocabulary(meta / "vocabulary.csv")
    for name in (part for part in TABLES if part in parts):
        folder, (source, columns) = PARTS[name][0], TABLES[name]
        rows = [row for _, row in read_columns(meta / source, columns)]
        if name == "curated" and not keep_faulty:
            rows = [row for row in rows if row[0] not in KNOWN_FAULTS]
        _check_clips(meta / source, [row[0] for row in rows], root / folder)
        # The noisy part may have unknown labels, and training ignores them.
        if name != "noisy":
            _check_labels(meta / source, rows, classes)
        if _write_if_changed(root / f"{folder}.csv", [columns, *rows]):
            lines.append(f"{root / folder}.csv: {len(rows)} clips")
    names = sorted(row[0] for _, row in read_columns(meta / TABLES["test"][0], ["fname"]))
    submission = [("fname", *classes), *((name, *("0",) * len(classes)) for name in names)]
    if _write_if_changed(root / "sample_submission.csv", submission):
        lines.append(f"{root / 'sample_submission.csv'}: {len(classes)} classes")
    return lines


def read_vocabulary(path: Path) -> list[str]:
    """Read the class names from rows of a number and a name, and return them sorted.

    Raises:
        ValueError: if a row has another format, or a class occurs twice.
    """
    rows = read_rows(path)
    numbered = [(line, row) for line, row in rows if len(row) >= 2 and row[0].strip().isdecimal() and row[1]]
    # The first row may be a header.
    others = [line for line, row in rows[1:] if (line, row) not in numbered]
    if others or not numbered:
        raise ValueError(f"{path}, line {(others or [1])[0]}: wanted a number and the name of a class")
    classes = {row[1].strip() for _, row in numbered}
    if len(classes) < len(numbered):
        raise ValueError(f"{path}: wanted different classes, got {len(numbered)}, {len(classes)} different")
    return sorted(classes)


def _check_clips(source: Path, names: Sequence[str], folder: Path) -> None:
    existing = {path.name for path in folder.iterdir()}
    missing = [name for name in names if name not in existing]
    if missing:
        some = ", ".join(missing[:5])
        raise ValueError(f"{source}: {len(missing)} of {len(names)} clips are not in {folder}: {some}")


def _check_labels(source: Path, rows: Sequence[tuple[str, ...]], classes: Sequence[str]) -> None:
    unknown = {label.strip() for row in rows for label in row[1].split(",")} - set(classes)
    if unknown:
        raise ValueError(f"{source}: wanted labels of the vocabulary, got {sorted(unknown)[:5]}")


def _move_faulty(root: Path, *, keep_faulty: bool) -> list[str]:
    clips, faulty = root / "train_curated", root / FAULTY
    source, target = (faulty, clips) if keep_faulty else (clips, faulty)
    found = [name for name in KNOWN_FAULTS if (source / name).exists()]
    for name in found:
        target.mkdir(exist_ok=True)
        (source / name).replace(target / name)
    if faulty.is_dir() and not any(faulty.iterdir()):
        faulty.rmdir()
    return [f"{target}: {len(found)} clips with known faults moved there"] if found else []


def _write_if_changed(path: Path, rows: Iterable[Sequence[str]]) -> bool:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    if path.exists() and path.read_text(encoding="utf-8") == text.getvalue():
        return False
    write_text(path, text.getvalue())
    return True
