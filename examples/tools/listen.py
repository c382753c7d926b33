"""``listen``: what training would do to some clips, to be heard and seen."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from scipy.io import wavfile
from torch import Tensor

from freesound.commands._options import at_least_one
from freesound.console import say
from freesound.corpus import Corpus, read_corpus
from freesound.listening import draw_parameters, replay
from freesound.pictures import Panel, picture_of_versions
from freesound.runs import write_text
from freesound.training import SAMPLE_RATE, Settings, build_augmentation
from rankaudio import ClipDataset, pad_collate
from rankaudio.data import Batch

HELP = "write clips as training hears them: WAV files, a picture, and what was drawn for each"
PARTS = ("mixup", "effects", "shuffle")


def run(args: argparse.Namespace) -> None:
    """Augment some clips as training does; write what comes out, and how."""
    folder = Folder(args.out)
    settings = asked_for(args)
    corpus = read_corpus(args.data, noisy=False)
    generator = torch.Generator().manual_seed(args.seed)
    names, others = choose(corpus, args, generator=generator)
    # Partners come from a batch of the size that training has; nothing else depends on other clips.
    together = names + (others[: max(0, settings.batch_size - len(names))] if settings.mixup else [])
    batch = read_batch(corpus, together, max_seconds=settings.max_seconds)
    clips = {n: batch.waveform[i, : int(batch.lengths[i])] for i, n in enumerate(together)}
    chain = build_augmentation(settings)
    drawn = [draw_parameters(chain, batch, together, generator=generator) for _ in range(args.versions)]

    folder.begin({"seed": args.seed, "max_seconds": settings.max_seconds})
    rows = []
    for index, (name, stem) in enumerate(zip(names, stems(names), strict=True)):
        folder.add(f"{stem}__0_original.wav", clips[name], clip=name, words="as it is", parameters={})
        row = [Panel(name, clips[name], "as it is")]
        for version, of_batch in enumerate(drawn, start=1):
            done, words, heard = [], [], clips[name]
            for step in replay(chain, name, of_batch[index], read=clips.__getitem__, sample_rate=SAMPLE_RATE):
                done.append(step.part)
                words.append(step.words)
                heard = step.waveform
                folder.add(
                    f"{stem}__{version}_{'_'.join(done)}.wav",
                    heard,
                    clip=name,
                    words="; ".join(words),
                    parameters={part: of_batch[index][part] for part in done},
                )
            row.append(Panel(f"version {version}", heard, "\n".join(words) or "nothing was drawn"))
        rows.append(row)
        folder.save()
    pictured = picture_of_versions(folder.path / "listen.png", rows, sample_rate=SAMPLE_RATE)
    say(f"{folder.path}: {len(names)} clips in {len(folder.files)} WAV files of 32-bit floats, never clipped")
    say(f"{folder.path / 'listen.png'}: spectrograms of {pictured}")
    say(f"{folder.record}: what was drawn for each file")


def asked_for(args: argparse.Namespace) -> Settings:
    """The settings of training with the parts that were asked for; without any, all of them."""
    wanted = {part: getattr(args, part) for part in PARTS}
    if all(p is None for p in wanted.values()):
        wanted = dict.fromkeys(PARTS, 1.0)
    return Settings(**{part: p or 0.0 for part, p in wanted.items()})


def choose(
    corpus: Corpus, args: argparse.Namespace, *, generator: torch.Generator
) -> tuple[list[str], list[str]]:
    """Clips to hear, and all others in random order."""
    known = corpus.curated.names
    shuffled = [known[i] for i in torch.randperm(len(known), generator=generator).tolist()]
    names = shuffled[: args.clips] if args.names is None else list(dict.fromkeys(args.names))
    unknown = [name for name in names if name not in set(known)]
    if unknown:
        table = corpus.folder / "train_curated.csv"
        raise ValueError(f"--names: wanted clips of {table}, got {', '.join(unknown)}")
    return names, [name for name in shuffled if name not in set(names)]


def read_batch(corpus: Corpus, names: list[str], *, max_seconds: float) -> Batch:
    """The clips as training reads them, except that of a long one it is always the beginning."""
    folder, table = corpus.folder / "train_curated", corpus.curated.select(names)
    clips = ClipDataset.from_table(
        folder, table, sample_rate=SAMPLE_RATE, max_seconds=max_seconds, crop="start"
    )
    return pad_collate([clips[index] for index in range(len(clips))])


def stems(names: list[str]) -> list[str]:
    """A start for the names of each clip's files: its own without the suffix, where that is enough."""
    short = [str(Path(name).with_suffix("")).replace("/", "_") for name in names]
    return short if len(set(short)) == len(short) else [name.replace("/", "_") for name in names]


class Folder:
    """The folder that is written to, and the list of what is in it: ``parameters.json``."""

    def __init__(self, path: Path) -> None:
        self.path, self.record = path, path / "parameters.json"
        self.settings: dict[str, Any] = {}
        self.files: list[dict[str, Any]] = []
        if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not self.record.is_file())):
            raise FileExistsError(f"--out: wanted a new folder or that of an earlier listen, got {path}")

    def begin(self, settings: dict[str, Any]) -> None:
        """Make the folder; take away the sounds of an earlier listen, and nothing else."""
        if self.record.is_file():
            for entry in json.loads(self.record.read_text(encoding="utf-8"))["files"]:
                (self.path / Path(entry["file"]).name).unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.save()

    def add(self, file: str, waveform: Tensor, **about: Any) -> None:
        """Write a sound, and remember what is to be said about it."""
        # What is written has to be what training gets: 16 bits would round it and clip what passes 1.
        wavfile.write(self.path / file, SAMPLE_RATE, waveform.numpy())
        self.files.append({"file": file, **about})

    def save(self) -> None:
        """Write the list."""
        write_text(self.record, json.dumps({**self.settings, "files": self.files}, indent=1) + "\n")


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Which clips, what is done to them, and how often."""
    add = sub.add_argument
    add("--data", type=Path, required=True, help="folder with train_curated.csv and train_curated/")
    add(
        "--out",
        type=Path,
        required=True,
        help="new folder for sounds and picture, or that of a listen before",
    )
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--clips", type=at_least_one, default=4, help="how many clips, chosen at random")
    which.add_argument("--names", nargs="+", default=None, metavar="NAME", help="these clips")
    for part, what in zip(PARTS, ("OR-mixup", "audio effects", "chunk shuffle"), strict=True):
        add(
            f"--{part}",
            type=probability,
            nargs="?",
            const=1.0,
            default=None,
            metavar="P",
            help=f"{what}, with this probability (1 if none is given); without any of the three: all of them",
        )
    add("--versions", type=at_least_one, default=2, help="how often each clip is augmented")
    add("--seed", type=int, default=Settings().seed, help="of the choice of clips and of all that is drawn")


def probability(text: str) -> float:
    """A number from 0 to 1, or argparse's refusal."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"wanted a number from 0 to 1, got {text}")
    return value
