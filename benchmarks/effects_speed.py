"""Time of the effects on clips of real lengths: SoX, pedalboard and soxr in the same run.

    python benchmarks/effects_speed.py [--corpus DIR] [--repeats 7] [--only chain reverb ...] [--out FILE]

All take turns on the same batches of 20 clips in random order, with the same clips chosen at p 0.75 and the
same parameters. Times are CPU seconds, those of child processes included. SoX runs one process a clip and
reads and writes its files. The libraries change one clip after the other, and fill a padded batch as ours
does. A ratio is the median of the ratios of neighbours.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pedalboard
import soxr
import torch
from scipy.io import wavfile

from _real_clips import RATE, Batch, batches, mean_seconds
from _table import options, published, show
from effects import command, cpu_seconds, tone_errors
from rankaudio.augmentation import Draw
from rankaudio.effects import Gain, Overdrive, Reverb, Speed, ThirdPlaceEffects, speed
from rankaudio.effects._base import RandomEffect


def room_words(drawn: dict[str, float]) -> list[object]:
    return ["reverb", drawn["reverberance"], 50, drawn["room_scale"], drawn["stereo_depth"]]


ROOM = dict.fromkeys(("reverberance", "room_scale", "stereo_depth"), (0.0, 49.0))
EFFECTS: dict[str, RandomEffect] = {
    "chain": ThirdPlaceEffects(p=0.75),
    "reverb": Reverb(p=0.75, **ROOM),
    "overdrive": Overdrive(p=0.75),
    "speed": Speed(p=0.75),
    "gain": Gain(p=0.75),
}
SOX = {
    "chain": lambda d: [
        *(*room_words(d), "pitch", d["cents"], "overdrive", d["decibels"], "speed", d["factor"]),
    ],
    "reverb": room_words,
    "overdrive": lambda d: ["overdrive", d["decibels"], d["colour"]],
    "speed": lambda d: ["speed", d["factor"]],
    "gain": lambda d: ["gain", d["decibels"]],
}


def chosen_clips(data: list[Batch], draws: list[Draw]) -> list[tuple[np.ndarray, dict[str, float]]]:
    """Return each clip that gets the effect, without padding, and its parameters."""
    found = []
    for (waveform, lengths), draw in zip(data, draws, strict=True):
        for row in draw["chosen"].nonzero().flatten().tolist():
            values = {name: value[row].item() for name, value in draw.items()}
            found.append((waveform[row, : lengths[row]].numpy(), values))
    return found


def by_sox(name: str, clips: list[tuple[np.ndarray, dict[str, float]]], folder: Path) -> list[list[str]]:
    """Write the clips, and return the command of each."""
    commands = []
    for k, (clip, drawn) in enumerate(clips):
        source = folder / f"{name}{k}.wav"
        wavfile.write(source, RATE, clip)
        commands.append(command(source, folder / f"{name}{k}.out.wav", SOX[name](drawn)))
    return commands


def by_library(name: str, clip: np.ndarray, drawn: dict[str, float]) -> np.ndarray:
    if name == "speed":
        return soxr.resample(clip, drawn["factor"], 1.0, quality="HQ")
    if name == "gain":
        return pedalboard.Gain(drawn["decibels"])(clip, RATE)
    room, damping = drawn["room_scale"] / 100, drawn["damping"] / 100
    return pedalboard.Reverb(room, damping, wet_level=0.3, dry_level=0.7)(clip, RATE)


def fill_batch(name: str, batch: Batch, draw: Draw, size: int) -> np.ndarray:
    """Return a padded batch of ``size`` samples, changed by the library clip by clip."""
    waveform, lengths = batch
    result = np.zeros((len(waveform), size), np.float32)
    for row, (end, chosen) in enumerate(zip(lengths.tolist(), draw["chosen"].tolist(), strict=True)):
        clip = waveform[row, :end].numpy()
        if chosen:
            clip = by_library(name, clip, {key: value[row].item() for key, value in draw.items()})
        result[row, : len(clip)] = clip
    return result


LIBRARIES = {"reverb": "pedalboard", "speed": "soxr HQ", "gain": "pedalboard"}


def turns(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    used: dict[str, list[float]] = {who: [] for who in runs}
    for _ in range(repeats):
        for who, run in runs.items():
            start = cpu_seconds()
            run()
            used[who].append(cpu_seconds() - start)
    return used


def error_of(name: str, data: list[Batch], draws: list[Draw], folder: Path) -> str:
    """Return the largest difference from the program's files, or for ``speed`` of tones, in dB."""
    if name == "chain":
        return "see reverb, overdrive"  # the program shifts the pitch by another method
    if name == "speed":
        worst = max(tone_errors(f, lambda x, f=f: _played(x, f))[0] for f in (0.9, 1.037, 1.1))
        return f"{worst:.0f} dB"
    rows = [
        changed[row, : lengths[row]].clamp(-1, 1).numpy()  # SoX clips
        for (waveform, lengths), draw in zip(data, draws, strict=True)
        for changed in [EFFECTS[name].replay(waveform, draw, lengths)[0]]
        for row in draw["chosen"].nonzero().flatten().tolist()
    ]
    theirs = [wavfile.read(folder / f"{name}{k}.out.wav")[1] for k in range(len(rows))]
    return f"{max(np.abs(a - b).max() for a, b in zip(rows, theirs, strict=True)):.0e}"


