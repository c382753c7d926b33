"""What the commands do, as functions that the command line and a plan's pipeline call."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from freesound.build import MemberSystem, build_average, build_tagger, resolved
from freesound.corpus import Corpus, read_corpus
from freesound.data import Split, checksum, split_corpus
from freesound.distributed import Group, join_group, local_device
from freesound.engine import Trainer
from freesound.fold_scores import scores_of_folds
from freesound.plans.base import KAGGLE, Machine, Member, Table
from freesound.progress import log, progress_bar
from freesound.settings import to_dict
from freesound.state import Run
from freesound.tables import in_order, read_columns, read_header, read_scored, read_values
from freesound.training_log import wants_tensorboard
from freesound.trimming import open_clips
from rankaudio import Tagger
from rankaudio._program.scored_labels import class_report, name_width, with_interval
from rankaudio.data import ScoreTable, write_scores
from rankaudio.data._audio_folder import AudioFolder, find_audio
from rankaudio.metrics import bootstrap

LEADERBOARDS = ("public", "private")


def mean_of_scores(scores: Tensor) -> Tensor:
    """Return the mean of raw scores over the folds, the first axis."""
    return sum(scores) / len(scores)  # one after the other, so that the order is known


def geometric_mean(scores: Tensor) -> Tensor:
    """Return raw scores whose probabilities are the geometric means over the folds, the first axis."""
    log = torch.nn.functional.logsigmoid(scores).mean(0)
    return log - torch.log(-torch.expm1(log.clamp(max=-1e-300)))


def train(
    member: Member,
    data: Path,
    run: Path,
    *,
    machine: Machine,
    folds: Sequence[int] | None = None,
    resume: bool = False,
) -> None:
    """Train folds of a model, in this process or with the others that ``torchrun`` started.

    Args:
        member: the settings.
        data: folder in the Kaggle layout.
        run: folder for settings, models, metrics and logs; ``run/fold_K`` for each fold.
        machine: where to compute.
        folds: the folds to train; None: all of them.
        resume: continue what was begun, and skip folds that are finished.

    Raises:
        ValueError: if a setting, a table or a clip is wrong, or ``run`` holds a run with other settings.
        FileExistsError: if ``run`` holds these folds, or other things.
        BlockingIOError: if another process trains one of the folds.
    """
    group, tensorboard = join_group(local_device(machine.device)), wants_tensorboard(machine.tensorboard)
    corpus, splits = group.run_on_all(lambda: _prepare(member, data, folds))
    folds = list(splits)
    checks = {"classes": list(corpus.classes), "processes": group.world_size}
    checks |= _checksums(member)
    settings, folder = to_dict(resolved(member)), Run(run)
    for line in corpus.remarks if group.is_main else ():
        log(line)
    with contextlib.ExitStack() as claims:
        claim = folder.claimed(settings, checks, folds, resume=resume, log=log)
        left = group.broadcast(lambda: claims.enter_context(claim))
        for fold, split in splits.items():
            if fold in left:
                trainer = group.run_on_all(
                    lambda split=split: _trainer(member, corpus, split, group, machine)
                )
                _train_fold(trainer, fold, folder, tensorboard=tensorboard)
            elif group.is_main:
                log(f"fold {fold}: finished already, in {folder.fold(fold)}")


def _prepare(member: Member, data: Path, folds: Sequence[int] | None) -> tuple[Corpus, dict[int, Split]]:
    """Read and check everything before anything is written."""
    clips = member.clips
    corpus = read_corpus(
        data,
        noisy=clips.noisy,
        extra=clips.extra,
        trusted=member.pools.trusted,
        corrections=clips.corrections,
        table=member.table,
    )
    count = corpus.count_folds(clips.folds)
    folds = range(count) if folds is None else folds
    for fold in folds:
        if not 0 <= fold < count:
            raise ValueError(f"--fold: wanted 0 to {count - 1} (there are {count} folds), got {fold}")
    build_tagger(member, corpus.classes)
    return corpus, {
        fold: split_corpus(
            corpus,
            fold=fold,
            folds=clips.folds,
            max_seconds=clips.max_seconds,
            seed=member.optim.seed,
            sample_rate=member.sound.sample_rate,
            trim=member.sound.trim,
            only_noisy=clips.only_noisy,
        )
        for fold in folds
    }


def _checksums(member: Member) -> dict[str, str | None]:
    files = {
        "extra_sha256": member.clips.extra,
        "corrections_sha256": member.clips.corrections,
        "trusted_sha256": member.pools.trusted,
        "start_from_sha256": member.network.start_from,
    }
    return {name: None if path is None else checksum(Path(path)) for name, path in files.items()}


def _trainer(member: Member, corpus: Corpus, split: Split, group: Group, machine: Machine) -> Trainer:
    system = MemberSystem(member, corpus.classes)
    for part in (system.tagger, system.on_waveforms, system.on_spectrograms):
        part.to(group.device)
    return Trainer(
        system,
        split,
        member.optim,
        group=group,
        average=build_average(member.optim, system.tagger, group),
        workers=machine.workers,
        checkpoint_seconds=machine.checkpoint_seconds,
        log=log if group.is_main else lambda _: None,
    )


def _train_fold(trainer: Trainer, fold: int, folder: Run, *, tensorboard: bool) -> None:
    split = trainer.split
    held_out = 0 if split.valid is None else len(split.valid)
    counts = f"{len(split.train)} clips to train on, {held_out} held out"
    trainer.log(f"fold {fold}: {counts}, {len(trainer.system.tagger.classes)} classes")
    best = trainer.fit(folder.fold(fold), tensorboard=tensorboard)
    kept = "last model" if split.valid is None else f"best lwlrap {best:.4f}"
    trainer.log(f"fold {fold}: {kept}, in {folder.fold(fold)}")


def predict_folder(
    run: Path, audio: Path, out: Path, *, machine: Machine, mean: Callable[[Tensor], Tensor] = mean_of_scores
) -> None:
    """Score the audio files of a folder and its sub-folders, or one file, with a mean over the folds.

    ``mean`` takes raw scores ``(folds, N, C)`` and returns raw scores ``(N, C)``.

    The name of a clip is its path in ``audio``. The score table is whole or not there. Clips are resampled
    to the rate of the model.

    Raises:
        ValueError: if files could not be scored; the others are in the table, and the message names these.
        OSError: if the table cannot be written; this is checked first.
    """
    check_writable(out)
    member, taggers = Run(run).member(), Run(run).taggers(local_device(machine.device))
    found = find_audio(audio, option="--audio")
    if found.left_out():
        log(found.left_out())
    scores = _mean_scores(member, taggers, found, mean, workers=machine.workers)
    kept = [index for index, path in enumerate(found.paths) if path not in found.unreadable]
    names = [found.name(found.paths[index]) for index in kept]
    write_scores(out, ScoreTable(names, taggers[0].classes, scores[kept]))
    log(f"{out}: scores of {len(kept)} clips, mean over {len(taggers)} folds")
    if found.unreadable:
        listed = "\n".join(f"  {error}" for error in found.unreadable.values())
        raise ValueError(f"{len(found.unreadable)} files could not be scored and are not in {out}:\n{listed}")


def _mean_scores(
    member: Member,
    taggers: list[Tagger],
    found: AudioFolder,
    mean: Callable[[Tensor], Tensor],
    *,
    workers: int,
) -> Tensor:
    """Return the mean over the folds; clips without finite scores are added to ``found.unreadable``."""
    paths, unreadable = found.paths, found.unreadable
    rate, trim = taggers[0].sample_rate, member.sound.trim
    clips = open_clips(paths, sample_rate=rate, trim=trim) if paths else []
    with progress_bar(f"{len(taggers)} folds", unit="clip", total=len(paths)) as bar:
        of_folds = scores_of_folds(
            member,
            taggers,
            clips,
            workers=workers,
            progress=lambda done, _: bar.update(done - bar.n),
            on_error=lambda index, error: unreadable.setdefault(paths[index], error),
        ).double()
    scores = mean(of_folds).float()
    for index in (~scores.isfinite().all(1)).nonzero().flatten().tolist():
        error = ValueError(f"{paths[index]}: wanted finite scores, got others; its samples may be too large")
        unreadable.setdefault(paths[index], error)
    return scores


def check_writable(path: Path) -> None:
    """Refuse a target that cannot be written, before the work.

    Raises:
        OSError: if the path is a folder, a device or a pipe, or no file can be made next to it.
    """
    if path.is_dir():
        raise IsADirectoryError(f"--out: wanted a file to write, got the folder {path}")
    if path.exists() and not path.is_file():
        raise OSError(f"--out: wanted a file to write, got the device or pipe {path}")
    try:
        with tempfile.TemporaryFile(dir=path.absolute().parent):
            pass
    except OSError as error:
        raise OSError(f"--out: {path} cannot be written: {error.strerror}") from error


def evaluate(scores: Path, labels: Path, *, table: Table = KAGGLE) -> str:
    """Compare a table of scores with one of labels; return the lwlrap of each class and of all, as text.

    Below the classes are mAP and the lwlrap of all labels, each with its 95 % interval by bootstrap. If the
    labels have a column ``usage``, or ``table`` names a column of folds or of a split, the text also has the
    lwlrap of each part.
    """
    predicted, truth = read_scored(scores, labels, table)
    text = class_report(predicted.scores, truth.target, truth.classes)
    usage = read_usage(labels, table.name_column)
    columns = {column for column in (table.fold_column, table.split_column) if column is not None}
    parts = [(usage, LEADERBOARDS)] * bool(usage)
    for column in columns:
        values = read_values(labels, table.name_column, column)
        parts.append((values, in_order(values.values())))
    for part_of, order in parts:
        rows = [part_of[name] for name in truth.names]
        text += "\n" + parts_report(predicted.scores, truth.target, truth.classes, rows, order)
    return text


def read_usage(path: Path, name_column: str = "fname") -> dict[str, str]:
    """Return "public" or "private" for each clip, or nothing if the table has no column ``usage``."""
    if "usage" not in read_header(path):
        return {}
    usage = {}
    for line, (name, value) in read_columns(path, [name_column, "usage"]):
        usage[name.strip()] = board = value.strip().lower()
        if board not in LEADERBOARDS:
            raise ValueError(f"{path}, line {line}: wanted Public or Private as usage, got {value!r}")
    return usage


def parts_report(
    scores: Tensor, target: Tensor, classes: tuple[str, ...], part_of: list[str], parts: Sequence[str]
) -> str:
    """Return labels, lwlrap and clips of each part, such as a leaderboard or a fold."""
    lines = []
    for part in parts:
        rows = torch.tensor([one == part for one in part_of])
        count = int(target[rows].sum())
        value = with_interval(bootstrap(scores[rows], target[rows])) if count else "     -"
        lines.append(f"{part:{name_width(classes)}}  {count:5d}  {value}  {int(rows.sum())} clips")
    return "\n".join(lines)
