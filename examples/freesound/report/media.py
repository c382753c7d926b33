"""Clips as pictures and as sound inside the page."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from freesound.training import SAMPLE_RATE
from rankaudio import LogMel, load_audio
from rankaudio.data import audio_info

COLUMNS, BANDS = 240, 96
FLOOR_DB = -80.0
# Of a page of ten million characters, pictures and text need less than four.
MOST_SOUND = 6_000_000
# Best first: samples per second, and seconds of each clip.
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
    """How much of each clip a page can hold."""

    sample_rate: int
    seconds: float


@dataclass(frozen=True)
class Clip:
    """A piece of a clip: spectrogram in decibels ``(F, N)``, sound as a data: address, where it is cut."""

    image: Tensor
    sound: str
    start: float
    seconds: float
    whole: float


def choose_quality(paths: Sequence[Path], *, most: int = MOST_SOUND) -> Quality:
    """Take the best quality at which all clips together stay within so many characters of base64.

    Files that cannot be read count nothing; the worst quality is taken if none is small enough.
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
    """Read the loudest piece of a clip that the quality has room for."""
    waveform = load_audio(path, sample_rate=SAMPLE_RATE)
    length = min(len(waveform), round(quality.seconds * SAMPLE_RATE))
    start = _loudest(waveform, length)
    piece = waveform[start : start + length]
    own_rate = audio_info(path).sample_rate
    rate = min(own_rate, quality.sample_rate)
    # Cut after resampling, so that the piece has no edges of the filter's making.
    sound = load_audio(path, sample_rate=rate)[round(start * rate / SAMPLE_RATE) :]
    sound = sound[: math.ceil(length * rate / SAMPLE_RATE)]
    return Clip(
        image=_decibels(piece),
        sound="data:audio/wav;base64," + base64.b64encode(_wav(sound, rate)).decode(),
        start=start / SAMPLE_RATE,
        seconds=length / SAMPLE_RATE,
        whole=len(waveform) / SAMPLE_RATE,
    )


def png(image: Tensor, *, low: float, high: float) -> str:
    """Colour a spectrogram, lowest band at the bottom, and return it as a data: address."""
    from matplotlib.image import imsave

    file = io.BytesIO()
    imsave(file, image.numpy(), vmin=low, vmax=high, cmap="magma", origin="lower", format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def colour_scale() -> str:
    """The colours of the pictures, as a CSS gradient from low to high."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return "linear-gradient(90deg," + ",".join(to_hex(colormaps["magma"](k / 8)) for k in range(9)) + ")"


def _decibels(waveform: Tensor) -> Tensor:
    """Log-mel in decibels, in as many columns as a small picture shows, however long the clip is."""
    hop = max(64, math.ceil(len(waveform) / COLUMNS))
    frontend = LogMel(sample_rate=SAMPLE_RATE, hop_length=hop, n_mels=BANDS, eps=1e-5)
    return frontend(waveform[None])[0] * (20 / math.log(10))


def _loudest(waveform: Tensor, length: int) -> int:
    """Where the piece of that length with the most energy begins."""
    energy = torch.cat([waveform.new_zeros(1, dtype=torch.double), waveform.double().square().cumsum(0)])
    return int((energy[length:] - energy[: len(energy) - length]).argmax())


def _wav(waveform: Tensor, sample_rate: int) -> bytes:
    """16-bit WAV; resampling may overshoot full scale, which is clipped."""
    from scipy.io import wavfile

    file = io.BytesIO()
    wavfile.write(file, sample_rate, (waveform.clamp(-1, 1) * 32767).round().short().numpy())
    return file.getvalue()
