"""The file of a tagger: tensors and plain types, so that loading it runs no code."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from rankaudio._checks import check_names, check_path, describe, first_few
from rankaudio._tensor_file import check_fit, check_state, read_tensors, write_tensors, wrong
from rankaudio.decisions import Calibration

_FORMAT = "rankaudio.Tagger/1"
_WANTED = f"a file written by Tagger.save ({_FORMAT})"
# The constants of a frontend are not in the file, so the file cannot prove that their size is meant.
_MOST_CONSTANTS = 32 * 1024**2
_HIGHEST_RATE = 1_000_000


def write_content(path: str | os.PathLike[str], content: dict[str, Any]) -> None:
    """Write descriptions, classes and state of a tagger."""
    write_tensors(path, {"format": _FORMAT, **content})


def description(module: nn.Module) -> dict[str, Any]:
    """Return the type of a module, and its settings if it has such a method."""
    settings = getattr(module, "settings", dict)
    return {"type": type(module).__name__, "settings": settings()}


@dataclass(frozen=True)
class TaggerFile:
    """The checked content of a file.

    Every error is a ValueError that begins with the file's name. Nothing is built before its size is known to
    be that of the tensors in the file.
    """

    path: Path
    frontend: dict[str, Any]
    backbone: dict[str, Any]
    classes: tuple[str, ...]
    state: dict[str, Tensor]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read and check what :func:`write_content` wrote."""
        path = check_path("path", path)
        content = read_tensors(path, _WANTED)
        if not isinstance(content.get("format"), str) or content["format"] != _FORMAT:
            raise ValueError(
                f"{path}: wanted {_WANTED}, got a dict with the keys {first_few(content, show=_key)}"
            )
        if not isinstance(content.get("classes"), list):
            raise wrong(path, f"classes: wanted a list of strings, got {describe(content.get('classes'))}")
        try:
            classes = check_names("classes", content["classes"])
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        return cls(
            path,
            _check_description(f"{path}: frontend", content.get("frontend")),
            _check_description(f"{path}: backbone", content.get("backbone")),
            classes,
            check_state(path, content.get("state")),
        )

    def build_frontend(self, known: Mapping[str, type[nn.Module]]) -> nn.Module:
        """Build the frontend of the library that the file describes."""
        sketch = self._sketch("frontend", known)
        size = sum(constant.nbytes for constant in sketch.buffers())
        if size > _MOST_CONSTANTS:
            raise ValueError(
                f"{self.path}: frontend: wanted at most {_MOST_CONSTANTS:,} bytes of constants, "
                f"got {size:,}; build it and pass it to Tagger.load"
            )
        rate = getattr(sketch, "sample_rate", 1)
        if rate > _HIGHEST_RATE:
            raise ValueError(
                f"{self.path}: frontend: sample_rate: wanted at most {_HIGHEST_RATE:,}, got {rate:,}"
            )
        return _construct(self.frontend, known)

    def build_backbone(self, known: Mapping[str, type[nn.Module]]) -> nn.Module:
        """Build the network of the library that the file describes, if the tensors of the file fit it."""
        sketch = self._sketch("backbone", known)
        wanted = {f"backbone.{name}": value for name, value in sketch.state_dict().items()}
        own = {name: value for name, value in self.state.items() if name.startswith("backbone.")}
        check_fit(self.path, own, wanted, type(sketch).__name__)
        if sum(value.nbytes for value in own.values()) > self.path.stat().st_size:
            raise ValueError(f"{self.path}: state: wanted a separate tensor for each name, got shared ones")
        return _construct(self.backbone, known)

    def backbone_dtype(self) -> torch.dtype | None:
        """Return the floating dtype of the backbone's tensors, or None if there are several."""
        tensors = [value for name, value in self.state.items() if name.startswith("backbone.")]
        dtypes = {value.dtype for value in tensors if value.is_floating_point()}
        return dtypes.pop() if len(dtypes) == 1 else None

    def decisions(self) -> dict[str, Any]:
        """Return thresholds and calibration by name, None where the file has none, as older files do."""
        scale, shift = (self.state.get(f"calibration.{name}") for name in ("scale", "shift"))
        calibration = None if scale is None or shift is None else Calibration(scale, shift)
        return {"thresholds": self.state.get("thresholds"), "calibration": calibration}

    def load_into(self, tagger: nn.Module, backbone: str) -> None:
        """Copy the state into the tagger."""
        check_fit(self.path, self.state, tagger.state_dict(), backbone)
        try:
            tagger.load_state_dict(self.state)
        except RuntimeError as error:  # a Module of another library may have rules of its loading
            raise ValueError(f"{self.path}: its tensors do not fit {backbone}: {error}") from error

    def _sketch(self, part: str, known: Mapping[str, type[nn.Module]]) -> nn.Module:
        """Build a part on the meta device, where tensors have shapes and take no memory."""
        described: dict[str, Any] = getattr(self, part)
        kind, name = described["type"], f"{self.path}: {part}"
        if kind not in known:
            raise ValueError(
                f"{name}: wanted one of {', '.join(known)}, got {kind!r}; build it and pass it to Tagger.load"
            )
        settings = inspect.signature(known[kind]).parameters
        strange = [setting for setting in described["settings"] if setting not in settings]
        if strange:
            raise ValueError(f"{name}: wanted settings of {kind}, got {first_few(strange)}")
        try:
            with torch.device("meta"):
                return _construct(described, known)
        except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as error:
            problem = str(error).partition("\n")[0]  # PyTorch adds a trace
            raise ValueError(f"{name}: {problem[:300]}") from error


def _key(key: object) -> str:
    return key if isinstance(key, str) else describe(key)


def _check_description(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise wrong(name, f"wanted a dict with type and settings, got {describe(value)}")
    kind, settings = value.get("type"), value.get("settings")
    if not isinstance(kind, str):
        raise wrong(name, f"type: wanted a name, got {describe(kind)}")
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise wrong(name, f"settings: wanted values by name, got {describe(settings)}")
    return value


def _construct(described: dict[str, Any], known: Mapping[str, type[nn.Module]]) -> nn.Module:
    return known[described["type"]](**described["settings"])
