"""An epoch of training with all augmentation, ours and written plainly with SoX for the effects.

    python benchmarks/epoch.py --data DIR [--depth 16] [--batches N] [--repeats 7] [--out FILE]

Both train the 2d network of the third-place system on the curated clips of DIR, which has the Kaggle layout.
They take the same files in the same batches of 20. Each epoch has a new random order. OR-mixup, effects and
chunk shuffle have p 0.5, 0.75 and 0.5, and the loss and optimizer are LSEP and AMSGrad Adam. The plain one
augments each clip when it is read, with one SoX process, and its network has no masks. Times are CPU seconds,
those of child processes included.
"""

from __future__ import annotations

import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from scipy.io import wavfile
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from _table import options, published, show
from effects import command, cpu_seconds
from rankaudio import (
    CNN2d,
    LogMel,
    LSEPLoss,
    ORMixup,
    ShuffleChunks,
    Tagger,
    ThirdPlaceEffects,
    mel_filterbank,
    pad_collate,
)
from rankaudio.chain import Chain
from rankaudio.data import ClipDataset, LabelTable, read_labels
from training_step import CLASSES, PlainNetwork, plain_lsep

RATE, CLIPS, CHUNK = 44_100, 20, 22_050
MIXUP, EFFECTS, SHUFFLE = 0.5, 0.75, 0.5


