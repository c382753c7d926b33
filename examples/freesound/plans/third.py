"""The plan of the third-place system: 11 models, rounds over noisy clips, and a blend.

The members are a table to read and to change. Everything that makes a plan smaller is in :class:`Scale`, so
a small plan has the same steps. ``RUN/rounds`` gets the tables of noisy clips: ``round_1.csv`` and so on with
the clips that a round chose, ``relabelled.csv`` with the clips of the last round and all others relabelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from freesound.ensemble import blend_steps, held_out_blend
from freesound.job import Job, SystemPlan, predict_step, train_steps
from freesound.plans.base import Augment, Checked, Clips, Member, Network, Optim
from freesound.rounds import choose_clips, label_the_rest
from freesound.setting import option
from freesound.steps import Step
from rankaudio.data import ScoreTable, read_labels, read_scores

CURATED, RELABELLED = "curated", "relabelled"


@dataclass(frozen=True)
class Scale:
    """The size of a plan; ``depth``, ``epochs`` and ``dropout`` are factors of the values of each member."""

    sizes: tuple[int, ...] = (1000, 2000, 3000, 4000, 5000)
    folds: int = 5
    depth: float = 1.0
    epochs: float = 1.0
    dropout: float = 1.0
    batch_size: int = 20
    mixup: float = 0.5
    effects: float = 0.75
    shuffle: float = 0.5


class Row(NamedTuple):
    """One line of the table of members.

    Every member is trained on the curated clips. ``clips`` says on which noisy clips too: ``"curated"`` for
    none, ``"round_3"`` for those that the third round chose, ``"relabelled"`` for all of them.
    """

    name: str
    network: str
    pooling: str
    clips: str
    blocks: int
    depth: int
    epochs: int
    dropout: float


ROWS = (
    #   name            network  pooling  clips        blocks  depth  epochs  dropout
    Row("2d_max",       "CNN2d", "max",   CURATED,     5,      50,    100,    0.5),
    Row("2d_max_r1",    "CNN2d", "max",   "round_1",   6,      50,    150,    0.7),
    Row("2d_max_r2",    "CNN2d", "max",   "round_2",   6,      50,    150,    0.7),
    Row("2d_max_r3",    "CNN2d", "max",   "round_3",   6,      50,    150,    0.7),
    Row("2d_max_r4",    "CNN2d", "max",   "round_4",   6,      50,    150,    0.7),
    Row("2d_max_r5",    "CNN2d", "max",   "round_5",   6,      50,    150,    0.7),
    Row("2d_max_all",   "CNN2d", "max",   RELABELLED,  6,      50,    150,    0.7),
    Row("2d_rnn",       "CNN2d", "rnn",   CURATED,     5,      50,    100,    0.5),
    Row("2d_rnn_r5",    "CNN2d", "rnn",   "round_5",   6,      50,    150,    0.7),
    Row("1d_max_all",   "CNN1d", "max",   RELABELLED,  6,      100,   150,    0.7),
    Row("1d_rnn",       "CNN1d", "rnn",   CURATED,     5,      100,   100,    0.5),
)  # fmt: skip
# Each of these is trained on the clips of the round before.
SELECTORS = ("2d_max", "2d_max_r1", "2d_max_r2", "2d_max_r3", "2d_max_r4", "2d_max_r5")


def make_member(row: Row, scale: Scale) -> Member:
    """Return the settings of a member at some scale."""
    epochs = max(1, round(row.epochs * scale.epochs))
    settings = {
        "pooling": row.pooling,
        "n_blocks": row.blocks,
        "base_depth": max(1, round(row.depth * scale.depth)),
        "dropout": round(row.dropout * scale.dropout, 3),
    }
    return Member(
        name=row.name,
        network=Network(row.network, settings),
        clips=Clips(
            extra=None if row.clips == CURATED else f"rounds/{row.clips}.csv",
            folds=scale.folds,
            batch_size=scale.batch_size,
        ),
        augment=Augment(
            mixup=scale.mixup,
            effects=scale.effects,
            # A recurrent network reads the chunks in their order.
            shuffle=scale.shuffle if row.pooling == "max" else 0.0,
            # The last ten of a hundred epochs or more are without augmentation.
            augment_until=max(1, epochs - max(1, round(10 * scale.epochs))),
        ),
        optim=Optim(epochs=epochs),
    )


@dataclass(frozen=True)
class Rounds(Checked):
    """How noisy clips are chosen and labelled.

    Attributes:
        sizes: noisy clips that each round takes.
        selectors: the members whose scores choose the clips of round 1, 2, ... The last one labels the clips
            that no round chose.
    """

    sizes: tuple[int, ...] = ()
    selectors: tuple[str, ...] = ()
    balanced: bool = option(False, "let the classes take turns in each round")
    relabel: str = option(
        "all",
        "labels of clips that no round chose: the model's, given and the model's, or given if they agree",
        choices=("all", "merge", "match"),
    )
    mean_labels: float | None = option(
        None,
        "mean number of labels that the model gives these clips; by default that of the curated clips",
        above=0,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted = max(0, len(self.selectors) - 1)
        if len(self.sizes) != wanted:
            raise ValueError(f"rounds.sizes: wanted {wanted}, one for each round, got {len(self.sizes)}")
        if any(size < 1 for size in self.sizes) or sorted(self.sizes) != [*self.sizes]:
            listed = ",".join(map(str, self.sizes))
            raise ValueError(
                f"rounds.sizes: wanted numbers from 1, each at least the one before, got {listed}"
            )


@dataclass(frozen=True)
class ThirdPlan(SystemPlan):
    """Members, and rounds over noisy clips."""

    rounds: Rounds = field(default_factory=Rounds)

    def needed_by(self, names: Sequence[str]) -> list[Member]:
        """Return these members and the selectors that they depend on, in the order of the plan."""
        wanted = {self.member(name).name for name in names}
        for name in names:
            wanted |= set(self.rounds.selectors[: self.round_of(self.member(name))])
        return [member for member in self.members if member.name in wanted]

    def round_of(self, member: Member) -> int:
        """Return how many selectors have to be trained before the noisy clips of a member are known."""
        clips = clips_of(member)
        if clips == CURATED:
            return 0
        return len(self.rounds.selectors) if clips == RELABELLED else int(clips.removeprefix("round_"))

    def steps(self, job: Job, only: Sequence[str] | None = None) -> list[Step]:
        """Return all steps, or those that some members need.

        The rounds come first, because most members wait for them.
        """
        members = list(self.members) if only is None else self.needed_by(only)
        steps: list[Step] = []
        for number in range(1, 1 + max(self.round_of(member) for member in members)):
            selector = self.member(self.rounds.selectors[number - 1])
            steps += self._training(job, selector)
            steps += [predict_step(job, selector, "train_noisy"), self._choose(job, number)]
        known = {step.name for step in steps}
        for member in members:
            steps += [step for step in self._training(job, member) if step.name not in known]
            steps.append(predict_step(job, member, "test"))
        if len(members) == len(self.members):
            steps += blend_steps(job, members, steps)
        return steps

    def held_out(self, job: Job) -> ScoreTable:
        """Return the scores of the curated clips by the submitted blend, each from the other folds."""
        return held_out_blend(job, self.members)

    def check(self, job: Job) -> None:
        """Refuse what would fail hours later.

        Raises:
            ValueError: if a setting does not suit the data, or a clip cannot be read.
        """
        mean, most = self.rounds.mean_labels, len(job.corpus.classes)
        if mean is not None and mean > most:
            raise ValueError(
                f"rounds.mean_labels: wanted at most {most}, the number of classes, got {mean:g}"
            )
        job.check_folds(self.members)
        job.check_clips("test", read_scores(job.data / "sample_submission.csv").names)
        if any(clips_of(member) != CURATED for member in self.members):
            path = job.data / "train_noisy.csv"
            job.check_clips("train_noisy", read_labels(path, classes=job.corpus.classes, strict=False).names)

    def _training(self, job: Job, member: Member) -> list[Step]:
        clips = clips_of(member)
        return train_steps(job, member, needs=() if clips == CURATED else (f"choose {clips}",))

    def _choose(self, job: Job, number: int) -> Step:
        """Return the step that chooses the clips of a round, or after the last round labels all others."""
        rounds, selector = self.rounds, self.rounds.selectors[number - 1]
        tables = job.data / "train_noisy.csv", job.scores(selector, "train_noisy")
        classes, folder = job.corpus.classes, job.folder / "rounds"
        if number <= len(rounds.sizes):
            name = f"round_{number}"
            work = partial(
                choose_clips,
                *tables,
                classes=classes,
                size=rounds.sizes[number - 1],
                balanced=rounds.balanced,
            )
        else:
            name, mean = RELABELLED, rounds.mean_labels
            if mean is None:
                mean = float(job.corpus.curated.target.sum(1).double().mean())
            chosen = folder / f"round_{len(rounds.sizes)}.csv"
            work = partial(
                label_the_rest, *tables, chosen, classes=classes, mode=rounds.relabel, mean_labels=mean
            )
        return Step(f"choose {name}", work, (f"predict train_noisy {selector}",), out=folder / f"{name}.csv")


def clips_of(member: Member) -> str:
    """Return which clips a member is trained on: "curated", or the name of a table in ``RUN/rounds``."""
    return CURATED if member.clips.extra is None else Path(member.clips.extra).stem


def make_plan(scale: Scale, rows: Sequence[Row] = ROWS, selectors: tuple[str, ...] = SELECTORS) -> ThirdPlan:
    """Return the plan at some scale, by default with all members."""
    return ThirdPlan(tuple(make_member(row, scale) for row in rows), Rounds(scale.sizes, selectors))


# For some 300 curated and 200 noisy clips on two CPU cores. There are no effects, because they would take
# longer than networks of this size.
SMALL = Scale(sizes=(20, 40, 60, 80, 100), folds=3, depth=0.16, epochs=0.12, dropout=0.5, effects=0.0)

PLANS = {"full": make_plan(Scale()), "small": make_plan(SMALL)}
