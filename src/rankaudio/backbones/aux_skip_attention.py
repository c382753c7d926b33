"""The first-place system's networks with auxiliary heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from rankaudio.backbones._skip_blocks import RecurrentPool
from rankaudio.backbones.skip_attention import SkipAttention
from rankaudio.losses import AuxiliaryScores


@dataclass(eq=False, repr=False, kw_only=True)
class AuxSkipAttention(SkipAttention):
    r""":class:`SkipAttention` with a classifier on each of the three skips, for training.

    .. math:: s^{(0)} = \mathit{classifier}(\mathit{features}), \qquad
        s^{(h)} = \mathit{classifier}_h(\overline{\mathit{skip}_{4 - h}}), \quad h = 1, 2, 3

    The auxiliary heads help the first blocks to learn, because the gradient reaches these blocks through few
    layers. In training mode a call returns :class:`AuxiliaryScores`, for :class:`AuxiliaryLoss`. In eval mode
    it returns the scores of the main head, and skips the auxiliary heads. A clip's scores are the same alone
    and in any padded batch.

    Args:
        n_classes: as in :class:`SkipAttention`, like all that follow.
        in_channels: channels of the spectrogram.
        delta_width: width of the windows for derivatives.
        base_depth: depth of the first block.
        spatial_kernel: size of the convolution of the attention, 3 or 7.
        reduction: of the channel attention.
        hidden_factor: size of the hidden layer of each head, in multiples of ``base_depth``.
        dropout: probability before the hidden layer of each head.

    Shapes:
        spectrogram ``(B, F, N)`` or ``(B, K, F, N)``, lengths ``(B,)`` in frames, scores ``(B, C)``.

    Raises:
        TypeError: if a setting has the wrong type, or the spectrogram is not floating point.
        ValueError: if a setting is out of range, or the spectrogram has other axes.

    Reference:
        The first-place system of Freesound Audio Tagging 2019, four of whose members are this network.

    >>> model = AuxSkipAttention(80, base_depth=8)
    >>> outputs = model(torch.randn(2, 128, 256))
    >>> outputs.scores.shape, len(outputs.auxiliary)
    (torch.Size([2, 80]), 3)
    >>> model.eval()(torch.randn(2, 128, 256)).shape
    torch.Size([2, 80])
    """

    hidden_factor: int = 4
    dropout: float = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        self.auxiliary: nn.ModuleList = nn.ModuleList(self._new_classifier() for _ in self.skips)

    def forward(  # type: ignore[override]
        self, spectrogram: Tensor, lengths: Tensor | None = None
    ) -> Tensor | AuxiliaryScores:
        """Return scores ``(B, C)``, with those of the auxiliary heads in training mode."""
        if self.training:
            return self.all_scores(spectrogram, lengths)
        return super().forward(spectrogram, lengths)

    def all_scores(self, spectrogram: Tensor, lengths: Tensor | None = None) -> AuxiliaryScores:
        """Return the scores of all heads, in either mode.

        >>> len(
        ...     AuxSkipAttention(80, base_depth=8)
        ...     .eval()
        ...     .all_scores(torch.randn(2, 128, 64))
        ...     .auxiliary
        ... )
        3
        """
        features, skips = self._encode(spectrogram, lengths)
        auxiliary = [head(skip) for head, skip in zip(self.auxiliary, skips, strict=True)]
        return AuxiliaryScores(self.classifier(features), tuple(reversed(auxiliary)))

    def reset_classifier(self, n_classes: int) -> None:
        """Replace the last layer of every head, as :meth:`Network.reset_classifier` does for one."""
        super().reset_classifier(n_classes)
        for head in cast("list[nn.Sequential]", list(self.auxiliary)):
            old = head[-1].get_parameter("weight")
            head[-1] = nn.Linear(old.shape[1], n_classes, device=old.device, dtype=old.dtype)


@dataclass(eq=False, repr=False, kw_only=True)
class RnnAuxSkipAttention(AuxSkipAttention):
    r""":class:`AuxSkipAttention` with a recurrent layer over time before the main head.

    .. math:: \mathit{features} = \frac1N \sum_{t=1}^{N}
        \bigl( W \, [\overrightarrow{h}_t, \overleftarrow{h}_t] + b \bigr)

    The states :math:`h` are those of an LSTM in each direction, with ``8 * base_depth`` units. Its input is
    the mean over frequency of the merging convolution. The backward LSTM starts at each clip's own end, so
    a clip's scores are the same alone and in any padded batch.

    PyTorch compiles the network in one graph only under its setting ``torch._dynamo.config.allow_rnn``, and
    exports it for one number of frames at a time.

    Args:
        n_classes: as in :class:`SkipAttention`, like all that follow.
        in_channels: channels of the spectrogram.
        delta_width: width of the windows for derivatives.
        base_depth: depth of the first block.
        spatial_kernel: size of the convolution of the attention, 3 or 7.
        reduction: of the channel attention.
        hidden_factor: size of the hidden layer of each head, in multiples of ``base_depth``.
        dropout: probability before the hidden layer of each head.

    Shapes:
        spectrogram ``(B, F, N)`` or ``(B, K, F, N)``, lengths ``(B,)`` in frames, scores ``(B, C)``.

    Raises:
        TypeError: if a setting has the wrong type, or the spectrogram is not floating point.
        ValueError: if a setting is out of range, or the spectrogram has other axes.

    Reference:
        The first-place system of Freesound Audio Tagging 2019, one of whose members is this network.

    >>> model = RnnAuxSkipAttention(80, base_depth=8).eval()
    >>> model(torch.randn(2, 128, 256), torch.tensor([256, 30])).shape
    torch.Size([2, 80])
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.recurrent: RecurrentPool = RecurrentPool(self.n_features)

    def _pool(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        pooled: Tensor = self.recurrent(x, lengths)
        return pooled
