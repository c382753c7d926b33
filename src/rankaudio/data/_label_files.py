"""Label tables as CSV files in the layout of Kaggle: a column of file names and a column of labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rankaudio._checks import check_flag, check_instance, check_names, check_path, describe
from rankaudio.data._csv import FILE_NAME, check_file_names, read_columns, write_csv
from rankaudio.data._label_cells import check_separator, label_matrix, split_cells
from rankaudio.data._tables import LabelTable

__all__ = ["read_labels", "write_labels"]

_COLUMNS = (FILE_NAME, "labels")


def read_labels(
    path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    strict: bool = True,
    separator: str = ",",
    name_column: str = FILE_NAME,
    label_column: str | Sequence[str] = "labels",
) -> LabelTable:
    r"""Read a CSV file with a column of file names and a column of labels.

    Labels that look alike are one label. Space at the ends and zero-width spaces are removed, and accents are
    composed (NFC). A cell with a list such as ``['Bark', 'Meow']`` has the labels of the list.

    Args:
        path: the file, UTF-8 with or without a byte order mark. Other columns are ignored.
        classes: the class of each column of the target, in this order. By default the labels of the file,
            sorted.
        strict: refuse empty labels and labels that are not among ``classes``. Otherwise they are left out,
            and a clip may have no label. Noisy sets with sounds of no class need this.
        separator: what is between the labels of a clip, such as ``";"``.
        name_column: the column of file names.
        label_column: the column of labels. Several columns are read as one list of labels.

    Returns:
        A :class:`LabelTable`, its clips in the order of the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: with the path and the line, if a column is missing or a name comes twice. Also if a label
            is empty or not one of ``classes`` (see ``strict``), or seems to be several labels with another
            separator. Also if a row has too few or too many fields, there are no rows, or the file is not
            UTF-8.

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
    check_separator(separator)
    columns = _check_columns(name_column, label_column)
    known = None if classes is None else check_names("classes", classes)
    rows = read_columns(path, columns)
    names = check_file_names(path, [(line, cells[0].strip()) for line, cells in rows])
    labels = [split_cells(cells[1:], separator, known) for _, cells in rows]
    places = [f"{path}, line {line}" for line, _ in rows]
    return LabelTable(names, *label_matrix(places, labels, known, separator=separator, strict=strict))


def _check_columns(name_column: object, label_column: object) -> tuple[str, ...]:
    if not isinstance(name_column, str):
        raise TypeError(f"name_column: wanted a string, got {describe(name_column)}")
    labels = [label_column] if isinstance(label_column, str) else label_column
    if not isinstance(labels, (list, tuple)):
        raise TypeError(f"label_column: wanted a string or a list of strings, got {describe(label_column)}")
    if not labels:
        raise ValueError("label_column: wanted at least one column, got none")
    return name_column, *check_names("label_column", labels)


def write_labels(path: str | Path, table: LabelTable) -> None:
    """Write labels as a CSV file with the columns ``fname`` and ``labels``.

    :func:`read_labels` with the same ``classes`` reads the file. Several labels of a clip are separated by
    commas, in the order of the classes. The file is written atomically.

    Args:
        path: the file to write; an existing file is replaced.
        table: the labels.

    Raises:
        TypeError: if ``table`` is not a :class:`LabelTable`.
        ValueError: if a label or a name could not be read again: it has space at an end, or a label has a
            comma.
        OSError: if the file cannot be written.

    >>> import pathlib, tempfile
    >>> table = LabelTable(
    ...     ("a.wav", "b.wav"),
    ...     ("Bark", "Meow"),
    ...     torch.tensor([[True, False], [True, True]]),
    ... )
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
    for name in table.names:
        if name != name.strip():
            raise ValueError(f"names: wanted names without space at their ends, got {name!r}")
    cells = [",".join(classes[c] for c in row.nonzero().flatten().tolist()) for row in table.target.cpu()]
    write_csv(path, [_COLUMNS, *zip(table.names, cells, strict=True)])
