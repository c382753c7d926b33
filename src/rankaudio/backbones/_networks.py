"""The 1d and the 2d network of the third-place system."""

from __future__ import annotations

from torch import Tensor

from rankaudio._checks import check_floating, check_integer, describe
from rankaudio.backbones._cnn import CNN, Pooling
from rankaudio.encoding import frequency_encoding

__all__ = ["CNN1d", "CNN2d"]


class CNN1d(CNN):
    r"""Convolutional network over time, with frequency bins as channels, and deep supervision.

    The blocks are those of :class:`CNN2d` in one dimension. It is at home on the short windows of
    a log-STFT (``stft_256_128``), where time is fine and frequency coarse.

    A clip's scores are the same alone as in any padded batch, and finite from a single frame on. With
    ``pooling="rnn"``, PyTorch compiles the network in one graph only under its setting
    ``torch._dynamo.config.allow_rnn``, and exports it for one number of frames at a time.

    Args:
        n_classes: C, the number of scores.
        n_bins: F, the number of frequency bins.
        n_blocks: number of blocks; each halves time.
        base_depth: depth of the first block.
        growth_rate: factor of depth from block to block.
        pooling: aggregate by ``"max"`` over time, or by ``"rnn"``: LayerNorm, bidirectional GRU, the two
            final states.
        start_deep_supervision_on: first block (from 0) that is aggregated.
        rnn_units: units of the GRU, each way.
        dropout: probability before the last layer.

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

    def __init__(
        self,
        n_classes: int,
        *,
        n_bins: int = 129,
        n_blocks: int = 5,
        base_depth: int = 50,
        growth_rate: float = 1.5,
        pooling: Pooling = "max",
        start_deep_supervision_on: int = 1,
        rnn_units: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            n_classes,
            check_integer("n_bins", n_bins),
            dims=1,
            n_blocks=n_blocks,
            base_depth=base_depth,
            growth_rate=growth_rate,
            pooling=pooling,
            start_deep_supervision_on=start_deep_supervision_on,
            rnn_units=rnn_units,
            dropout=dropout,
        )
        self.n_bins = n_bins

    def settings(self) -> dict[str, int | float | str | bool]:
        """Return the keyword arguments that build this network again.

        >>> CNN1d(80, n_bins=65).settings()["n_bins"]
        65
        """
        return super().settings() | {"n_bins": self.n_bins}

    def forward(self, spectrogram: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return scores ``(B, C)``; ``lengths`` are in frames."""
        x = check_floating("spectrogram", spectrogram, ndim=(3,))
        if x.shape[1] != self.n_bins or x.shape[2] == 0:
            raise ValueError(f"spectrogram: wanted (B, {self.n_bins}, N) with N from 1, got {describe(x)}")
        return self._scores(x, lengths)


class CNN2d(CNN):
    r"""Convolutional network over time and frequency with deep supervision.

    Block k is BatchNorm, Conv 3, MaxPool 2, BatchNorm, PReLU and a residual bottleneck, of depth
    :math:`\lfloor \mathit{growth\_rate}^k \cdot \mathit{base\_depth} \rfloor`. The outputs of the blocks
    from ``start_deep_supervision_on`` on are aggregated, and the classifier sees all aggregates.

    A clip's scores are the same alone as in any padded batch, and finite from a single frame on. With
    ``pooling="rnn"``, PyTorch compiles the network in one graph only under its setting
    ``torch._dynamo.config.allow_rnn``, and exports it for one number of frames at a time.

    Args:
        n_classes: C, the number of scores.
        in_channels: channels of the spectrogram, without the encoding.
        frequency_encoding: append the channel of :func:`rankaudio.frequency_encoding`.
        n_blocks: number of blocks; each halves both axes.
        base_depth: depth of the first block.
        growth_rate: factor of depth from block to block.
        pooling: aggregate by ``"max"`` over time and frequency, or by ``"rnn"``: mean over
            frequency, LayerNorm, bidirectional GRU, the two final states.
        start_deep_supervision_on: first block (from 0) that is aggregated.
        rnn_units: units of the GRU, each way.
        dropout: probability before the last layer.

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

    def __init__(
        self,
        n_classes: int,
        *,
        in_channels: int = 1,
        frequency_encoding: bool = True,
        n_blocks: int = 5,
        base_depth: int = 50,
        growth_rate: float = 1.5,
        pooling: Pooling = "max",
        start_deep_supervision_on: int = 1,
        rnn_units: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            n_classes,
            check_integer("in_channels", in_channels) + frequency_encoding,
            dims=2,
            n_blocks=n_blocks,
            base_depth=base_depth,
            growth_rate=growth_rate,
            pooling=pooling,
            start_deep_supervision_on=start_deep_supervision_on,
            rnn_units=rnn_units,
            dropout=dropout,
        )
        self.in_channels = in_channels
        self.frequency_encoding = frequency_encoding

    def settings(self) -> dict[str, int | float | str | bool]:
        """Return the keyword arguments that build this network again.

        >>> CNN2d(80, in_channels=3).settings()["in_channels"]
        3
        """
        return super().settings() | {
            "in_channels": self.in_channels,
            "frequency_encoding": self.frequency_encoding,
        }

    def forward(self, spectrogram: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return scores ``(B, C)``; ``lengths`` are in frames."""
        x = check_floating("spectrogram", spectrogram, ndim=(3, 4))
        if x.ndim == 3:
            x = x.unsqueeze(1)
        if x.shape[1] != self.in_channels or 0 in x.shape[2:]:
            raise ValueError(
                f"spectrogram: wanted (B, {self.in_channels}, F, N) with F and N from 1"
                f"{' or (B, F, N)' if self.in_channels == 1 else ''}, got {describe(spectrogram)}"
            )
        if self.frequency_encoding:
            x = frequency_encoding(x)
        return self._scores(x, lengths)
