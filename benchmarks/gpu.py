"""The work of the library on a GPU, next to plain PyTorch and torchaudio.

    python benchmarks/gpu.py [--corpus DIR] [--clips 1120]

Contenders take turns. Times are medians of nine rounds, by events on the GPU, after calls that are not
counted. Batches have 20 clips of a folder, or of 0.3 to 12 s, 2.8 s in the mean. torchaudio applies one
parameter to a whole batch, so with a parameter for each clip it works clip by clip. The error is the largest
difference from float64. That of a step is the difference of the first loss. TF32 is as PyTorch has it: on for
convolutions, off for products.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _gpu_steps import training_steps
from _gpu_timing import GPU, Row, Work, both_ways, difference, rows_of
from _real_clips import batches
from _table import options, published, show
from rankaudio import (
    CNN2d,
    LogMel,
    LogSTFT,
    Tagger,
    ThirdPlaceEffects,
    lsep_loss,
    lwlrap,
    pitch_shift,
    predict,
    speed,
)
from rankaudio.resampling import resample
from training_step import CLASSES, RATE

try:
    import torchaudio
except (ImportError, OSError, RuntimeError):  # the last two with a torch that it was not built for
    torchaudio = None


def losses() -> list[Row]:
    rows = []
    for classes in (80, 527, 2000):
        scores, levels = torch.randn(64, classes, device=GPU), torch.rand(64, classes, device=GPU)
        target = (torch.rand(64, classes, device=GPU) < 0.02).float()
        kinds = {
            "LSEP": lambda x, t=target: lsep_loss(x, t),
            "LSEP, graded": lambda x, t=levels: lsep_loss(x, t, graded=True),
            "BCE with logits": lambda x, t=target: F.binary_cross_entropy_with_logits(x, t),
        }
        runs = {name: lambda f=loss, x=scores: both_ways(f, x) for name, loss in kinds.items()}
        errors = {n: difference(run(), both_ways(kinds[n], scores.double())) for n, run in runs.items()}
        rows += rows_of(f"64 x {classes:,}, forward and backward", runs, errors)
    return rows


def frontends() -> list[Row]:
    rows, wave = [], 0.1 * torch.randn(20, 10 * RATE, device=GPU)
    for name, frontend in (("log-mel", LogMel().to(GPU)), ("log-STFT", LogSTFT().to(GPU))):
        plain = plain_frontend(copy.deepcopy(frontend))
        double = copy.deepcopy(frontend).double()
        runs = {"rankaudio": frontend, "plain torch.stft": plain}
        if torchaudio and name == "log-mel":
            runs["torchaudio"] = torchaudio_mel()
        errors = {who: difference(run(wave), double(wave.double())) for who, run in runs.items()}
        forward = {who: lambda f=run: f(wave) for who, run in runs.items()}
        gradient = {who: lambda f=run: both_ways(f, wave) for who, run in runs.items()}
        rows += rows_of(f"{name}, 20 x 10 s", forward, errors)
        rows += rows_of(f"{name}, 20 x 10 s, forward and backward", gradient)
    return rows


def plain_frontend(frontend: nn.Module) -> Callable[[Tensor], Tensor]:
    def run(x: Tensor) -> Tensor:
        spectrum = torch.stft(
            x, frontend.n_fft, frontend.hop_length, window=frontend.window.to(x), return_complex=True
        ).abs()
        if hasattr(frontend, "filterbank"):
            spectrum = frontend.filterbank.to(x) @ spectrum
        return (spectrum + 1e-4).log()

    return run


def torchaudio_mel() -> Callable[[Tensor], Tensor]:
    settings = {"n_fft": 2048, "hop_length": 1024, "n_mels": 128, "f_min": 5.0, "power": 1.0}
    mel = torchaudio.transforms.MelSpectrogram(RATE, **settings, norm="slaney", mel_scale="slaney")
    mel = mel.to(GPU)
    return lambda x: (mel(x) + 1e-4).log()


def effects(arguments: argparse.Namespace) -> list[Row]:
    batch = batches(1, arguments.corpus)[0]
    waveform, lengths = (tensor.to(GPU) for tensor in batch)
    factors = 0.9 + 0.2 * torch.rand(len(lengths), device=GPU)
    cents = (600 * torch.rand(len(lengths), device=GPU) - 300).round()
    chain = ThirdPlaceEffects(p=0.75)
    rows = rows_of("effects chain, p 0.75", {"rankaudio": lambda: chain(waveform, lengths)})
    rows.append(["effects chain, p 0.75", *on_the_cpu(lambda: chain(*batch))])
    runs: dict[str, dict[str, Work]] = {
        "speed": {"rankaudio": lambda: speed(waveform, lengths, factor=factors)},
        "pitch shift": {"rankaudio": lambda: pitch_shift(waveform, lengths, cents=cents)},
    }
    if torchaudio:
        clips = [row[:n] for row, n in zip(waveform, lengths.tolist(), strict=True)]
        of_speed = [round(one, 2) for one in factors.tolist()]  # ratios with small terms
        sized = [int(one) for one in cents.tolist()]
        functional = torchaudio.functional
        runs["speed"]["torchaudio, clip by clip"] = lambda: [
            functional.speed(clip, RATE, one) for clip, one in zip(clips, of_speed, strict=True)
        ]
        runs["pitch shift"]["torchaudio, clip by clip"] = lambda: [
            functional.pitch_shift(clip, RATE, one, bins_per_octave=1200, n_fft=2048)
            for clip, one in zip(clips, sized, strict=True)
        ]
    for name, contenders in runs.items():
        rows += rows_of(name, contenders)
    return rows + resampling()


def on_the_cpu(run: Work) -> Row:
    run()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return [f"rankaudio on {torch.get_num_threads()} cores", f"{1e3 * statistics.median(times):.3g}", "", ""]


def resampling() -> list[Row]:
    wave = 0.1 * torch.randn(20, 480_000, device=GPU)
    contenders: dict[str, Work] = {"rankaudio": lambda: resample(wave, old_rate=48_000, new_rate=RATE)}
    if torchaudio:
        best = {"lowpass_filter_width": 64, "rolloff": 0.9475937167399596, "beta": 14.769656459379492}
        kaiser = torchaudio.transforms.Resample(48_000, RATE, resampling_method="sinc_interp_kaiser", **best)
        kaiser = kaiser.to(GPU)
        contenders["torchaudio, kaiser best"] = lambda: kaiser(wave)
    return rows_of("48 to 44.1 kHz, 20 x 10 s", contenders)


def metrics() -> list[Row]:
    rows = []
    for clips, classes in ((100_000, 80), (2_000, 527)):
        scores, target = torch.randn(clips, classes), torch.rand(clips, classes) < 0.02
        here = [tensor.to(GPU) for tensor in (scores, target)]
        work = f"lwlrap, {clips:,} x {classes}"
        rows += rows_of(work, {"rankaudio": lambda pair=here: lwlrap(*pair)})
        rows.append([work, *on_the_cpu(lambda pair=(scores, target): lwlrap(*pair))])
    return rows


def folds(arguments: argparse.Namespace) -> list[Row]:
    """Score clips with five networks of base depth 50, as the five folds of a member do."""
    count = arguments.clips
    some = batches(-(-count // 20), arguments.corpus)
    clips = [w[:n] for waves, lengths in some for w, n in zip(waves, lengths.tolist(), strict=True)]
    clips = (clips * -(-count // len(clips)))[:count]
    taggers = [Tagger(LogMel(), CNN2d(CLASSES)).eval().to(GPU) for _ in range(5)]
    seconds = sum(map(len, clips)) / RATE
    rows = []
    for mode, dtype in (("float32", None), ("bfloat16", torch.bfloat16)):
        with torch.autocast("cuda", dtype=dtype, enabled=dtype is not None):
            predict(taggers[0], clips[:100])
            torch.cuda.synchronize()
            start = time.perf_counter()
            for tagger in taggers:
                predict(tagger, clips)
            torch.cuda.synchronize()
        took = time.perf_counter() - start
        rows.append([mode, f"{took:.1f} s", f"{5 * seconds / took:,.0f}"])
    with torch.inference_mode():
        start = time.perf_counter()
        for clip in clips[:200]:
            taggers[0](clip[None].to(GPU))
        torch.cuda.synchronize()
    took, seconds = time.perf_counter() - start, sum(map(len, clips[:200])) / RATE
    return [*rows, ["float32, one fold, 200 clips one by one", f"{took:.1f} s", f"{seconds / took:,.0f}"]]


COLUMNS = ["", "by", "ms", "time / ours", "error"]
STEPS = "A training step of the 2d network on 20 clips as they are"
PARTS: dict[str, Callable[[argparse.Namespace], tuple[str, list[str], list[Row]]]] = {
    "losses": lambda _: ("Losses", ["", "what", "ms", "time / LSEP", "error"], losses()),
    "spectrograms": lambda _: ("Spectrograms", COLUMNS, frontends()),
    "steps": lambda given: (STEPS, COLUMNS, training_steps(given, (16, 50), ("float32", "bfloat16"))),
    "effects": lambda given: ("Effects on 20 clips as they are, and resampling", COLUMNS, effects(given)),
    "metrics": lambda _: ("Metrics", COLUMNS, metrics()),
    "folds": lambda given: (
        f"Five networks of base depth 50 score {given.clips:,} clips",
        ["", "time", "audio s per s"],
        folds(given),
    ),
    **{
        mode: lambda given, mode=mode: (STEPS, COLUMNS, training_steps(given, (16, 50), (mode,)))
        for mode in ("float32, compiled", "bfloat16, compiled", "float32, CUDA graphs")
    },
}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="take the clips of this folder")
    parser.add_argument("--clips", type=int, default=1120, help="clips that five folds score")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.part:
        return show(*PARTS[arguments.part](arguments))
    versions = [f"torchaudio {torchaudio.__version__}"] if torchaudio else []
    with published(arguments.out, *versions):
        for name in arguments.only:
            in_a_process(name, arguments)
    return None


def in_a_process(name: str, arguments: argparse.Namespace) -> None:
    """Run a part in a fresh process, because an error of a kernel leaves the GPU unusable for its process."""
    command = [sys.executable, __file__, "--part", name, "--clips", str(arguments.clips)]
    command += ["--corpus", str(arguments.corpus)] if arguments.corpus else []
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        print(f"\n{name}: {done.stderr.strip().splitlines()[-1]}")
        print(done.stderr, file=sys.stderr)


if __name__ == "__main__":
    main()
