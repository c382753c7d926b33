"""SkipAttention, the first-place system's network without auxiliary heads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from rankaudio._checks import (
    check_floating,
    check_integer,
    check_lengths,
    check_mapping,
    check_number,
    describe,
)
from rankaudio.backbones._layers import pad_to, to_channels_last
from rankaudio.backbones._network import Network
from rankaudio.backbones._skip_blocks import (
    ConvNormReLU,
    SkipBlock,
    average_pool,
    classifier,
)
from rankaudio.backbones.cbam import CBAM, check_kernel, mean_over_places
from rankaudio.lengths import time_mask, zero_beyond
from rankaudio.spectral import deltas

# From the parameter names of the original program to ours. Every pattern is applied, in this order.
_REFERENCE_NAMES = [
    (r"^module\.", ""),
    (r"\.bn\.", ".norm."),
    (r"^(conv\d\.conv\d)\.0\.", r"\1.conv."),
    (r"^(conv\d\.conv\d)\.1\.", r"\1.norm."),
    (r"^aux(\d)\.fc\.", r"aux\1."),
    (r"^fc\.", "classifier."),
    (r"^attention\.ca\.fc1", "attention.reduce"),
    (r"^attention\.ca\.fc2", "attention.expand"),
    (r"^attention\.sa\.conv1", "attention.spatial"),
    (r"^rnn\.rnn\.(\w+)_reverse$", r"recurrent.backwards.\1"),
    (r"^rnn\.rnn\.", "recurrent.forwards."),
    (r"^rnn\.embedding", "recurrent.embedding"),
]
_REFERENCE_LISTS = {"conv": "blocks", "skip": "skips", "aux": "auxiliary"}


@dataclass(eq=False, repr=False, kw_only=True)
class SkipAttention(Network):
    r"""Convolutional network whose last layer sees all four blocks, weighed by attention.

    Block k of four is two times Conv 3, BatchNorm, ReLU and then average pooling by 2. Its depth is
    :math:`2^k b`, k from 0. The outputs of the first three blocks are pooled to the size of the fourth, and
    each goes through a convolution of depth :math:`8 b`. All four are concatenated, weighed by
    :class:`CBAM`, merged by a convolution of depth :math:`8 b`, and averaged over time and frequency. The
    classifier has one hidden layer.

    A clip's scores are the same alone and in any padded batch, and finite from a single frame on.

    Args:
        n_classes: C, the number of scores.
        in_channels: K, channels of the spectrogram.
        delta_width: a spectrogram without channels gets its first K - 1 derivatives as channels, from
            windows of so many frames (see :func:`deltas`). With ``None`` the caller adds the channels.
        base_depth: :math:`b`, depth of the first block.
        spatial_kernel: size of the convolution of the attention, 3 or 7.
        reduction: as in :class:`CBAM`.
        hidden_factor: the hidden layer has ``hidden_factor * base_depth`` units.
        dropout: probability before the hidden layer. It is half as high before the last layer.

    Shapes:
        spectrogram ``(B, F, N)`` or ``(B, K, F, N)``, lengths ``(B,)`` in frames, scores ``(B, C)``.

    Raises:
        TypeError: if a setting has the wrong type, or the spectrogram is not floating point.
        ValueError: if a setting is out of range, or the spectrogram has other axes.

    Reference:
        The first-place system of Freesound Audio Tagging 2019.

    >>> model = SkipAttention(80, base_depth=8).eval()
    >>> model(torch.randn(2, 128, 256), torch.tensor([256, 30])).shape
    torch.Size([2, 80])
    """

    default_frontend: ClassVar[str] = "DecibelMel"
    n_classes: int = field(kw_only=False)
    in_channels: int = 3
    delta_width: int | None = 9
    base_depth: int = 64
    spatial_kernel: int = 7
    reduction: int = 16
    hidden_factor: int = 2
    dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_classes", "in_channels", "base_depth", "reduction", "hidden_factor"):
            check_integer(name, getattr(self, name))
        _check_delta_width(self.delta_width)
        check_kernel("spatial_kernel", self.spatial_kernel)
        check_number("dropout", self.dropout, 0, 1)

        depths = [self.base_depth * 2**k for k in range(4)]
        deepest = depths[-1]
        self.n_features: int = deepest
        self.blocks: nn.ModuleList = nn.ModuleList(
            SkipBlock(before, depth)
            for before, depth in zip([self.in_channels, *depths], depths, strict=False)
        )
        self.skips: nn.ModuleList = nn.ModuleList(ConvNormReLU(depth, deepest) for depth in depths[:-1])
        self.attention: CBAM = CBAM(4 * deepest, reduction=self.reduction, kernel_size=self.spatial_kernel)
        self.merge: ConvNormReLU = ConvNormReLU(4 * deepest, deepest)
        self.classifier: nn.Sequential = self._new_classifier()

    def _new_classifier(self) -> nn.Sequential:
        hidden = self.hidden_factor * self.base_depth
        return classifier(self.n_features, hidden, self.n_classes, dropout=self.dropout)

    def features(self, spectrogram: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return what the classifier sees, ``(B, 8 * base_depth)``; ``lengths`` are in frames.

        >>> SkipAttention(80, base_depth=8).features(torch.randn(2, 128, 256)).shape
        torch.Size([2, 64])
        """
        return self._encode(spectrogram, lengths)[0]

    def load_reference_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict under the keys of the original first-place program.

        Args:
            state: tensors under ``conv1.*`` to ``conv4.*``, ``skip1.*`` to ``skip3.*``, ``attention.*``,
                ``merge.*``, ``fc.*``, and ``aux1.*`` to ``aux3.*`` and ``rnn.*`` where the network has them,
                with or without the prefix ``module.``.

        Raises:
            TypeError: if ``state`` is not a mapping.
            RuntimeError: from PyTorch, if keys or shapes do not fit this network; its message names them.

        >>> model = SkipAttention(80, base_depth=8)
        >>> state = {f"fc.{k}": v for k, v in model.classifier.state_dict().items()}
        >>> state |= {
        ...     k: v for k, v in model.state_dict().items() if not k.startswith("classifier")
        ... }
        >>> model.load_reference_state_dict(state)
        """
        check_mapping("state", state)
        renamed = {_from_reference(key): value for key, value in state.items()}
        for name in ("attention.reduce.weight", "attention.expand.weight"):
            if name in renamed:  # the original has convolutions with a kernel of 1
                renamed[name] = renamed[name].flatten(1)
        self.load_state_dict(renamed)

    def _encode(self, spectrogram: Tensor, lengths: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Return the features of the main head, and those of each skip, each ``(B, 8 * base_depth)``."""
        x, lengths = self._input(spectrogram, lengths)
        skips = []
        for k, block in enumerate(self.blocks):
            x, lengths = block(x, lengths)
            if k < len(self.skips):
                pooled, pooled_lengths = average_pool(x, lengths, size=2 ** (3 - k))
                skips.append(self.skips[k](pooled, time_mask(pooled, pooled_lengths)))
        x = self.attention(torch.cat([x, *skips], dim=1), lengths)
        x = self.merge(x, time_mask(x, lengths))
        return self._pool(x, lengths), [mean_over_places(skip, lengths) for skip in skips]

    def _pool(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        return mean_over_places(x, lengths)

    def _input(self, spectrogram: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Check the spectrogram, give it its channels, and make it long enough for the pooling."""
        x = check_floating("spectrogram", spectrogram, ndim=(3, 4))
        if lengths is not None:
            lengths = check_lengths(lengths, batch=x.shape[0], longest=x.shape[-1], like=x)
        if x.ndim == 3 and self.in_channels == 1:
            x = x.unsqueeze(1)
        elif x.ndim == 3 and self.in_channels <= 3 and self.delta_width is not None and 0 not in x.shape[1:]:
            x = deltas(x, lengths, width=self.delta_width)[:, : self.in_channels].to(x.dtype)
        if x.ndim == 3 or x.shape[1] != self.in_channels or 0 in x.shape[2:]:
            raise ValueError(
                f"spectrogram: wanted (B, {self.in_channels}, F, N) with F and N from 1"
                f"{'' if self.delta_width is None else ' or (B, F, N)'}, got {describe(spectrogram)}"
            )
        x, lengths = pad_to(x, lengths, 16)
        return to_channels_last(zero_beyond(x, lengths)), lengths


def _check_delta_width(width: int | None) -> None:
    if width is not None and check_integer("delta_width", width, 3) % 2 == 0:
        raise ValueError(f"delta_width: wanted an odd integer, got {width}")


def _from_reference(key: str) -> str:
    for pattern, ours in _REFERENCE_NAMES:
        key = re.sub(pattern, ours, key)
    return re.sub(
        r"^(conv|skip|aux)(\d)\.", lambda found: f"{_REFERENCE_LISTS[found[1]]}.{int(found[2]) - 1}.", key
    )
