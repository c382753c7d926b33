"""Scores of five folds by the example: one fold after the other, and all of them at once.

    python benchmarks/fold_predictions.py [--audio DIR]

The clips are the audio files of a folder, or drawn: 0.3 to 12 s. The networks are not trained.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from scipy.io import wavfile

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from _table import options, published, show
from _turns import take_turns
from freesound.build import build_tagger, score_clips
from freesound.fold_scores import scores_of_folds
from freesound.plans.base import Member, Network
from rankaudio import ClipDataset, Tagger

FOLDS, CLASSES = 5, 80


def write_clips(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for index, seconds in enumerate(rng.permutation(np.geomspace(0.3, 12, 100))):
        samples = (3000 * rng.standard_normal(int(44_100 * seconds))).astype(np.int16)
        wavfile.write(folder / f"{index}.wav", 44_100, samples)


def build(member: Member) -> list[Tagger]:
    names, taggers = [f"class {index}" for index in range(CLASSES)], []
    for seed in range(FOLDS):
        torch.manual_seed(seed)
        taggers.append(build_tagger(member, names).eval())
    return taggers


def compare(folder: Path) -> None:
    clips = ClipDataset(sorted(folder.glob("*.wav")), sample_rate=44_100)
    member = Member(network=Network(settings={"base_depth": 16}))
    taggers, rows = build(member), []
    ways = {
        "one fold": lambda: score_clips(member, taggers[0], clips)[None],
        "five, one after the other": lambda: torch.stack([score_clips(member, t, clips) for t in taggers]),
        "five at once": lambda: scores_of_folds(member, taggers, clips),
    }
    turns, exact = take_turns(ways, rounds=7), ways["five, one after the other"]()
    for name, run in ways.items():
        found = run()
        error = (found - exact[: len(found)]).abs().max().item()
        time, ratio = f"{turns.median(name):.2f}", f"{turns.ratio(name, 'one fold'):.2f}"
        rows.append([name, time, ratio, f"{error:.0e}"])
    title = f"{len(clips)} clips of {sum(clips.lengths) / 44_100:.0f} s in all, 2d network of base depth 16"
    show(title, ["folds", "CPU s", "time / one fold", "largest difference"], rows)


if __name__ == "__main__":
    parser = options(__doc__)
    parser.add_argument("--audio", type=Path, metavar="DIR", help="folder of WAV files")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with published(arguments.out), tempfile.TemporaryDirectory() as scratch:
        if arguments.audio is None:
            write_clips(Path(scratch))
        compare(arguments.audio or Path(scratch))
