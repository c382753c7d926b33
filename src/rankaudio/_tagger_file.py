"""The file of a tagger: tensors and plain types, so that loading it runs no code."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rankaudio._files import write_bytes

_FORMAT = "rankaudio.Tagger/1"


def write_content(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write descriptions, classes and state of a tagger."""
    # In memory first, because on a full disk torch.save raises errors of other types.
    archive = io.BytesIO()
    torch.save({"format": _FORMAT, **content}, archive)
    write_bytes(path, archive.getvalue())


def read_content(path: str | os.PathLike[str], device: torch.device | str) -> dict[str, Any]:
    """Read what :func:`write_content` wrote."""
    with Path(path).open("rb") as file:
        try:
            content = torch.load(file, map_location=device, weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"{path}: wanted a file written by Tagger.save, got another or a damaged file"
            ) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f"{path}: wanted a file written by Tagger.save ({_FORMAT}), got {_summary(content)}")
    return content


def description(module: nn.Module) -> dict[str, Any]:
    """Return the type of a module, and its settings if it has such a method."""
    settings = getattr(module, "settings", dict)
    return {"type": type(module).__name__, "settings": settings()}


def backbone_dtype(state: Mapping[str, Tensor]) -> torch.dtype | None:
    """Return the floating dtype of the backbone's tensors, or None if there are several."""
    tensors = [value for name, value in state.items() if name.startswith("backbone.")]
    dtypes = {value.dtype for value in tensors if value.is_floating_point()}
    return dtypes.pop() if len(dtypes) == 1 else None


def build(description: dict[str, Any], known: Mapping[str, type[nn.Module]], name: str) -> nn.Module:
    """Build a frontend or a backbone from its description."""
    if description["type"] not in known:
        raise ValueError(
            f"{name}: wanted one of {', '.join(known)}, got {description['type']!r}; "
            f"build it and pass it to Tagger.load"
        )
    return known[description["type"]](**description["settings"])


def _summary(content: object) -> str:
    if not isinstance(content, dict):
        return type(content).__name__
    keys = [str(key) for key in list(content)[:4]]
    return f"a dict with the keys {', '.join(keys)}{', ...' if len(content) > 4 else ''}"
