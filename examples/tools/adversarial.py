"""Measure how well two folders of clips can be distinguished, and by which clips (adversarial validation).

A logistic regression predicts from the features of a clip which folder the clip is from, across folds.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # examples/, for `tools` and `freesound`

from freesound.distributed import local_device
from freesound.options import integer_from_one
from freesound.progress import log, progress_bar
from freesound.state import Run
from rankaudio import ClipDataset, LogMel, Tagger, length_mask, predict
from rankaudio.data import read_scores, write_text
from rankaudio.data._audio_folder import AudioFolder, find_audio
from rankaudio.data._file_names import NameIndex
from tools._program import new_parser, require, run
from tools._two_sample_test import Predictions, auc_with_interval, cross_validate

DESCRIPTION = """\
Print how well the clips of two folders can be distinguished (AUC), and which clips look most and least like
those of the other folder. Write the probability of each clip to a table.

  python examples/tools/adversarial.py --data DIR
"""
SAMPLE_RATE = 44_100  # of log-mel features; a run has its own rate


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    run(build_parser(), compare, argv)


def compare(args: argparse.Namespace) -> None:
    """Compare the folders, print the result, and write the table."""
    require("sklearn")
    if args.train == args.test:
        raise ValueError(f"--train, --test: wanted two folders, got {args.train} twice")
    train, test = (list_clips(args, part) for part in (args.train, args.test))
    folder_of = {path: folder for folder in (train, test) for path in folder.paths}
    reader = FeatureReader(workers=args.workers, errors=train.unreadable | test.unreadable)
    predictions: list[Predictions] = []
    probabilities: dict[Path, list[float]] = {}
    for module, sample_rate, first in feature_modules(args, train):
        first_read, first_features = reader.read(module, first, sample_rate=sample_rate)
        second_read, second_features = reader.read(module, test.paths, sample_rate=sample_rate)
        try:
            predictions.append(cross_validate(first_features, second_features, seed=args.seed))
        except ValueError as error:
            # Unreadable files may be the reason for too few clips.
            why = "".join(f"\n  {one}" for one in reader.errors.values())
            raise ValueError(f"{args.train} and {args.test} cannot be compared: {error}{why}") from error
        values = predictions[-1].probability.tolist()
        for path, value in zip(first_read + second_read, values, strict=True):
            probabilities.setdefault(path, []).append(value)
    rows = [
        (args.train if folder_of[path] is train else args.test, folder_of[path].name(path), float(np.mean(p)))
        for path, p in probabilities.items()
    ]
    write_table(args.out, rows)
    for line in summary(args, predictions, rows):
        log(line)
    if reader.errors:
        listed = "\n".join(f"  {error}" for error in reader.errors.values())
        raise ValueError(f"{len(reader.errors)} files could not be read and are not in {args.out}:\n{listed}")


def list_clips(args: argparse.Namespace, part: str) -> AudioFolder:
    """Return the audio files of one folder, and print what is left out."""
    if not (args.data / part).is_dir():
        raise FileNotFoundError(
            f"--data: wanted a folder with {args.train} and {args.test}, {part} is not in {args.data}"
        )
    found = find_audio(args.data / part, option="--data")
    if found.left_out():
        log(found.left_out())
    return found


def feature_modules(
    args: argparse.Namespace, train: AudioFolder
) -> Iterator[tuple[nn.Module, int, list[Path]]]:
    """Return modules that compute features, each with its sample rate and its clips of the first folder.

    Each fold's model gets the clips that it held out. Its features of clips that it was trained on would
    differ from those of all other clips.
    """
    device = local_device(args.device)
    if args.run is None:
        yield LogMelStatistics(SAMPLE_RATE).to(device), SAMPLE_RATE, train.paths
        return
    folder, by_name, found = Run(args.run), {train.name(path): path for path in train.paths}, False
    for path, tagger in zip(folder.models(), folder.taggers(device), strict=True):
        held_out = path.with_name("valid.csv")
        if not held_out.exists():
            continue
        found = True
        names = NameIndex(by_name).find_all(read_scores(held_out).names)
        unknown = [name for name in names if name not in by_name]
        if unknown:
            raise ValueError(f"{held_out}: wanted clips of {args.data / args.train}, got {unknown[0]!r}")
        yield Embedding(tagger), tagger.sample_rate or SAMPLE_RATE, [by_name[name] for name in names]
    if not found:
        raise ValueError(
            f"--run: wanted folds with held-out clips (valid.csv), got none in {args.run}; "
            "train with --folds 2 or more"
        )


class LogMelStatistics(nn.Module):
    """Mean and standard deviation over time of each band of a log-mel spectrogram."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.frontend = LogMel(sample_rate=sample_rate)
        # `predict` uses the device of a module's parameters, and the frontend has none.
        self.register_parameter("device_of", nn.Parameter(torch.zeros(()), requires_grad=False))

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return ``(B, 2 * bands)`` for clips ``(B, T)``."""
        x = self.frontend(waveform, lengths)
        if lengths is None:
            return torch.cat([x.mean(-1), x.std(-1, correction=0)], 1)
        frames = self.frontend.frame_lengths(lengths)
        mask, n_frames = length_mask(frames, x.shape[-1])[:, None], frames[:, None]
        mean = x.masked_fill(~mask, 0).sum(-1) / n_frames
        variance = (x - mean[..., None]).square().masked_fill(~mask, 0).sum(-1) / n_frames
        return torch.cat([mean, variance.sqrt()], 1)


class Embedding(nn.Module):
    """The input of a trained model's classifier."""

    def __init__(self, tagger: Tagger) -> None:
        super().__init__()
        self.tagger = tagger
        tagger.backbone.classifier.register_forward_pre_hook(self._keep)

    def _keep(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.embedding = inputs[0]

    def forward(self, waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return ``(B, d)`` for clips ``(B, T)``."""
        self.tagger(waveform, lengths)
        return self.embedding


class FeatureReader:
    """Compute the features of files. ``errors`` has the files that cannot be read."""

    def __init__(self, *, workers: int, errors: dict[Path, Exception]) -> None:
        self.workers, self.errors = workers, dict(errors)

    def read(self, module: nn.Module, paths: list[Path], *, sample_rate: int) -> tuple[list[Path], Tensor]:
        """Return the readable files, and a row of features for each."""
        clips = ClipDataset(paths, sample_rate=sample_rate) if paths else []
        with progress_bar("features", unit="clip", total=len(paths)) as bar:
            rows = predict(
                module,
                clips,
                workers=self.workers,
                progress=lambda done, _: bar.update(done - bar.n),
                on_error=lambda index, error: self.errors.setdefault(paths[index], error),
            )
        kept = [index for index, path in enumerate(paths) if path not in self.errors]
        return [paths[index] for index in kept], rows[kept]


def write_table(path: Path, rows: list[tuple[str, str, float]]) -> None:
    """Write the folder, the name and the probability of each clip."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["part", "fname", "test_probability"])
    writer.writerows([part, name, f"{value:.6f}"] for part, name, value in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())


def summary(
    args: argparse.Namespace, predictions: list[Predictions], rows: list[tuple[str, str, float]]
) -> list[str]:
    """Return the lines to print: AUC, copies, and the clips at both ends."""
    auc, low, high = auc_with_interval(predictions, seed=args.seed)
    verdict = "can be distinguished" if low > 0.5 else "cannot be distinguished beyond chance"
    counts = {part: sum(row[0] == part for row in rows) for part in (args.train, args.test)}
    lines = [
        f"AUC {auc:.3f}, 95 % interval {low:.3f} to {high:.3f}: {args.train} and {args.test} {verdict}",
        "(0.5: chance; 1: every clip shows its folder)",
        f"{counts[args.train]} clips of {args.train}, {counts[args.test]} clips of {args.test}; "
        f"the probability of {args.test} for each clip is in {args.out}",
    ]
    copies = max(one.n_duplicates for one in predictions)
    if copies:
        lines.append(f"{copies} clips of {args.test} have the same features as one in {args.train}: copies?")
    ranked = sorted(rows, key=lambda row: row[2])
    first = [row for row in ranked if row[0] == args.train]
    second = [row for row in ranked if row[0] == args.test]
    for title, some in [
        (f"{args.train}, most like {args.test}", first[::-1]),
        (f"{args.test}, most like {args.train}", second),
        (f"{args.train}, least like {args.test}", first),
        (f"{args.test}, least like {args.train}", second[::-1]),
    ]:
        lines.append(title + ":")
        lines += [f"  {value:.3f}  {name}" for _, name, value in some[: args.show]]
    return lines


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = new_parser("adversarial.py", DESCRIPTION)
    add = parser.add_argument_group("clips").add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="folder with both folders of clips")
    add("--train", default="train_curated", metavar="NAME", help="first folder (default: %(default)s)")
    add("--test", default="test", metavar="NAME", help="second folder (default: %(default)s)")
    add = parser.add_argument_group("features").add_argument
    add(
        "--run",
        type=Path,
        metavar="RUN",
        help="compare embeddings of its models instead of log-mel statistics",
    )
    add("--seed", type=int, default=0, metavar="N", help="seed of folds and bootstrap (default: %(default)s)")
    add = parser.add_argument_group("result").add_argument
    add(
        "--show",
        type=integer_from_one,
        default=5,
        metavar="N",
        help="clips in each list (default: %(default)s)",
    )
    add(
        "--out",
        type=Path,
        default=Path("adversarial.csv"),
        metavar="CSV",
        help="table to write: part, fname, test_probability (default: %(default)s)",
    )
    add = parser.add_argument_group("machine").add_argument
    add("--device", metavar="DEVICE", help="where to compute (default: the accelerator, if there is one)")
    add(
        "--workers", type=int, default=0, metavar="N", help="processes that read clips (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    main()
