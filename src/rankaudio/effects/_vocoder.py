"""Phase vocoder: longer or shorter at the same pitch, with a rate of its own for each clip."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

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
