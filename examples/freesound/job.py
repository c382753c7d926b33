"""What a system's plan is, where it is carried out, and the steps that every plan has.

RUN/plan.json               the plan
RUN/models/MEMBER/fold_K/   what training writes
RUN/scores/MEMBER.PART.csv  scores of a part of the data, the mean over the folds
RUN/times/  RUN/logs/       of each step, see pipeline.py
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from torch import Tensor

from freesound.corpus import Corpus, read_corpus
from freesound.plans.base import KAGGLE, Machine, Member, Plan
from freesound.state import Run
from freesound.steps import Step
from freesound.tasks import mean_of_scores, predict_folder, train
from rankaudio import ClipDataset
from rankaudio.data import ScoreTable


@dataclass(frozen=True)
class Job:
    """Data, run folder and machine. Paths become absolute: a worker can have another working directory."""

    data: Path
    folder: Path
    machine: Machine = field(default_factory=Machine)
    corrections: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", self.data.absolute())
        object.__setattr__(self, "folder", self.folder.absolute())

    @cached_property
    def corpus(self) -> Corpus:
        """The label tables of the data after corrections, without noisy clips."""
        return read_corpus(self.data, corrections=self.corrections)

    def run(self, name: str) -> Run:
        """Return the run of a member."""
        return Run(self.folder / "models" / name)

    def scores(self, name: str, part: str) -> Path:
        """Return the table of a member's scores of ``test`` or ``train_noisy``."""
        return self.folder / "scores" / f"{name}.{part}.csv"

    def check_folds(self, members: Sequence[Member]) -> None:
        """Check that all members have the same folds, at least two, and the tables of the Kaggle layout."""
        if any(member.table != KAGGLE for member in members):
            raise ValueError("table: wanted the Kaggle layout, which recipe needs, got other settings")
        counts = sorted({member.clips.folds for member in members})
        if counts[0] < 2 or len(counts) > 1:
            raise ValueError(
                "clips.folds: wanted one number from 2 for all members, because the blend is fitted on clips "
                f"that are held out, got {', '.join(map(str, counts))}"
            )
        if any(member.clips.corrections != self.corrections for member in members):
            raise ValueError("clips.corrections: wanted one table for all members, got several")

    def check_clips(self, part: str, names: Sequence[str]) -> None:
        """Read the header of every clip; the message of an error names the clip."""
        ClipDataset([self.data / part / name for name in names])


@dataclass(frozen=True)
class SystemPlan(Plan, ABC):
    """A plan that can be carried out. Each system derives its own, with the parts that its steps need."""

    @property
    def corrections(self) -> str | None:
        """The table of corrections, which is the same for all members."""
        return self.members[0].clips.corrections

    @abstractmethod
    def steps(self, job: Job, only: Sequence[str] | None = None) -> list[Step]:
        """Return all steps, or those that some members need; each comes after those that it needs."""

    @abstractmethod
    def held_out(self, job: Job) -> ScoreTable:
        """Return the scores of the curated clips by what is submitted, out of fold, after all steps."""

    @abstractmethod
    def check(self, job: Job) -> None:
        """Raise ValueError for what would fail hours later."""


def train_steps(job: Job, member: Member, *, needs: tuple[str, ...] = ()) -> list[Step]:
    """Return a step for each fold.

    Relative paths in ``clips.extra``, ``pools.trusted`` and ``network.start_from`` are paths in the run's
    folder, where earlier steps have written these files.
    """
    run = job.run(member.name)
    for part, name in (("clips", "extra"), ("pools", "trusted"), ("network", "start_from")):
        settings = getattr(member, part)
        path = getattr(settings, name)
        if path is not None:
            member = replace(member, **{part: replace(settings, **{name: str(job.folder / path)})})
    work = partial(train, member, job.data, run.folder, machine=job.machine, resume=True)
    return [
        Step(
            f"train {member.name} fold {fold}",
            partial(work, folds=[fold]),
            needs,
            finished=partial(run.finished, fold),
            network=True,
        )
        for fold in range(member.clips.folds)
    ]


def predict_step(
    job: Job, member: Member, part: str, *, mean: Callable[[Tensor], Tensor] = mean_of_scores
) -> Step:
    """Return the step that scores the clips in a folder of the data, with a mean over the folds."""
    run = job.run(member.name).folder
    return Step(
        f"predict {part} {member.name}",
        partial(predict_folder, run, job.data / part, machine=job.machine, mean=mean),
        tuple(f"train {member.name} fold {fold}" for fold in range(member.clips.folds)),
        out=job.scores(member.name, part),
        network=True,
    )
