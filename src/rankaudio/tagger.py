"""From waveform to scores in one Module, and in one file."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from rankaudio._checks import check_floating, check_lengths, describe
from rankaudio._files import write_bytes
from rankaudio.backbones import NETWORKS
from rankaudio.spectral import FRONTENDS

__all__ = ["Tagger"]

_FORMAT = "rankaudio.Tagger/1"


class Tagger(nn.Module):
    r"""A frontend and a backbone: waveforms and lengths in, scores out.

    .. math:: s = \mathit{backbone}(\mathit{frontend}(x, \ell), \; \mathit{frontend.frame\_lengths}(\ell))

    Args:
        frontend: Module from ``(B, T)`` and lengths in samples to ``(B, F, N)``, with a method
            ``frame_lengths``. One without that method serves as long as no lengths are given.
        backbone: Module from ``(B, F, N)`` and lengths in frames to scores ``(B, C)``.
        classes: names of the C classes, in the order of the scores.

    Shapes:
        waveform ``(B, T)`` floating point, lengths ``(B,)`` integers in samples, scores ``(B, C)``.

    Raises:
        TypeError: if the waveform is not floating point, or lengths are not integers, or lengths are
            given to a frontend that does not take them.
        ValueError: if shapes disagree, a clip has no sample, or there are not as many names as classes.

    >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8), classes=["Bark", "Meow"]).eval()
    >>> tagger(torch.randn(3, 44100), torch.tensor([44100, 1, 9999])).shape
    torch.Size([3, 2])
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tagger.save(f"{folder}/model.pt")
    ...     Tagger.load(f"{folder}/model.pt").classes
    ('Bark', 'Meow')
    """

    frontend: nn.Module
    backbone: nn.Module

    def __init__(self, frontend: nn.Module, backbone: nn.Module, *, classes: Sequence[str] = ()) -> None:
        super().__init__()
        self.frontend, self.backbone = frontend, backbone
        self.classes: tuple[str, ...] = tuple(classes)
        n_classes = getattr(backbone, "n_classes", None)
        if self.classes and n_classes is not None and len(self.classes) != n_classes:
            raise ValueError(
                f"classes: wanted {n_classes} names, one for each score, got {len(self.classes)}"
            )
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes: wanted names that differ, got {describe(self.classes)}")

    @property
    def sample_rate(self) -> int | None:
        """Samples per second that the frontend is made for; None if it does not say.

        >>> Tagger(LogMel(sample_rate=32000), CNN2d(2, base_depth=8)).sample_rate
        32000
        """
        return getattr(self.frontend, "sample_rate", None)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return scores ``(B, C)``."""
        check_floating("waveform", waveform, ndim=(2,))
        if lengths is None:
            scores: Tensor = self.backbone(self.frontend(waveform))
            return scores
        frame_lengths = getattr(self.frontend, "frame_lengths", None)
        if frame_lengths is None:
            raise TypeError(
                f"lengths: wanted None, for {type(self.frontend).__name__} has no method frame_lengths, "
                f"got {describe(lengths)}"
            )
        batch, longest = waveform.shape
        lengths = check_lengths(lengths, batch=batch, longest=longest, like=waveform)
        scores = self.backbone(self.frontend(waveform, lengths), frame_lengths(lengths))
        return scores  # noqa: RET504  (typed Tensor above)

    def extra_repr(self) -> str:
        """Show the classes."""
        return f"classes={self.classes}" if len(self.classes) <= 5 else f"classes=({len(self.classes)} names)"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything there is to know into one file, which :meth:`load` reads.

        The file holds tensors and plain types: names and settings of frontend and backbone, the names of
        the classes, and the state dict. A file that is there is whole, even after a crash.

        Args:
            path: where to; an existing file is replaced.

        Raises:
            OSError: if it cannot be written there.
        """
        content = {
            "format": _FORMAT,
            "frontend": _description(self.frontend),
            "backbone": _description(self.backbone),
            "classes": list(self.classes),
            "state": self.state_dict(),
        }
        # Whole in memory first: on a full disk torch.save would raise errors of other kinds.
        archive = io.BytesIO()
        torch.save(content, archive)
        write_bytes(path, archive.getvalue())

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        frontend: nn.Module | None = None,
        backbone: nn.Module | None = None,
        device: torch.device | str = "cpu",
    ) -> Self:
        """Read a file that :meth:`save` wrote, in eval mode; no code in it is run.

        Args:
            path: the file.
            frontend: the frontend to fill, needed if the one saved is not from this library.
            backbone: the backbone to fill, needed if the one saved is not from this library.
            device: where the tagger goes.

        Returns:
            The tagger, in eval mode.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is no file of a Tagger, or its tensors do not fit; the message names it.
        """
        content = _read(Path(path), device)
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise ValueError(
                f"{path}: wanted a file written by Tagger.save ({_FORMAT}), got {_summary(content)}"
            )
        tagger = cls(
            frontend or _build(content["frontend"], FRONTENDS, f"{path}: frontend"),
            backbone or _build(content["backbone"], NETWORKS, f"{path}: backbone"),
            classes=content["classes"],
        )
        try:
            tagger.load_state_dict(content["state"])
        except RuntimeError as error:
            raise ValueError(
                f"{path}: its tensors do not fit {type(tagger.backbone).__name__}: {error}"
            ) from error
        return tagger.to(device).eval()


def _read(path: Path, device: torch.device | str) -> object:
    with path.open("rb") as file:
        try:
            return torch.load(file, map_location=device, weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"{path}: wanted a file written by Tagger.save, got one that is not or is damaged"
            ) from error


def _description(module: nn.Module) -> dict[str, Any]:
    """Type and settings, if the module can tell them."""
    settings = getattr(module, "settings", dict)
    return {"type": type(module).__name__, "settings": settings()}


def _build(description: dict[str, Any], known: Mapping[str, type[nn.Module]], name: str) -> nn.Module:
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
