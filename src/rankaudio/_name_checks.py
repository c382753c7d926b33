"""Checks of paths, of names, and of lists of them; :mod:`rankaudio._checks` has the others."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import cast

from torch import Tensor

from rankaudio._messages import describe, first_few


def check_path(name: str, value: object) -> Path:
    """Return the path if the value is a string or a path."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name}: wanted a path (str or pathlib.Path), got {describe(value)}")
    return Path(value)


def check_ordered(name: str, value: object, content: str) -> Iterable[object]:
    """Return the value if it holds things in an order: no string, no path and no set."""
    if isinstance(value, (str, bytes, os.PathLike, set, frozenset, Tensor)) or not isinstance(
        value, Iterable
    ):
        hint = "; a set has no order" if isinstance(value, (set, frozenset)) else ""
        raise TypeError(f"{name}: wanted a list of {content}, got {describe(value)}{hint}")
    return value


def check_names(name: str, values: object) -> tuple[str, ...]:
    """Return the names if they are a list of strings that are all different and not empty."""
    names = tuple(check_ordered(name, values, "strings"))
    for value in names:
        if not isinstance(value, str):
            raise TypeError(f"{name}: wanted a list of strings, got {describe(value)} in it")
        check_encodable(name, value)
    strings = cast("tuple[str, ...]", names)
    check_unique(name, strings)
    return strings


def check_encodable(name: str, text: str) -> None:
    """Refuse text that no file in UTF-8 can hold, such as file names that Python could not decode."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        got = ascii(text[max(0, error.start - 20) : error.start + 20])
        raise ValueError(f"{name}: wanted text that UTF-8 can hold, got {got}") from error


def check_unique(name: str, values: Iterable[str]) -> None:
    """Refuse an empty name, and a name that comes twice."""
    seen: set[str] = set()
    for value in values:
        if not value or value in seen:
            got = f"{value!r} twice" if value else "an empty name"
            raise ValueError(f"{name}: wanted different names, got {got}")
        seen.add(value)


def check_all_known(message: str, wanted: Iterable[str], known: Iterable[str], problem: str) -> None:
    """Refuse names that are not known; the message ends with their number and the first few."""
    there = set(known)
    strange = [name for name in wanted if name not in there]
    if strange:
        raise ValueError(f"{message}, got {len(strange)} {problem}: {first_few(strange)}")
