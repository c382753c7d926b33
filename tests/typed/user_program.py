"""A program of a user, with every part of the library: `make types` checks its types.

It annotates results wherever a reader might doubt their types. A signature with a wider or another type is
therefore an error here. tests/test_typed.py also runs it.
"""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

import rankaudio
from rankaudio import (
    Augmentation,
    Chain,
    ClipDataset,
    CNN1d,
    CNN2d,
    LengthBucketSampler,
    LogMel,
    LogSTFT,
    LSEPLoss,
    Lwlrap,
    Mixer,
    ORMixup,
    RandomMixer,
    Reverb,
    ShuffleChunks,
    SigmoidConcatMixup,
    SpecAugment,
    Tagger,
    ThirdPlaceEffects,
    WeightedMixup,
    pad_collate,
)
from rankaudio.chain import OneOf
from rankaudio.data import (
    Batch,
    FoldBalance,
    LabelTable,
    ScoreTable,
    audio_info,
    fold_balance,
    read_labels,
    read_scores,
    write_scores,
)
from rankaudio.decisions import Calibration, fit_calibration, fit_thresholds
from rankaudio.effects import AddNoise
from rankaudio.ensemble import BlendFit, blend, blend_tables, fit_blend_weights, stack_tables
from rankaudio.events import Event, events, write_audacity, write_events, write_raven
from rankaudio.inference import FramewiseTagger, Stream, StreamScores, WindowScores, score_stream
from rankaudio.losses import Reduction
from rankaudio.metrics import (
    Average,
    AveragePrecision,
    ClassAveragePrecision,
    ClassF1,
    ClassLwlrap,
    ClassRoc,
    Interval,
    average_precision,
    bootstrap,
    d_prime,
    f1,
    paired_test,
    roc_auc,
)
from rankaudio.noisy import (
    LabelQuality,
    RelabelMode,
    label_agreement,
    label_quality,
    label_threshold,
    relabel,
    select_agreeing,
)

CLASSES = ("Bark", "Meow", "Purr")
RATE = 8000


class Settings:
    """Settings of the program; literals keep their types."""

    reduction: Reduction = "mean"
    average: Average = "macro"
    modes: tuple[RelabelMode, ...] = ("all", "match")


