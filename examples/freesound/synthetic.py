"""A small corpus of synthetic sounds in the Kaggle layout, for demonstrations and tests.

Each class is one way to make a sound. Each clip has its own pitch, tempo and level, and some noise. About a
quarter of the clips have two sounds.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import butter, lfilter, sosfilt

Wave = NDArray[np.float64]
SAMPLE_RATE = 44_100


def make_corpus(folder: Path, *, per_class: int = 12, test_per_class: int = 6, seed: int = 0) -> None:
    """Write ``train_curated``, ``test``, their label tables and ``sample_submission.csv`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    tables = {"train_curated": per_class, "test": test_per_class}
    for part, count in tables.items():
        (folder / part).mkdir(exist_ok=True)
        rows = []
        for index, name in enumerate(sorted(SOUNDS) * count):
            wave, labels = _clip(name, rng)
            fname = f"{part[:2]}{index:05d}.wav"
            wavfile.write(folder / part / fname, SAMPLE_RATE, np.round(32767 * wave).astype(np.int16))
            rows.append([fname, ",".join(labels)])
        _write(folder / f"{part}.csv", ["fname", "labels"], rows)
    zeros = [0] * len(SOUNDS)
    _write(folder / "sample_submission.csv", ["fname", *sorted(SOUNDS)], [[row[0], *zeros] for row in rows])


def _write(path: Path, header: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def _clip(name: str, rng: np.random.Generator) -> tuple[Wave, list[str]]:
    """Make a clip of 0.4 to 3 s with the sound of that name, and in one case of four with another one."""
    labels = {name}
    if rng.random() < 0.25:
        labels.add(str(rng.choice(sorted(SOUNDS))))
    seconds = float(np.exp(rng.uniform(np.log(0.4), np.log(3.0))))
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave = sum(rng.uniform(0.5, 1.0) * _levelled(SOUNDS[label](t, rng)) for label in sorted(labels))
    wave = wave + 10 ** rng.uniform(-3.0, -1.5) * rng.standard_normal(len(t))
    return rng.uniform(0.2, 0.95) * wave / np.abs(wave).max(), sorted(labels)


def _levelled(wave: Wave) -> Wave:
    return wave / (np.abs(wave).max() + 1e-9)


def _pitch(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _phase(frequency: Wave) -> Wave:
    """Return the phase of a tone whose frequency changes from sample to sample."""
    return 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE


def _band(t: Wave, rng: np.random.Generator, low: float, high: float) -> Wave:
    sos = butter(4, [low, high], "bandpass", fs=SAMPLE_RATE, output="sos")
    return sosfilt(sos, rng.standard_normal(len(t)))


def _strokes(t: Wave, rng: np.random.Generator, rate: tuple[float, float], decay: float) -> Wave:
    """Return envelopes that decay and start again at a constant rate; the first starts at 0 s."""
    period = 1 / rng.uniform(*rate)
    return np.exp(-(t % period) / decay)


def _glide(t: Wave, rng: np.random.Generator, *, up: bool) -> Wave:
    low = _pitch(rng, 300, 600)
    path = (t * rng.uniform(1.0, 2.0)) % 1.0
    return np.sin(_phase(low * 6 ** (path if up else 1 - path)))


def _bell(t: Wave, rng: np.random.Generator) -> Wave:
    base = _pitch(rng, 400, 900)
    partials = zip((0.56, 0.92, 1.19, 1.71, 2.74, 3.76), (1.0, 0.8, 0.9, 0.6, 0.5, 0.3), strict=True)
    return sum(
        level * np.sin(2 * np.pi * base * ratio * t) * np.exp(-2 * ratio * t) for ratio, level in partials
    )


def _pluck(t: Wave, rng: np.random.Generator) -> Wave:
    """Karplus-Strong synthesis: noise in a delay line with a low-pass filter."""
    delay = int(SAMPLE_RATE / _pitch(rng, 110, 330))
    burst = np.zeros(len(t))
    burst[:delay] = rng.uniform(-1, 1, min(delay, len(t)))
    loop = np.zeros(delay + 2)
    loop[0], loop[delay], loop[delay + 1] = 1.0, -0.498, -0.498
    return lfilter([1.0], loop, burst)


def _organ(t: Wave, rng: np.random.Generator) -> Wave:
    root = _pitch(rng, 130, 260)
    notes = [root * 2 ** (step / 12) for step in (0, 4, 7)]
    return sum(np.sin(2 * np.pi * note * k * t) / k for note in notes for k in (1, 2, 4, 8))


def _drum(t: Wave, rng: np.random.Generator) -> Wave:
    stroke = _strokes(t, rng, (1.5, 4.0), 0.12)
    return np.sin(_phase(_pitch(rng, 50, 90) * (1 + 2 * stroke))) * stroke


def _flute(t: Wave, rng: np.random.Generator) -> Wave:
    base = _pitch(rng, 500, 1100)
    tone = np.sin(_phase(base * (1 + 0.012 * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * t))))
    return tone + 0.15 * _levelled(_band(t, rng, base * 0.8, base * 3))


def _birdsong(t: Wave, rng: np.random.Generator) -> Wave:
    call = _strokes(t, rng, (4.0, 9.0), 0.05)
    return np.sin(_phase(_pitch(rng, 2500, 4500) * (1 + 0.6 * call))) * call


def _engine(t: Wave, rng: np.random.Generator) -> Wave:
    firing = _pitch(rng, 18, 40)
    return _band(t, rng, 60, 900) * (1 + np.sign(np.sin(2 * np.pi * firing * t)))


SOUNDS: dict[str, Callable[[Wave, np.random.Generator], Wave]] = {
    "Bell": _bell,
    "Birdsong": _birdsong,
    "Buzz": lambda t, rng: np.sign(np.sin(2 * np.pi * _pitch(rng, 90, 180) * t)),
    "Clap": lambda t, rng: _band(t, rng, 900, 3000) * _strokes(t, rng, (2.0, 5.0), 0.015),
    "Clock": lambda t, rng: _band(t, rng, 4000, 9000) * _strokes(t, rng, (6.0, 10.0), 0.003),
    "Drum": _drum,
    "Engine": _engine,
    "Falling_siren": lambda t, rng: _glide(t, rng, up=False),
    "Flute": _flute,
    "Hiss": lambda t, rng: _band(t, rng, 5000, 16000),
    "Organ": _organ,
    "Pluck": _pluck,
    "Rising_siren": lambda t, rng: _glide(t, rng, up=True),
    "Rumble": lambda t, rng: _band(t, rng, 25, 120),
    "Telephone": lambda t, rng: (
        (np.sin(2 * np.pi * 1336 * t) + np.sin(2 * np.pi * 770 * t))
        * (np.sin(2 * np.pi * rng.uniform(2.0, 4.0) * t) > 0)
    ),
    "Wind": lambda t, rng: _band(t, rng, 300, 1200) * (1.2 + np.sin(2 * np.pi * rng.uniform(0.3, 0.9) * t)),
}
