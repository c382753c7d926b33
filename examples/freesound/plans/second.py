"""The plan of the second-place system: six models on segments, pretrained on noisy clips, and stacking.

The members are a table to read and to change. Everything that makes a plan smaller is in :class:`Scale`, so
a small plan has the same steps. For each kind of network one more model is trained, on all noisy clips and
nothing else. Its weights are the start of all folds of the members of this kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from freesound.job import Job, SystemPlan, predict_step, train_steps
from freesound.plans.base import Augment, Checked, Clips, Crops, Member, Network, Optim, Sound
from freesound.setting import option
from freesound.stacking import levels_of, stacking_steps
from freesound.steps import Step
from rankaudio.data import ScoreTable, read_labels, read_scores


@dataclass(frozen=True)
class Epochs:
    """A training: its epochs, those that begin with half the rate, and the first one without mixup."""

    count: int
    milestones: str
    mixup_until: int


@dataclass(frozen=True)
class Scale:
    """The size of a plan. ``curated`` and ``noisy`` are the trainings of members and of their starts."""

    folds: int = 10
    base_depth: int = 64
    rnn_units: int = 128
    statistics_momentum: float = 0.01
    n_mels: int = 64
    segment_seconds: float = 5.0
    max_seconds: float = 30.0
    batch_size: int = 32
    lr: float = 5e-4
    curated: Epochs = Epochs(40, "14,21,28", 14)
    noisy: Epochs = Epochs(35, "8,12,16", 8)
    precision: str = "auto"


class Row(NamedTuple):
    """One line of the table of members.

    ``start`` is the model whose weights a member starts from: trained on noisy clips, with the stem, the
    width and the squeeze-excite of the member. ``weight`` is that of the member in the mean.
    """

    name: str
    start: str
    stem: str
    width: float
    squeeze_excite: bool
    pool_first: str
    weight: float


ROWS = (
    #   name           start                stem           width  SE     pool first   weight
    Row("msc_se_x1",   "noisy_msc_se_x1",   "multi_scale", 1.0,   True,  "time",      1.0),
    Row("msc_se_x1_5", "noisy_msc_se_x1_5", "multi_scale", 1.5,   True,  "time",      1.0),
    Row("msc_se_x2",   "noisy_msc_se_x2",   "multi_scale", 2.0,   True,  "time",      1.0),
    Row("max3exam",    "noisy_v1mix",       "plain",       1.0,   False, "frequency", 1.9),
    Row("v1mix",       "noisy_v1mix",       "plain",       1.0,   False, "time",      2.1),
    Row("se",          "noisy_se",          "plain",       1.0,   True,  "time",      0.0),
)  # fmt: skip


def make_members(row: Row, scale: Scale) -> tuple[Member, Member]:
    """Return the model that a member starts from, and the member."""
    settings = {
        "base_depth": scale.base_depth,
        "rnn_units": scale.rnn_units,
        "statistics_momentum": scale.statistics_momentum,
        "stem": row.stem,
        "width": row.width,
        "squeeze_excite": row.squeeze_excite,
    }
    shared = {"sound": make_sound(scale), "crops": Crops(segment_seconds=scale.segment_seconds)}
    # A spread of so many batches is a plain shuffle.
    clips = Clips(batch_size=scale.batch_size, spread=1e6, max_seconds=scale.max_seconds)
    start = Member(
        name=row.start,
        network=Network("AxisPoolCNN", settings),
        clips=replace(clips, noisy=True, only_noisy=True, folds=1),
        augment=Augment(weighted_mixup=0.7, mixup_weight=0.3, augment_until=scale.noisy.mixup_until),
        optim=make_optim(scale, scale.noisy),
        **shared,
    )
    member = Member(
        name=row.name,
        network=Network(
            "AxisPoolCNN", settings | {"pool_first": row.pool_first}, start_from=model_of(row.start)
        ),
        clips=replace(clips, folds=scale.folds),
        augment=Augment(weighted_mixup=0.6, mixup_weight=0.3, augment_until=scale.curated.mixup_until),
        optim=make_optim(scale, scale.curated),
        **shared,
    )
    return start, member


def make_sound(scale: Scale) -> Sound:
    """Return the frontend: decibels below the maximum of each segment, framed by the rule SAME."""
    return Sound(
        n_fft=1024,
        hop_length=512,
        n_mels=scale.n_mels,
        f_min=0.0,
        ref="max",
        pad_mode="same",
        trim=60.0,
    )


def make_optim(scale: Scale, epochs: Epochs) -> Optim:
    """Return loss, optimiser and schedule of a training."""
    return Optim(
        loss="bce",
        label_smoothing=0.01,
        optimizer="nadam",
        schedule="milestones",
        lr_max=scale.lr,
        factor=0.5,
        milestones=epochs.milestones,
        epochs=epochs.count,
        precision=scale.precision,
    )


def model_of(name: str) -> str:
    """Return the file of a model that has no folds, in the folder of the run."""
    return f"models/{name}/fold_0/model.pt"


@dataclass(frozen=True)
class Stacking(Checked):
    """The weighted mean, and the linear stacking that starts from it.

    Attributes:
        weights: of the members in the mean, in their order.
    """

    weights: tuple[float, ...] = tuple(row.weight for row in ROWS)
    lr: float = option(1e-4, "learning rate", above=0)
    stop: int = option(15, "epochs without a new best value before the end", low=1)
    max_epochs: int = option(1000, "the largest number of epochs", low=1)
    batch_size: int = option(40, "clips in a batch", low=1)
    seed: int = option(42, "of the order of the clips", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        wrong = [w for w in self.weights if isinstance(w, bool) or not isinstance(w, int | float) or w < 0]
        if wrong:
            raise ValueError(f"second.weights: wanted numbers from 0, got {wrong[0]!r}")
        if not sum(self.weights) > 0:
            raise ValueError("second.weights: wanted one above 0, got none")
        object.__setattr__(self, "weights", tuple(map(float, self.weights)))

    def settings(self) -> dict[str, Any]:
        """Return the arguments of :func:`rankaudio.ensemble.fit_linear_stacking`, without the weights."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "weights"}


