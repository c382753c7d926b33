"""Magnitudes of overlapping frames: windows and spectra, with a gradient that is written out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from rankaudio._chunks import rows_per_chunk
from rankaudio._plain import is_plain, needs_gradient
from rankaudio.spectral._dft import dft

# A square is at most this share of the largest number, so that the sum over a band is finite.
_LARGEST_SHARE = 2.0**-12


def magnitudes(
    padded: Tensor,
    window: Tensor,
    hop_length: int,
    power: float,
    stages: Sequence[Tensor],
    *,
    quiet: bool,
    piece: int,
) -> Iterator[Tensor]:
    """Magnitude or power of the spectrum of each frame: ``(B, T)`` to ``(B, N, n / 2 + 1)``.

    On a CPU the frames of ``piece`` samples are computed at a time, so that these stay in the cache. With the
    ``stages`` of :func:`~rankaudio.spectral._dft.dft_stages` no step uses complex numbers. If all is
    ``quiet``, nothing records operations.
    """
    on_cpu = padded.device.type == "cpu" and not torch.compiler.is_compiling()
    if on_cpu and not quiet and not stages and is_plain(padded) and needs_gradient(padded):
        result: Tensor = _Magnitudes.apply(padded, window, hop_length, power, piece)  # type: ignore[no-untyped-call]
        yield result
        return
    frames = padded.unfold(-1, window.shape[0], hop_length)
    for some in _pieces(frames, hop_length, piece) if on_cpu else [frames]:
        yield _of_frames(some * window, power, stages, quiet=quiet)


def _pieces(frames: Tensor, hop_length: int, samples: int) -> Sequence[Tensor]:
    return torch.split(frames, rows_per_chunk(frames.shape[0] * hop_length, samples), dim=1)


def _of_frames(frames: Tensor, power: float, stages: Sequence[Tensor] = (), *, quiet: bool = False) -> Tensor:
    """Magnitude or power of the spectrum, ``(..., n)`` to ``(..., n / 2 + 1)``."""
    parts = dft(frames, stages) if stages else torch.view_as_real(torch.fft.rfft(frames))
    return _magnitude(parts.square_() if quiet else parts.square(), power, quiet=quiet)


def _limits(dtype: torch.dtype) -> tuple[float, float]:
    """Return the smallest and the largest square of a magnitude."""
    info = torch.finfo(dtype)
    # The slope of the root is infinite at 0. The smallest normal number changes the value by only 1e-19 in
    # float32, and the clamp sets the gradient to 0.
    return info.tiny, info.max * _LARGEST_SHARE


def _magnitude(squares: Tensor, power: float, *, quiet: bool) -> Tensor:
    """Magnitude or power of complex numbers, from the squares of their parts ``(..., 2)``."""
    least, most = _limits(squares.dtype)
    squared = squares[..., 0] + squares[..., 1]
    if power == 2:
        return squared.clamp(max=most)
    return squared.clamp_(min=least, max=most).sqrt_() if quiet else squared.clamp(min=least, max=most).sqrt()


class _Magnitudes(torch.autograd.Function):
    """The gradient takes an FFT of real numbers, and adds frames up hop by hop.

    PyTorch's own takes a complex FFT, and adds overlapping frames up sample by sample.
    """

    @staticmethod
    def forward(ctx: Any, padded: Tensor, window: Tensor, *settings: Any) -> Tensor:
        hop_length, power, piece = settings
        frames, spectra, results = padded.unfold(-1, window.shape[0], hop_length), [], []
        for some in _pieces(frames, hop_length, piece):
            spectra.append(torch.fft.rfft(some * window))
            results.append(_magnitude(torch.view_as_real(spectra[-1]).square(), power, quiet=True))
        result = results[0] if len(results) == 1 else torch.cat(results, dim=1)
        ctx.save_for_backward(padded, window, result, *spectra)
        ctx.settings = (hop_length, power)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        padded, window, result, *spectra = ctx.saved_tensors
        hop_length, power = ctx.settings
        if torch.is_grad_enabled():
            again = _of_frames(padded.unfold(-1, window.shape[0], hop_length) * window, power)
            (of_padded,) = torch.autograd.grad(again, padded, gradients[0], create_graph=True)
            return of_padded, None, None, None, None
        of_padded, start = torch.zeros_like(padded), 0
        for spectrum in spectra:
            part = slice(start, start + spectrum.shape[1])
            factor = _slope(gradients[0][:, part], result[:, part], power)
            frames = _transpose_of_rfft(spectrum, factor, window.shape[0]).mul_(window)
            _overlap_add(of_padded[:, start * hop_length :], frames, hop_length)
            start = part.stop
        return of_padded, None, None, None, None


def _slope(gradient: Tensor, result: Tensor, power: float) -> Tensor:
    """Factors of the spectrum in its gradient. The gradient of what :func:`_limits` cut off is 0."""
    least, most = torch.tensor(_limits(result.dtype), dtype=result.dtype).pow(power / 2).tolist()
    factor = 2 * gradient if power == 2 else gradient / result
    lowest, highest = result.aminmax()
    if power == 1 and not lowest.item() > least:
        factor = factor.masked_fill(result <= least, 0)
    if not highest.item() < most:
        factor = factor.masked_fill(result >= most, 0)
    return factor


def _transpose_of_rfft(spectrum: Tensor, factor: Tensor, n: int) -> Tensor:
    """Real part of the sum over bins of spectrum x factor x e^(2 pi i k t / n), for t = 0 .. n - 1."""
    # An inverse FFT counts each bin twice, but not the first and the last.
    factor[..., 1:-1] *= 0.5
    frames: Tensor = torch.fft.irfft(spectrum * factor, n=n, norm="forward")
    return frames


def _overlap_add(total: Tensor, frames: Tensor, hop_length: int) -> None:
    """Add frames ``(B, N, n)`` to ``(B, T)``, one hop of all frames at a time."""
    count, n = frames.shape[1:]
    for first in range(0, n, hop_length):
        width = min(hop_length, n - first)
        samples = total[:, first : first + (count - 1) * hop_length + width]
        samples.unfold(-1, width, hop_length).add_(frames[..., first : first + width])
