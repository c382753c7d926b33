"""Time and latency of a stream next to the whole recording at once, and next to windows that are cut off.

The networks are those of the third-place system with their default settings. Their weights are random, and
their running statistics come from noise. All ways score the same 60 seconds, in turns, on one thread. The
time is the median of processor time. The error is the largest difference to the scores of the whole.

    python benchmarks/streams.py [--turns 7] [--seconds 60]
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from _table import options, published, show
from rankaudio import CNN1d, CNN2d, LogMel, LogSTFT, Tagger, predict_long
from rankaudio.inference import Stream

RATE = 44_100
LATENCIES = (1.0, 3.0, 5.0, 10.0, 30.0)
# Samples of a block, as a sound card gives them.
BLOCK = 1024


def used_tagger(frontend: nn.Module, network: nn.Module) -> Tagger:
    """Return a tagger whose running statistics come from noise of several loudnesses."""
    tagger = Tagger(frontend, network)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(5):
            waveform = torch.randn(4, 2 * RATE, generator=generator)
            tagger(waveform * torch.rand(4, 1, generator=generator))
    return tagger.eval()


def at_once(tagger: Tagger, waveform: Tensor) -> Tensor:
    with torch.inference_mode():
        return tagger(waveform[None])[0]


def in_windows(tagger: Tagger, waveform: Tensor) -> Tensor:
    return predict_long(tagger, waveform, window=10.0, hop=10.0).scores.amax(0)


def streamed(tagger: Tagger, waveform: Tensor, latency: float | None) -> Tensor:
    stream = Stream(tagger, latency=latency)
    for block in waveform.split(BLOCK):
        stream.push(block)
    return stream.finish().scores


def processor_time(run: Callable[[], Tensor]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def measure(tagger: Tagger, waveform: Tensor, turns: int) -> list[list[str]]:
    least = Stream(tagger).latency
    latencies = [None, *(each for each in LATENCIES if each > 1.2 * least)]
    ways = {"the whole at once": functools.partial(at_once, tagger, waveform)}
    ways["predict_long, windows of 10 s"] = functools.partial(in_windows, tagger, waveform)
    for latency in latencies:
        real = Stream(tagger, latency=latency).latency
        name = f"Stream, latency {real:.2f} s{', the least' if latency is None else ''}"
        ways[name] = functools.partial(streamed, tagger, waveform, latency)
    whole = ways["the whole at once"]()
    errors = {name: float((run() - whole).abs().max()) for name, run in ways.items()}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, run in ways.items():
            times[name].append(processor_time(run))
    seconds = {name: statistics.median(each) for name, each in times.items()}
    first, length = seconds["the whole at once"], len(waveform) / RATE
    return [
        [name, f"{took:.2f} s", f"{took / first:.2f}", f"{length / took:.0f}", f"{errors[name]:.1g}"]
        for name, took in seconds.items()
    ]


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=60, help="length of the recording")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    noise = 0.1 * torch.randn(arguments.seconds * RATE)
    columns = ["way", "time", "of the whole", "times as fast as the sound", "largest error"]
    taggers = {
        "CNN2d with LogMel": used_tagger(LogMel(), CNN2d(80)),
        "CNN1d with LogSTFT": used_tagger(LogSTFT(), CNN1d(80)),
    }
    with published(arguments.out):
        for title, each in taggers.items():
            rows = measure(each, noise, arguments.turns)
            show(f"{title}, {arguments.seconds} s of noise in blocks of {BLOCK} samples", columns, rows)