@dataclass(frozen=True)
class SecondPlan(SystemPlan):
    """Members, the models that they start from, and the second level."""

    second: Stacking = field(default_factory=Stacking)

    @property
    def ensemble(self) -> list[Member]:
        """The members of the first level: all that are trained on curated clips."""
        return [member for member in self.members if not member.clips.only_noisy]

    def start_of(self, member: Member) -> Member | None:
        """Return the model of the plan that a member starts from, if it is one of the plan."""
        path = member.network.start_from
        return next((one for one in self.members if model_of(one.name) == path), None)

    def steps(self, job: Job, only: Sequence[str] | None = None) -> list[Step]:
        """Return all steps, or those that some members need."""
        members = self.ensemble if only is None else [self.member(name) for name in only]
        steps: list[Step] = []
        for member in members:
            known, start = {step.name for step in steps}, self.start_of(member)
            first = [] if start is None else train_steps(job, start)
            own = train_steps(job, member, needs=tuple(step.name for step in first))
            steps += [step for step in (*first, *own) if step.name not in known]
            steps.append(predict_step(job, member, "test"))
        if only is None:
            settings, weights = self.second.settings(), self.second.weights
            steps += stacking_steps(job, members, settings, steps, weights=weights)
        return steps

    def held_out(self, job: Job) -> ScoreTable:
        """Return the scores of the curated clips by the submitted answer, each from the other folds."""
        return levels_of(job, self.ensemble, self.second.weights).held_out()

    def check(self, job: Job) -> None:
        """Refuse what would fail hours later.

        Raises:
            ValueError: if a setting does not suit the data, or a clip cannot be read.
        """
        members = self.ensemble
        job.check_folds(members)
        if members[0].clips.folds < 3:
            raise ValueError(
                f"clips.folds: wanted at least 3 for the second level, got {members[0].clips.folds}"
            )
        if len(self.second.weights) != len(members):
            raise ValueError(
                f"second.weights: wanted {len(members)}, one for each member, got {len(self.second.weights)}"
            )
        for member in members:
            check_start(member, self.start_of(member))
        job.check_clips("test", read_scores(job.data / "sample_submission.csv").names)
        noisy = read_labels(job.data / "train_noisy.csv", classes=job.corpus.classes, strict=False)
        job.check_clips("train_noisy", noisy.names)


def check_start(member: Member, start: Member | None) -> None:
    """Check that a member can start from the weights of a model of the plan.

    Raises:
        ValueError: if the model has folds, or another spectrogram or network.
    """
    if start is None:
        return
    if start.clips.folds != 1:
        raise ValueError(
            f"{start.name}.clips.folds: wanted 1, because no clip is held out, got {start.clips.folds}"
        )
    ours, theirs = (
        (one.sound, one.network.name, one.network.all_settings() | {"pool_first": None})
        for one in (member, start)
    )
    if ours != theirs:
        raise ValueError(
            f"{member.name}: wanted the sound and network of {start.name}, whose weights it starts from, "
            "got others"
        )


def make_plan(scale: Scale, rows: Sequence[Row] = ROWS, second: Stacking | None = None) -> SecondPlan:
    """Return the plan at some scale, by default with all members."""
    starts, members = {}, []
    for row in rows:
        start, member = make_members(row, scale)
        starts[start.name] = start
        members.append(member)
    second = replace(second or Stacking(), weights=tuple(row.weight for row in rows))
    return SecondPlan((*starts.values(), *members), second)


# For some 300 curated and 200 noisy clips on two CPU cores.
SMALL = Scale(
    folds=3,
    base_depth=8,
    rnn_units=16,
    statistics_momentum=0.1,
    n_mels=32,
    segment_seconds=2.0,
    max_seconds=15.0,
    batch_size=16,
    lr=4e-3,
    curated=Epochs(12, "6,8,10", 8),
    noisy=Epochs(8, "4,5,6", 5),
)

PLANS = {"full": make_plan(Scale()), "small": make_plan(SMALL)}
