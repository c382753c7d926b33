"""``demo``: the main job on sounds that it makes itself."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from freesound.commands._options import add_machine, at_least_one
from freesound.console import run_command, say
from freesound.pictures import picture_of_clips, varied
from freesound.runs import Run
from freesound.synthetic import SOUNDS, make_corpus
from freesound.training import SAMPLE_RATE
from rankaudio import load_audio
from rankaudio.data import read_labels, read_scores

HELP = "make a small corpus of synthetic sounds, train on it and show the result"


def run(args: argparse.Namespace) -> None:
    """Make a corpus, train on it, score its test part and show how that went."""
    if args.out.exists() and any(args.out.iterdir()) and not (args.out / "corpus").is_dir():
        raise FileExistsError(f"--out: wanted a new folder or that of an earlier demo, got {args.out}")
    start = time.perf_counter()
    data, folder = args.out / "corpus", args.out / time.strftime("run_%Y%m%d_%H%M%S")
    make_corpus(data, per_class=args.per_class, test_per_class=-(-args.per_class // 2), seed=args.seed)
    say(f"{data}: a corpus of {len(SOUNDS)} kinds of synthetic sounds")
    common = ["--device", args.device, "--workers", "0"]
    small = ["--base-depth", "16", "--epochs", str(args.epochs), "--folds", "1", "--seed", str(args.seed)]
    run_command(["train", "--data", str(data), "--run", str(folder), *small, "--mixup", "0.3", *common])
    out = folder / "test_scores.csv"
    run_command(["predict", "--run", str(folder), "--audio", str(data / "test"), "--out", str(out), *common])
    run_command(["evaluate", "--scores", str(out), "--labels", str(data / "test.csv")])

    scores = read_scores(out)
    labels = read_labels(data / "test.csv", classes=scores.classes).select(scores.names)
    some = varied(labels.target)
    names = [scores.names[index] for index in some]
    picture_of_clips(
        args.out / "spectrograms.png",
        Run(folder).taggers("cpu")[0],
        clips=[load_audio(data / "test" / name, sample_rate=SAMPLE_RATE) for name in names],
        names=names,
        scores=scores.scores[some],
        target=labels.target[some],
    )
    say(f"{args.out / 'spectrograms.png'}: some clips and what the model says of them")
    say(f"done in {time.perf_counter() - start:.0f} s; the model is {folder / 'fold_0' / 'model.pt'}")


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """How large, and where."""
    sub.add_argument(
        "--per-class", type=at_least_one, default=12, help="training clips of each kind of sound"
    )
    sub.add_argument(
        "--out", type=Path, default=Path("demo"), help="folder for the corpus, the run and the picture"
    )
    sub.add_argument("--epochs", type=at_least_one, default=12, help="passes over the training clips")
    sub.add_argument("--seed", type=int, default=0, help="of the corpus and of the training")
    add_machine(sub)
