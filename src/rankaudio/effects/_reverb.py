"""Reverb: the Freeverb network of SoX, as one linear filter for each clip."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from rankaudio._checks import check_integer, check_number
from rankaudio.effects._base import RandomEffect, check_and_mask
from rankaudio.effects._chunks import in_chunks
from rankaudio.effects._fft import fast_size, irfft_rows, rfft_rows
from rankaudio.effects._parameters import Range, check_parameters, largest
from rankaudio.lengths import zero_beyond

LIMITS = {
    **dict.fromkeys(("reverberance", "damping", "room_scale", "stereo_depth"), (0.0, 100.0)),
    "pre_delay": (0.0, 500.0),
    "wet_gain": (-200.0, 200.0),
}

# The parameters that lengthen the impulse response.
_LENGTHENING = ("reverberance", "room_scale", "stereo_depth", "pre_delay")

# Delays in samples at 44.1 kHz.
_COMBS = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)
_ALLPASSES = (225, 341, 441, 556)
_STEREO = 12
# The feedback is 0.3 at reverberance 0 and 0.98 at 100. Its exponent is linear in the reverberance.
_A = -1 / math.log(0.7)
_B = 100 / (1 + _A * math.log(0.02))
# The impulse response ends where no repetition is above this share of the first one.
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
    r"""Add the reverberation of a room, that of ``sox reverb``, with separate parameters for each clip.

    The network has eight parallel low-pass feedback combs, then four all-passes in series (Freeverb). All of
    them are linear, so a room is one transfer function, with :math:`z = e^{-i\omega}`

    .. math::

        H(z) = 1 + 0.015\, g\, z^n \sum_{j=1}^{8} \frac{z^{d_j}}{1 - f L(z)\, z^{d_j}}
               \prod_{j=9}^{12} \Bigl(\frac{z^{d_j}}{1 - z^{d_j} / 2} - 1\Bigr), \qquad
        L(z) = \frac{1 - h}{1 - h z}

    Its impulse response is computed on a grid as long as the tail, and convolved with the clip. Stereo depth
    detunes a second channel, with delays that are alternately longer and shorter. The result is the mean of
    the two channels.

    Args:
        waveform: ``(B, T)`` floating point.
        lengths: ``(B,)`` integers, in samples; None: every clip is T long.
        reverberance: 0 to 100 %, how long the room rings: the feedback :math:`f` is 0.3 to 0.98. This and the
            next five parameters are one number for all clips, or a tensor ``(B,)``.
        damping: 0 to 100 %, how fast high frequencies decay: :math:`h` is 0.2 to 0.5.
        room_scale: 0 to 100 %, size of the room: scales the delays of the combs by 0.1 to 1.
        stereo_depth: 0 to 100 %, how far the second channel is detuned.
        pre_delay: 0 to 500 ms before the first reflection.
        wet_gain: gain of the reverberation in dB; the clip itself is added unchanged.
        sample_rate: in Hz; delays are proportional to it.
        tail: seconds of impulse response to compute; None: to -120 dB for the given parameters. Tensors are
            read for this on the CPU only. On other devices, or compiled, the longest possible tail is used.

    Returns:
        New waveform ``(B, T)``, zero after each length, and the same ``lengths``. The tail is cut at the end
        of its clip, as in SoX. Loud clips can exceed 1: nothing is clipped.

    Raises:
        TypeError: if the waveform is not floating point, lengths are not integers, or a parameter is not a
            number.
        ValueError: if shapes or devices disagree, or a value is out of range.

    Reference:
        Jezar at Dreampoint, Freeverb (2000), as in SoX 14.4.2.

    >>> wet, _ = reverb(torch.eye(1, 8000), room_scale=50.0, sample_rate=8000)
    >>> (wet[0].abs() > 1e-3).nonzero()[:3, 0]
    tensor([  0, 111, 119])
    """
    clips, real = check_and_mask(waveform, lengths)
    check_integer("sample_rate", sample_rate)
    settings = {
        "reverberance": reverberance,
        "damping": damping,
        "room_scale": room_scale,
        "stereo_depth": stereo_depth,
        "pre_delay": pre_delay,
        "wet_gain": wet_gain,
    }
    room = check_parameters(settings, LIMITS, clips)
    if tail is None:
        tail = longest_tail(**{name: largest(settings[name], LIMITS[name][1]) for name in _LENGTHENING})
    stereo = isinstance(stereo_depth, Tensor) or stereo_depth > 0
    wet = reverberate(
        clips, real, room, sample_rate=sample_rate, tail=check_number("tail", tail, 0, 3600), stereo=stereo
    )
    return wet.to(waveform.dtype), lengths


class Reverb(RandomEffect):
    """Module form of :func:`reverb`, which holds the definition; in eval mode it does nothing.

    The impulse response is as long as the ends of the ranges need. It does not depend on the draw.

    Args:
        p: probability that a clip gets the effect.
        reverberance: lowest and highest, in %. This and the next five parameters are drawn for each clip.
        damping: lowest and highest, in %.
        room_scale: lowest and highest, in %.
        stereo_depth: lowest and highest, in %.
        pre_delay: shortest and longest, in ms.
        wet_gain: lowest and highest, in dB.
        sample_rate: in Hz.

    >>> Reverb(p=1.0, sample_rate=8000)(torch.eye(2, 4000))[0].shape
    torch.Size([2, 4000])
    """

    def __init__(
        self,
        *,
        p: float = 0.5,
        reverberance: Range = (0.0, 50.0),
        damping: Range = (50.0, 50.0),
        room_scale: Range = (0.0, 50.0),
        stereo_depth: Range = (0.0, 50.0),
        pre_delay: Range = (0.0, 0.0),
        wet_gain: Range = (0.0, 0.0),
        sample_rate: int = 44100,
    ) -> None:
        ranges = {
            "reverberance": reverberance,
            "damping": damping,
            "room_scale": room_scale,
            "stereo_depth": stereo_depth,
            "pre_delay": pre_delay,
            "wet_gain": wet_gain,
        }
        super().__init__(ranges, LIMITS, p=p)
        self.sample_rate: int = check_integer("sample_rate", sample_rate)

    def _change(
        self, clips: Tensor, lengths: Tensor | None, parameters: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        tail = longest_tail(**{name: self.ranges[name][1] for name in _LENGTHENING})
        stereo = self.ranges["stereo_depth"][1] > 0
        rate = self.sample_rate
        return reverberate(clips, lengths, parameters, sample_rate=rate, tail=tail, stereo=stereo), lengths

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{super().extra_repr()}, sample_rate={self.sample_rate}"


def reverberate(
    clips: Tensor,
    lengths: Tensor | None,
    room: Mapping[str, Tensor],
    *,
    sample_rate: int,
    tail: float,
    stereo: bool = True,
) -> Tensor:
    """Apply the effect to clips that are checked and masked; ``room`` has the parameters of LIMITS."""
    size = fast_size(math.ceil(tail * sample_rate) + 1)

    def transfer(*parameters: Tensor) -> Tensor:
        named = dict(zip(LIMITS, parameters, strict=True))
        response = _impulse_response(named, size=size, rate=sample_rate, stereo=stereo, dtype=clips.dtype)
        return rfft_rows(response, 2 * size)

    with torch.no_grad():
        # Several clips at a time, because a CPU needs several times as long for a single long FFT.
        response = in_chunks(transfer, *(room[name] for name in LIMITS), samples=size)
    return zero_beyond(in_chunks(_add_convolved, clips, response), lengths)


def longest_tail(
    *, reverberance: float, room_scale: float, stereo_depth: float, pre_delay: float = 0.0
) -> float:
    """Return the seconds until the slowest comb has lost 120 dB, without damping."""
    feedback = 1 - math.exp((reverberance - _B) / (_A * _B))
    longest = _COMBS[-1] * (0.1 + 0.9 * room_scale / 100) + _STEREO * stereo_depth / 100
    rounds = math.log(_END) / math.log(feedback) + 1
    # The longest all-pass loses half of its energy every 556 samples.
    return (rounds * longest + 20 * _ALLPASSES[-1]) / 44100 + pre_delay / 1000


def _impulse_response(
    room: Mapping[str, Tensor], *, size: int, rate: int, stereo: bool, dtype: torch.dtype
) -> Tensor:
    """Compute the impulse response of the reverberation, without the clip itself, ``(B, size)``."""
    delays = _delays(room["room_scale"], room["stereo_depth"] / 100, rate)
    feedback = 1 - torch.exp((room["reverberance"] - _B) / (_A * _B))
    h = (0.2 + 0.3 * room["damping"] / 100).to(dtype)[:, None]
    # Rows fill whole vector registers, so the last bins of a clip are computed in the same way in every row.
    # A following pitch shift can enlarge a difference in the last bit a thousand times.
    bins = torch.arange(_multiple_of_64(size // 2 + 1), dtype=feedback.dtype, device=feedback.device)
    cosine, sine = _phasor(bins, torch.full_like(feedback, 1 / size), dtype)
    # f L(z) = f (1 - h) / (1 - h z), the same for all combs of a room.
    scale = feedback.to(dtype)[:, None] * (1 - h) / (1 - 2 * h * cosine + h * h)
    loop = (scale * (1 - h * cosine), -scale * h * sine)
    channels = delays if stereo else delays[:1]
    total = torch.stack([_network(bins / size, channel, loop, dtype) for channel in channels]).sum(0)
    gain = 0.015 / len(channels) * 10 ** (room["wet_gain"] / 20)
    cosine, sine = _phasor(bins / size, torch.floor(room["pre_delay"] / 1000 * rate + 0.5), dtype)
    total = total * torch.complex(cosine, -sine) * gain.to(dtype)[:, None]
    return irfft_rows(total[:, : size // 2 + 1], size)


def _multiple_of_64(count: int) -> int:
    return -(-count // 64) * 64


def _delays(room_scale: Tensor, depth: Tensor, rate: int) -> list[Tensor]:
    """Compute the delays ``(12, B)`` in samples, of the first channel and of the second, detuned channel."""
    combs = torch.tensor(_COMBS, dtype=depth.dtype, device=depth.device)[:, None]
    allpasses = torch.tensor(_ALLPASSES, dtype=depth.dtype, device=depth.device)[:, None]
    scale = room_scale / 100 * 0.9 + 0.1
    signs = torch.ones_like(combs)
    signs[1::2] = -1
    both = []
    for amount in (0 * depth, depth):
        detuned = _STEREO * amount * signs
        exact = [
            scale * (rate * (1 / 44100)) * (combs + detuned),
            rate * (1 / 44100) * (allpasses + detuned[:4]),
        ]
        both.append(torch.floor(torch.cat(exact) + 0.5).clamp(min=1))
    return both


def _phasor(turns: Tensor, factor: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Compute cosine and sine of ``turns x factor`` turns, ``(B, n)``.

    Whole turns are removed before the conversion to ``dtype``, so no precision is lost.
    """
    angle = factor[:, None] * turns
    angle = (angle - angle.round()).to(dtype) * (2 * math.pi)
    return angle.cos(), angle.sin()


