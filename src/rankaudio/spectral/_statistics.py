"""Statistics of the waveform in overlapping windows, as function and as Module."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rankaudio._autocast import full_precision
from rankaudio._checks import check_integer, check_waveform
from rankaudio._chunks import row_chunks
from rankaudio._settings import ModuleWithSettings
from rankaudio.spectral._sorted_pieces import statistics_of_clips

PERCENTILES = (0, 1, 25, 30, 50, 60, 75, 99, 100)
# Samples of all windows that are sorted at once: 64 MB of float32, and four times as much while sorting.
_CHUNK_SAMPLES = 1 << 24


def waveform_statistics(waveform: Tensor, lengths: Tensor | None = None, *, windows: int = 128) -> Tensor:
    r"""Mean, deviation, range and percentiles of a clip in overlapping windows.

    Window k of a clip of :math:`\ell` samples with the stride :math:`s = \ell / W` is

    .. math:: x_t, \qquad \max\bigl(0, \lfloor (k - \tfrac12) s \rfloor\bigr) \le t <
        \min\bigl(\ell, \lfloor (k + \tfrac32) s \rfloor\bigr), \qquad 0 \le k < W

    So a window is two strides long, and its middle is that of part k of the clip. The first and the last
    window are one and a half strides long. The stride is not rounded. A window that has no sample gets the
    sample at its start. That happens in clips of fewer than :math:`2 W / 3` samples, and below 86 with 128
    windows.

    The statistics are, in this order: mean; population standard deviation; maximum minus minimum; the
    percentiles 0, 1, 25, 30, 50, 60, 75, 99 and 100. With the sorted samples :math:`y_0 \le \dots \le
    y_{n-1}` of a window, percentile q is

    .. math:: (1 - w) \, y_i + w \, y_{i+1}, \qquad i + w = \frac{q \, (n - 1)}{100}, \quad 0 \le w < 1

    Args:
        waveform: ``(B, T)`` floating point, mono.
        lengths: ``(B,)`` integers, samples of each clip; ``None`` is all of it.
        windows: :math:`W`, the number of windows.

    Returns:
        ``(B, windows, 12)``; float64 for a float64 waveform, else float32. Finite samples never give NaN. A
        percentile has the gradient of the two samples around it. The gradient of the deviation is 0 where
        all samples of a window are equal. If squares overflow (samples from 1e19 on in float32), the
        deviation is infinite.

    Raises:
        TypeError: if the waveform is not floating point, or lengths or ``windows`` are not integers.
        ValueError: if the waveform is not ``(B, T)`` with at least one sample, lengths do not fit it, or
            ``windows`` is below 1.

    Reference:
        The second-place system of Freesound Audio Tagging 2019, which has 128 windows, and fails with fewer
        than 86 samples. Percentiles are those of ``numpy.percentile``.

    >>> statistics = waveform_statistics(torch.linspace(0, 1, 1001)[None], windows=2)
    >>> statistics.shape
    torch.Size([1, 2, 12])
    >>> statistics[
    ...     0, 1, [2, 3, 7, 11]
    ... ]  # range, minimum, median and maximum of the last 751 samples
    tensor([0.7500, 0.2500, 0.6250, 1.0000])
    """
    waveform, lengths = check_waveform(waveform, lengths)
    check_integer("windows", windows)
    if lengths is None:
        lengths = torch.full((waveform.shape[0],), waveform.shape[1], device=waveform.device)
    if _has_numbers_only(waveform):
        return _by_pieces(waveform, lengths, windows)
    return _by_sorting(waveform, lengths, windows)


@dataclass(eq=False, repr=False, kw_only=True)
class WaveformStatistics(ModuleWithSettings):
    """Module form of :func:`waveform_statistics`.

    Args:
        windows: number of windows.

    Shapes:
        waveform ``(B, T)`` floating point, lengths ``(B,)`` integers in samples, statistics
        ``(B, windows, 12)``.

    Raises:
        TypeError: if ``windows`` is not an integer.
        ValueError: if ``windows`` is below 1.

    >>> WaveformStatistics()(torch.randn(2, 44100), torch.tensor([44100, 300])).shape
    torch.Size([2, 128, 12])
    """

    windows: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("windows", self.windows)

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the statistics ``(B, windows, 12)`` of clips ``(B, T)``."""
        return waveform_statistics(waveform, lengths, windows=self.windows)


