"""Phase vocoder: longer or shorter at the same pitch, with a rate of its own for each clip."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# The energy of a frame over that of the one before, from which on it is an onset.
_ONSET = 4.0


def stretch(clips: Tensor, rate: Tensor, *, size: int, n_fft: int) -> Tensor:
    r"""Play ``rate`` times as fast, ``(B, T)`` to ``(B, size)``; ``rate`` is ``(B,)``.

    Frame m of the result has the magnitudes that the clip has around :math:`a_m = m h r`, and from one
    frame to the next its phases advance as those of the clip do over one hop that ends at
    :math:`a_m`: measured, not interpolated, so nothing needs to be unwrapped. What is added up is
    the difference from the clip's own phase; at rate 1 it is exactly 0.
    """
    hop, window = n_fft // 4, torch.hann_window(n_fft, dtype=clips.dtype, device=clips.device)
    # Every frame that reaches a sample of 0 .. size - 1, the same ones whatever comes later.
    count = -(-size // hop) + 3
    order = torch.arange(-1, count - 1, device=clips.device)
    at = torch.floor(order * hop * rate[:, None] + 0.5).long()
    now = torch.fft.rfft(_frames(clips, at, n_fft) * window)
    one_hop_ago = torch.fft.rfft(_frames(clips, at - hop, n_fft) * window)
    turned = _turned(now, one_hop_ago)
    frames = torch.fft.irfft(now * turned, n=n_fft) * window
    # Four squared Hann windows a quarter apart add up to 3/2.
    return _overlap_add(frames, hop)[:, n_fft // 2 + hop :][:, :size] / 1.5


def _frames(clips: Tensor, centre: Tensor, n_fft: int) -> Tensor:
    """``n_fft`` samples around each centre, ``(B, N)`` to ``(B, N, n_fft)``; silence outside the clips."""
    samples = clips.shape[1]
    start = (centre + n_fft // 2).clamp(0, samples + n_fft)
    padded = F.pad(clips, (n_fft, n_fft))
    if not padded.requires_grad:
        rows = torch.arange(clips.shape[0], device=clips.device)[:, None]
        return padded.unfold(-1, n_fft, 1)[rows, start]
    # The gradient of the above would be as large as all the frames that overlap.
    index = start[..., None] + torch.arange(n_fft, device=clips.device)
    return padded.gather(1, index.flatten(1)).view(index.shape)


def _turned(now: Tensor, one_hop_ago: Tensor) -> Tensor:
    """Unit phasors ``(B, N, F)`` that turn each frame's phases to where the frames before it lead."""
    before = torch.cat([torch.zeros_like(now[:, :1]), now[:, :-1]], dim=1)
    advance = before * one_hop_ago.conj()
    # Next to nothing, so that silence has an angle, 0, and that angle a gradient. Copies, for a CPU
    # takes 15 times as long for the angle of numbers that are not next to each other.
    total = torch.atan2(advance.imag.contiguous(), advance.real + 1e-18).cumsum(1)
    # At an onset phases start anew from the clip's own, so that all that sets in does so at once.
    with torch.no_grad():
        energy = torch.view_as_real(now).flatten(-2).square().sum(-1)
        onset = energy > _ONSET * F.pad(energy[:, :-1], (1, 0))
        order = torch.arange(energy.shape[1], device=now.device)
        since = torch.where(onset, order, 0).cummax(1).values
    total = total - total.gather(1, since[..., None].expand_as(total))
    return torch.complex(total.cos(), total.sin())


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Frames ``(B, N, 4 hop)`` added up at hops, ``(B, (N + 3) hop)``."""
    parts = frames.view(*frames.shape[:2], 4, hop)
    late = [F.pad(parts[:, :, k], (0, 0, k, 3 - k)) for k in range(4)]
    return (late[0] + late[1] + late[2] + late[3]).flatten(1)
