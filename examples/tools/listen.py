"""Write augmented clips as training gets them: WAV files, a picture, and the parameters of each file."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # examples/, for `tools` and `freesound`

from freesound.build import waveform_chain
from freesound.corpus import Corpus, read_corpus
from freesound.json_file import read_json
from freesound.options import integer_from_one
from freesound.plans.base import Augment, Member
from freesound.progress import log
from rankaudio import Chain, ClipDataset, pad_collate
from rankaudio.data import Batch, write_text
from tools._augmented_clip import Parameters, draw_parameters, replay
from tools._program import new_parser, require, run
from tools._versions_picture import Panel, save_picture

DESCRIPTION = """\
Augment some clips as training does. Write the results as WAV files, with a picture of their spectrograms
and the parameters of each file. Without --mixup, --effects and --shuffle, all three are applied.

  python examples/tools/listen.py --data DIR --out heard
"""
PARTS = {"mixup": "OR-mixup", "effects": "audio effects", "shuffle": "shuffled half seconds"}
MEMBER = Member()  # the defaults of training: sample rate, batch size, length of a clip
SAMPLE_RATE = MEMBER.sound.sample_rate


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    run(build_parser(), listen, argv)


def listen(args: argparse.Namespace) -> None:
    """Augment clips, and write the results."""
    require("matplotlib")
    folder = Folder(args.out)
    corpus = read_corpus(args.data, noisy=False)
    augment = augment_settings(args)
    chain = waveform_chain(augment, sample_rate=SAMPLE_RATE)
    generator = torch.Generator().manual_seed(args.seed)
    names, others = choose(corpus, args, generator=generator)
    # Mixup partners come from a batch of the size that training has. The other parts need no other clips.
    n_partners = max(0, MEMBER.clips.batch_size - len(names)) if augment.mixup else 0
    in_batch = names + others[:n_partners]
    batch = read_batch(corpus, in_batch)
    clips = {name: batch.waveform[i, : int(batch.lengths[i])] for i, name in enumerate(in_batch)}
    drawn = [draw_parameters(chain, batch, in_batch, generator=generator) for _ in range(args.versions)]

    folder.begin({"seed": args.seed, "max_seconds": MEMBER.clips.max_seconds})
    rows = []
    for index, (name, stem) in enumerate(zip(names, file_stems(names), strict=True)):
        versions = [of_batch[index] for of_batch in drawn]
        rows.append(write_versions(folder, stem, name, versions, chain=chain, clips=clips))
        folder.save()
    pictured = save_picture(folder.path / "listen.png", rows, sample_rate=SAMPLE_RATE)
    log(f"{folder.path}: {len(names)} clips in {len(folder.files)} WAV files of 32-bit floats, not clipped")
    log(f"{folder.path / 'listen.png'}: spectrograms of {pictured}")
    log(f"{folder.record}: the parameters of each file")


def write_versions(
    folder: Folder,
    stem: str,
    name: str,
    versions: list[Parameters],
    *,
    chain: Chain,
    clips: dict[str, Tensor],
) -> list[Panel]:
    """Write a clip and its versions, a file after each part; return a row of the picture."""
    folder.add(f"{stem}__0_original.wav", clips[name], clip=name, description="unchanged", parameters={})
    row = [Panel(name, clips[name], "unchanged")]
    for version, parameters in enumerate(versions, start=1):
        parts, texts, waveform = [], [], clips[name]
        for step in replay(chain, name, parameters, read=clips.__getitem__, sample_rate=SAMPLE_RATE):
            parts.append(step.part)
            texts.append(step.description)
            waveform = step.waveform
            folder.add(
                f"{stem}__{version}_{'_'.join(parts)}.wav",
                waveform,
                clip=name,
                description="; ".join(texts),
                parameters={part: parameters[part] for part in parts},
            )
        row.append(Panel(f"version {version}", waveform, "\n".join(texts) or "unchanged"))
    return row


def augment_settings(args: argparse.Namespace) -> Augment:
    """Return the probability of each part; without any option, all parts are applied."""
    given = {part: getattr(args, part) for part in PARTS}
    if all(p is None for p in given.values()):
        given = dict.fromkeys(PARTS, 1.0)
    return Augment(**{part: p or 0.0 for part, p in given.items()})


def choose(
    corpus: Corpus, args: argparse.Namespace, *, generator: torch.Generator
) -> tuple[list[str], list[str]]:
    """Return the clips to augment, and all other clips in random order."""
    known = corpus.curated.names
    shuffled = [known[i] for i in torch.randperm(len(known), generator=generator).tolist()]
    names = shuffled[: args.clips] if args.names is None else list(dict.fromkeys(args.names))
    unknown = [name for name in names if name not in set(known)]
    if unknown:
        table = corpus.folder / "train_curated.csv"
        raise ValueError(f"--names: wanted clips of {table}, got {', '.join(unknown)}")
    return names, [name for name in shuffled if name not in set(names)]


def read_batch(corpus: Corpus, names: list[str]) -> Batch:
    """Read clips as training does, except that a long clip is always cut to its beginning."""
    clips = ClipDataset.from_table(
        corpus.folder / "train_curated",
        corpus.curated.select(names),
        sample_rate=SAMPLE_RATE,
        max_seconds=MEMBER.clips.max_seconds,
        crop="start",
    )
    return pad_collate([clips[index] for index in range(len(clips))])


def file_stems(names: list[str]) -> list[str]:
    """Return the start of each clip's file names: the clip's name, without its suffix if that is unique."""
    short = [str(Path(name).with_suffix("")).replace("/", "_") for name in names]
    return short if len(set(short)) == len(short) else [name.replace("/", "_") for name in names]


class Folder:
    """The output folder, and ``parameters.json`` in it, which lists the sounds."""

    def __init__(self, path: Path) -> None:
        self.path, self.record = path, path / "parameters.json"
        self.settings: dict[str, Any] = {}
        self.files: list[dict[str, Any]] = []
        if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not self.record.is_file())):
            raise FileExistsError(f"--out: wanted a new folder or that of an earlier listen.py, got {path}")

    def begin(self, settings: dict[str, Any]) -> None:
        """Make the folder. Remove the sounds of an earlier run, and no other files."""
        if self.record.is_file():
            for entry in read_json(self.record, "the parameters.json of listen.py", _is_record)["files"]:
                (self.path / Path(entry["file"]).name).unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self.save()

    def add(self, file: str, waveform: Tensor, **about: Any) -> None:
        """Write a sound, and add it to the list."""
        from scipy.io import wavfile

        # 32-bit floats are what training gets. 16 bits would round the samples, and clip those over 1.
        wavfile.write(self.path / file, SAMPLE_RATE, waveform.numpy())
        self.files.append({"file": file, **about})

    def save(self) -> None:
        """Write the list."""
        write_text(self.record, json.dumps({**self.settings, "files": self.files}, indent=1) + "\n")


def _is_record(values: Any) -> bool:
    """Whether this is a list of sounds, as :meth:`Folder.save` writes it."""
    files = values.get("files") if isinstance(values, dict) else None
    return isinstance(files, list) and all(
        isinstance(entry, dict) and str(entry.get("file")).endswith(".wav") for entry in files
    )


def probability(text: str) -> float:
    """Convert an option to a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"wanted a number from 0 to 1, got {text}")
    return value


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = new_parser("listen.py", DESCRIPTION)
    clips = parser.add_argument_group("clips")
    add = clips.add_argument
    add("--data", type=Path, required=True, metavar="DIR", help="folder with train_curated.csv and the clips")
    add("--out", type=Path, required=True, metavar="OUT", help="new folder, or that of an earlier call")
    which = clips.add_mutually_exclusive_group()
    which.add_argument(
        "--clips",
        type=integer_from_one,
        default=4,
        metavar="N",
        help="number of random clips (default: %(default)s)",
    )
    which.add_argument("--names", nargs="+", metavar="NAME", help="these clips instead")
    add = parser.add_argument_group("augmentation").add_argument
    for part, what in PARTS.items():
        text = f"{what}, with probability P (1 if P is not given)"
        add(f"--{part}", type=probability, nargs="?", const=1.0, metavar="P", help=text)
    add(
        "--versions",
        type=integer_from_one,
        default=2,
        metavar="N",
        help="versions of each clip (default: %(default)s)",
    )
    seed = MEMBER.optim.seed
    add(
        "--seed",
        type=int,
        default=seed,
        metavar="N",
        help="seed of all random choices (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    main()