def _played(clip: torch.Tensor, factor: float) -> np.ndarray:
    return speed(clip[None].float(), factor=factor)[0][0].numpy()


def compare(name: str, data: list[Batch], repeats: int, folder: Path) -> list[list[str]]:
    """Time one effect, and return a row of the table for each peer."""
    effect, generator = EFFECTS[name], torch.Generator().manual_seed(0)
    draws = [effect.draw(*batch, generator=generator) for batch in data]
    clips = chosen_clips(data, draws)
    commands = by_sox(name, clips, folder)

    def ours() -> None:
        for (waveform, lengths), draw in zip(data, draws, strict=True):
            effect.replay(waveform, draw, lengths)

    runs: dict[str, Callable[[], object]] = {
        "ours": ours,
        "SoX": lambda: [subprocess.run(words, check=True) for words in commands],
    }
    if name in LIBRARIES:
        sizes = [
            effect.replay(waveform, draw, lengths)[0].shape[1]
            for (waveform, lengths), draw in zip(data, draws, strict=True)
        ]
        runs[LIBRARIES[name]] = lambda: [
            fill_batch(name, *each) for each in zip(data, draws, sizes, strict=True)
        ]
    used = turns(runs, repeats)
    error, rows = error_of(name, data, draws, folder), []
    for who in list(runs)[1:]:
        ratio = statistics.median(p / o for p, o in zip(used[who], used["ours"], strict=True))
        ms = [f"{1e3 * statistics.median(used[w]) / len(data):.1f}" for w in ("ours", who)]
        rows.append([name, *ms, who, f"{ratio:.2f}", error])
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--corpus", type=Path, help="a folder of WAV files; without it, clips are drawn")
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=list(EFFECTS), default=list(EFFECTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if shutil.which("sox") is None:
        raise SystemExit("this benchmark needs the sox program")
    data = batches(arguments.batches, arguments.corpus)
    peers = (f"pedalboard {pedalboard.__version__}", f"soxr {soxr.__version__}", "SoX 14.4.2")
    with published(arguments.out, *peers), tempfile.TemporaryDirectory() as folder, torch.no_grad():
        rows = []
        for name in arguments.only:
            rows += compare(name, data, arguments.repeats, Path(folder))
        columns = ["effect", "ours, ms a batch", "peer, ms", "peer", "peer / ours", "error of ours"]
        show(f"Batches of 20 clips, {mean_seconds(data):.1f} s in the mean, p 0.75", columns, rows)


if __name__ == "__main__":
    main()
