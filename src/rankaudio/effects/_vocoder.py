"""A phase vocoder, at the same cost for every rate."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._checks import check_integer
from rankaudio.effects._chunks import take_frames
from rankaudio.effects._phasors import phasors_of_angle

# Frames that contain a sample.
_OVERLAP = 3
# An onset: a band of 16 bins has 4 times the energy of the frame before.
_BAND = 16
_ONSET = 4.0
# A bin below this share of the frame's energy has no meaningful phase.
_NOISE_FLOOR = 1e-12
# The gradient of an angle needs the fourth power of the spectrum, which is finite up to this peak.
_LOUD = 2.0**16


def check_n_fft(n_fft: object) -> int:
    """Return the value if frames of this size can be cut into halves and thirds."""
    size = check_integer("n_fft", n_fft, 16)
    if size % (2 * _OVERLAP):
        raise ValueError(f"n_fft: wanted a multiple of {2 * _OVERLAP}, got {n_fft!r}")
    return size


def stretch(clips: Tensor, rate: Tensor, *, size: int, n_fft: int) -> Tensor:
    r"""Play clips ``rate`` times as fast, ``(B, T)`` to ``(B, size)``; ``rate`` is ``(B,)``.

    Frame m of the result has the magnitudes of the clip around :math:`a_m = m h r`. From one frame to the
    next, its phases advance as those of the clip do over the hop that ends at :math:`a_m`. A second transform
    measures this advance, so no phase is unwrapped. The sum runs over the differences from the clip's own
    phases. At rate 1 it is exactly 0.
    """
    hop, window = n_fft // _OVERLAP, torch.hann_window(n_fft, dtype=clips.dtype, device=clips.device)
    # These frames contain the samples 0 .. size - 1. Only the phases of the first frame are used. The choice
    # does not depend on what comes after them.
    count = -(-size // hop) + 3
    order = torch.arange(-2, count - 1, device=clips.device)
    centre = torch.floor(order * hop * rate[:, None] + 0.5).long()
    # A louder clip is stretched at peak 1, because only its angles depend on products.
    peak = clips.detach().abs().amax(1, keepdim=True)
    loudness = torch.where(peak > _LOUD, peak, 1)
    padded = F.pad(clips / loudness, (n_fft, n_fft))
    spectrum = torch.fft.rfft(_frames(padded, centre, n_fft).mul_(window))
    one_hop_before = torch.fft.rfft(_frames(padded, centre[:, 1:] - hop, n_fft).mul_(window))
    correction = _phase_correction(spectrum[:, 1:], spectrum[:, :-1], one_hop_before)
    frames = torch.fft.irfft(spectrum[:, 1:] * correction, n=n_fft).mul_(window)
    # Squared Hann windows add up to 3/8 of the number of windows that overlap.
    scale = loudness / (0.375 * _OVERLAP)
    return _overlap_add(frames, hop)[:, n_fft // 2 + hop :][:, :size] * scale


def _frames(padded: Tensor, centre: Tensor, n_fft: int) -> Tensor:
    """Take ``n_fft`` samples around each centre, ``(B, N)`` to ``(B, N, n_fft)``.

    The clips have ``n_fft`` samples of silence at both ends, and centres farther out get only silence.
    """
    return take_frames(padded, (centre + n_fft // 2).clamp(0, padded.shape[1] - n_fft), n_fft)


def _phase_correction(current: Tensor, previous: Tensor, one_hop_before: Tensor) -> Tensor:
    """Compute unit phasors ``(B, N, F)`` that make each frame's phases continue those of the last frame."""
    advance = previous * one_hop_before.conj_physical_()
    with torch.no_grad():
        band = _band_energy(current)
        # A bin with nothing but rounding errors would get a random phase. This floor keeps its phase.
        floor = _NOISE_FLOOR * band.sum(-1, keepdim=True) + 1e-18
        onset = _last_onset(band)
    # The parts are copied, because a CPU needs 15 times as long for the angle of strided numbers.
    total = torch.atan2(advance.imag.contiguous(), advance.real + floor).cumsum(1)
    # At an onset all bins of a band start again from the clip's own phases.
    return phasors_of_angle(total - _at_onset(total, onset))


def _at_onset(total: Tensor, onset: Tensor) -> Tensor:
    """Take the bins of each band from the frame of its last onset, ``(B, N, F)`` and ``(B, N, bands)``."""
    batch, count, bands = onset.shape
    bins = total.shape[2]
    whole = F.pad(total, (0, bands * _BAND - bins)).view(-1, _BAND)
    clip = torch.arange(0, batch * count, count, device=onset.device)[:, None, None]
    place = (clip + onset) * bands + torch.arange(bands, device=onset.device)
    return whole.index_select(0, place.flatten()).view(batch, count, -1)[..., :bins]


def _band_energy(spectrum: Tensor) -> Tensor:
    """Compute the energy of each band of _BAND bins, ``(B, N, F)`` complex to ``(B, N, bands)``."""
    squares = torch.view_as_real(spectrum).square().flatten(-2)
    full = squares.shape[-1] // (2 * _BAND) * (2 * _BAND)
    bands = squares[..., :full].reshape(*squares.shape[:-1], -1, 2 * _BAND).sum(-1)
    rest = squares[..., full:].sum(-1, keepdim=True)
    return torch.cat([bands, rest], dim=-1) if full < squares.shape[-1] else bands


def _last_onset(band: Tensor) -> Tensor:
    """Return the last frame with an onset, for each frame and band, ``(B, N, bands)``."""
    onset = band > _ONSET * F.pad(band[:, :-1], (0, 0, 1, 0))
    order = torch.arange(band.shape[1], device=band.device)[:, None]
    return torch.where(onset, order, 0).cummax(1).values


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Add overlapping frames ``(B, N, _OVERLAP hop)``, one hop apart, to ``(B, (N + _OVERLAP - 1) hop)``."""
    count, parts = frames.shape[1], frames.view(*frames.shape[:2], _OVERLAP, hop)
    total = F.pad(parts[:, :, 0], (0, 0, 0, _OVERLAP - 1))
    for k in range(1, _OVERLAP):
        total[:, k : k + count] += parts[:, :, k]
    return total.flatten(1)
