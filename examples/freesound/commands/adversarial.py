"""``adversarial``: how well two parts can be told apart, and by which clips."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import Tensor, nn
from tqdm import tqdm

from freesound.adversarial import LogMelStatistics, Pooled, Told, auc_with_interval, tell_apart
from freesound.commands._options import add_machine, at_least_one
from freesound.commands.predict import audio_files
from freesound.console import say
from freesound.runs import Run, write_text
from freesound.training import SAMPLE_RATE
from rankaudio import ClipDataset, predict
from rankaudio.data import read_scores

HELP = "say how well train and test can be told apart, and by which clips"


def run(args: argparse.Namespace) -> None:
    """Print area and interval and the clips to look at; write every clip's probability."""
    if args.train == args.test:
        raise ValueError(f"--train, --test: wanted two folders, got {args.train} twice")
    train, test = (_clips(args, part) for part in (args.train, args.test))
    if args.run is None:
        pairs = [(LogMelStatistics(SAMPLE_RATE).to(args.device), train)]
    else:
        pairs = list(_held_out(args, {path.name: path for path in train}))
    reader = _Reader(workers=args.workers)
    told: list[Told] = []
    probabilities: dict[Path, list[float]] = {}
    for module, first in pairs:
        first_read, first_features = reader.features(module, first)
        second_read, second_features = reader.features(module, test)
        try:
            told.append(tell_apart(first_features, second_features, seed=args.seed))
        except ValueError as error:
            # What cannot be read may be why there are too few.
            why = "".join(f"\n  {one}" for one in reader.unreadable.values())
            raise ValueError(f"{args.train} and {args.test} cannot be compared: {error}{why}") from error
        for path, value in zip(first_read + second_read, told[-1].probability.tolist(), strict=True):
            probabilities.setdefault(path, []).append(value)
    rows = [(path.parent.name, path.name, float(np.mean(p))) for path, p in probabilities.items()]
    _write(args.out, rows)
    for line in _findings(args, told, rows):
        say(line)
    if reader.unreadable:
        listed = "\n".join(f"  {error}" for error in reader.unreadable.values())
        raise ValueError(
            f"{len(reader.unreadable)} files could not be read and are not in {args.out}:\n{listed}"
        )


def _clips(args: argparse.Namespace, part: str) -> list[Path]:
    if not (args.data / part).is_dir():
        raise FileNotFoundError(
            f"--data: wanted a folder with {args.train} and {args.test}, {part} is not in {args.data}"
        )
    return audio_files(args.data / part)


class _Reader:
    """Features of files; those that cannot be read are set aside."""

    def __init__(self, *, workers: int) -> None:
        self.workers = workers
        self.unreadable: dict[Path, Exception] = {}

    def features(self, module: nn.Module, paths: list[Path]) -> tuple[list[Path], Tensor]:
        """Those files that can be read, and a row of features for each."""
        for path in paths:
            try:
                ClipDataset([path])
            except (OSError, ValueError, ImportError) as error:
                self.unreadable[path] = error
        paths = [path for path in paths if path not in self.unreadable]
        clips = ClipDataset(paths, sample_rate=SAMPLE_RATE) if paths else []
        with tqdm(total=len(paths), desc="features", unit="clip", leave=False, disable=None) as bar:
            rows = predict(
                module,
                clips,
                workers=self.workers,
                progress=lambda done, _: bar.update(done - bar.n),
                on_error=lambda index, error: self.unreadable.setdefault(paths[index], error),
            )
        kept = [index for index, path in enumerate(paths) if path not in self.unreadable]
        return [paths[index] for index in kept], rows[kept]


def _held_out(args: argparse.Namespace, train: dict[str, Path]) -> Iterator[tuple[nn.Module, list[Path]]]:
    """Each fold's model with the clips that it has not been trained on.

    A model's features of clips that it was trained on differ from those of any others, test or not.
    """
    taggers = Run(args.run).taggers(args.device)
    found = False
    for path, tagger in zip(Run(args.run).models(), taggers, strict=True):
        valid = path.with_name("valid.csv")
        if not valid.exists():
            continue
        found = True
        names = read_scores(valid).names
        unknown = [name for name in names if name not in train]
        if unknown:
            raise ValueError(f"{valid}: wanted clips of {args.data / args.train}, got {unknown[0]!r}")
        yield Pooled(tagger), [train[name] for name in names]
    if not found:
        raise ValueError(
            f"--run: wanted folds with clips held out (valid.csv), got none in {args.run}: what a model "
            "makes of clips that it was trained on tells them from any others; train with --folds 2 or more"
        )


def _write(path: Path, rows: list[tuple[str, str, float]]) -> None:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["part", "fname", "test_probability"])
    writer.writerows([part, name, f"{value:.6f}"] for part, name, value in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, file.getvalue())


def _findings(args: argparse.Namespace, told: list[Told], rows: list[tuple[str, str, float]]) -> list[str]:
    area, low, high = auc_with_interval(told, seed=args.seed)
    verdict = "can be told apart" if low > 0.5 else "not told apart beyond chance"
    counts = {part: sum(row[0] == part for row in rows) for part in (args.train, args.test)}
    lines = [
        f"AUC {area:.3f}, 95 % interval {low:.3f} to {high:.3f}: {verdict}",
        "(0.5: a guess; 1: every clip gives away its part)",
        f"{counts[args.train]} clips of {args.train}, {counts[args.test]} of {args.test}; "
        f"each one's probability of being of {args.test}: {args.out}",
    ]
    twins = max(one.twins for one in told)
    if twins:
        lines.append(f"{twins} clips of {args.test} have the very features of one in {args.train}: copies?")
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


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Which parts, which features, where to write."""
    add = sub.add_argument
    add("--data", type=Path, required=True, help="folder with the two folders of clips")
    add(
        "--run", type=Path, default=None, help="compare what its models make of clips, not log-mel statistics"
    )
    add("--train", default="train_curated", metavar="NAME", help="the one folder")
    add("--test", default="test", metavar="NAME", help="the other folder")
    add("--show", type=at_least_one, default=5, help="clips to list of each kind")
    add("--seed", type=int, default=0, help="of folds and bootstrap")
    add(
        "--out",
        type=Path,
        default=Path("adversarial.csv"),
        help="CSV to write: part, fname, test_probability",
    )
    add_machine(sub)
