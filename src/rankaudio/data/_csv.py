"""Reading and writing CSV files: one header, rows of equal length, and errors that name the line."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from rankaudio._checks import check_path, check_unique, first_few
from rankaudio._files import write_text

# The column of file names, as Kaggle calls it.
FILE_NAME = "fname"

# No-break spaces become spaces. Zero-width spaces, word joiners, byte order marks and soft hyphens go.
_INVISIBLE = {0xA0: " ", 0x2007: " ", 0x202F: " ", 0x200B: None, 0x2060: None, 0xFEFF: None, 0xAD: None}


def read_csv(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read the header, and each further row with the number of its last line. Blank lines are skipped.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not CSV in UTF-8, is empty, has other separators than commas, or has a row
            with too few or too many fields.
    """
    rows = _read_rows(path)
    if not rows:
        raise ValueError(f"{path}: wanted a header line, got an empty file")
    header = [clean(column) for column in rows[0][1]]
    _check_commas(path, header)
    for line, row in rows[1:]:
        if len(row) != len(header):
            wanted = f"{len(header)} fields as in the header"
            raise ValueError(f"{path}, line {line}: wanted {wanted}, got {len(row)}{_cure(row)}")
    return header, rows[1:]


def read_columns(path: Path, columns: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Read some columns of every row, in this order, and the number of the row's last line.

    Other columns are ignored, whatever their names are.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: as :func:`read_csv`, or if a column is missing or there twice.
    """
    header, rows = read_csv(path)
    for column in columns:
        if column not in header:
            raise ValueError(f"{path}: wanted a column {column!r}, got the columns {', '.join(header)}")
    check_unique(f"{path}: columns", [column for column in header if column in columns])
    places = [header.index(column) for column in columns]
    return [(line, [row[place] for place in places]) for line, row in rows]


def clean(text: str) -> str:
    """Return text without what nobody sees, so that texts that look alike are equal.

    Accents are composed (NFC), special spaces become spaces, and zero-width spaces and space at the ends are
    removed.
    """
    return unicodedata.normalize("NFC", text).translate(_INVISIBLE).strip()


def without_index(
    header: list[str], rows: list[tuple[int, list[str]]]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Leave out the row numbers that pandas writes first, and an empty last column."""
    numbers = [row[0] for _, row in rows]
    if header[:2] == ["", FILE_NAME] and numbers == list(map(str, range(len(rows)))):
        header, rows = header[1:], [(line, row[1:]) for line, row in rows]
    if len(header) > 1 and not header[-1] and not any(row[-1].strip() for _, row in rows):
        header, rows = header[:-1], [(line, row[:-1]) for line, row in rows]
    return header, rows


def check_file_names(path: Path, cells: Iterable[tuple[int, str]]) -> tuple[str, ...]:
    """Return the names in the column of file names, which are all different; there is at least one."""
    first_line: dict[str, int] = {}
    for line, name in cells:
        if not name.strip():
            raise ValueError(f"{path}, line {line}: wanted a file name, got an empty field")
        if "\0" in name:
            raise ValueError(f"{path}, line {line}: wanted a file name, got {name!r}, which has a zero byte")
        if name in first_line:
            raise ValueError(f"{path}, line {line}: {name!r} is already on line {first_line[name]}")
        first_line[name] = line
    if not first_line:
        raise ValueError(f"{path}: wanted at least one row below the header, got none")
    return tuple(first_line)


def check_class_columns(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    """Return the class names of a header with ``fname`` first and then one column per class."""
    if header[0] != FILE_NAME or len(header) < 2:
        got = first_few(header, show=str)
        index = FILE_NAME in header[1:2] and header[0] in ("", "Unnamed: 0")
        cure = "; remove the row numbers, in pandas with to_csv(index=False)" if index else ""
        raise ValueError(f"{path}: wanted the columns {FILE_NAME!r} and then one per class, got {got}{cure}")
    check_unique(f"{path}: columns", header)
    return tuple(header[1:])


def write_csv(path: str | Path, rows: Iterable[Sequence[str]]) -> None:
    """Write rows atomically."""
    write_text(check_path("path", path), to_csv(rows))


def to_csv(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as lines of CSV."""
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    # Before Python 3.13, a carriage return alone gets no quotes, and then it ends the line for a reader.
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        (quoted if any("\r" in cell for cell in row) else plain).writerow(row)
    return text.getvalue()


def _check_commas(path: Path, header: Sequence[str]) -> None:
    """Refuse a table whose only column has other separators in its name."""
    found = next((mark for mark in ";\t|" if mark in header[0]), None)
    if len(header) == 1 and found is not None:
        raise ValueError(f"{path}: wanted commas between the fields, got {found!r}; write it with commas")


def _cure(row: Sequence[str]) -> str:
    if any(field.startswith(' "') for field in row):
        return "; remove the space before the quote"
    return "; remove the comma at the end" if row and not row[-1] else ""


def _read_rows(path: Path) -> list[tuple[int, list[str]]]:
    try:
        # utf-8-sig: spreadsheets often begin a file with a byte order mark.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            try:
                return [(reader.line_num, row) for row in reader if row]
            except csv.Error as error:
                raise ValueError(f"{path}, line {reader.line_num}: not CSV: {error}") from error
    except UnicodeDecodeError as error:
        got = f"byte {error.object[error.start]:#04x}"
        raise ValueError(f"{path}: wanted text in UTF-8, got {got} at position {error.start}") from error
