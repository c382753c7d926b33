"""Label tables as CSV files in the layout of Kaggle: a column of file names and a column of labels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import torch

from rankaudio._checks import check_flag, check_instance, check_names, check_path
from rankaudio.data._csv import FILE_NAME, check_file_names, read_columns, write_csv
from rankaudio.data._tables import LabelTable

__all__ = ["read_labels", "write_labels"]

_COLUMNS = (FILE_NAME, "labels")


def read_labels(path: str | Path, *, classes: Sequence[str] | None = None, strict: bool = True) -> LabelTable:
    r"""Read a CSV file with the columns ``fname`` and ``labels``, several labels separated by commas.

    Args:
        path: the file, UTF-8 with or without a byte order mark. Other columns are ignored, and so is space
            around a label.
        classes: the class of each column of the target, in this order. By default the labels of the file,
            sorted.
        strict: refuse empty labels and labels that are not among ``classes``. Otherwise they are left out,
            and a clip may have no label. Noisy sets with sounds of no class need this.

    Returns:
        A :class:`LabelTable`, its clips in the order of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: with the path and the line, if a column is missing or a name comes twice. Also if a label
            is empty or not one of ``classes`` (see ``strict``), or a row has too few or too many fields. Also
            if there are no rows, or the file is not UTF-8.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "train.csv")
    ...     _ = path.write_text('fname,labels\na.wav,Meow\nb.wav,"Meow,Bark"\n')
    ...     table = read_labels(path)
    >>> table.classes, table.target.int().tolist()
    (('Bark', 'Meow'), [[0, 1], [1, 1]])
    """
    path = check_path("path", path)
    check_flag("strict", strict)
    rows = read_columns(path, _COLUMNS)
    names = check_file_names(path, [(line, name) for line, (name, _) in rows])
    cells = [(line, _split_labels(cell)) for line, (_, cell) in rows]
    if classes is None:
        classes = sorted({label for _, labels in cells for label in labels} - {""})
    columns = {name: column for column, name in enumerate(check_names("classes", classes))}
    target = torch.zeros(len(rows), len(columns), dtype=torch.bool)
    for index, (line, labels) in enumerate(cells):
        if strict:
            _check_labels(f"{path}, line {line}", labels, columns)
        target[index, [columns[label] for label in labels if label in columns]] = True
    return LabelTable(names, tuple(columns), target)


def write_labels(path: str | Path, table: LabelTable) -> None:
    """Write labels as a CSV file with the columns ``fname`` and ``labels``.

    :func:`read_labels` reads the file. Several labels of a clip are separated by commas, in the order of the
    classes. The file is written atomically.

    Args:
        path: the file to write; an existing file is replaced.
        table: the labels.

    Raises:
        TypeError: if ``table`` is not a :class:`LabelTable`.
        ValueError: if a label could not be read again: it has a comma, or space at an end.
        OSError: if the file cannot be written.

    >>> import pathlib, tempfile
    >>> table = LabelTable(("a.wav", "b.wav"), ("Bark", "Meow"), torch.tensor([[True, False], [True, True]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_labels(f"{folder}/train.csv", table)
    ...     print(pathlib.Path(folder, "train.csv").read_text())
    fname,labels
    a.wav,Bark
    b.wav,"Bark,Meow"
    """
    classes = check_instance("table", table, LabelTable).classes
    for label in classes:
        if "," in label or label != label.strip():
            raise ValueError(f"classes: wanted names without commas or space at their ends, got {label!r}")
    cells = [",".join(classes[c] for c in row.nonzero().flatten().tolist()) for row in table.target.cpu()]
    write_csv(path, [_COLUMNS, *zip(table.names, cells, strict=True)])


def _split_labels(cell: str) -> list[str]:
    return [label.strip() for label in cell.split(",")]


def _check_labels(place: str, labels: list[str], classes: Collection[str]) -> None:
    for label in labels:
        if not label:
            raise ValueError(f"{place}: wanted a label, got an empty one (left out with strict=False)")
        if label not in classes:
            got = f"{label!r} (left out with strict=False)"
            raise ValueError(f"{place}: wanted one of the {len(classes)} classes, got {got}")