class Batches:
    """Batches in random order, which depends on the epoch, as in training."""

    def __init__(self, n_clips: int, n_batches: int | None) -> None:
        self.n_clips, self.n_batches, self.epoch = n_clips, n_batches, 0

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self.n_clips, generator=torch.Generator().manual_seed(self.epoch))
        yield from (batch.tolist() for batch in order.split(CLIPS)[: self.n_batches])

    def __len__(self) -> int:
        return min(-(-self.n_clips // CLIPS), self.n_batches or self.n_clips)


class PlainClips(Dataset[tuple[Tensor, Tensor]]):
    """Clips that are mixed, changed by SoX and shuffled one by one."""

    def __init__(self, paths: list[Path], target: Tensor, folder: Path) -> None:
        self.paths, self.target = paths, target
        self.source, self.result = folder / "in.wav", folder / "out.wav"

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        clip, target = self.read(index), self.target[index]
        if torch.rand(()) < MIXUP:
            partner = int(torch.randint(len(self), ()))
            clip = self.mix(clip, self.read(partner))
            target = torch.maximum(target, self.target[partner])
        if torch.rand(()) < EFFECTS:
            clip = self.by_sox(clip)
        if torch.rand(()) < SHUFFLE:
            chunks = clip.split(CHUNK)
            clip = torch.cat([chunks[k] for k in torch.randperm(len(chunks)).tolist()])
        return clip, target

    def read(self, index: int) -> Tensor:
        return torch.from_numpy(wavfile.read(self.paths[index])[1]) / 32_768

    @staticmethod
    def mix(one: Tensor, other: Tensor) -> Tensor:
        share = float(torch.empty(()).uniform_(0.4, 0.6))
        long, short = (one, other) if len(one) >= len(other) else (other, one)
        start = int(torch.randint(len(long) - len(short) + 1, ()))
        mixed = share * long
        mixed[start : start + len(short)] += (1 - share) * short
        return mixed

    def by_sox(self, clip: Tensor) -> Tensor:
        wavfile.write(self.source, RATE, clip.numpy())
        room = torch.randint(50, (3,)).tolist()
        words = ["reverb", room[0], 50, *room[1:], "pitch", int(torch.randint(-300, 300, ()))]
        words += ["overdrive", int(torch.randint(2, 10, ())), "speed", float(0.9 + 0.2 * torch.rand(()))]
        subprocess.run(command(self.source, self.result, words), check=True)
        return torch.from_numpy(wavfile.read(self.result)[1].copy())


def padded(clips: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    waveforms, targets = zip(*clips, strict=True)
    return nn.utils.rnn.pad_sequence(list(waveforms), batch_first=True), torch.stack(targets)


class PlainTagger(nn.Module):
    """Log-mel spectrogram and network without lengths."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.network = PlainNetwork(depth)
        self.register_buffer("window", torch.hann_window(2048))
        self.register_buffer("bank", mel_filterbank())

    def forward(self, waveform: Tensor) -> Tensor:
        spectrum = torch.stft(waveform, 2048, 1024, window=self.window, return_complex=True)
        return self.network((self.bank @ spectrum.abs() + 1e-4).log())


def train(network: nn.Module, losses: Iterator[Callable[[], Tensor]]) -> Iterator[float]:
    """Make one step for each loss, and yield its value."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, amsgrad=True, fused=True)
    for loss_of in losses:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of()
        loss.backward()
        optimizer.step()
        yield float(loss.detach())


def our_epoch(tagger: Tagger, loader: DataLoader, augment: Chain) -> float:
    criterion = LSEPLoss()

    def loss_of(batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        waveform, target, lengths = augment(*batch)
        return criterion(tagger(waveform, lengths), target)

    return statistics.mean(train(tagger, (lambda b=batch: loss_of(b) for batch in loader)))


def plain_epoch(tagger: PlainTagger, loader: DataLoader) -> float:
    return statistics.mean(
        train(tagger, (lambda b=batch: plain_lsep(tagger(b[0]), b[1]) for batch in loader))
    )


def contenders(
    labels: LabelTable, data: Path, depth: int, batches: Batches, work: Path
) -> dict[str, Callable]:
    """Return an epoch of each, without and with augmentation."""
    target = nn.functional.pad(labels.target.float(), (0, CLASSES - labels.target.shape[1]))
    paths = [data / "train_curated" / name for name in labels.names]
    clips = ClipDataset(paths, target, sample_rate=RATE)
    ours = DataLoader(clips, batch_sampler=batches, collate_fn=pad_collate)
    plain = DataLoader(PlainClips(paths, target, work), batch_sampler=batches, collate_fn=padded)
    parts = {
        "mixup": ORMixup(p=MIXUP),
        "effects": ThirdPlaceEffects(p=EFFECTS),
        "shuffle": ShuffleChunks(chunk_length=CHUNK, p=SHUFFLE),
    }
    tagger, plain_tagger = Tagger(LogMel(), CNN2d(CLASSES, base_depth=depth)), PlainTagger(depth)
    plain_tagger.network.load_state_dict(tagger.backbone.state_dict())
    return {
        "rankaudio": lambda: our_epoch(tagger, ours, Chain(parts)),
        "... without augmentation": lambda: our_epoch(tagger, ours, Chain({})),
        "written plainly, with SoX": lambda: plain_epoch(plain_tagger, plain),
    }


def compare(epochs: dict[str, Callable[[], float]], batches: Batches, repeats: int) -> list[list[str]]:
    used: dict[str, list[float]] = {name: [] for name in epochs}
    losses: dict[str, list[float]] = {name: [] for name in epochs}
    for batches.epoch in range(repeats):
        for name, epoch in epochs.items():
            start = cpu_seconds()
            losses[name].append(epoch())
            used[name].append(cpu_seconds() - start)
    first = next(iter(used))
    rows = []
    for name, times in used.items():
        ratio = statistics.median(a / b for a, b in zip(times, used[first], strict=True))
        rows.append([name, f"{statistics.median(times):.1f}", f"{ratio:.2f}", f"{losses[name][0]:.2f}"])
    return rows


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--depth", type=int, default=16)
    parser.add_argument("--batches", type=int, help="of the epoch; by default all")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    labels = read_labels(arguments.data / "train_curated.csv")
    with published(arguments.out, "SoX 14.4.2"), tempfile.TemporaryDirectory() as work:
        batches = Batches(len(labels.names), arguments.batches)
        epochs = contenders(labels, arguments.data, arguments.depth, batches, Path(work))
        rows = compare(epochs, batches, arguments.repeats)
        title = f"Batches of 20 real clips: {len(batches)}; base depth {arguments.depth}"
        show(title, ["", "CPU seconds", "time / ours", "loss of the first epoch"], rows)


if __name__ == "__main__":
    main()