class Louder(Augmentation):
    """An augmentation that the user wrote."""

    def draw(
        self, clips: Tensor, lengths: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        del lengths
        return {"factor": 1 + torch.rand(clips.shape[0], generator=generator)}

    def replay(
        self, clips: Tensor, draw: dict[str, Tensor], lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        return clips * draw["factor"][:, None], lengths


class WithMyHead(nn.Module):
    """A network that the user built around one of ours."""

    def __init__(self, backbone: CNN2d) -> None:
        super().__init__()
        self.backbone = backbone
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, spectrogram: Tensor, lengths: Tensor | None = None) -> Tensor:
        scores: Tensor = self.backbone(spectrogram, lengths)
        return self.scale * scores


def losses_and_metrics(scores: Tensor, target: Tensor) -> float:
    loss: Tensor = rankaudio.lsep_loss(scores, target, reduction=Settings.reduction)
    criterion: Callable[[Tensor, Tensor], Tensor] = LSEPLoss(graded=True)
    loss = loss + criterion(scores, target.float())
    loss.backward()  # type: ignore[no-untyped-call]  # PyTorch's method
    value: Tensor = rankaudio.lwlrap(scores, target, average=Settings.average)
    each: ClassLwlrap = rankaudio.lwlrap(scores, target, average=None)
    array: NDArray[np.float64] = np.asarray(scores.detach().double())
    again: Tensor = rankaudio.lwlrap(array, target.numpy(), mask=np.ones((4, 3), dtype=bool))
    metric = Lwlrap(len(CLASSES)).to("cpu")
    metric.update(scores.detach(), target)
    state: dict[str, Tensor] = metric.state_dict()
    metric.load_state_dict(state)
    result: Tensor | ClassLwlrap = metric.compute()
    if isinstance(result, ClassLwlrap):
        raise TypeError
    return float(value) + float(again) + each.support.sum().item() + result.item()


def classwise_metrics(scores: Tensor, target: Tensor) -> float:
    mean: Tensor = average_precision(scores, target)
    each: ClassAveragePrecision = average_precision(scores, target, average=None)
    area: ClassRoc = roc_auc(scores, target, average=None)
    figures: ClassF1 = f1(scores, target, thresholds=0.0, average=None)
    micro: Tensor = f1(scores, target, thresholds=torch.zeros(3), average="micro")
    interval: Interval = bootstrap(scores, target, metric="average_precision", resamples=10)
    p_value: float = paired_test(scores, -scores, target, resamples=10).p_value
    metric = AveragePrecision(len(CLASSES))
    metric.update(scores, target)
    sums = each.support + area.support + figures.support
    return float(mean + micro + sums.sum() + d_prime(scores, target)) + interval.low + p_value


def decisions(tagger: Tagger, scores: Tensor, target: Tensor) -> Tensor:
    thresholds: Tensor = fit_thresholds(scores, target, recall=0.5).thresholds
    calibration: Calibration = fit_calibration(scores, target).calibration
    tagger.set_decisions(thresholds=thresholds, calibration=calibration)
    probabilities: Tensor = tagger.probabilities(scores)
    kept: Tensor | None = tagger.thresholds
    decided: Tensor = tagger.decide(scores)
    return decided & (probabilities > 0) if kept is not None else decided


def stream_of_sound(tagger: Tagger, blocks: list[Tensor]) -> float:
    stream = Stream(tagger, window=1.0, hop=0.5, latency=10.0)
    for block in blocks:
        soon: StreamScores = stream.push(block)
        events(soon.windows, 0.0)
    end: StreamScores = stream.finish()
    scores, windows, seconds = score_stream(tagger, blocks, window=1.0)
    same: Tensor = scores - end.scores + windows.scores.sum()
    return float(same.sum()) + seconds + stream.latency + stream.step_seconds + stream.sample_rate


def events_over_time(tagger: Tagger, waveform: Tensor, folder: Path) -> list[Event]:
    framewise = FramewiseTagger(tagger.eval(), context=0.1)
    steps: Tensor = framewise(waveform[None]).detach()
    windows: WindowScores = framewise.score(waveform)
    others: WindowScores = rankaudio.predict_long(tagger, waveform, window=0.1, hop=0.05)
    times: Tensor = torch.cat([windows.starts, others.ends])
    found: list[Event] = events(windows, [float(steps.max()), 0.0, 0.0], min_gap=0.1, classes=CLASSES)
    write_events(folder / "events.csv", {"a.wav": found})
    write_audacity(folder / "labels.txt", found)
    write_raven(folder / "selections.txt", found, f_max=RATE / 2)
    seconds: float = sum(event.end - event.start for event in found) + float(times.sum())
    return found if seconds else []


def frontends(waveform: Tensor, lengths: Tensor) -> list[Tensor]:
    mel: Tensor = rankaudio.log_mel(waveform, lengths, sample_rate=RATE, n_fft=256, hop_length=128, n_mels=32)
    stft: Tensor = rankaudio.log_stft(waveform, n_fft=64, hop_length=32)
    encoded: Tensor = rankaudio.frequency_encoding(mel)
    slopes: Tensor = rankaudio.deltas(mel, width=3)
    frontend = LogMel.from_descriptor("mel_256_128_32", sample_rate=RATE)
    name: str = frontend.descriptor
    settings: dict[str, int | float | str | None] = frontend.settings()
    frames: Tensor = frontend.frame_lengths(lengths)
    bands: Tensor = rankaudio.mel_filterbank(n_fft=256, n_mels=32, sample_rate=RATE, f_min=20.0)
    if name != f"mel_{settings['n_fft']}_128_32" or bands.shape[1] != 129:
        raise ValueError(name)
    return [mel, stft, encoded, slopes, frames, rankaudio.power_to_db(mel.exp())]


def augment(waveform: Tensor, target: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    parts: dict[str, Augmentation | Mixer] = {
        "louder": Louder(),
        "shuffle": ShuffleChunks(chunk_length=400),
        "reverb": Reverb(p=0.5, reverberance=(0.0, 20.0), sample_rate=1000),
        "mixup": ORMixup(p=0.5, gain=(0.4, 0.6)),
    }
    chain = Chain(parts)
    generator = torch.Generator().manual_seed(0)
    x, y, new, record = chain.record(waveform, target, lengths, generator=generator)
    one: dict[str, dict[str, Tensor]] = Chain.example(record, 0)
    if "louder" not in one:
        raise ValueError(one)
    x, y, new = chain.replay(waveform, target, record, lengths)
    louder, new = rankaudio.gain(x, new, decibels=torch.tensor([3.0, -3.0, 0.0, 1.0]))
    faster, _ = rankaudio.speed(louder, factor=1.05)
    shifted, _ = rankaudio.pitch_shift(faster, cents=30, n_fft=96)
    mixed, y, new = rankaudio.or_mixup(shifted, y, p=1.0, generator=generator)
    effects = ThirdPlaceEffects(p=0.5, sample_rate=1000, n_fft=96)
    drawn: dict[str, Tensor] = effects.draw(mixed, generator=generator)
    changed, new = effects.replay(mixed, drawn, new)
    return changed, y, new


def mix_spectrograms(spectrogram: Tensor, target: Tensor) -> Tensor:
    mixer = RandomMixer([(SigmoidConcatMixup(p=1.0), 0.5), (WeightedMixup(p=1.0, alpha=0.3), 0.5)])
    mixed, _, _ = mixer(spectrogram, target)
    masked, _ = SpecAugment(fill="mean")(mixed)
    result: Tensor = masked
    return result


def files(folder: Path) -> LabelTable:
    for number, name in enumerate(("a.wav", "b.wav", "c.wav", "d.wav")):
        noise = (1000 * torch.randn(1000 + 300 * number)).short()
        with wave.open(str(folder / name), "wb") as file:
            file.setparams((1, 2, RATE, len(noise), "NONE", ""))
            file.writeframes(noise.numpy().tobytes())
    labels = 'fname,labels\na.wav,Bark\nb.wav,"Meow,Purr"\nc.wav,Purr\nd.wav,Bark\n'
    (folder / "train.csv").write_text(labels, encoding="utf-8")
    table: LabelTable = read_labels(folder / "train.csv", classes=CLASSES)
    frames, rate, channels = audio_info(folder / "a.wav")
    if (frames, rate, channels) != (1000, RATE, 1):
        raise ValueError(frames)
    return table.select(table.names)


def train(folder: Path, table: LabelTable) -> Tagger:
    frontend = LogMel(sample_rate=RATE, n_fft=256, hop_length=128, n_mels=32)
    tagger = Tagger(frontend, CNN2d(len(CLASSES), base_depth=4, n_blocks=2), classes=CLASSES)
    optimizer = torch.optim.Adam(tagger.parameters(), amsgrad=True)
    folds: Tensor = rankaudio.multilabel_folds(table.target, n_folds=2, groups=table.names)
    balance: FoldBalance = fold_balance(table.target, folds)
    if balance.largest_deviation > len(table):
        raise ValueError(balance)
    dataset = ClipDataset.from_table(folder, table, sample_rate=RATE, max_seconds=1.0, crop="start")
    in_memory = ClipDataset([(folder / name).read_bytes() for name in table.names], names=table.names)
    noise = OneOf([AddNoise(noise=in_memory), AddNoise(noise=[torch.ones(9)]), AddNoise(noise="pink")])
    noise(torch.zeros(2, 90))
    weights: list[float] = [1.0] * len(dataset)
    sampler = LengthBucketSampler(dataset.lengths, max_samples=4000, weights=weights, seed=int(folds[0]))
    loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=pad_collate)
    batches: Iterator[Batch] = iter(loader)
    for batch in batches:
        if batch.target is None:
            raise ValueError(batch)
        loss: Tensor = LSEPLoss()(tagger(batch.waveform, batch.lengths), batch.target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    tagger.save(folder / "model.pt")
    loaded: Tagger = Tagger.load(folder / "model.pt", device="cpu")
    classes: tuple[str, ...] = loaded.classes
    sample_rate: int | None = loaded.sample_rate
    if (classes, sample_rate) != (CLASSES, RATE):
        raise ValueError(classes)
    return loaded


def scores_of(tagger: Tagger, folder: Path, table: LabelTable) -> ScoreTable:
    dataset = ClipDataset([folder / name for name in table.names], sample_rate=RATE)
    failed: list[str] = []

    def note(index: int, error: Exception) -> None:
        failed.append(f"{table.names[index]}: {error}")

    found: Tensor = rankaudio.predict(tagger, dataset, on_error=note, progress=lambda done, of: None)
    write_scores(folder / "scores.csv", ScoreTable(table.names, tagger.classes, found))
    return read_scores(folder / "scores.csv")


def noisy(scores: ScoreTable, table: LabelTable) -> list[LabelTable]:
    agreement: Tensor = label_agreement(scores.scores, table.target)
    rows: list[int] = select_agreeing(scores.scores, table.target, k=2, balanced=True).tolist()
    cut: Tensor = label_threshold(scores.scores, mean_labels=1.2)
    chosen = table.select([table.names[row] for row in rows])
    tables = [relabel(table, scores, mode=mode, mean_labels=1.2) for mode in Settings.modes]
    quality: LabelQuality = label_quality(chosen, table)
    share: float = quality.clip_precision
    if not 0 <= share <= 1 or agreement.ndim != 1 or cut.ndim != 0:
        raise ValueError(share)
    return [chosen, *tables]


def ensemble(scores: ScoreTable, target: Tensor) -> tuple[Tensor, BlendFit]:
    members = [scores.scores, scores.scores.flip(0)]
    mixed: Tensor = blend(members, weights=[0.7, 0.3], method="rank")
    table: ScoreTable = blend_tables([scores, scores.select(scores.names[:2])])
    stacked = stack_tables([scores, table])
    fit: BlendFit = fit_blend_weights(stacked.scores, target, present=stacked.present, n_folds=2)
    weights: list[float] = fit.weights.tolist()
    if len(weights) != 2 or not isinstance(fit.nested, float):
        raise ValueError(weights)
    return mixed, fit


def main(folder: Path) -> None:
    torch.manual_seed(0)
    waveform, lengths = 0.1 * torch.randn(4, 2000), torch.tensor([2000, 1500, 900, 300])
    target = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 1], [1, 0, 0]])
    mask: Tensor = rankaudio.length_mask(lengths, 2000)
    mel, stft, *_ = frontends(waveform * mask, lengths)
    network = WithMyHead(CNN2d(len(CLASSES), base_depth=4, n_blocks=2))
    losses_and_metrics(network(mel), target)
    raw = network(mel).detach()
    classwise_metrics(raw, target)
    decisions(Tagger(LogMel(), CNN2d(len(CLASSES), base_depth=4)), raw, target)
    mel_of_rate = LogMel(sample_rate=RATE, n_fft=256, hop_length=128, n_mels=32)
    stream_of_sound(Tagger(mel_of_rate, CNN2d(len(CLASSES), base_depth=4)), [waveform[0]])
    events_over_time(Tagger(mel_of_rate, CNN2d(len(CLASSES), base_depth=4)), waveform[0], folder)
    CNN1d(len(CLASSES), n_bins=33, base_depth=4, n_blocks=2)(stft)
    Tagger(LogSTFT(n_fft=64, hop_length=32), network.backbone)
    augment(waveform, target.float(), lengths)
    mix_spectrograms(mel, target.float())
    table = files(folder)
    scores = scores_of(train(folder, table), folder, table)
    noisy(scores, table)
    ensemble(scores, table.target)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        main(Path(place))
