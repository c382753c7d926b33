"""Read a JSON file that may be damaged or have other content."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from freesound.regular_file import read_text
from rankaudio._files import check_regular_file


def read_json(path: Path, wanted: str, is_right: Callable[[Any], bool], *, cure: str = "") -> Any:
    """Return the content of a JSON file.

    Args:
        path: the file.
        wanted: what the file should be, for the message.
        is_right: whether the content has all parts, each of its type.
        cure: what the user can do, for the end of the message.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it has other content; the message names it.
    """
    check_regular_file(path)
    try:
        values = json.loads(read_text(path))
        right = is_right(values)
    except (ValueError, RecursionError):
        right = False
    if not right:
        raise ValueError(f"{path}: wanted {wanted}, got another or a damaged file{cure}")
    return values
