"""Reverberation: the Freeverb network of SoX as one linear filter per clip."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._checks import check_integer, check_number
from rankaudio.effects._batch import (
    bound,
    check_clips,
    check_parameter,
    in_pieces,
    irfft_rows,
    rfft_rows,
    smooth_size,
)
from rankaudio.lengths import zero_beyond

__all__ = ["reverb"]

# Delays in samples at 44.1 kHz.
_COMBS = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)
_ALLPASSES = (225, 341, 441, 556)
_STEREO = 12
# The feedback runs from 0.3 at reverberance 0 to 0.98 at 100, with even steps of its exponent.
_A = -1 / math.log(0.7)
_B = 100 / (1 + _A * math.log(0.02))
# The impulse response is cut where no repetition is above this share of the first.
_END = 1e-6


def reverb(
    waveform: Tensor,
    lengths: Tensor | None = None,
    *,
    reverberance: Tensor | float = 50.0,
    damping: Tensor | float = 50.0,
    room_scale: Tensor | float = 100.0,
    stereo_depth: Tensor | float = 0.0,
    pre_delay: Tensor | float = 0.0,
    wet_gain: Tensor | float = 0.0,
    sample_rate: int = 44100,
    tail: float | None = None,
) -> tuple[Tensor, Tensor | None]:
    r"""Add the reverberation of a room, that of ``sox reverb``, with parameters of its own for each clip.

    Eight low-pass feedback combs in parallel, then four all-passes in series (Freeverb). All of them
    are linear, so a clip's room is one transfer function, with :math:`z = e^{-i\omega}`

    .. math::

        H(z) = 1 + 0.015\, g\, z^n \sum_{j=1}^{8} \frac{z^{d_j}}{1 - f L(z)\, z^{d_j}}
               \prod_{j=9}^{12} \Bigl(\frac{z^{d_j}}{1 - z^{d_j} / 2} - 1\Bigr), \qquad
        L(z) = \frac{1 - h}{1 - h z}

    of which the impulse response is computed on a grid as long as the tail, and then convolved. Stereo
    depth detunes a second channel, its delays alternately longer and shorter; the result is the mean of
    the two channels.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        reverberance: 0 to 100 %, how long it rings: the feedback :math:`f` is 0.3 to 0.98. This and the
            next five are one number for all, or a tensor ``(B,)``.
        damping: 0 to 100 %, how much sooner high frequencies fade: :math:`h` is 0.2 to 0.5.
        room_scale: 0 to 100 %, size of the room: scales the combs' delays by 0.1 to 1.
        stereo_depth: 0 to 100 %, how far the second channel is detuned.
        pre_delay: 0 to 500 ms before the first reflection.
        wet_gain: dB of the reverberation; the clip itself is added as it is.
        sample_rate: in Hz; delays are in proportion to it.
        tail: seconds of impulse response to compute; None: to -120 dB for the parameters given. These
            are looked at on the CPU only: elsewhere, or compiled, tensors cost the longest tail of all.

    Returns:
        New waveform ``(B, T)`` and ``lengths`` as they came. A tail that outlasts its clip is cut at the
        clip's end, as SoX does; beyond it there is silence. Loud clips can pass 1: nothing is clipped.

    Raises:
        TypeError: if the waveform is not floating point, lengths are no integers, or a parameter no number.
        ValueError: if shapes or devices disagree, or a value lies outside its range.

    Reference:
        Jezar at Dreampoint, Freeverb (2000), in the form of SoX 14.4.2.

    >>> wet, _ = reverb(torch.eye(1, 8000), room_scale=50.0, sample_rate=8000)
    >>> (wet[0].abs() > 1e-3).nonzero()[:3, 0]
    tensor([  0, 111, 119])
    """
    clips, real = check_clips(waveform, lengths)
    check_integer("sample_rate", sample_rate)
    percent = {"reverberance": reverberance, "damping": damping, "room_scale": room_scale}
    percent["stereo_depth"] = stereo_depth
    values = [check_parameter(name, value, clips, 0, 100) for name, value in percent.items()]
    values.append(check_parameter("pre_delay", pre_delay, clips, 0, 500))
    values.append(check_parameter("wet_gain", wet_gain, clips, -200, 200))
    if tail is None:
        most = {name: bound(value, 100) for name, value in percent.items() if name != "damping"}
        tail = longest_tail(**most, pre_delay=bound(pre_delay, 500))
    size = smooth_size(math.ceil(check_number("tail", tail, 0) * sample_rate) + 1)
    stereo = isinstance(stereo_depth, Tensor) or stereo_depth > 0

    def transfer(*settings: Tensor) -> Tensor:
        response = _impulse_response(settings, size=size, rate=sample_rate, stereo=stereo, dtype=clips.dtype)
        return rfft_rows(response, 2 * size)

    with torch.no_grad():
        # Of several clips at a time: alone, a long FFT takes a CPU several times as long.
        response = in_pieces(transfer, *values, samples=size)
    wet = in_pieces(_add_convolved, clips, response)
    return zero_beyond(wet, real).to(waveform.dtype), lengths


def longest_tail(
    *, reverberance: float, room_scale: float, stereo_depth: float, pre_delay: float = 0.0
) -> float:
    """Seconds until the slowest comb has lost 120 dB; damping shortens all but the lowest frequencies."""
    feedback = 1 - math.exp((reverberance - _B) / (_A * _B))
    longest = _COMBS[-1] * (0.1 + 0.9 * room_scale / 100) + _STEREO * stereo_depth / 100
    rounds = math.log(_END) / math.log(feedback) + 1
    # The all-passes halve what they hold every 556 samples.
    return (rounds * longest + 20 * _ALLPASSES[-1]) / 44100 + pre_delay / 1000


def _impulse_response(
    settings: tuple[Tensor, ...], *, size: int, rate: int, stereo: bool, dtype: torch.dtype
) -> Tensor:
    """Impulse response of the reverberation alone, ``(B, size)``."""
    reverberance, damping, room_scale, stereo_depth, pre_delay, wet_gain = settings
    delays = _delays(room_scale, stereo_depth / 100, rate)
    feedback = 1 - torch.exp((reverberance - _B) / (_A * _B))
    h = (0.2 + 0.3 * damping / 100).to(dtype)[:, None]
    # Rows of whole vector registers, so that a clip's last bins are computed as in any row: what differs
    # in the last bit here, the pitch shift behind it can make a thousand times as large.
    bins = torch.arange(_whole(size // 2 + 1), dtype=reverberance.dtype, device=feedback.device)
    cosine, sine = _phasor(bins, torch.full_like(feedback, 1 / size), dtype)
    # f L(z) = f (1 - h) / (1 - h z), the same for all combs of a room.
    scale = feedback.to(dtype)[:, None] * (1 - h) / (1 - 2 * h * cosine + h * h)
    loop = (scale * (1 - h * cosine), -scale * h * sine)
    channels = delays if stereo else delays[:1]
    total = torch.stack([_network(bins / size, channel, loop, dtype) for channel in channels]).sum(0)
    gain = 0.015 / len(channels) * 10 ** (wet_gain / 20)
    cosine, sine = _phasor(bins / size, torch.floor(pre_delay / 1000 * rate + 0.5), dtype)
    total = total * torch.complex(cosine, -sine) * gain.to(dtype)[:, None]
    return irfft_rows(total[:, : size // 2 + 1], size)


def _whole(count: int) -> int:
    return -(-count // 64) * 64


def _delays(room_scale: Tensor, depth: Tensor, rate: int) -> list[Tensor]:
    """Delays in samples, ``(12, B)``, of the first channel and of the second, detuned one."""
    combs = torch.tensor(_COMBS, dtype=depth.dtype, device=depth.device)[:, None]
    allpasses = torch.tensor(_ALLPASSES, dtype=depth.dtype, device=depth.device)[:, None]
    scale = room_scale / 100 * 0.9 + 0.1
    turns = torch.ones_like(combs)
    turns[1::2] = -1
    both = []
    for amount in (0 * depth, depth):
        detuned = _STEREO * amount * turns
        exact = [
            scale * (rate * (1 / 44100)) * (combs + detuned),
            rate * (1 / 44100) * (allpasses + detuned[:4]),
        ]
        both.append(torch.floor(torch.cat(exact) + 0.5).clamp(min=1))
    return both


def _phasor(turns: Tensor, factor: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine of ``turns x factor`` turns, ``(B, n)``: whole turns go before precision does."""
    angle = factor[:, None] * turns
    angle = (angle - angle.round()).to(dtype) * (2 * math.pi)
    return angle.cos(), angle.sin()