def _has_numbers_only(waveform: Tensor) -> bool:
    """Whether numpy can compute the result: on a CPU, without a gradient, outside compilers and vmap."""
    if waveform.device.type != "cpu" or torch.compiler.is_compiling() or waveform.shape[0] == 0:
        return False
    if torch.is_grad_enabled() and waveform.requires_grad:
        return False
    try:
        waveform.detach().numpy()
    except RuntimeError:  # vmap and fake tensors have no values to read
        return False
    return True


def _by_pieces(waveform: Tensor, lengths: Tensor, windows: int) -> Tensor:
    """Compute the statistics on the CPU, where numpy sorts quickly."""
    waveform = waveform.detach()
    clips = [row[:length] for row, length in zip(waveform.numpy(), lengths.tolist(), strict=True)]
    result = waveform.new_empty(len(clips), windows, 3 + len(PERCENTILES))
    # Very short clips have pieces without samples.
    long = [row for row, clip in enumerate(clips) if len(clip) >= 2 * windows]
    found = statistics_of_clips([clips[row] for row in long], windows, PERCENTILES)
    rest = set(range(len(clips)))
    for row, statistics in zip(long, found, strict=True):
        if statistics is not None:
            result[row] = torch.from_numpy(statistics)
            rest.remove(row)
    if rest:
        rows = sorted(rest)
        longest = max(len(clips[row]) for row in rows)
        result[rows] = _by_sorting(waveform[rows, :longest], lengths[rows], windows)
    return result


def _by_sorting(waveform: Tensor, lengths: Tensor, windows: int) -> Tensor:
    """Sort all windows, some clips at a time: on any device, with gradients, and in exported programs."""
    with full_precision(waveform.device):
        if torch.compiler.is_compiling() or waveform.shape[0] == 0:
            return _sort_windows(waveform, lengths, windows)
        chunks = row_chunks(waveform.shape[0], 2 * waveform.shape[1], _CHUNK_SAMPLES)
        return torch.cat([_sort_windows(waveform[rows], lengths[rows], windows) for rows in chunks])


def _sort_windows(waveform: Tensor, lengths: Tensor, windows: int) -> Tensor:
    """Compute the statistics from all windows, sorted at once."""
    batch, longest = waveform.shape
    start, count = _window_places(lengths, windows)
    # At least 2, because an exported program may take no size that is 1 in some calls only.
    step = torch.arange(2 * longest // windows + 2, device=waveform.device)
    inside = step < count[..., None]
    index = (start[..., None] + step).clamp(max=longest - 1)
    values = waveform.gather(1, index.flatten(1)).reshape(batch, windows, step.shape[0])

    samples = values.masked_fill(~inside, 0)
    number = count[..., None].to(waveform.dtype)
    mean = (samples / number).sum(-1, keepdim=True)
    variance = ((samples - mean).masked_fill(~inside, 0).square() / number).sum(-1)
    varied = variance > 0
    deviation = variance.where(varied, 1).sqrt().where(varied, 0)

    ordered = values.masked_fill(~inside, torch.inf).sort(dim=-1).values
    place = torch.tensor(PERCENTILES, device=waveform.device) * (count[..., None] - 1)
    rank, weight = place.div(100, rounding_mode="floor"), (place % 100).to(waveform.dtype) / 100
    above = ordered.gather(-1, torch.minimum(rank + 1, count[..., None] - 1))
    percentiles = ordered.gather(-1, rank) * (1 - weight) + above * weight
    spread = percentiles[..., -1] - percentiles[..., 0]
    return torch.cat([torch.stack([mean[..., 0], deviation, spread], dim=-1), percentiles], dim=-1)


def _window_places(lengths: Tensor, windows: int) -> tuple[Tensor, Tensor]:
    """Return the first sample and the number of samples of each window, both ``(B, windows)``."""
    k = torch.arange(windows, device=lengths.device)
    ends = lengths[:, None]
    start = ((2 * k - 1) * ends).div(2 * windows, rounding_mode="floor").clamp(min=0)
    stop = torch.minimum(((2 * k + 3) * ends).div(2 * windows, rounding_mode="floor"), ends)
    return start, (stop - start).clamp(min=1)
