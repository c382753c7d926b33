"""The plan of the third-place system: which members there are, and at what size they are trained.

The members are a table to be read, and to be changed. Everything that makes a plan smaller is in
:class:`Scale`, so a small plan is the same plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

CURATED, RELABELLED = "curated", "relabelled"


@dataclass(frozen=True)
class Member:
    """One model of the ensemble; its folds are trained on the curated clips, and on ``clips`` besides.

    ``clips`` is ``"curated"`` for none besides; ``"round_3"`` for those that the third round chose; or
    ``"relabelled"`` for those of the last round with their labels and all others with a model's.
    """

    name: str
    model: str
    pooling: str
    clips: str
    blocks: int
    base_depth: int
    epochs: int
    dropout: float


MEMBERS = (
    #      name            model  pooling  clips        blocks  depth  epochs  dropout
    Member("2d_max",       "2d",  "max",   CURATED,     5,      50,    100,    0.5),
    Member("2d_max_r1",    "2d",  "max",   "round_1",   6,      50,    150,    0.7),
    Member("2d_max_r2",    "2d",  "max",   "round_2",   6,      50,    150,    0.7),
    Member("2d_max_r3",    "2d",  "max",   "round_3",   6,      50,    150,    0.7),
    Member("2d_max_r4",    "2d",  "max",   "round_4",   6,      50,    150,    0.7),
    Member("2d_max_r5",    "2d",  "max",   "round_5",   6,      50,    150,    0.7),
    Member("2d_max_all",   "2d",  "max",   RELABELLED,  6,      50,    150,    0.7),
    Member("2d_rnn",       "2d",  "rnn",   CURATED,     5,      50,    100,    0.5),
    Member("2d_rnn_r5",    "2d",  "rnn",   "round_5",   6,      50,    150,    0.7),
    Member("1d_max_all",   "1d",  "max",   RELABELLED,  6,      100,   150,    0.7),
    Member("1d_rnn",       "1d",  "rnn",   CURATED,     5,      100,   100,    0.5),
)  # fmt: skip
# Whose scores choose the clips of round 1, 2, ...; those of the last one label the clips that no round chose.
# Each guide is trained on the clips of the round before.
GUIDES = ("2d_max", "2d_max_r1", "2d_max_r2", "2d_max_r3", "2d_max_r4", "2d_max_r5")


@dataclass(frozen=True)
class Scale:
    """The size of a plan; ``depth``, ``epochs`` and ``dropout`` are multiplied into those of each member."""

    sizes: tuple[int, ...] = (1000, 2000, 3000, 4000, 5000)
    folds: int = 5
    depth: float = 1.0
    epochs: float = 1.0
    dropout: float = 1.0
    batch_size: int = 20
    mixup: float = 0.5
    effects: float = 0.75
    shuffle: float = 0.5


SCALES = {
    "full": Scale(),
    # For some 300 clips with labels that are checked and 200 with others, on two cores. Effects take longer
    # than networks of this size, so they are left out.
    "small": Scale(sizes=(20, 40, 60, 80, 100), folds=3, depth=0.16, epochs=0.12, dropout=0.5, effects=0.0),
}


@dataclass(frozen=True)
class Plan:
    """Members, guides and scale, and how noisy clips are taken."""

    scale: Scale
    members: tuple[Member, ...] = MEMBERS
    guides: tuple[str, ...] = GUIDES
    balanced: bool = False
    relabel: str = "all"
    mean_labels: float | None = None
    seed: int = 42

    def __post_init__(self) -> None:
        if len(self.scale.sizes) != self.rounds:
            raise ValueError(f"--sizes: wanted {self.rounds}, one a round, got {len(self.scale.sizes)}")
        if any(size < 1 for size in self.scale.sizes) or sorted(self.scale.sizes) != [*self.scale.sizes]:
            listed = " ".join(map(str, self.scale.sizes))
            raise ValueError(f"--sizes: wanted clips from 1, never fewer than the round before, got {listed}")

    @property
    def rounds(self) -> int:
        """How many rounds choose clips. The last guide labels those that are left."""
        return len(self.guides) - 1

    def member(self, name: str) -> Member:
        """The member of that name."""
        found = [member for member in self.members if member.name == name]
        if not found:
            known = ", ".join(member.name for member in self.members)
            raise ValueError(f"--only: wanted members of the plan ({known}), got {name!r}")
        return found[0]

    def needed_by(self, names: Sequence[str]) -> list[Member]:
        """These members and the guides that they depend on, in the order of the plan."""
        wanted = {self.member(name).name for name in names}
        for name in names:
            clips = self.member(name).clips
            wanted |= set(self.guides[: self.round_of(clips)])
        return [member for member in self.members if member.name in wanted]

    def round_of(self, clips: str) -> int:
        """How many guides it takes to know these clips."""
        if clips == CURATED:
            return 0
        return len(self.guides) if clips == RELABELLED else int(clips.removeprefix("round_"))

    def settings(self) -> dict[str, Any]:
        """Everything that decides the result, in plain types."""
        return asdict(self)


def train_options(member: Member, plan: Plan) -> list[str]:
    """What ``train`` has to be told about a member, besides where its clips are."""
    scale = plan.scale
    epochs = max(1, round(member.epochs * scale.epochs))
    options = {
        "model": member.model,
        "pooling": member.pooling,
        "blocks": member.blocks,
        "base-depth": max(1, round(member.base_depth * scale.depth)),
        "dropout": round(member.dropout * scale.dropout, 3),
        "epochs": epochs,
        # The last ten of a hundred or more are without mixup and effects.
        "augment-until": max(1, epochs - max(1, round(10 * scale.epochs))),
        "batch-size": scale.batch_size,
        "folds": scale.folds,
        "seed": plan.seed,
        "mixup": scale.mixup,
        "effects": scale.effects,
        # Order is what a recurrent network reads.
        "shuffle": scale.shuffle if member.pooling == "max" else 0.0,
    }
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]
