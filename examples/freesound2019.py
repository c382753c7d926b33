"""Freesound Audio Tagging 2019 with rankaudio: train, predict and evaluate on a folder of WAV files.

Try it on sounds that it makes itself:

    python examples/freesound2019.py demo --out demo

On data of your own, in a folder with train_curated.csv (columns fname and labels, labels separated
by commas) and the clips in train_curated/:

    python examples/freesound2019.py train --data DIR --run RUN
    python examples/freesound2019.py predict --run RUN --audio DIR/test --out scores.csv
    python examples/freesound2019.py evaluate --scores scores.csv --labels DIR/test.csv
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

import torch
from tqdm import tqdm

from rankaudio import ClipDataset, load_audio, lwlrap, predict, read_labels, read_scores, write_scores
from recipe.corpus import read_corpus, split_corpus
from recipe.pictures import picture_of_clips, varied
from recipe.runs import Run
from recipe.training import SAMPLE_RATE, Settings, Trainer

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3"}


def train(args: argparse.Namespace) -> None:
    """Train one fold or all of them."""
    settings = Settings(**{field.name: getattr(args, field.name) for field in fields(Settings)})
    folds = list(range(settings.folds)) if args.fold is None else [args.fold]
    if args.fold is not None and not 0 <= args.fold < settings.folds:
        raise ValueError(
            f"--fold: wanted 0 to {settings.folds - 1} (there are {settings.folds} folds), got {args.fold}"
        )
    corpus = read_corpus(args.data, noisy=settings.noisy)
    folder = Run(args.run)
    splits = {
        fold: split_corpus(
            corpus, folds=settings.folds, fold=fold, max_seconds=settings.max_seconds, seed=settings.seed
        )
        for fold in folds
    }
    folder.start({"classes": list(corpus.classes), **asdict(settings)}, folds)
    for fold, split in splits.items():
        held_out = 0 if split.valid is None else len(split.valid)
        counts = f"{len(split.train)} clips to train on, {held_out} held out, {len(corpus.classes)} classes"
        say(f"fold {fold}: {counts}")
        trainer = Trainer(split, settings, corpus.classes, device=args.device, workers=args.workers)
        best = trainer.fit(folder.fold(fold), say=say)
        kept = "last model" if split.valid is None else f"best lwlrap {best:.4f}"
        say(f"fold {fold}: {kept}, in {folder.fold(fold)}")


def predict_folder(args: argparse.Namespace) -> None:
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
    write_scores(args.out, names=names, classes=taggers[0].classes, scores=scores)
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


def evaluate(args: argparse.Namespace) -> None:
    """Print lwlrap, overall and per class."""
    scores = read_scores(args.scores)
    labels = read_labels(args.labels, classes=scores.classes)
    try:
        scores = scores.select(labels.names)
    except ValueError as error:
        raise ValueError(
            f"{args.scores} does not have a row for every clip of {args.labels}: {error}"
        ) from error
    print(report(scores.scores, labels.target, labels.classes))


def report(scores: torch.Tensor, target: torch.Tensor, classes: tuple[str, ...]) -> str:
    """A table of lwlrap per class, best first, and the whole below it."""
    per_class = lwlrap(scores, target, average=None)
    order = per_class.lwlrap.nan_to_num(-1).argsort(descending=True, stable=True).tolist()
    width = max(len("class"), *(len(name) for name in classes))
    lines = [f"{'class':{width}}  clips  lwlrap"]
    for c in order:
        support, value = int(per_class.support[c]), float(per_class.lwlrap[c])
        lines.append(
            f"{classes[c]:{width}}  {support:5d}  {value:6.4f}"
            if support
            else f"{classes[c]:{width}}      0       -"
        )
    lines.append(f"{'all labels':{width}}  {int(target.sum()):5d}  {float(lwlrap(scores, target)):6.4f}")
    return "\n".join(lines)


def demo(args: argparse.Namespace) -> None:
    """Make a corpus, train on it, score its test part and show how that went."""
    from recipe.synthetic import SOUNDS, make_corpus

    if args.out.exists() and any(args.out.iterdir()) and not (args.out / "corpus").is_dir():
        raise FileExistsError(f"--out: wanted a new folder or that of an earlier demo, got {args.out}")
    start = time.perf_counter()
    data, folder = args.out / "corpus", args.out / time.strftime("run_%Y%m%d_%H%M%S")
    make_corpus(data, per_class=args.per_class, test_per_class=-(-args.per_class // 2), seed=args.seed)
    say(f"{data}: a corpus of {len(SOUNDS)} kinds of synthetic sounds")
    common = ["--device", args.device, "--workers", "0"]
    small = ["--base-depth", "16", "--epochs", str(args.epochs), "--folds", "1", "--seed", str(args.seed)]
    run(["train", "--data", str(data), "--run", str(folder), *small, "--mixup", "0.3", *common])
    out = folder / "test_scores.csv"
    run(["predict", "--run", str(folder), "--audio", str(data / "test"), "--out", str(out), *common])
    run(["evaluate", "--scores", str(out), "--labels", str(data / "test.csv")])

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


def say(line: str) -> None:
    """Print a line above the progress bars, at once."""
    tqdm.write(line)
    sys.stdout.flush()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="freesound2019.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, function: object, help_: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(
            name, help=help_, description=help_, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        sub.set_defaults(run_command=function)
        return sub

    _add_demo(
        command("demo", demo, "make a small corpus of synthetic sounds, train on it and show the result")
    )
    _add_train(command("train", train, "train on a folder in the Kaggle layout"))
    _add_predict(command("predict", predict_folder, "score audio files with a trained run"))
    sub = command("evaluate", evaluate, "compare scores with labels: lwlrap overall and per class")
    sub.add_argument("--scores", type=Path, required=True, help="CSV with fname and one column per class")
    sub.add_argument("--labels", type=Path, required=True, help="CSV with fname and labels")
    return top


def _add_demo(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--per-class", type=_at_least_one, default=12, help="training clips of each kind of sound"
    )
    sub.add_argument(
        "--out", type=Path, default=Path("demo"), help="folder for the corpus, the run and the picture"
    )
    sub.add_argument("--epochs", type=_at_least_one, default=12, help="passes over the training clips")
    sub.add_argument("--seed", type=int, default=0, help="of the corpus and of the training")
    _add_machine(sub)


def _add_machine(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="where to compute"
    )
    sub.add_argument(
        "--workers", type=int, default=0, help="processes that read clips; 0: none beside this one"
    )


def _add_predict(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--run", type=Path, required=True, help="folder that train wrote; its folds are averaged"
    )
    sub.add_argument("--audio", type=Path, required=True, help="folder of audio files, or one file")
    sub.add_argument(
        "--out", type=Path, required=True, help="CSV to write: fname and one raw score per class"
    )
    _add_machine(sub)


def _add_train(sub: argparse.ArgumentParser) -> None:
    add, default = sub.add_argument, Settings()
    add("--data", type=Path, required=True, help="folder with train_curated.csv and train_curated/")
    add("--run", type=Path, required=True, help="new folder for models, metrics and logs")
    add("--noisy", action="store_true", help="train on train_noisy too")
    add(
        "--folds",
        type=_at_least_one,
        default=default.folds,
        help="folds; 1: train on all clips, no validation",
    )
    add("--fold", type=int, default=None, help="train this fold only (from 0)")
    add("--seed", type=int, default=default.seed, help="of folds, weights, batches and augmentation")
    _add_network(sub, default)
    _add_optimisation(sub, default)
    _add_machine(sub)


def _add_network(sub: argparse.ArgumentParser, default: Settings) -> None:
    add = sub.add_argument
    add("--model", choices=["2d", "1d"], default=default.model, help="2d on log-mel, or 1d on log-STFT")
    add(
        "--pooling", choices=["max", "rnn"], default=default.pooling, help="how features over time become one"
    )
    add("--base-depth", type=_at_least_one, default=default.base_depth, help="channels of the first block")
    add("--blocks", type=_at_least_one, default=default.blocks, help="blocks, each of which halves time")
    add("--growth", type=float, default=default.growth, help="factor of channels from block to block")
    add("--dropout", type=float, default=default.dropout, help="probability before the last layer")
    add(
        "--frequency-encoding",
        action=argparse.BooleanOptionalAction,
        default=default.frequency_encoding,
        help="tell the 2d model where it is on the frequency axis",
    )


def _add_optimisation(sub: argparse.ArgumentParser, default: Settings) -> None:
    add = sub.add_argument
    add("--loss", choices=["lsep", "bce"], default=default.loss, help="ranking loss or binary cross-entropy")
    add("--epochs", type=_at_least_one, default=default.epochs, help="passes over the training clips")
    add("--batch-size", type=_at_least_one, default=default.batch_size, help="clips in a batch, at most")
    add(
        "--spread",
        type=float,
        default=default.spread,
        help="batches that clips of one length are spread over",
    )
    add(
        "--max-seconds",
        type=float,
        default=default.max_seconds,
        help="longer training clips are cut at random",
    )
    add("--mixup", type=float, default=default.mixup, metavar="P", help="probability of OR-mixup")
    add("--effects", type=float, default=default.effects, metavar="P", help="probability of audio effects")
    add("--shuffle", type=float, default=default.shuffle, metavar="P", help="probability of chunk shuffle")
    add(
        "--augment-until",
        type=_at_least_one,
        default=None,
        metavar="EPOCH",
        help="epochs with mixup and effects",
    )
    add("--lr-min", type=float, default=default.lr_min, help="learning rate at the start of the cycle")
    add("--lr-max", type=float, default=default.lr_max, help="learning rate at its top")


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"wanted an integer from 1, got {text}")
    return value


def run(argv: list[str] | None = None) -> None:
    """Run one command."""
    args = parser().parse_args(argv)
    if hasattr(args, "device"):
        check_device(args.device)
    args.run_command(args)


def check_device(name: str) -> None:
    """Refuse a device that is not there before anything is read."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"--device: wanted one that this machine has, got {name!r} ({first})") from error


def main(argv: list[str] | None = None) -> None:
    """Run one command; what is the user's to mend is said in a line, not in a traceback."""
    try:
        run(argv)
    except (OSError, ValueError, TypeError, ImportError, FloatingPointError) as error:
        sys.exit(f"freesound2019.py: {error}")
    except KeyboardInterrupt:
        sys.exit("freesound2019.py: interrupted")


if __name__ == "__main__":
    main()
