"""Labels from a data frame of pandas, Polars or another library, which is not imported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from rankaudio._checks import check_flag, check_names, describe
from rankaudio.data._csv import clean
from rankaudio.data._label_cells import check_separator, label_matrix, split_cells

Labels = tuple[tuple[str, ...], tuple[str, ...], Tensor]


def labels_from_frame(
    frame: object,
    *,
    name_column: object,
    label_column: object,
    classes: Sequence[str] | None,
    strict: bool,
    separator: str,
) -> Labels:
    """Return names, classes and target; :meth:`LabelTable.from_frame` describes the arguments."""
    check_flag("strict", strict)
    check_separator(separator)
    columns = _column_names(frame)
    known = None if classes is None else check_names("classes", classes)
    names = check_names("frame", _column(frame, columns, "name_column", name_column))
    if label_column is None:
        if known is None:
            known = check_names("frame", [column for column in columns if column != name_column])
        return names, known, _one_hot(frame, columns, names, known)
    cells = _column(frame, columns, "label_column", label_column)
    places = [f"frame, row of {name!r}" for name in names]
    labels = [_labels_of(place, cell, separator, known) for place, cell in zip(places, cells, strict=True)]
    return names, *label_matrix(places, labels, known, separator=separator, strict=strict)


def _column_names(frame: object) -> list[object]:
    columns = getattr(frame, "columns", None)
    if not isinstance(columns, Iterable) or not hasattr(frame, "__getitem__"):
        raise TypeError(f"frame: wanted a data frame with columns by name, got {describe(frame)}")
    return list(columns)


def _column(frame: object, columns: list[object], argument: str, name: object) -> list[object]:
    """Return the cells of a column. A repeated name gives a frame in pandas, so it is refused."""
    if not isinstance(name, str):
        raise TypeError(f"{argument}: wanted a string, got {describe(name)}")
    if columns.count(name) != 1:
        got = "that name twice" if name in columns else f"the columns {', '.join(map(str, columns))}"
        raise ValueError(f"{argument}: wanted a column {name!r}, got {got}")
    return list(frame[name])  # type: ignore[index]


def _one_hot(frame: object, columns: list[object], names: tuple[str, ...], classes: Sequence[str]) -> Tensor:
    """Read a column of 0 and 1 for each class."""
    import numpy as np

    target = torch.zeros(len(names), len(classes), dtype=torch.bool)
    for index, name in enumerate(classes):
        cells = _column(frame, columns, "classes", name)
        values = np.asarray(cells)
        if values.dtype.kind not in "biuf" or values.ndim != 1:
            # Missing values and texts are not numbers. A comparison with them may fail.
            values = np.array([cell if isinstance(cell, (bool, int, float)) else -1 for cell in cells])
        good = (values == 0) | (values == 1)
        if not good.all():
            row = int(good.argmin())
            place = f"frame, row of {names[row]!r}, column {name!r}"
            raise ValueError(f"{place}: wanted 0 or 1, got {describe(cells[row])}")
        target[:, index] = torch.from_numpy(values == 1)
    return target


def _labels_of(place: str, cell: object, separator: str, classes: Sequence[str] | None) -> list[str]:
    """Return the labels in a cell: a text with separators, or a list of texts."""
    if isinstance(cell, str):
        return split_cells([cell], separator, classes)
    if isinstance(cell, Iterable):
        labels = list(cell)
        if all(isinstance(label, str) for label in labels):
            return [clean(label) for label in labels]
    raise TypeError(f"{place}: wanted labels as a string or a list of strings, got {describe(cell)}")