def _network(turns: Tensor, delays: Tensor, loop: tuple[Tensor, Tensor], dtype: torch.dtype) -> Tensor:
    r"""Compute combs and all-passes of one channel on the grid, ``(B, size / 2 + 1)`` complex.

    With :math:`u = z^{-d}`, whose magnitude is 1: a comb is :math:`1 / (u - f L)`, an all-pass
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
        denominator = 1.25 - cosine
        total = total * torch.complex((2 * cosine - 1.75) / denominator, -sine / denominator)
    return total


def _add_convolved(clips: Tensor, transfer: Tensor) -> Tensor:
    """Add to clips ``(B, T)`` the first T samples of their convolution with the responses.

    Blocks have the size of the response, so the result of a clip does not depend on the length of its batch,
    to the last bit. ``transfer`` is the spectrum of a response that is followed by as many zeros.
    """
    (batch, samples), size = clips.shape, transfer.shape[1] - 1
    blocks = -(-samples // size)
    cut = F.pad(clips, (0, blocks * size - samples)).view(-1, size)
    spectrum = rfft_rows(cut, 2 * size).view(batch, blocks, -1) * transfer[:, None]
    halves = irfft_rows(spectrum.flatten(0, 1), 2 * size).view(batch, blocks, 2, size)
    late = F.pad(halves[:, :-1, 1], (0, 0, 1, 0))
    wet: Tensor = (halves[:, :, 0] + late).reshape(batch, -1)[:, :samples] + clips
    return wet
