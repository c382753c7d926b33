"""What a network is."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from rankaudio._checks import check_integer
from rankaudio._settings import ModuleWithSettings


class Network(ModuleWithSettings):
    r"""Base class of the networks: a spectrogram in, scores out.

    .. math:: s = \mathit{classifier}(\mathit{features}(x, \ell))

    A network is a dataclass whose fields are its settings, ``n_classes`` first. Its ``__post_init__`` builds
    the layers and sets two attributes. ``n_features`` is d. ``classifier`` is a ``torch.nn.Sequential`` from
    ``(B, d)`` to ``(B, C)``, and its last layer is a ``torch.nn.Linear``. :meth:`features` does not depend on
    padding. A network with auxiliary heads overrides :meth:`forward`, and lists its heads in ``_heads``.

    A network whose features are maxima over time can have features of each time step too. Then it sets
    ``frames_per_step`` and overrides :meth:`step_features`, which
    :class:`~rankaudio.inference.FramewiseTagger` calls.

    Such a network can score a recording part by part if its features are exactly the maximum over all steps,
    and a step depends on nearby frames only. Then it sets ``cell_frames`` and ``halo_frames``, which
    :class:`~rankaudio.inference.Stream` reads. A part of a spectrogram that begins at a multiple of
    ``cell_frames`` has the same steps as the whole, except for ``halo_frames`` frames at each cut.

    A network may need more than the spectrogram, such as statistics of the waveform. Then it names what it
    needs in ``side_inputs``. Its :meth:`forward` and :meth:`features` take a third argument ``side_inputs``,
    tensors by name, and raise a ValueError if one is missing. ``Tagger`` computes them.

    Attributes:
        default_frontend: name of the frontend in ``rankaudio.spectral.FRONTENDS`` that fits the defaults.
        side_inputs: names in ``rankaudio.side_inputs.SIDE_INPUTS``, none by default.
        frames_per_step: frames of a step of :meth:`step_features`; None without such features.
        cell_frames: frames of a cell, to which all pooling is aligned, a multiple of ``frames_per_step``;
            None if the network needs the whole recording.
        halo_frames: frames on each side of a cell that its steps depend on.

    Shapes:
        spectrogram ``(B, F, N)``, lengths ``(B,)`` integers in frames or None, features ``(B, d)``, scores
        ``(B, C)``.

    >>> from dataclasses import dataclass
    >>> @dataclass(eq=False, repr=False)
    ... class LoudestFrame(Network):
    ...     n_classes: int
    ...     n_bins: int = 128
    ...
    ...     def __post_init__(self):
    ...         super().__post_init__()
    ...         self.n_features = self.n_bins
    ...         self.classifier = torch.nn.Sequential(
    ...             torch.nn.Linear(self.n_bins, self.n_classes)
    ...         )
    ...
    ...     def features(self, spectrogram, lengths=None):
    ...         if lengths is None:
    ...             return spectrogram.amax(-1)
    ...         padding = ~length_mask(lengths, spectrogram.shape[-1])
    ...         return spectrogram.masked_fill(padding[:, None], -torch.inf).amax(-1)
    >>> network = LoudestFrame(3)
    >>> network(torch.randn(2, 128, 40), torch.tensor([40, 7])).shape
    torch.Size([2, 3])
    >>> network.reset_classifier(5)
    >>> network.settings()
    {'n_classes': 5, 'n_bins': 128}
    """

    default_frontend: ClassVar[str] = "LogMel"
    side_inputs: tuple[str, ...] = ()
    frames_per_step: int | None = None
    cell_frames: int | None = None
    halo_frames: int | None = None
    n_classes: int
    n_features: int
    classifier: nn.Sequential

    def features(self, spectrogram: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return what the classifier gets, ``(B, d)``; ``lengths`` are in frames.

        >>> network = CNN2d(80, n_blocks=3, base_depth=8)
        >>> network.features(torch.randn(2, 128, 87), torch.tensor([87, 30])).shape
        torch.Size([2, 30])
        """
        raise NotImplementedError

    def step_features(
        self,
        spectrogram: Tensor,  # noqa: ARG002
        lengths: Tensor | None = None,  # noqa: ARG002
        *,
        context: int = 0,  # noqa: ARG002
    ) -> tuple[Tensor, Tensor | None]:
        """Return the features of each time step, ``(B, d, S)``, and the steps of each clip, ``(B,)``.

        A step is ``frames_per_step`` frames. The features of a step are those of :meth:`features` with the
        maximum over the step and ``context`` steps on each side, in place of the maximum over the clip.
        Beyond the steps of a clip they are 0. Without ``lengths`` all steps are real, and the second value
        may be None.

        Raises:
            TypeError: if the network has no such features, because ``frames_per_step`` is None.

        >>> network = CNN2d(80, n_blocks=3, base_depth=8)
        >>> features, steps = network.step_features(
        ...     torch.randn(2, 128, 87), torch.tensor([87, 30])
        ... )
        >>> features.shape, steps.tolist()
        (torch.Size([2, 30, 21]), [21, 7])
        """
        raise TypeError(
            f"network: wanted one with maxima over time before its classifier, got {type(self).__name__}"
        )

    def forward(self, spectrogram: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return scores ``(B, C)``; ``lengths`` are in frames."""
        scores: Tensor = self.classifier(self.features(spectrogram, lengths))
        return scores

    def reset_classifier(self, n_classes: int) -> None:
        """Replace the last layer by a new one with random weights, for ``n_classes`` classes.

        The new layer is trainable, and has the device and the dtype of the old one. Auxiliary heads get
        new last layers too.

        Raises:
            TypeError: if ``n_classes`` is not an integer.
            ValueError: if ``n_classes`` is below 1.

        >>> network = CNN2d(80, base_depth=8)
        >>> network.reset_classifier(3)
        >>> network(torch.randn(2, 128, 87)).shape, network.n_classes
        (torch.Size([2, 3]), 3)
        """
        check_integer("n_classes", n_classes)
        for head in self._heads():
            old = head[-1].get_parameter("weight")
            head[-1] = nn.Linear(old.shape[1], n_classes, device=old.device, dtype=old.dtype)
        self.n_classes = n_classes

    def _heads(self) -> list[nn.Sequential]:
        """Return each part whose last layer has one output per class."""
        return [self.classifier]
