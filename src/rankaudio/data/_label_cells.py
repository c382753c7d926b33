"""The labels in a cell of a table: how they are separated, and which of them seem to be several labels."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from rankaudio._checks import describe
from rankaudio.data._csv import clean

_SEPARATORS = (",", ";", "|", "\t")
_QUOTED = r"""(?:'[^']*'|"[^"]*")"""
# How Python, and so pandas, writes a list of strings.
_LIST = re.compile(rf"\[\s*(?:{_QUOTED}(?:\s*,\s*{_QUOTED})*)?\s*\]")


def label_matrix(
    places: Sequence[str],
    labels: Sequence[Sequence[str]],
    classes: tuple[str, ...] | None,
    *,
    separator: str,
    strict: bool,
) -> tuple[tuple[str, ...], Tensor]:
    """Return the classes and the target ``(N, C)`` of clips; ``places`` names each clip in messages."""
    if classes is None:
        classes = tuple(sorted({label for row in labels for label in row} - {""}))
        for place, row in zip(places, labels, strict=True):
            check_plain(place, row, separator)
    column_of = columns_by_spelling(classes)
    target = torch.zeros(len(labels), len(classes), dtype=torch.bool)
    for index, (place, row) in enumerate(zip(places, labels, strict=True)):
        check_known(place, row, column_of, strict=strict)
        target[index, [column_of[label] for label in row if label in column_of]] = True
    return classes, target


def split_cells(cells: Sequence[str], separator: str, classes: Collection[str] | None) -> list[str]:
    """Return the labels of a clip from its cells. One of several cells may be empty."""
    labels = [label for cell in cells for label in _split(cell, separator, classes or ())]
    filled = [label for label in labels if label]
    return filled if filled and len(cells) > 1 else labels


def _split(cell: str, separator: str, classes: Collection[str]) -> list[str]:
    labels = [clean(label) for label in cell.split(separator)]
    if _LIST.fullmatch(cell.strip()) and not set(labels) <= set(classes):
        return [clean(quoted[1:-1]) for quoted in re.findall(_QUOTED, cell)] or [""]
    return labels


def columns_by_spelling(classes: Sequence[str]) -> dict[str, int]:
    """Return the column of each class, by its own spelling and by the one that :func:`clean` makes."""
    columns: dict[str, int] = {}
    for column, name in enumerate(classes):
        columns.setdefault(clean(name), column)
    return columns | {name: column for column, name in enumerate(classes)}


def check_plain(place: str, labels: Sequence[str], separator: str) -> None:
    """Refuse labels that seem to be several labels, or a part of a list. Only ``classes`` can allow them."""
    for label in labels:
        mark = next((one for one in _SEPARATORS[1:] if separator == "," and one in label), None)
        if mark is not None and all(part.strip() for part in label.split(mark)):
            cure = f"read the table with separator={mark!r}, or give classes= if this is one label"
            raise ValueError(f"{place}: wanted a label, got {label!r}; {cure}")
        if _is_part_of_list(label):
            cure = "write labels without brackets and quotes, or give classes= if this is one label"
            raise ValueError(f"{place}: wanted a label, got {label!r}; {cure}")


def _is_part_of_list(label: str) -> bool:
    ends = label[:1] + label[-1:]
    return ends in ("[]", '""') or label.count("[") != label.count("]")


def check_known(place: str, labels: Sequence[str], classes: Mapping[str, int], *, strict: bool) -> None:
    """Refuse an empty label and one of no class if ``strict``, and several classes in one label always."""
    for label in labels:
        if label in classes:
            continue
        for mark in _SEPARATORS:
            if mark in label and all(clean(part) in classes for part in label.split(mark)):
                cure = f"read the table with separator={mark!r}"
                raise ValueError(f"{place}: wanted one class, got {label!r}, which has several; {cure}")
        if strict and not label:
            raise ValueError(f"{place}: wanted a label, got an empty one (left out with strict=False)")
        if strict:
            got = f"{label!r} (left out with strict=False)"
            count = len(set(classes.values()))
            raise ValueError(f"{place}: wanted one of the {count} classes, got {got}")


def check_separator(separator: object) -> str:
    """Return the value if it is a text that is not empty."""
    if not isinstance(separator, str):
        raise TypeError(f"separator: wanted a string, got {describe(separator)}")
    if not separator:
        raise ValueError("separator: wanted the text between two labels, got an empty string")
    return separator
