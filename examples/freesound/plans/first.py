"""The plan of the first-place system: seven models, three second-level networks, and a geometric mean of all.

The members are a table to read and to change. Everything that makes a plan smaller is in :class:`Scale`, so
a small plan has the same steps. ``RUN/noisy`` gets the tables of noisy clips, see
:mod:`freesound.noisy_choice`. One more model, the selector, is trained on curated clips only. It chooses
which noisy clips to trust and which to drop, unless a table says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from freesound.corrections import read_decisions
from freesound.job import Job, SystemPlan, predict_step, train_steps
from freesound.noisy_choice import choose_by_agreement, take_decisions
from freesound.plans.base import Checked, Clips, Crops, Member, Network, Optim, Pools, Sound
from freesound.plans.second_level import SecondLevel
from freesound.second_level import levels_of, second_level_steps
from freesound.setting import option
from freesound.steps import Step
from freesound.tasks import geometric_mean
from rankaudio.data import ScoreTable, read_labels, read_scores

TRUSTED, KEPT = "noisy/trusted.csv", "noisy/kept.csv"
SELECTOR = "selector"


@dataclass(frozen=True)
class Scale:
    """The size of a plan.

    ``dropout`` is a factor of the value of each member. ``ratio`` is the ratio of frames to bins of a crop,
    divided by that of the original, which has 256 frames and 128 bins.
    """

    folds: int = 5
    base_depth: int = 64
    n_fft: int | None = None
    hop_length: int | None = None
    n_mels: int | None = None
    crop_frames: int = 256
    ratio: float = 1.0
    max_seconds: float = 30.0
    draws: int = 32_768
    batch_size: int = 128
    dropout: float = 1.0
    epochs: int = 700
    lr: float = 9e-4
    patience: int = 6
    factor: float = 0.6
    early_stop: int = 18
    precision: str = "auto"


class Row(NamedTuple):
    """One line of the table of members.

    ``noisy``, ``trusted`` and ``curated`` are the shares of the draws. ``pool`` says which noisy clips:
    ``"all"``, or ``"kept"`` without those that are dropped. ``area`` and ``ratio`` are the ranges of the
    random part that is stretched; without an area nothing is stretched.
    """

    name: str
    network: str
    noisy: float
    trusted: float
    curated: float
    pool: str
    mixers: float
    area: float | None
    ratio: tuple[float, float]
    kernel: int


USUAL = (1.7, 2.3)
ROWS = (
    #   name               network               noisy trust curat pool    mix   area  ratio       kernel
    Row("auxiliary_016",   "AuxSkipAttention",    0.20, 0.00, 0.80, "all",  0.80, 0.80, USUAL,      7),
    Row("auxiliary_019",   "AuxSkipAttention",    0.20, 0.00, 0.80, "all",  0.80, 0.75, (1.6, 2.4), 7),
    Row("corr_noisy_003",  "RnnAuxSkipAttention", 0.10, 0.20, 0.70, "all",  0.80, 0.80, USUAL,      7),
    Row("corr_noisy_004",  "AuxSkipAttention",    0.07, 0.33, 0.60, "kept", 0.80, 0.80, USUAL,      7),
    Row("corr_noisy_007",  "AuxSkipAttention",    0.01, 0.42, 0.57, "kept", 0.80, 0.80, USUAL,      7),
    Row("corrections_002", "SkipAttention",       0.33, 0.00, 0.67, "all",  0.66, None, USUAL,      7),
    Row("corrections_003", "SkipAttention",       0.33, 0.00, 0.67, "all",  0.66, None, USUAL,      3),
)  # fmt: skip
# Trained on curated clips only, so it has never seen the clips among which it chooses.
SELECTOR_ROW = Row(SELECTOR, "AuxSkipAttention", 0.0, 0.0, 1.0, "none", 0.80, 0.80, USUAL, 7)


def make_member(row: Row, scale: Scale) -> Member:
    """Return the settings of a member at some scale."""
    heads = row.network != "SkipAttention"
    settings = {
        "base_depth": scale.base_depth,
        "spatial_kernel": row.kernel,
        "hidden_factor": 4 if heads else 2,
        "dropout": round((0.4 if heads else 0.2) * scale.dropout, 3),
    }
    return Member(
        name=row.name,
        sound=Sound(
            n_fft=scale.n_fft, hop_length=scale.hop_length, n_mels=scale.n_mels, scale=0.01, trim=60.0
        ),
        network=Network(row.network, settings),
        clips=Clips(
            noisy=row.pool == "all",
            extra=KEPT if row.pool == "kept" else None,
            folds=scale.folds,
            batch_size=scale.batch_size,
            max_seconds=scale.max_seconds,
        ),
        crops=make_crops(row, scale),
        pools=make_pools(row, scale),
        optim=Optim(
            loss="bce",
            optimizer="adam",
            schedule="plateau",
            lr_max=scale.lr,
            patience=scale.patience,
            factor=scale.factor,
            early_stop=scale.early_stop,
            epochs=scale.epochs,
            precision=scale.precision,
        ),
    )


def make_pools(row: Row, scale: Scale) -> Pools:
    """Return the shares of the draws, and how noisy labels count."""
    return Pools(
        draws=scale.draws,
        trusted=TRUSTED if row.trusted else None,
        curated_share=row.curated,
        trusted_share=row.trusted,
        noisy_share=row.noisy,
        noisy_loss="l_soft",
        clean_weight=0.5,
        noisy_weight=0.5,
    )


def make_crops(row: Row, scale: Scale) -> Crops:
    """Return the crops of a member, with windows that overlap by half."""
    return Crops(
        crop_frames=scale.crop_frames,
        window_hop=scale.crop_frames // 2,
        wrap=0.5,
        resize=0.0 if row.area is None else 0.33,
        area_low=0.8 if row.area is None else row.area,
        ratio_low=round(row.ratio[0] * scale.ratio, 3),
        ratio_high=round(row.ratio[1] * scale.ratio, 3),
        spec_augment=0.5,
        mixers=row.mixers,
    )


@dataclass(frozen=True)
class Noisy(Checked):
    """Which noisy clips are trusted and dropped; by default the shares of the original."""

    selector: str = option(SELECTOR, "the member whose scores choose the clips")
    table: str | None = option(
        None, "table of clips to trust or drop, instead of a choice by the selector", metavar="CSV"
    )
    trusted_share: float = option(1745 / 19815, "share of noisy clips to trust", above=0, high=1)
    dropped_share: float = option(6999 / 19815, "share of noisy clips to drop", low=0, high=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trusted_share + self.dropped_share > 1:
            raise ValueError(
                "noisy.trusted_share, noisy.dropped_share: wanted at most 1 together, got "
                f"{self.trusted_share:g} and {self.dropped_share:g}"
            )


@dataclass(frozen=True)
class FirstPlan(SystemPlan):
    """Members, the choice of noisy clips, and the second level."""

    noisy: Noisy = field(default_factory=Noisy)
    second: SecondLevel = field(default_factory=SecondLevel)

    @property
    def ensemble(self) -> list[Member]:
        """The members of the first level: all but the selector."""
        return [member for member in self.members if member.name != self.noisy.selector]

    def steps(self, job: Job, only: Sequence[str] | None = None) -> list[Step]:
        """Return all steps, or those that some members need. The choice of noisy clips comes first."""
        members = self.ensemble if only is None else [self.member(name) for name in only]
        steps = self._choice(job) if any(needs_choice(member) for member in members) else []
        known = {step.name for step in steps}
        for member in members:
            needs = ("choose noisy",) if needs_choice(member) else ()
            steps += [step for step in train_steps(job, member, needs=needs) if step.name not in known]
            steps.append(predict_step(job, member, "test", mean=geometric_mean))
        if only is None:
            steps += second_level_steps(job, members, self.second.networks(), steps)
        return steps

    def held_out(self, job: Job) -> ScoreTable:
        """Return the scores of the curated clips by the submitted mean, each from the other folds."""
        return levels_of(job, self.ensemble, self.second.networks()).held_out()

    def check(self, job: Job) -> None:
        """Refuse what would fail hours later.

        Raises:
            ValueError: if a setting does not suit the data, or a clip cannot be read.
        """
        job.check_folds(self.members)
        if self.members[0].clips.folds < 3:
            raise ValueError(
                f"clips.folds: wanted at least 3 for the second level, got {self.members[0].clips.folds}"
            )
        self.member(self.noisy.selector)
        views = {(member.crops.crop_frames, member.crops.hop, member.sound) for member in self.ensemble}
        if len(views) > 1:
            raise ValueError(
                "sound, crops.crop_frames, crops.window_hop: wanted the same for all members, because the "
                "second level joins their windows, got others"
            )
        job.check_clips("test", read_scores(job.data / "sample_submission.csv").names)
        noisy = read_labels(job.data / "train_noisy.csv", classes=job.corpus.classes, strict=False)
        if self.noisy.table is not None:
            read_decisions(Path(self.noisy.table), noisy)
        job.check_clips("train_noisy", noisy.names)

    def _choice(self, job: Job) -> list[Step]:
        """Return the steps that choose noisy clips: the selector's training and scores, and the choice."""
        classes, given, out = job.corpus.classes, job.data / "train_noisy.csv", job.folder / TRUSTED
        if self.noisy.table is not None:
            work = partial(take_decisions, given, Path(self.noisy.table), classes=classes)
            return [Step("choose noisy", work, out=out)]
        selector = self.member(self.noisy.selector)
        scored = predict_step(job, selector, "train_noisy", mean=geometric_mean)
        work = partial(
            choose_by_agreement,
            given,
            job.scores(selector.name, "train_noisy"),
            classes=classes,
            trusted=self.noisy.trusted_share,
            dropped=self.noisy.dropped_share,
        )
        return [*train_steps(job, selector), scored, Step("choose noisy", work, (scored.name,), out=out)]