def _network(turns: Tensor, delays: Tensor, loop: tuple[Tensor, Tensor], dtype: torch.dtype) -> Tensor:
    r"""Combs and all-passes of one channel on the grid, ``(B, size / 2 + 1)`` complex.

    With :math:`u = z^{-d}`, of length 1: a comb is :math:`1 / (u - f L)`, an all-pass
    :math:`(1.5 - u) / (u - 0.5) = (2 \cos - 1.75 - i \sin) / (1.25 - \cos)`.
    """
    real, imaginary = torch.zeros_like(loop[0]), torch.zeros_like(loop[0])
    for delay in delays[: len(_COMBS)]:
        cosine, sine = _phasor(turns, delay, dtype)
        cosine, sine = cosine.sub_(loop[0]), sine.sub_(loop[1])
        squared = torch.addcmul(cosine * cosine, sine, sine)
        real.addcdiv_(cosine, squared)
        imaginary.addcdiv_(sine, squared, value=-1)
    total = torch.complex(real, imaginary)
    for delay in delays[len(_COMBS) :]:
        cosine, sine = _phasor(turns, delay, dtype)
        below = 1.25 - cosine
        total = total * torch.complex((2 * cosine - 1.75) / below, -sine / below)
    return total


def _add_convolved(clips: Tensor, transfer: Tensor) -> Tensor:
    """Clips ``(B, T)``, and the first T samples of them convolved with responses added.

    In blocks of the response's size, so that what is computed for a clip, to the last bit, does not
    depend on how long its batch is. ``transfer`` is the spectrum of a response with as many zeros behind it.
    """
    (batch, samples), size = clips.shape, transfer.shape[1] - 1
    blocks = -(-samples // size)
    cut = F.pad(clips, (0, blocks * size - samples)).view(-1, size)
    spectrum = rfft_rows(cut, 2 * size).view(batch, blocks, -1) * transfer[:, None]
    halves = irfft_rows(spectrum.flatten(0, 1), 2 * size).view(batch, blocks, 2, size)
    late = F.pad(halves[:, :-1, 1], (0, 0, 1, 0))
    wet: Tensor = (halves[:, :, 0] + late).reshape(batch, -1)[:, :samples] + clips
    return wet
