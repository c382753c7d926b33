"""From waveform to scores in one Module, and in one file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from rankaudio._checks import (
    check_device,
    check_floating,
    check_instance,
    check_lengths,
    check_names,
    describe,
)
from rankaudio._tagger_decisions import TaggerDecisions
from rankaudio._tagger_file import TaggerFile, description, write_content
from rankaudio.backbones import NETWORKS
from rankaudio.side_inputs import compute_side_inputs, given_or_computed, names_of_side_inputs
from rankaudio.spectral import FRONTENDS

__all__ = ["Tagger"]

_HALF = (torch.float16, torch.bfloat16)


class Tagger(TaggerDecisions):
    r"""A frontend and a backbone: waveforms in, scores out.

    .. math:: s = \mathit{backbone}(\mathit{frontend}(x, \ell), \; \mathit{frontend.frame\_lengths}(\ell))

    The frontend computes in float32 or better. It keeps its dtype after ``.half()`` or ``.bfloat16()``, and
    the spectrogram is cast to the dtype of the backbone. The waveform may have any floating dtype.

    Args:
        frontend: Module from ``(B, T)`` and lengths in samples to ``(B, F, N)``, with a method
            ``frame_lengths``. Without that method the tagger takes no lengths.
        backbone: Module from ``(B, F, N)`` and lengths in frames to scores ``(B, C)``, such as a
            :class:`rankaudio.backbones.Network`.
        classes: names of the C classes, in the order of the scores.

    Shapes:
        waveform ``(B, T)`` floating point, lengths ``(B,)`` integers in samples, side inputs ``(B, ...)``,
        scores ``(B, C)``.

    Raises:
        TypeError: if the waveform is not floating point, lengths are not integers, side inputs are not
            tensors by name, or lengths are given to a frontend without ``frame_lengths``.
            ``classes`` that are not strings in an order, such as a set or a single string, are refused too.
        ValueError: if shapes disagree, a clip has no sample, a name is empty or comes twice, the number of
            names is not C, or a side input is missing or unknown.

    >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8), classes=["Bark", "Meow"]).eval()
    >>> tagger(torch.randn(3, 44100), torch.tensor([44100, 1, 9999])).shape
    torch.Size([3, 2])
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tagger.save(f"{folder}/model.pt")
    ...     Tagger.load(f"{folder}/model.pt").classes
    ('Bark', 'Meow')
    """

    def __init__(self, frontend: nn.Module, backbone: nn.Module, *, classes: Sequence[str] = ()) -> None:
        super().__init__()
        self.frontend: nn.Module = check_instance("frontend", frontend, nn.Module)
        self.backbone: nn.Module = check_instance("backbone", backbone, nn.Module)
        self.classes: tuple[str, ...] = check_names("classes", classes)
        n_classes = getattr(backbone, "n_classes", None)
        if self.classes and n_classes is not None and len(self.classes) != n_classes:
            raise ValueError(
                f"classes: wanted {n_classes} names, one for each score, got {len(self.classes)}"
            )

    @property
    def sample_rate(self) -> int | None:
        """Sample rate of the waveforms that the frontend is made for, in Hz; None if it has none.

        >>> Tagger(LogMel(sample_rate=32000), CNN2d(2, base_depth=8)).sample_rate
        32000
        """
        return getattr(self.frontend, "sample_rate", None)

    def spectrogram(self, waveform: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return the input of the backbone: the spectrogram ``(B, F, N)``, and its lengths in frames.

        Spectrogram augmentations come between this step and the backbone. Without ``lengths`` the second
        value is None.

        >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8))
        >>> spectrogram, frames = tagger.spectrogram(
        ...     torch.randn(3, 44100), torch.tensor([44100, 1, 9999])
        ... )
        >>> spectrogram = SpecAugment(p=0.5)(spectrogram, frames)[0]
        >>> tagger.backbone(spectrogram, frames).shape
        torch.Size([3, 2])
        """
        check_floating("waveform", waveform, ndim=(2,))
        if waveform.dtype in _HALF:
            waveform = waveform.float()
        if lengths is None:
            return self._cast(self.frontend(waveform)), None
        frame_lengths = getattr(self.frontend, "frame_lengths", None)
        if frame_lengths is None:
            raise TypeError(
                f"lengths: wanted None, because {type(self.frontend).__name__} has no method frame_lengths, "
                f"got {describe(lengths)}"
            )
        batch, longest = waveform.shape
        lengths = check_lengths(lengths, batch=batch, longest=longest, like=waveform)
        return self._cast(self.frontend(waveform, lengths)), frame_lengths(lengths)

    def side_inputs(self, waveform: Tensor, lengths: Tensor | None = None) -> dict[str, Tensor]:
        """Return the :mod:`~rankaudio.side_inputs` of the backbone by name; most networks have none.

        :meth:`forward` computes them. Compute them yourself if they shall be those of the clips before
        augmentation, and pass them on.

        >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8))
        >>> tagger.side_inputs(torch.randn(3, 44100))
        {}
        """
        names = names_of_side_inputs(self.backbone)
        computed = compute_side_inputs(names, waveform, lengths, self.sample_rate)
        return {name: self._cast(value) for name, value in computed.items()}

    def forward(
        self,
        waveform: Tensor,
        lengths: Tensor | None = None,
        side_inputs: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return scores ``(B, C)``. Without ``side_inputs``, those of the waveform are computed."""
        return self._apply_to_spectrogram(self.backbone, waveform, lengths, side_inputs)

    def embed(
        self,
        waveform: Tensor,
        lengths: Tensor | None = None,
        side_inputs: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return the features that the classifier gets, ``(B, d)``: an embedding of each clip.

        An embedding is the same alone and in any padded batch. It is ``backbone.features`` of the
        spectrogram and the ``side_inputs``.

        Raises:
            TypeError: if the backbone has no method ``features``.

        >>> tagger = Tagger(LogMel(), CNN2d(2, base_depth=8)).eval()
        >>> tagger.embed(torch.randn(3, 44100)).shape, tagger.backbone.n_features
        (torch.Size([3, 97]), 97)
        """
        return self._apply_to_spectrogram(self._backbone_method("features"), waveform, lengths, side_inputs)

    def reset_classifier(self, classes: Sequence[str]) -> None:
        """Give the tagger other classes: new names, and a new last layer with random weights.

        The rest of the network keeps its weights, for fine-tuning. Thresholds and calibration are removed.
        Afterwards, build a new optimizer, because an old one holds the old layer.

        Args:
            classes: names of the new classes, in the order of the scores.

        Raises:
            TypeError: if the backbone has no method ``reset_classifier``, or ``classes`` is not a list of
                strings.
            ValueError: if there is no name, a name is empty, or two names are equal.

        >>> tagger = Tagger(LogMel(), CNN2d(80, base_depth=8))
        >>> tagger.reset_classifier(["Bark", "Meow", "Purr"])
        >>> tagger(torch.randn(2, 44100)).shape, tagger.classes
        (torch.Size([2, 3]), ('Bark', 'Meow', 'Purr'))
        """
        names = check_names("classes", classes)
        if not names:
            raise ValueError(f"classes: wanted at least one name, got {describe(classes)}")
        self._backbone_method("reset_classifier")(len(names))
        self.classes = names
        self.set_decisions()

    def extra_repr(self) -> str:
        """Show the classes."""
        return f"classes={self.classes}" if len(self.classes) <= 5 else f"classes=({len(self.classes)} names)"

    def _apply_to_spectrogram(
        self,
        function: Callable[..., Tensor],
        waveform: Tensor,
        lengths: Tensor | None,
        given: Mapping[str, Tensor] | None,
    ) -> Tensor:
        spectrogram, frames = self.spectrogram(waveform, lengths)
        side = given_or_computed(self, waveform, lengths, given, spectrogram)
        # Backbones from other libraries take neither lengths nor side inputs.
        inputs = (spectrogram,) if frames is None else (spectrogram, frames)
        return function(*inputs, side_inputs=side) if side else function(*inputs)

    def _backbone_method(self, name: str) -> Callable[..., Any]:
        method: Callable[..., Any] | None = getattr(self.backbone, name, None)
        if method is None:
            raise TypeError(
                f"backbone: wanted a Module with a method {name}, got {type(self.backbone).__name__}"
            )
        return method

    def _cast(self, spectrogram: Tensor) -> Tensor:
        """Cast to the dtype of the backbone's parameters."""
        # A loop, because the compiler of torch 2.7 cannot follow next() with a generator expression.
        for parameter in self.backbone.parameters():
            if parameter.is_floating_point():
                return spectrogram.to(parameter.dtype)
        return spectrogram

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # noqa: FBT001, FBT002
        """Move or cast, but never cast anything except the backbone to half precision."""

        def move(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            rounded = moved.dtype in _HALF and moved.dtype != tensor.dtype
            return tensor.to(moved.device) if rounded else moved

        super()._apply(move, recurse=False)  # type: ignore[no-untyped-call]
        if recurse:
            for child in self.children():
                child._apply(fn if child is self.backbone else move)  # type: ignore[no-untyped-call]
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the whole tagger to one file, which :meth:`load` reads.

        The file holds tensors and plain types: names and settings of frontend and backbone, the names of
        classes, and the state dict with thresholds and calibration. It is never partial, even after a crash.

        Args:
            path: the file; an existing file is replaced.

        Raises:
            OSError: if the file cannot be written.
        """
        write_content(
            path,
            {
                "frontend": description(self.frontend),
                "backbone": description(self.backbone),
                "classes": list(self.classes),
                "state": self.state_dict(),
            },
        )

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        frontend: nn.Module | None = None,
        backbone: nn.Module | None = None,
        device: torch.device | str = "cpu",
    ) -> Self:
        """Read a file that :meth:`save` wrote. No code in the file is run.

        The checksums in the file are compared with its content, so a flipped bit is found. Sizes in the
        settings are compared with the tensors in the file before anything is built.

        Args:
            path: the file.
            frontend: the frontend, needed if the saved one is not from this library.
            backbone: the backbone, needed if the saved one is not from this library.
            device: device of the tagger.

        Returns:
            The tagger, in eval mode. Its backbone has the dtype that it was saved with.

        Raises:
            FileNotFoundError: if there is no such file.
            TypeError: if an argument has another type.
            ValueError: if :meth:`save` did not write the file, the file is damaged, its settings are not
                those of its tensors, or its frontend needs more than 32 MiB of constants. It names the file.
        """
        for name, part in (("frontend", frontend), ("backbone", backbone)):
            if part is not None:
                check_instance(name, part, nn.Module)
        device = check_device("device", device)
        content = TaggerFile.read(path)
        # The network comes first, so that its size is compared with the file before anything is built.
        network = content.build_backbone(NETWORKS) if backbone is None else backbone
        front = content.build_frontend(FRONTENDS) if frontend is None else frontend
        try:
            tagger = cls(front, network, classes=content.classes)
            tagger.set_decisions(**content.decisions())
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error
        tagger.to(dtype=content.backbone_dtype())
        content.load_into(tagger, type(network).__name__)
        return tagger.to(device).eval()
