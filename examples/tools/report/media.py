"""Clips as pictures and sounds inside the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rankaudio import LogMel, load_audio
from rankaudio.data import audio_info

SAMPLE_RATE = 44_100  # of the spectrograms
COLUMNS, BANDS = 240, 96
FLOOR_DB = -80.0
# A page has at most ten million characters, and pictures and text need less than four million.
MAX_SOUND = 6_000_000
# Samples per second and seconds of each clip, best first.
QUALITIES = [
    (44_100, 10.0),
    (22_050, 10.0),
    (22_050, 5.0),
    (16_000, 5.0),
    (16_000, 3.0),
    (8_000, 3.0),
    (8_000, 1.0),
]


@dataclass(frozen=True)
class Quality:
    """The sound quality of all clips of a page."""

    sample_rate: int
    seconds: float


@dataclass(frozen=True)
class Clip:
    """An excerpt of a clip.

    Args:
        image: spectrogram ``(F, N)`` in decibels.
        sound: the sound as a ``data:`` address.
        start: start of the excerpt in seconds.
        seconds: length of the excerpt.
        whole: length of the clip in seconds.
    """

    image: Tensor
    sound: str
    start: float
    seconds: float
    whole: float


def choose_quality(paths: Sequence[Path], *, most: int = MAX_SOUND) -> Quality:
    """Choose the best quality at which the base64 text of all clips has at most ``most`` characters.

    Files that cannot be read count as zero. If no quality is small enough, the lowest is used.
    """
    seconds = []
    for path in paths:
        try:
            info = audio_info(path)
        except (OSError, ValueError, ImportError):
            continue
        seconds.append(info.frames / info.sample_rate)
    for rate, longest in QUALITIES:
        if sum(math.ceil(min(s, longest) * rate) * 2 + 44 for s in seconds) * 4 / 3 <= most:
            break
    return Quality(rate, longest)


def read_clip(path: Path, quality: Quality) -> Clip:
    """Read the loudest excerpt of a clip, of the length that the quality allows."""
    waveform = load_audio(path, sample_rate=SAMPLE_RATE)
    length = min(len(waveform), round(quality.seconds * SAMPLE_RATE))
    start = _loudest(waveform, length)
    excerpt = waveform[start : start + length]
    own_rate = audio_info(path).sample_rate
    rate = min(own_rate, quality.sample_rate)
    # Cut after resampling, because the filter would add artefacts at the ends of an excerpt.
    sound = load_audio(path, sample_rate=rate)[round(start * rate / SAMPLE_RATE) :]
    sound = sound[: math.ceil(length * rate / SAMPLE_RATE)]
    return Clip(
        image=_decibels(excerpt),
        sound="data:audio/wav;base64," + base64.b64encode(_wav(sound, rate)).decode(),
        start=start / SAMPLE_RATE,
        seconds=length / SAMPLE_RATE,
        whole=len(waveform) / SAMPLE_RATE,
    )


def png(image: Tensor, *, low: float, high: float) -> str:
    """Colour a spectrogram with the lowest band at the bottom, and return it as a ``data:`` address."""
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, image.numpy(), vmin=low, vmax=high, cmap="magma", origin="lower", format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def colour_scale() -> str:
    """Return the colours of the pictures as a CSS gradient from low to high."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return "linear-gradient(90deg," + ",".join(to_hex(colormaps["magma"](k / 8)) for k in range(9)) + ")"


def _decibels(waveform: Tensor) -> Tensor:
    """Compute a log-mel spectrogram in decibels, with about ``COLUMNS`` frames for a clip of any length."""
    hop = max(64, math.ceil(len(waveform) / COLUMNS))
    frontend = LogMel(sample_rate=SAMPLE_RATE, hop_length=hop, n_mels=BANDS, eps=1e-5)
    return frontend(waveform[None])[0] * (20 / math.log(10))


def _loudest(waveform: Tensor, length: int) -> int:
    """Return the start of the excerpt with the most energy."""
    energy = torch.cat([waveform.new_zeros(1, dtype=torch.double), waveform.double().square().cumsum(0)])
    return int((energy[length:] - energy[: len(energy) - length]).argmax())


def _wav(waveform: Tensor, sample_rate: int) -> bytes:
    """Encode 16-bit WAV. Values over full scale, which resampling may cause, are clipped."""
    from scipy.io import wavfile

    file = io.BytesIO()
    wavfile.write(file, sample_rate, (waveform.clamp(-1, 1) * 32767).round().short().numpy())
    return file.getvalue()