def needs_choice(member: Member) -> bool:
    """Whether a member is trained on clips that have to be chosen first."""
    return member.pools.trusted is not None or member.clips.extra is not None


def make_plan(scale: Scale, rows: Sequence[Row] = ROWS, second: SecondLevel | None = None) -> FirstPlan:
    """Return the plan at some scale, by default with all members."""
    members = tuple(make_member(row, scale) for row in (SELECTOR_ROW, *rows))
    return FirstPlan(members, Noisy(), second or SecondLevel())


# For some 300 curated and 200 noisy clips on two CPU cores.
SMALL = Scale(
    folds=3,
    base_depth=8,
    n_fft=2048,
    hop_length=1024,
    n_mels=64,
    crop_frames=96,
    ratio=0.75,
    max_seconds=15.0,
    draws=640,
    batch_size=16,
    dropout=0.5,
    epochs=14,
    lr=5e-3,
    patience=2,
    factor=0.5,
    early_stop=8,
)
SMALL_SECOND = SecondLevel(
    lr=(1e-3, 1e-3, 1e-3), hidden=64, stop=10, max_epochs=60, draws_per_epoch=1024, batch_size=32
)

PLANS = {"full": make_plan(Scale()), "small": make_plan(SMALL, second=SMALL_SECOND)}
