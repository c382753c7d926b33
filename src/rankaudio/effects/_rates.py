"""Resampling and the phase vocoder: what speed, tempo and pitch are made of.

Both cost the same for every rate. To resample, a block of the signal is low-passed and oversampled by FFT,
then read between its samples with a short kernel. The filter also takes back what the kernel does to the
spectrum, so that the kernel needs to suppress images only, and few taps do (Dutt & Rokhlin 1993, Barnett et
al. 2019: the non-uniform FFT).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Blocks of 2^13 samples of which _EDGE at each end are there for the filter's memory.
_BLOCK = 1 << 13
_EDGE = 256
_OVERSAMPLING = 2
# Taps to either side of the middle one.
_REACH = 2
_SHARPNESS = 2.3 * (2 * _REACH + 1)
# The kernel, tap by tap from the middle to the right, as polynomials of where between its samples a point is:
# interpolated at the Chebyshev points of -0.5 to 0.5. They take a fraction of the kernel's time, and
# suppress images as well.
_POLYNOMIALS = (
    (1, 0, -0.9181716202, 0, 0.3568200562),
    (0.3828638249, 0.7678439199, 0.3126062901, -0.3023716637, -0.233903642),
    (0.01005183574, 0.06225243036, 0.1469132287, 0.1524492213, 0.05423376187),
)
# Spread and half width of the filter's transition, in cycles per sample: -72 dB at its ends, and an
# impulse response that is over, 1e-6 of the whole, after _EDGE samples.
_SPREAD = 0.0031
_TRANSITION = 3.5 * _SPREAD


def resample(clips: Tensor, factor: Tensor, *, size: int) -> Tensor:
    """``y[n] = x(factor n)`` for n < size, ``(B, T)`` to ``(B, size)``; ``factor`` is ``(B,)``."""
    dense = _oversample(clips, factor)
    with torch.no_grad():
        order = torch.arange(size, device=clips.device, dtype=factor.dtype)
        # The signal starts at the sample _EDGE.
        position = (order * (factor * _OVERSAMPLING)[:, None]).add_(_EDGE * _OVERSAMPLING)
        position = position.clamp_(max=dense.shape[1] - 1 - _REACH)
        nearest = position.round()
        place = position.sub_(nearest).to(clips.dtype)
        first = nearest.long().sub_(_REACH)
        even, odd = _weights(place)
    taps = [dense[:, k:].gather(1, first) for k in range(2 * _REACH + 1)]
    total: Tensor = taps[_REACH] * even[0]
    for k in range(1, _REACH + 1):
        left, right = taps[_REACH - k], taps[_REACH + k]
        total = torch.addcmul(torch.addcmul(total, right + left, even[k]), right - left, odd[k])
    return total


def _weights(place: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Weights of the taps for points at ``place``, -0.5 to 0.5, right of the middle one.

    The tap k to the right weighs even[k] + odd[k], that to the left even[k] - odd[k].
    """
    square = place * place
    even, odd = [], []
    for c0, c1, c2, c3, c4 in _POLYNOMIALS:
        even.append((square * c4).add_(c2).mul_(square).add_(c0))
        odd.append((square * c3).add_(c1).mul_(place))
    return even, odd


def _bump(place: Tensor) -> Tensor:
    """Kernel over -1 .. 1 with hardly any spectrum beyond its main lobe: exp(b (sqrt(1 - x^2) - 1))."""
    return torch.exp(((1 - place * place).clamp(min=0).sqrt() - 1) * _SHARPNESS)


