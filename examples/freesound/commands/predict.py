"""``predict``: scores of audio files by a trained run."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

from freesound.commands._options import add_machine
from freesound.console import say
from freesound.runs import Run
from rankaudio import ClipDataset, predict
from rankaudio.data import ScoreTable, write_scores

HELP = "score audio files with a trained run"
AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3"}


def run(args: argparse.Namespace) -> None:
    """Score every audio file of a folder, or the one file, with the mean over the folds of a run."""
    taggers = Run(args.run).taggers(args.device)
    paths, unreadable = audio_files(args.audio), {}
    for path in list(paths):
        try:
            ClipDataset([path]).lengths  # noqa: B018
        except (OSError, ValueError, ImportError) as error:
            unreadable[path] = error
            paths.remove(path)
    clips = ClipDataset(paths, sample_rate=taggers[0].sample_rate) if paths else []
    total = torch.zeros(len(paths), len(taggers[0].classes), dtype=torch.float64)
    for fold, tagger in enumerate(taggers):
        with tqdm(total=len(paths), desc=f"fold {fold}", unit="clip", leave=False, disable=None) as bar:
            total += predict(
                tagger,
                clips,
                workers=args.workers,
                progress=lambda done, _, bar=bar: bar.update(done - bar.n),
                on_error=lambda index, error: unreadable.setdefault(paths[index], error),
            )
    kept = [index for index, path in enumerate(paths) if path not in unreadable]
    scores = (total / len(taggers)).float()[kept]
    names = [paths[index].name for index in kept]
    write_scores(args.out, ScoreTable(names, taggers[0].classes, scores))
    say(f"{args.out}: scores of {len(kept)} clips, mean over {len(taggers)} folds")
    if unreadable:
        listed = "\n".join(f"  {error}" for error in unreadable.values())
        raise ValueError(f"{len(unreadable)} files could not be read and are not in {args.out}:\n{listed}")


def audio_files(where: Path) -> list[Path]:
    """The audio files of a folder, by name."""
    if where.is_file():
        return [where]
    if not where.is_dir():
        raise FileNotFoundError(f"--audio: wanted a folder of audio files, got {where}, which is none")
    found = sorted(path for path in where.iterdir() if path.suffix.lower() in AUDIO_SUFFIXES)
    if not found:
        raise FileNotFoundError(
            f"--audio: wanted a folder with {', '.join(sorted(AUDIO_SUFFIXES))} files, got {where}"
        )
    return found


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Run, clips, where to write."""
    sub.add_argument(
        "--run", type=Path, required=True, help="folder that train wrote; its folds are averaged"
    )
    sub.add_argument("--audio", type=Path, required=True, help="folder of audio files, or one file")
    sub.add_argument(
        "--out", type=Path, required=True, help="CSV to write: fname and one raw score per class"
    )
    add_machine(sub)
