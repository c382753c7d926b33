"""AxisPoolCNN, the network of the second-place system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from rankaudio._checks import (
    check_choice,
    check_flag,
    check_integer,
    check_lengths,
    check_number,
)
from rankaudio.backbones._axis_blocks import (
    N_STATISTICS,
    AxisBlock,
    StatisticsGRU,
    Stem,
    initialise,
    mean_of_bin_pairs,
    pool_bin_pairs,
)
from rankaudio.backbones._layers import pad_to, to_channels_last, with_channels
from rankaudio.backbones._network import Network
from rankaudio.backbones._steps import max_of_neighbours
from rankaudio.backbones.axis_pool import AXES, REDUCTIONS, Axis, AxisPool, Reduction
from rankaudio.lengths import zero_beyond
from rankaudio.side_inputs import check_side_inputs

StemKind = Literal["plain", "multi_scale"]
_STEMS: tuple[StemKind, ...] = ("plain", "multi_scale")
# Size of the axis pooling after each block. The last block has none.
_POOL_SIZES = (2, 2, 3, None)


@dataclass(eq=False, repr=False, kw_only=True)
class AxisPoolCNN(Network):
    r"""Convolutional network with axis pooling, which also takes statistics and the duration of the clip.

    The stem is Conv 3 of depth b, BatchNorm and ReLU. Four blocks follow, of depth 1.5 b w, 2 b w, 4 b w and
    8 b w, rounded down. A block is Conv 3, BatchNorm, ReLU, maximum of 3x3 places with step 1, Conv 3,
    BatchNorm, ReLU and :class:`AxisPool` with step 2. The pools have the sizes 2, 2 and 3, and the last block
    has no pooling at all. The features of the spectrogram are

    .. math:: z_{c} = \frac{2}{F} \sum_{k} \max_t y_{c,\,2k,\,t}, \qquad
        z_{K + c} = \frac{2}{F} \sum_{k} \max_t y_{c,\,2k+1,\,t}

    for the K channels y of the last block and its F bins. An odd number of bins gets the last one twice. The
    statistics go through batch norm and two bidirectional GRUs whose directions are added, and the maximum
    is taken over the windows. The classifier is one linear layer. It sees the features of the spectrogram,
    those of the statistics, and the duration.

    A clip's scores are the same alone and in any padded batch, and finite for one frame or more. With
    ``statistics=True``, PyTorch compiles the network into one graph only under its setting
    ``torch._dynamo.config.allow_rnn``.

    Args:
        n_classes: C, the number of scores.
        in_channels: K, channels of the spectrogram.
        base_depth: b, depth of the stem.
        width: w, factor of the depths of all blocks, from 0.01 to 100.
        stem: ``"plain"``, or ``"multi_scale"``: convolutions of size 3, 5 and 7 instead of one.
        stem_depth: depth of each convolution of the stem. ``None`` is b, and b / 2 for ``"multi_scale"``.
        squeeze_excite: whether :class:`SqueezeExcite` follows each ReLU.
        reduction: as in :class:`SqueezeExcite`.
        highway: whether a convolution of size 1 joins the outputs of both halves of each block.
        pool_time: as ``time`` in :class:`AxisPool`.
        pool_frequency: as ``frequency`` in :class:`AxisPool`.
        pool_first: as ``first`` in :class:`AxisPool`.
        statistics: whether the network takes ``"statistics"``.
        duration: whether the network takes ``"duration"``.
        rnn_units: units of the GRUs in each direction.
        statistics_momentum: momentum of the batch norm of the statistics, which is 0.15 elsewhere.

    Shapes:
        spectrogram ``(B, F, N)`` or ``(B, K, F, N)``, lengths ``(B,)`` in frames, scores ``(B, C)``. The side
        inputs are ``"statistics"`` ``(B, 128, 12)`` and ``"duration"`` ``(B, 1)``, in units of 10 s. The
        number of windows, 128, may be another one.

    Raises:
        TypeError: if a setting has the wrong type, or an input is not floating point.
        ValueError: if a setting is out of range, an input has other axes, or a side input is missing.

    Reference:
        The second-place system of Freesound Audio Tagging 2019.

    >>> model = AxisPoolCNN(80, base_depth=8).eval()
    >>> model.side_inputs
    ('statistics', 'duration')
    >>> side_inputs = {
    ...     "statistics": torch.randn(2, 128, 12),
    ...     "duration": torch.tensor([[0.5], [0.03]]),
    ... }
    >>> model(torch.randn(2, 64, 431), torch.tensor([431, 30]), side_inputs).shape
    torch.Size([2, 80])
    """

    default_frontend: ClassVar[str] = "DecibelMel"
    n_classes: int = field(kw_only=False)
    in_channels: int = 1
    base_depth: int = 64
    width: float = 1.0
    stem: StemKind = "plain"
    stem_depth: int | None = None
    squeeze_excite: bool = False
    reduction: int = 4
    highway: bool = False
    pool_time: Reduction = "mean"
    pool_frequency: Reduction = "max"
    pool_first: Axis = "time"
    statistics: bool = True
    duration: bool = True
    rnn_units: int = 128
    statistics_momentum: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_settings()
        used = {"statistics": self.statistics, "duration": self.duration}
        self.side_inputs: tuple[str, ...] = tuple(name for name, taken in used.items() if taken)
        self.frames_per_step: int | None = 2 ** (len(_POOL_SIZES) - 1)
        self._build_blocks()
        if self.statistics:
            self.statistics_gru: StatisticsGRU = StatisticsGRU(
                self.rnn_units, momentum=self.statistics_momentum
            )
        self.classifier: nn.Sequential = nn.Sequential(nn.Linear(self.n_features, self.n_classes))
        initialise(self)

    def _check_settings(self) -> None:
        for name in ("n_classes", "in_channels", "base_depth", "reduction", "rnn_units"):
            check_integer(name, getattr(self, name))
        for name in ("squeeze_excite", "highway", "statistics", "duration"):
            check_flag(name, getattr(self, name))
        check_number("width", self.width, 0.01, 100)
        check_choice("stem", self.stem, _STEMS)
        if self.stem_depth is not None:
            check_integer("stem_depth", self.stem_depth)
        for name in ("pool_time", "pool_frequency"):
            check_choice(name, getattr(self, name), REDUCTIONS)
        check_choice("pool_first", self.pool_first, AXES)
        check_number("statistics_momentum", self.statistics_momentum, 0, 1)

    def _build_blocks(self) -> None:
        sizes, depth = ((3,), self.base_depth) if self.stem == "plain" else ((3, 5, 7), self.base_depth // 2)
        reduction = self.reduction if self.squeeze_excite else None
        self.first: Stem = Stem(
            self.in_channels, self.stem_depth or max(depth, 1), sizes=sizes, reduction=reduction
        )
        depths = [self.first.depth]
        depths += [max(int(factor * self.base_depth * self.width), 1) for factor in (1.5, 2, 4, 8)]
        self.blocks: nn.ModuleList = nn.ModuleList(
            AxisBlock(
                before,
                after,
                pool=None if size is None else self._new_pool(size),
                reduction=reduction,
                highway=self.highway,
            )
            for before, after, size in zip(depths, depths[1:], _POOL_SIZES, strict=False)
        )
        self.n_features: int = 2 * depths[-1] + self.rnn_units * self.statistics + self.duration

    def _new_pool(self, size: int) -> AxisPool:
        return AxisPool(
            time=self.pool_time, frequency=self.pool_frequency, first=self.pool_first, size=size, stride=2
        )

    def features(
        self,
        spectrogram: Tensor,
        lengths: Tensor | None = None,
        side_inputs: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return what the classifier sees, ``(B, d)``; ``lengths`` are in frames.

        >>> model = AxisPoolCNN(80, base_depth=8, statistics=False, duration=False)
        >>> model.features(torch.randn(2, 64, 431)).shape
        torch.Size([2, 128])
        """
        x, lengths, side = self._encode(spectrogram, lengths, side_inputs)
        return torch.cat([pool_bin_pairs(x, lengths), *side], dim=-1)

    def step_features(
        self,
        spectrogram: Tensor,
        lengths: Tensor | None = None,
        side_inputs: Mapping[str, Tensor] | None = None,
        *,
        context: int = 0,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the features of each step, ``(B, d, S)``, and the steps of each clip.

        The mean over bins follows the maximum over time. So the features of a clip are at least the maximum
        over its steps, and equal to it if ``context`` covers the clip. Those of the side inputs are the same
        for all steps of a clip.
        """
        check_integer("context", context, 0)
        x, lengths, side = self._encode(spectrogram, lengths, side_inputs)
        x = max_of_neighbours(zero_beyond(x, lengths, fill=torch.finfo(x.dtype).min), context)
        every = [value[..., None].expand(-1, -1, x.shape[-1]) for value in side]
        return zero_beyond(torch.cat([mean_of_bin_pairs(x), *every], dim=1), lengths), lengths

    def _encode(
        self, spectrogram: Tensor, lengths: Tensor | None, side_inputs: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, Tensor | None, list[Tensor]]:
        """Return the output of the last block, its steps, and the features of the side inputs."""
        x, lengths = self._input(spectrogram, lengths)
        side = self._side_features(side_inputs, x)
        x = self.first(x, lengths)
        for block in self.blocks:
            x, lengths = block(x, lengths)
        return x, lengths, side

    def forward(
        self,
        spectrogram: Tensor,
        lengths: Tensor | None = None,
        side_inputs: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return scores ``(B, C)``; ``lengths`` are in frames, and ``side_inputs`` are tensors by name."""
        scores: Tensor = self.classifier(self.features(spectrogram, lengths, side_inputs))
        return scores

    def _input(self, spectrogram: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        x = with_channels(spectrogram, self.in_channels)
        if lengths is not None:
            lengths = check_lengths(lengths, batch=x.shape[0], longest=x.shape[-1], like=x)
        x, lengths = pad_to(x, lengths, 8)
        return to_channels_last(zero_beyond(x, lengths)), lengths

    def _side_features(self, given: Mapping[str, Tensor] | None, x: Tensor) -> list[Tensor]:
        """Return the features of the side inputs, each ``(B, units)``."""
        shapes = {"statistics": (None, N_STATISTICS), "duration": (1,)}
        side = check_side_inputs({name: shapes[name] for name in self.side_inputs}, given, x)
        parts = [self.statistics_gru(side["statistics"])] if self.statistics else []
        return [*parts, side["duration"]] if self.duration else parts