def _oversample(clips: Tensor, factor: Tensor) -> Tensor:
    """Low-passed for ``factor`` and oversampled, _EDGE samples of silence before and after."""
    hop = _BLOCK - 2 * _EDGE
    blocks = -(-(clips.shape[1] + 2 * _EDGE) // hop)
    padded = F.pad(clips, (2 * _EDGE, blocks * hop - clips.shape[1]))
    spectrum = torch.fft.rfft(padded.unfold(-1, _BLOCK, hop))
    spectrum = spectrum * _response(factor, clips.dtype)[:, None]
    dense: Tensor = torch.fft.irfft(spectrum, n=_BLOCK * _OVERSAMPLING)
    kept = dense[..., _EDGE * _OVERSAMPLING : (_EDGE + hop) * _OVERSAMPLING]
    return kept.reshape(clips.shape[0], -1)


def _response(factor: Tensor, dtype: torch.dtype) -> Tensor:
    """Gain of each bin, ``(B, _BLOCK / 2 + 1)``: low-pass below either Nyquist, kernel taken back."""
    frequency = torch.arange(_BLOCK // 2 + 1, device=factor.device, dtype=factor.dtype) / _BLOCK
    edge = 0.5 / factor.clamp(min=1) - _TRANSITION
    passed = torch.special.erfc((frequency - edge[:, None]) / (_SPREAD * math.sqrt(2))) / 2
    # Spectrum of the kernel by quadrature: it is even, smooth, and as good as 0 at its ends.
    steps = 64
    x = (torch.arange(steps, device=factor.device, dtype=factor.dtype) + 0.5) / steps
    width = _REACH + 0.5
    waves = torch.cos(frequency[:, None] * (2 * math.pi * width / _OVERSAMPLING) * x)
    spectrum = (waves * _bump(x)).sum(-1) * (2 * width / steps)
    gain: Tensor = passed * (_OVERSAMPLING / spectrum)
    return gain.to(dtype)


# Frames that hold a sample.
OVERLAP = 3
# Frames whose phases are summed in one product.
_SUMMED = 32
# Onset: a band of so many bins has so many times the energy that it had in the frame before.
_BAND = 16
_ONSET = 4.0
# Share of a frame's energy below which a bin has no phase to speak of.
_NOTHING = 1e-12


def stretch(clips: Tensor, rate: Tensor, *, size: int, n_fft: int) -> Tensor:
    r"""Play ``rate`` times as fast, ``(B, T)`` to ``(B, size)``; ``rate`` is ``(B,)``.

    Frame m of the result has the magnitudes that the clip has around :math:`a_m = m h r`, and from one
    frame to the next its phases advance as those of the clip do over one hop that ends at
    :math:`a_m`: measured, not interpolated, so nothing needs to be unwrapped. What is added up is
    the difference from the clip's own phase; at rate 1 it is exactly 0.
    """
    hop, window = n_fft // OVERLAP, torch.hann_window(n_fft, dtype=clips.dtype, device=clips.device)
    # Every frame that reaches a sample of 0 .. size - 1, the same ones whatever comes later; before
    # them one from which only phases are taken.
    count = -(-size // hop) + 3
    order = torch.arange(-2, count - 1, device=clips.device)
    at = torch.floor(order * hop * rate[:, None] + 0.5).long()
    padded = F.pad(clips, (n_fft, n_fft))
    spectrum = torch.fft.rfft(_frames(padded, at, n_fft) * window)
    one_hop_ago = torch.fft.rfft(_frames(padded, at[:, 1:] - hop, n_fft) * window)
    turned = _turned(spectrum[:, 1:], spectrum[:, :-1], one_hop_ago)
    frames = torch.fft.irfft(spectrum[:, 1:] * turned, n=n_fft) * window
    # Squared Hann windows add up to 3/8 of how many overlap.
    return _overlap_add(frames, hop)[:, n_fft // 2 + hop :][:, :size] / (0.375 * OVERLAP)


def _frames(padded: Tensor, centre: Tensor, n_fft: int) -> Tensor:
    """``n_fft`` samples around each centre, ``(B, N)`` to ``(B, N, n_fft)``.

    The clips have ``n_fft`` samples of silence at either end; farther out there is nothing but silence.
    """
    start = (centre + n_fft // 2).clamp(0, padded.shape[1] - n_fft)
    if not padded.requires_grad:
        rows = torch.arange(padded.shape[0], device=padded.device)[:, None]
        return padded.unfold(-1, n_fft, 1)[rows, start]
    # The gradient of the above would be as large as all the frames that overlap.
    index = start[..., None] + torch.arange(n_fft, device=padded.device)
    return padded.gather(1, index.flatten(1)).view(index.shape)


def _turned(now: Tensor, before: Tensor, one_hop_ago: Tensor) -> Tensor:
    """Unit phasors ``(B, N, F)`` that turn each frame's phases to where the frames before it lead."""
    advance = before * one_hop_ago.conj()
    with torch.no_grad():
        band = _band_energy(now)
        # A bin that holds rounding errors only would be turned by chance, so those do not count.
        nothing = _NOTHING * band.sum(-1, keepdim=True) + 1e-18
        since = _last_onset(band)[..., : now.shape[-1]]
    # Copies: a CPU takes 15 times as long for the angle of numbers that are not next to each other.
    total = _running_sum(torch.atan2(advance.imag.contiguous(), advance.real + nothing))
    # Where something sets in, phases start anew from the clip's own, so that all of it does so at once.
    total = total - total.gather(1, since)
    return torch.complex(total.cos(), total.sin())


def _running_sum(values: Tensor) -> Tensor:
    """``values.cumsum(1)`` of ``(B, N, F)``: in blocks by a product, a third of the time on a CPU."""
    batch, count, bins = values.shape
    blocks = F.pad(values, (0, 0, 0, -count % _SUMMED)).view(batch, -1, _SUMMED, bins)
    inside = torch.ones(_SUMMED, _SUMMED, dtype=values.dtype, device=values.device).tril() @ blocks
    ends = F.pad(inside[:, :-1, -1], (0, 0, 1, 0)).cumsum(1)
    return (inside + ends[:, :, None]).flatten(1, 2)[:, :count]


def _band_energy(spectrum: Tensor) -> Tensor:
    """Energy of each _BAND bins, ``(B, N, F)`` complex to ``(B, N, bands)``."""
    parts = torch.view_as_real(spectrum).flatten(-2)
    parts = F.pad(parts, (0, -parts.shape[-1] % (2 * _BAND)))
    return parts.view(*parts.shape[:2], -1, 2 * _BAND).square().sum(-1)


def _last_onset(band: Tensor) -> Tensor:
    """For each bin of each frame the last frame in which its band set in, ``(B, N, bands x _BAND)``."""
    onset = band > _ONSET * F.pad(band[:, :-1], (0, 0, 1, 0))
    order = torch.arange(band.shape[1], device=band.device)[:, None]
    since = torch.where(onset, order, 0).cummax(1).values
    return since[..., None].expand(*since.shape, _BAND).flatten(-2)


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Frames ``(B, N, OVERLAP hop)`` added up at hops, ``(B, (N + OVERLAP - 1) hop)``."""
    count, parts = frames.shape[1], frames.view(*frames.shape[:2], OVERLAP, hop)
    total = F.pad(parts[:, :, 0], (0, 0, 0, OVERLAP - 1))
    for k in range(1, OVERLAP):
        total[:, k : k + count] += parts[:, :, k]
    return total.flatten(1)
