"""``demo``: the main job on sounds that the program makes itself."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from freesound import tasks
from freesound.options import add_machine, integer_from_one, machine_of
from freesound.pictures import picture_of_clips, varied
from freesound.plans.base import Augment, Clips, Member, Network, Optim
from freesound.progress import log
from freesound.state import Run
from freesound.synthetic import SOUNDS, make_corpus
from rankaudio import load_audio
from rankaudio.data import read_labels, read_scores

HELP = "make a small corpus of synthetic sounds, train on it and show the result"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the size of the demo, and where it is written."""
    data, optim = command.add_argument_group("data"), command.add_argument_group("optimiser")
    data.add_argument(
        "--out",
        type=Path,
        default=Path("demo"),
        metavar="DIR",
        help="folder for the corpus, the run and the picture (default: demo)",
    )
    for group, name, default, text in [
        (data, "per-class", 12, "training clips of each kind of sound"),
        (optim, "epochs", 12, "passes over the training clips"),
    ]:
        about = f"{text} (default: {default})"
        group.add_argument(f"--{name}", type=integer_from_one, default=default, metavar="N", help=about)
    optim.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the corpus and of the training (default: 0)"
    )
    add_machine(command.add_argument_group("machine"), ["device"])


def run(args: argparse.Namespace) -> None:
    """Make a corpus, train on it, score its test part and draw some clips."""
    if args.out.exists() and any(args.out.iterdir()) and not (args.out / "corpus").is_dir():
        raise FileExistsError(f"--out: wanted a new folder or that of an earlier demo, got {args.out}")
    start = time.perf_counter()
    data, folder = args.out / "corpus", args.out / time.strftime("run_%Y%m%d_%H%M%S")
    make_corpus(data, per_class=args.per_class, test_per_class=-(-args.per_class // 2), seed=args.seed)
    log(f"{data}: a corpus of {len(SOUNDS)} kinds of synthetic sounds")
    member = Member(
        network=Network("CNN2d", {"base_depth": 16}),
        clips=Clips(folds=1),
        augment=Augment(mixup=0.3),
        optim=Optim(epochs=args.epochs, seed=args.seed),
    )
    machine = machine_of(args)
    scores = folder / "test_scores.csv"
    tasks.train(member, data, folder, machine=machine)
    tasks.predict_folder(folder, data / "test", scores, machine=machine)
    log(tasks.evaluate(scores, data / "test.csv"))
    draw_clips(args.out / "spectrograms.png", folder, data, scores)
    log(f"done in {time.perf_counter() - start:.0f} s; the model is {folder / 'fold_0' / 'model.pt'}")


def draw_clips(path: Path, run: Path, data: Path, scores_path: Path) -> None:
    """Draw some clips of the test part with their highest scores, if matplotlib is installed."""
    scores = read_scores(scores_path)
    labels = read_labels(data / "test.csv", classes=scores.classes).select(scores.names)
    some = varied(labels.target)
    names, tagger = [scores.names[index] for index in some], Run(run).taggers("cpu")[0]
    try:
        picture_of_clips(
            path,
            tagger,
            clips=[load_audio(data / "test" / name, sample_rate=tagger.sample_rate) for name in names],
            names=names,
            scores=scores.scores[some],
            target=labels.target[some],
        )
    except ImportError as error:
        log(f"no picture: {error}")
    else:
        log(f"{path}: some clips and the classes that the model scores highest")
