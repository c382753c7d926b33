"""The 1d and the 2d network of the third-place system: a CNN whose blocks all reach the classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from rankaudio._checks import (
    check_choice,
    check_flag,
    check_floating,
    check_integer,
    check_lengths,
    check_mapping,
    check_number,
    describe,
)
from rankaudio.backbones._conv_block import ConvBlock, halo_of_blocks
from rankaudio.backbones._layers import (
    AnyLengths,
    GlobalMaxPool,
    GRUPool,
    finite_padding,
    maximum_of_bins,
    pack_rows,
    pad_to,
    to_channels_last,
    with_channels,
)
from rankaudio.backbones._masked_norm import MaskedBatchNorm
from rankaudio.backbones._network import Network
from rankaudio.backbones._reference_names import from_reference
from rankaudio.backbones._steps import at_finer_steps, max_of_neighbours
from rankaudio.encoding import frequency_encoding
from rankaudio.lengths import zero_beyond

Pooling = Literal["max", "rnn"]
_POOLINGS: tuple[Pooling, ...] = ("max", "rnn")

# Time is padded to a multiple of 2^n_blocks frames, so more blocks would fill any memory.
_MOST_BLOCKS = 20


@dataclass(eq=False, repr=False, kw_only=True)
class _HierarchicalCNN(Network):
    """Blocks that halve time, a pooling for each of the deeper blocks, and one classifier for all of them."""

    n_classes: int = field(kw_only=False)
    n_blocks: int = 5
    base_depth: int = 50
    growth_rate: float = 1.5
    pooling: Pooling = "max"
    start_deep_supervision_on: int = 1
    rnn_units: int = 128
    dropout: float = 0.0

    def _build(self, in_depth: int, *, dims: int) -> None:
        """Check the settings and build the layers."""
        super().__post_init__()
        check_integer("n_blocks", self.n_blocks, 1, _MOST_BLOCKS)
        for name in ("n_classes", "base_depth", "rnn_units"):
            check_integer(name, getattr(self, name))
        check_number("growth_rate", self.growth_rate, 1, 100)
        check_choice("pooling", self.pooling, _POOLINGS)
        start = check_integer(
            "start_deep_supervision_on", self.start_deep_supervision_on, 0, self.n_blocks - 1
        )
        check_number("dropout", self.dropout, 0, 1)

        depths = [int(self.growth_rate**k * self.base_depth) for k in range(self.n_blocks)]
        if depths[-1] >= 2**31:
            raise ValueError(f"growth_rate: wanted a depth below 2^31 in the last block, got {depths[-1]:,}")
        self.blocks: nn.ModuleList = nn.ModuleList(
            ConvBlock(before, depth, dims=dims)
            for before, depth in zip([in_depth, *depths], depths, strict=False)
        )
        if self.pooling == "max":
            self.aggregates: nn.ModuleList = nn.ModuleList(GlobalMaxPool() for _ in depths[start:])
            self.n_features = sum(depths[start:])
            self.cell_frames: int | None = 2**self.n_blocks
            self.halo_frames: int | None = halo_of_blocks(self.blocks)
        else:
            self.aggregates = nn.ModuleList(GRUPool(depth, units=self.rnn_units) for depth in depths[start:])
            self.n_features: int = 2 * self.rnn_units * len(depths[start:])
        self.classifier: nn.Sequential = _classifier(self.n_features, self.n_classes, dropout=self.dropout)
        self.frames_per_step: int | None = 2 ** (start + 1) if self.pooling == "max" else None

    def _channels(self, spectrogram: Tensor) -> Tensor:
        """Check the spectrogram, and return it with its channels."""
        raise NotImplementedError

    def _encoded(self, x: Tensor) -> Tensor:
        """Append the channels that the network adds."""
        return x

    def features(self, spectrogram: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the pooled outputs of the blocks, side by side: ``(B, d)``. ``lengths`` are in frames."""
        x, places = self._input(spectrogram, lengths)
        outputs = self._outputs(*pack_rows(x, places, 2**self.n_blocks) if self.training else (x, places))
        pairs = zip(self.aggregates, outputs, strict=True)
        return torch.cat([pool(x, steps) for pool, (x, steps) in pairs], dim=-1)

    def step_features(
        self, spectrogram: Tensor, lengths: Tensor | None = None, *, context: int = 0
    ) -> tuple[Tensor, Tensor | None]:
        """Return the features of each step of the first block that is pooled, and the steps of each clip.

        Deeper blocks have longer steps. A step gets their values at its time. So the maximum over all steps
        is :meth:`features`, exactly.
        """
        if self.frames_per_step is None:
            return super().step_features(spectrogram, lengths)
        check_integer("context", context, 0)
        outputs = [
            (x if x.ndim == 3 else maximum_of_bins(x), steps)
            for x, steps in self._outputs(*self._input(spectrogram, lengths))
        ]
        n_steps, steps = outputs[0][0].shape[-1], outputs[0][1]
        parts = [at_finer_steps(x, n_steps, factor=2**k, steps=own) for k, (x, own) in enumerate(outputs)]
        features = torch.cat(parts, dim=1)
        # The padding gets a value that is never the maximum.
        features = zero_beyond(features, steps, fill=torch.finfo(features.dtype).min)
        return zero_beyond(max_of_neighbours(features, context), steps), steps

    def _input(self, spectrogram: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the spectrogram with channels, long enough for all poolings, and its lengths."""
        x = self._channels(spectrogram)
        if lengths is not None:
            lengths = check_lengths(lengths, batch=x.shape[0], longest=x.shape[-1], like=x)
        return pad_to(x, lengths, 2**self.n_blocks)

    def _outputs(self, x: Tensor, lengths: AnyLengths) -> Iterator[tuple[Tensor, AnyLengths]]:
        """Yield the output of each block that the classifier gets, and its steps."""
        # The padding may hold anything, even NaN. From here on it is finite, and each block makes it zero.
        x = to_channels_last(self._encoded(finite_padding(x, lengths)))
        for k, block in enumerate(self.blocks):
            x, lengths = block(x, lengths)
            if k >= self.start_deep_supervision_on:
                yield x, lengths

    def load_reference_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict that has the names of the original third-place program.

        Args:
            state: tensors under ``conv_modules.*``, ``rnns.*`` and ``output_transform.*``, with or
                without the prefix ``module.``.

        Raises:
            TypeError: if ``state`` is not a mapping.
            RuntimeError: from PyTorch, if names or shapes do not fit this network. The message lists them.

        >>> model = CNN1d(80, n_blocks=2, base_depth=8)
        >>> state = {
        ...     f"module.output_transform.{k}": v
        ...     for k, v in model.classifier.state_dict().items()
        ... }
        >>> state |= {
        ...     k: v for k, v in model.state_dict().items() if not k.startswith("classifier")
        ... }
        >>> model.load_reference_state_dict(state)
        """
        check_mapping("state", state)
        self.load_state_dict({from_reference(key): value for key, value in state.items()})


@dataclass(eq=False, repr=False, kw_only=True)
class CNN1d(_HierarchicalCNN):
    r"""Convolutional network over time, with frequency bins as channels and deep supervision.

    The blocks are the blocks of :class:`CNN2d` in one dimension. The network suits the short windows of
    a log-STFT (``stft_256_128``), with many frames and few bins.

    A clip's scores are the same alone and in any padded batch, and finite for one frame or more. With
    ``pooling="rnn"``, PyTorch compiles the network into one graph only under its setting
    ``torch._dynamo.config.allow_rnn``, and exports it for a fixed number of frames.

    Args:
        n_classes: C, the number of scores.
        n_blocks: number of blocks, at most 20; each halves time.
        base_depth: depth of the first block.
        growth_rate: factor of depth from block to block, from 1 to 100.
        pooling: ``"max"``, the maximum over time, or ``"rnn"``: LayerNorm, bidirectional GRU, the two
            final states.
        start_deep_supervision_on: first block (from 0) whose output reaches the classifier directly.
        rnn_units: units of the GRU in each direction.
        dropout: probability before the last layer.
        n_bins: F, the number of frequency bins.

    Shapes:
        spectrogram ``(B, F, N)``, lengths ``(B,)`` in frames, scores ``(B, C)``.

    Raises:
        TypeError: if a setting has the wrong type, or the spectrogram is not floating point.
        ValueError: if a setting is out of range, or the spectrogram has other axes.

    Reference:
        The third-place system of Freesound Audio Tagging 2019.

    >>> model = CNN1d(80, n_bins=129, base_depth=8).eval()
    >>> model(torch.randn(2, 129, 690), torch.tensor([690, 30])).shape
    torch.Size([2, 80])
    """

    default_frontend: ClassVar[str] = "LogSTFT"
    n_bins: int = 129

    def __post_init__(self) -> None:
        self._build(check_integer("n_bins", self.n_bins), dims=1)

    def _channels(self, spectrogram: Tensor) -> Tensor:
        x = check_floating("spectrogram", spectrogram, ndim=(3,))
        if x.shape[1] != self.n_bins or x.shape[2] == 0:
            raise ValueError(f"spectrogram: wanted (B, {self.n_bins}, N) with N from 1, got {describe(x)}")
        return x


@dataclass(eq=False, repr=False, kw_only=True)
class CNN2d(_HierarchicalCNN):
    r"""Convolutional network over time and frequency with deep supervision.

    Block k is batch norm, Conv 3, max pooling by 2, batch norm, PReLU and a residual bottleneck, of depth
    :math:`\lfloor \mathit{growth\_rate}^k \cdot \mathit{base\_depth} \rfloor`. The outputs of the blocks
    from ``start_deep_supervision_on`` on are pooled, and the classifier gets all of them.

    A clip's scores are the same alone and in any padded batch, and finite for one frame or more. With
    ``pooling="rnn"``, PyTorch compiles the network into one graph only under its setting
    ``torch._dynamo.config.allow_rnn``, and exports it for a fixed number of frames.

    Args:
        n_classes: C, the number of scores.
        n_blocks: number of blocks, at most 20; each halves both axes.
        base_depth: depth of the first block.
        growth_rate: factor of depth from block to block, from 1 to 100.
        pooling: ``"max"``, the maximum over time and frequency, or ``"rnn"``: mean over frequency,
            LayerNorm, bidirectional GRU, the two final states.
        start_deep_supervision_on: first block (from 0) whose output reaches the classifier directly.
        rnn_units: units of the GRU in each direction.
        dropout: probability before the last layer.
        in_channels: channels of the spectrogram, without the encoding.
        frequency_encoding: append the channel of :func:`rankaudio.frequency_encoding`.

    Shapes:
        spectrogram ``(B, F, N)`` or ``(B, in_channels, F, N)``, lengths ``(B,)`` in frames, scores
        ``(B, C)``.

    Raises:
        TypeError: if a setting has the wrong type, or the spectrogram is not floating point.
        ValueError: if a setting is out of range, or the spectrogram has other axes.

    Reference:
        The third-place system of Freesound Audio Tagging 2019.

    >>> model = CNN2d(80, base_depth=8).eval()
    >>> model(torch.randn(2, 128, 87), torch.tensor([87, 30])).shape
    torch.Size([2, 80])
    """

    in_channels: int = 1
    frequency_encoding: bool = True

    def __post_init__(self) -> None:
        encoding = check_flag("frequency_encoding", self.frequency_encoding)
        self._build(check_integer("in_channels", self.in_channels) + encoding, dims=2)

    def _channels(self, spectrogram: Tensor) -> Tensor:
        return with_channels(spectrogram, self.in_channels)

    def _encoded(self, x: Tensor) -> Tensor:
        return frequency_encoding(x) if self.frequency_encoding else x


def _classifier(d: int, n_classes: int, *, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        MaskedBatchNorm(d),
        nn.Linear(d, d),
        MaskedBatchNorm(d),
        nn.PReLU(d),
        nn.Dropout(dropout),
        nn.Linear(d, n_classes),
    )
