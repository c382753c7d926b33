"""What the 1d and the 2d network of the third-place system have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from rankaudio._checks import check_choice, check_integer, check_lengths, check_number
from rankaudio.backbones._blocks import (
    ConvBlock,
    GRUAggregate,
    MaxAggregate,
    frame_mask,
    in_quick_order,
    with_room,
)
from rankaudio.backbones._norm import MaskedBatchNorm, zero_padding

Pooling = Literal["max", "rnn"]
_POOLINGS: tuple[Pooling, ...] = ("max", "rnn")

# How the original programs named what is named here; the first pattern that matches is used.
_REFERENCE_NAMES = [
    (r"conv_modules\.(\d+)\.0\.", r"blocks.\1.norm_in."),
    (r"conv_modules\.(\d+)\.1\.", r"blocks.\1.conv."),
    (r"conv_modules\.(\d+)\.3\.", r"blocks.\1.norm."),
    (r"conv_modules\.(\d+)\.4\.", r"blocks.\1.act."),
    (r"conv_modules\.(\d+)\.5\.conv", r"blocks.\1.residual.conv"),
    (r"conv_modules\.(\d+)\.5\.bn", r"blocks.\1.residual.norm"),
    (r"conv_modules\.(\d+)\.5\.prelu", r"blocks.\1.residual.act"),
    (r"rnns\.(\d+)\.0\.", r"aggregates.\1.norm."),
    (r"rnns\.(\d+)\.1\.(\w+)_reverse$", r"aggregates.\1.backwards.\2"),
    (r"rnns\.(\d+)\.1\.", r"aggregates.\1.forwards."),
    (r"output_transform\.", r"classifier."),
]


class CNN(nn.Module):
    """Blocks that halve, aggregates of the deeper ones, and a classifier on all of them together."""

    def __init__(
        self,
        n_classes: int,
        in_depth: int,
        *,
        dims: int,
        n_blocks: int,
        base_depth: int,
        growth_rate: float,
        pooling: Pooling,
        start_deep_supervision_on: int,
        rnn_units: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_classes: int = check_integer("n_classes", n_classes)
        self.n_blocks: int = check_integer("n_blocks", n_blocks)
        self.base_depth: int = check_integer("base_depth", base_depth)
        self.growth_rate: float = check_number("growth_rate", growth_rate, 1)
        self.pooling: Pooling = check_choice("pooling", pooling, _POOLINGS)
        self.start_deep_supervision_on: int = check_integer(
            "start_deep_supervision_on", start_deep_supervision_on, 0, n_blocks - 1
        )
        self.rnn_units: int = check_integer("rnn_units", rnn_units)
        self.dropout: float = check_number("dropout", dropout, 0, 1)

        depths = [int(growth_rate**k * base_depth) for k in range(n_blocks)]
        self.blocks: nn.ModuleList = nn.ModuleList(
            ConvBlock(before, depth, dims=dims)
            for before, depth in zip([in_depth, *depths], depths, strict=False)
        )
        supervised = depths[start_deep_supervision_on:]
        if pooling == "max":
            self.aggregates: nn.ModuleList = nn.ModuleList(MaxAggregate() for _ in supervised)
            d = sum(supervised)
        else:
            self.aggregates = nn.ModuleList(GRUAggregate(depth, units=rnn_units) for depth in supervised)
            d = 2 * rnn_units * len(supervised)
        self.classifier: nn.Sequential = _classifier(d, n_classes, dropout=dropout)

    def settings(self) -> dict[str, int | float | str | bool]:
        """Return the keyword arguments that build this network again.

        >>> CNN2d(80, base_depth=16).settings()["base_depth"]
        16
        """
        names = (
            "n_classes",
            "n_blocks",
            "base_depth",
            "growth_rate",
            "pooling",
            "start_deep_supervision_on",
            "rnn_units",
            "dropout",
        )
        return {name: getattr(self, name) for name in names}

    def extra_repr(self) -> str:
        """Show the settings."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings().items())

    def features(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Return the concatenated aggregates of the supervised blocks, ``(B, d)``: what the classifier sees.

        Args:
            x: the spectrogram, ``(B, F, N)`` for 1d; for 2d ``(B, channels, F, N)``, the encoding among them.
            lengths: ``(B,)`` integers, in frames; None: all of them.

        >>> CNN1d(80, n_bins=129, n_blocks=3, base_depth=8).features(torch.randn(2, 129, 690), None).shape
        torch.Size([2, 30])
        """
        x, lengths = with_room(x, lengths, 2**self.n_blocks)
        # Whatever there is in the padding, NaN included: from here on it is zero.
        x = in_quick_order(zero_padding(x, frame_mask(x, lengths)))
        aggregates = []
        for k, block in enumerate(self.blocks):
            x, lengths = block(x, lengths)
            if k >= self.start_deep_supervision_on:
                aggregate = self.aggregates[k - self.start_deep_supervision_on]
                aggregates.append(aggregate(x, lengths))
        return torch.cat(aggregates, dim=-1)

    def _scores(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Check lengths, and return what the classifier makes of the features."""
        if lengths is not None:
            lengths = check_lengths(lengths, batch=x.shape[0], longest=x.shape[-1], like=x)
        scores: Tensor = self.classifier(self.features(x, lengths))
        return scores

    def load_reference_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load a state dict under the keys of the original third-place program.

        Args:
            state: tensors under ``conv_modules.*``, ``rnns.*`` and ``output_transform.*``, with or
                without the prefix ``module.``.

        Raises:
            RuntimeError: from PyTorch, if keys or shapes do not fit this network; its message names them.

        >>> model = CNN1d(80, n_blocks=2, base_depth=8)
        >>> state = {f"module.output_transform.{k}": v for k, v in model.classifier.state_dict().items()}
        >>> state |= {k: v for k, v in model.state_dict().items() if not k.startswith("classifier")}
        >>> model.load_reference_state_dict(state)
        """
        self.load_state_dict({_from_reference(key): value for key, value in state.items()})


def _from_reference(key: str) -> str:
    key = key.removeprefix("module.")
    for pattern, ours in _REFERENCE_NAMES:
        renamed, found = re.subn(f"^{pattern}", ours, key)
        if found:
            return renamed
    return key


def _classifier(d: int, n_classes: int, *, dropout: float) -> nn.Sequential:
    """From the aggregates, ``d`` channels of them, to the scores."""
    return nn.Sequential(
        MaskedBatchNorm(d),
        nn.Linear(d, d),
        MaskedBatchNorm(d),
        nn.PReLU(d),
        nn.Dropout(dropout),
        nn.Linear(d, n_classes),
    )
