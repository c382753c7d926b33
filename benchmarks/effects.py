"""Effects against the SoX program, soxr and the exact frequencies of tones; time and memory.

Errors are shares of full scale, unless a unit is given. The time of the program includes its process and its
reads and writes of WAV files.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
import random
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soxr
import torch
from scipy.io import wavfile

from _table import options, published, show
from rankaudio import ThirdPlaceEffects, overdrive, pitch_shift, reverb, speed, tempo

RATE = 44100


def noise(*shape: int, level: float = 0.02) -> torch.Tensor:
    return level * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def command(source: Path, target: Path, effects: list[object], channels: int = 1) -> list[str]:
    form = ["-e", "floating-point", "-b", "32", "-c", str(channels)]
    return ["sox", "-V1", "-D", str(source), *form, str(target), *map(str, effects)]


def sox(clip: torch.Tensor, *effects: object, channels: int = 1) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.wav"), Path(folder, "out.wav")
        wavfile.write(source, RATE, clip.numpy())
        subprocess.run(command(source, target, list(effects), channels), check=True)
        samples = wavfile.read(target)[1].astype(np.float64)
    return samples if samples.ndim == 1 else samples.mean(1)


def against_sox() -> None:
    clip, rows = noise(2 * RATE), []
    draw = random.Random(0)
    settings = [*itertools.product((0, 100), repeat=4)]
    settings += [tuple(draw.randint(0, 100) for _ in range(4)) for _ in range(14)]
    names = ("reverberance", "damping", "room_scale", "stereo_depth")
    for channels in (1, 2):
        errors = []
        for setting in settings:
            ours, _ = reverb(clip[None], **dict(zip(names, setting, strict=True)))
            errors.append(np.abs(ours[0].numpy() - sox(clip, "reverb", *setting, channels=channels)).max())
        rows.append(
            [f"reverb, {channels} channel(s) from SoX", f"{len(settings)} settings", f"{max(errors):.1e}"]
        )
    delayed = []
    for delay, gain in itertools.product((1.3, 20, 500), (-10, 6)):
        ours, _ = reverb(clip[None], pre_delay=delay, wet_gain=gain, stereo_depth=49)
        delayed.append(np.abs(ours[0].numpy() - sox(clip, "reverb", 50, 50, 100, 49, delay, gain)).max())
    rows.append(["reverb, pre-delay and wet gain", "6 settings", f"{max(delayed):.1e}"])
    driven = []
    for decibels, colour, level in itertools.product((1, 2, 9, 20, 60), (0, 20, 100), (0.01, 0.3, 0.95)):
        loud = noise(RATE, level=level).clamp(-0.999, 0.999)
        ours, _ = overdrive(loud[None], decibels=decibels, colour=colour)
        driven.append(np.abs(ours[0].numpy() - sox(loud, "overdrive", decibels, colour)).max())
    rows.append(["overdrive", f"{len(driven)} settings", f"{max(driven):.1e}"])
    show("Largest difference from SoX", ["effect", "settings", "error"], rows)


def tone(hz: float, samples: int = 2 * RATE) -> torch.Tensor:
    return 0.5 * torch.sin(2 * math.pi * hz / RATE * torch.arange(samples, dtype=torch.float64) + 0.3)


def decibels(samples: np.ndarray | torch.Tensor) -> float:
    return 20 * math.log10(float(np.abs(np.asarray(samples)).max()) / 0.5 + 1e-12)


def tone_errors(factor: float, play) -> tuple[float, float]:
    """Return the largest error of tones up to 15 kHz, and the largest sample of tones that would alias."""
    errors = []
    for hz in (50, 440, 3000, 8000, 12000, 15000):
        ours = play(tone(hz))[2000:-2000]
        position = torch.arange(2000, 2000 + len(ours), dtype=torch.float64) * factor
        errors.append(decibels(ours - (0.5 * torch.sin(2 * math.pi * hz / RATE * position + 0.3)).numpy()))
    nyquist = RATE / 2 / factor
    left = [decibels(play(tone(hz))[2000:-2000]) for hz in np.arange(nyquist, RATE / 2, 300)]
    return max(errors), max(left, default=-math.inf)


def speed_of_tones() -> None:
    rows = []
    for factor in (0.9, 0.95, 1.0, 1.037, 1.05, 1.1):
        players = {
            "rankaudio": lambda x, f=factor: speed(x[None].float(), factor=f)[0][0].numpy(),
            "soxr HQ": lambda x, f=factor: soxr.resample(x.float().numpy(), f, 1.0, quality="HQ"),
            "sox speed": lambda x, f=factor: sox(x.float(), "speed", f),
        }
        for who, play in players.items():
            error, alias = tone_errors(factor, play)
            left = "no aliasing" if math.isinf(alias) else f"{alias:.0f}"
            rows.append([f"{factor}", who, f"{error:.0f}", left])
    show("Speed", ["factor", "by", "error of tones, dB", "aliasing, dB"], rows)


def frequency_and_level(samples: torch.Tensor) -> tuple[float, float]:
    inner = samples.double().numpy()[6000:-6000]
    window, size = np.exp(-0.5 * np.linspace(-5, 5, len(inner)) ** 2), 1 << 19
    spectrum = np.abs(np.fft.rfft(inner * window, size))
    k = int(spectrum.argmax())
    a, b, c = np.log(spectrum[k - 1 : k + 2])
    return (k + 0.5 * (a - c) / (a - 2 * b + c)) * RATE / size, 2 * spectrum[k] / window.sum()


def pitch_and_tempo() -> None:
    tones, rows = (100, 150, 440, 1000, 3000, 5000, 8000), []
    clips = torch.stack([tone(hz) for hz in tones]).float()
    for cents in (-300, -100, -7, 0, 37, 150, 299):
        found = [frequency_and_level(row) for row in pitch_shift(clips, cents=cents)[0]]
        off = max(abs(1200 * math.log2(f / hz) - cents) for (f, _), hz in zip(found, tones, strict=True))
        level = max(abs(20 * math.log10(a / 0.5)) for _, a in found)
        rows.append([f"pitch {cents} cents", f"{off:.4f}", f"{level:.2f}", ""])
    clicks = torch.zeros(1, 4 * RATE)
    places = torch.arange(5000, 4 * RATE - 3000, 11025)
    clicks[0, places] = 0.9
    for factor in (0.8, 0.9, 1.0, 1.1, 1.25):
        found = [frequency_and_level(row) for row in tempo(clips, factor=factor)[0]]
        off = max(abs(1200 * math.log2(f / hz)) for (f, _), hz in zip(found, tones, strict=True))
        level = max(abs(20 * math.log10(a / 0.5)) for _, a in found)
        played = tempo(clicks, factor=factor)[0][0]
        loud = (played > 0.3).nonzero()[:, 0]
        groups = loud[torch.cat([torch.tensor([True]), loud.diff() > 50])]
        late = float((groups - places / factor).abs().max()) if len(groups) == len(places) else math.nan
        kept = f"{len(groups)} of {len(places)}, to {1000 * late / RATE:.1f} ms"
        rows.append([f"tempo {factor}", f"{off:.4f}", f"{level:.2f}", kept])
    show("Pitch and tempo of tones 100 Hz to 8 kHz", ["effect", "cents off", "dB off", "clicks"], rows)


def ratios() -> None:
    clip, rows = noise(4, 10 * RATE), []
    runs = {
        "speed": lambda f: speed(clip, factor=f),
        "tempo": lambda f: tempo(clip, factor=f),
        "pitch shift": lambda f: pitch_shift(clip, cents=1200 * math.log2(f)),
        "soxr HQ": lambda f: soxr.resample(clip.numpy().T, f, 1.0, quality="HQ"),
    }
    factors = (0.9, 0.95, 1.0, 1.037, 1.0571, 1.1)
    for name, run in runs.items():
        times = dict.fromkeys(factors, math.inf)
        for _, f in itertools.product(
            range(9), factors
        ):  # interleaved, so that other load affects all of them
            start = time.perf_counter()
            run(f)
            times[f] = min(times[f], time.perf_counter() - start)
        least, most = min(times.values()), max(times.values())
        rows.append([name, f"{1e3 * least / 4:.1f}", f"{1e3 * most / 4:.1f}", f"{most / least:.2f}"])
    show("Time by ratio, 0.9 to 1.1", ["effect", "quickest, ms a clip", "slowest", "ratio"], rows)


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its finished child processes."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def sox_commands(x: torch.Tensor, draw: dict[str, torch.Tensor], folder: str) -> list[list[str]]:
    """Write each clip, and return the command that applies its drawn effects."""
    commands = []
    for i, clip in enumerate(x):
        wavfile.write(Path(folder, f"{i}.wav"), RATE, clip.numpy())
        drawn = {name: value[i].item() for name, value in draw.items() if name != "chosen"}
        room = [drawn["reverberance"], 50, drawn["room_scale"], drawn["stereo_depth"]]
        names = ["reverb", *room, "pitch", drawn["cents"], "overdrive", drawn["decibels"]]
        asked = [*names, "speed", drawn["factor"]]
        commands.append(command(Path(folder, f"{i}.wav"), Path(folder, f"{i}.out.wav"), asked))
    return commands


def chain(repeats: int, clips: int = 16) -> None:
    x = noise(clips, 10 * RATE, level=0.1)
    effects = ThirdPlaceEffects(p=1.0)
    draw = effects.draw(x, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool, torch.no_grad():
        commands = sox_commands(x, draw, folder)

        def program(words: list[str]) -> None:
            subprocess.run(words, check=True)

        runs = {
            "rankaudio": lambda: effects.replay(x, draw),
            "sox, one after the other": lambda: [program(words) for words in commands],
            "sox, two at a time": lambda: list(pool.map(program, commands)),
        }
        times: dict[str, list[float]] = {who: [] for who in runs}
        used: dict[str, list[float]] = {who: [] for who in runs}
        for _ in range(repeats):  # interleaved, so that other load affects all of them
            for who, run in runs.items():
                start, cpu = time.perf_counter(), cpu_seconds()
                run()
                times[who].append(time.perf_counter() - start)
                used[who].append(cpu_seconds() - cpu)
    ours = statistics.median(times["rankaudio"])
    rows = [
        [
            who,
            f"{statistics.median(t):.2f}",
            f"{min(t):.2f}",
            f"{statistics.median(t) / ours:.2f}",
            f"{min(used[who]):.2f}",
        ]
        for who, t in times.items()
    ]
    columns = ["by", "s, median", "s, least", "time / ours", "CPU s, least"]
    show(f"Third-place effects, {clips} clips of 10 s", columns, rows)


def kilobytes(field: str) -> int:
    """Return VmRSS or VmHWM, the current and the largest memory of this process on Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def _peak(clips: int, queue: multiprocessing.Queue) -> None:
    effects = ThirdPlaceEffects(p=1.0)
    with torch.no_grad():
        effects(noise(1, RATE))
        x = noise(clips, 10 * RATE)
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before = kilobytes("VmRSS")
        effects(x)
    queue.put((kilobytes("VmHWM") - before) * 1024 / (4 * x.numel()))


def memory() -> None:
    context = multiprocessing.get_context("spawn")
    rows = []
    for clips in (16, 64):
        queue = context.Queue()
        process = context.Process(target=_peak, args=(clips, queue))
        process.start()
        rows.append([f"{clips} x 10 s", f"{queue.get():.1f}"])
        process.join()
    show("Peak memory of the third-place effects, without the input", ["clips", "times the input"], rows)


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if shutil.which("sox") is None:
        raise SystemExit("this benchmark needs the sox program")
    version = subprocess.run(["sox", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    peers = (f"numpy {np.__version__}", f"soxr {soxr.__version__}", version.replace("sox:", "").strip())
    with published(arguments.out, *peers):
        for part in arguments.only:
            PARTS[part](arguments)


PARTS = {
    "sox": lambda _: against_sox(),
    "speed": lambda _: speed_of_tones(),
    "pitch": lambda _: pitch_and_tempo(),
    "ratios": lambda _: ratios(),
    "chain": lambda arguments: chain(arguments.repeats),
    "memory": lambda _: memory(),
}

if __name__ == "__main__":
    main()
