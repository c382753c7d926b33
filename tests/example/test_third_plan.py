"""The values of the third-place plan, and the order of its steps."""

import dataclasses

import pytest

from freesound.plans.third import CURATED, PLANS, RELABELLED, ROWS, SELECTORS, Rounds, clips_of
from freesound.steps import check_steps

COMMON = {"growth_rate": 1.5, "loss": "lsep", "lr_min": 1e-4, "lr_max": 5e-3, "batch_size": 20, "mixup": 0.5}
COMMON |= {"seed": 42, "max_seconds": 15.0, "sample_rate": 44_100, "spread": 32.0, "noisy": False}
COLUMNS = (
    "name",
    "network",
    "pooling",
    "extra",
    "n_blocks",
    "base_depth",
    "dropout",
    "epochs",
    "augment_until",
    "shuffle",
)
# Written out by hand from the original, and from the factors of the small scale.
FULL = [
    ("2d_max", "CNN2d", "max", None, 5, 50, 0.5, 100, 90, 0.5),
    ("2d_max_r1", "CNN2d", "max", "rounds/round_1.csv", 6, 50, 0.7, 150, 140, 0.5),
    ("2d_max_r2", "CNN2d", "max", "rounds/round_2.csv", 6, 50, 0.7, 150, 140, 0.5),
    ("2d_max_r3", "CNN2d", "max", "rounds/round_3.csv", 6, 50, 0.7, 150, 140, 0.5),
    ("2d_max_r4", "CNN2d", "max", "rounds/round_4.csv", 6, 50, 0.7, 150, 140, 0.5),
    ("2d_max_r5", "CNN2d", "max", "rounds/round_5.csv", 6, 50, 0.7, 150, 140, 0.5),
    ("2d_max_all", "CNN2d", "max", "rounds/relabelled.csv", 6, 50, 0.7, 150, 140, 0.5),
    ("2d_rnn", "CNN2d", "rnn", None, 5, 50, 0.5, 100, 90, 0.0),
    ("2d_rnn_r5", "CNN2d", "rnn", "rounds/round_5.csv", 6, 50, 0.7, 150, 140, 0.0),
    ("1d_max_all", "CNN1d", "max", "rounds/relabelled.csv", 6, 100, 0.7, 150, 140, 0.5),
    ("1d_rnn", "CNN1d", "rnn", None, 5, 100, 0.5, 100, 90, 0.0),
]
SMALL = [
    ("2d_max", "CNN2d", "max", None, 5, 8, 0.25, 12, 11, 0.5),
    ("2d_max_r1", "CNN2d", "max", "rounds/round_1.csv", 6, 8, 0.35, 18, 17, 0.5),
    ("2d_max_r2", "CNN2d", "max", "rounds/round_2.csv", 6, 8, 0.35, 18, 17, 0.5),
    ("2d_max_r3", "CNN2d", "max", "rounds/round_3.csv", 6, 8, 0.35, 18, 17, 0.5),
    ("2d_max_r4", "CNN2d", "max", "rounds/round_4.csv", 6, 8, 0.35, 18, 17, 0.5),
    ("2d_max_r5", "CNN2d", "max", "rounds/round_5.csv", 6, 8, 0.35, 18, 17, 0.5),
    ("2d_max_all", "CNN2d", "max", "rounds/relabelled.csv", 6, 8, 0.35, 18, 17, 0.5),
    ("2d_rnn", "CNN2d", "rnn", None, 5, 8, 0.25, 12, 11, 0.0),
    ("2d_rnn_r5", "CNN2d", "rnn", "rounds/round_5.csv", 6, 8, 0.35, 18, 17, 0.0),
    ("1d_max_all", "CNN1d", "max", "rounds/relabelled.csv", 6, 16, 0.35, 18, 17, 0.5),
    ("1d_rnn", "CNN1d", "rnn", None, 5, 16, 0.25, 12, 11, 0.0),
]


def values(member):
    """All settings of a member by name, without their parts; the network's name as ``network``."""
    found = {"network": member.network.name} | member.network.all_settings()
    for part in (member.sound, member.clips, member.augment, member.optim):
        found |= dataclasses.asdict(part)
    return found | {"name": member.name}


@pytest.mark.parametrize(
    ("scale", "table", "others"),
    [
        ("full", FULL, {"folds": 5, "effects": 0.75}),
        ("small", SMALL, {"folds": 3, "effects": 0.0}),
    ],
)
def test_settings_of_every_member(scale, table, others):
    plan = PLANS[scale]
    assert [member.name for member in plan.members] == [row[0] for row in table]
    for member, row in zip(plan.members, table, strict=True):
        known = values(member)
        assert {name: known[name] for name in COLUMNS} == dict(zip(COLUMNS, row, strict=True))
        assert {name: known[name] for name in COMMON} == COMMON
        assert {name: known[name] for name in others} == others


def test_rounds():
    assert PLANS["full"].rounds == Rounds((1000, 2000, 3000, 4000, 5000), SELECTORS, False, "all", None)
    assert PLANS["small"].rounds.sizes == (20, 40, 60, 80, 100)


def test_eleven_members_of_all_kinds():
    assert len({row.name for row in ROWS}) == len(ROWS) == 11
    assert {(row.network, row.pooling) for row in ROWS} == {
        ("CNN2d", "max"),
        ("CNN2d", "rnn"),
        ("CNN1d", "max"),
        ("CNN1d", "rnn"),
    }
    assert {row.clips for row in ROWS} == {f"round_{k}" for k in range(1, 6)} | {CURATED, RELABELLED}


def test_each_selector_was_trained_on_the_round_before():
    plan = PLANS["full"]
    assert [plan.round_of(plan.member(name)) for name in SELECTORS] == [0, 1, 2, 3, 4, 5]
    assert [clips_of(plan.member(name)) for name in SELECTORS[:2]] == [CURATED, "round_1"]


@pytest.mark.parametrize(
    ("member", "selectors"),
    [("2d_max", 0), ("2d_rnn", 0), ("2d_max_r1", 1), ("2d_rnn_r5", 5), ("1d_max_all", 6)],
)
def test_a_member_brings_the_selectors_it_needs(member, selectors):
    needed = [one.name for one in PLANS["full"].needed_by([member])]
    assert set(needed) == {member, *SELECTORS[:selectors]}


@pytest.mark.parametrize("sizes", [(1, 2, 3, 4), (0, 1, 2, 3, 4), (5, 4, 3, 2, 1)])
def test_sizes_that_make_no_sense(sizes):
    with pytest.raises(ValueError, match="rounds.sizes: wanted"):
        Rounds(sizes, SELECTORS)


def test_steps_of_the_whole_plan(job):
    steps = PLANS["full"].steps(job)
    check_steps(steps)
    names = [step.name for step in steps]
    assert len(names) == 55 + 6 + 6 + 11 + 2
    # The rounds come first, and the members that need no round after them.
    assert names.index("choose relabelled") < names.index("train 2d_rnn fold 0")
    assert names[:7] == [
        *(f"train 2d_max fold {fold}" for fold in range(5)),
        "predict train_noisy 2d_max",
        "choose round_1",
    ]
    assert names[-2:] == ["blend", "summary"]
    networks = {step.name.split()[0] for step in steps if step.network}
    assert networks == {"train", "predict"}


def test_steps_of_one_member(job):
    names = [step.name for step in PLANS["small"].steps(job, ["2d_max_r1"])]
    folds = range(3)
    assert names == [
        *(f"train 2d_max fold {fold}" for fold in folds),
        "predict train_noisy 2d_max",
        "choose round_1",
        "predict test 2d_max",
        *(f"train 2d_max_r1 fold {fold}" for fold in folds),
        "predict test 2d_max_r1",
    ]


def test_a_member_is_trained_on_a_table_in_the_folder_of_the_run(job):
    steps = {step.name: step for step in PLANS["small"].steps(job)}
    work = steps["train 2d_max_r1 fold 2"].work
    assert work.keywords["folds"] == [2]
    assert work.args[0].clips.extra == str(job.folder / "rounds" / "round_1.csv")
    assert steps["train 2d_max_r1 fold 2"].needs == ("choose round_1",)
    assert steps["choose round_1"].out == job.folder / "rounds" / "round_1.csv"


@pytest.mark.parametrize("folds", [{1}, {2, 3}])
def test_folds_that_cannot_be_blended(job, folds):
    members = [
        dataclasses.replace(member, clips=dataclasses.replace(member.clips, folds=count))
        for member in PLANS["small"].members[:2]
        for count in folds
    ]
    with pytest.raises(ValueError, match="clips.folds: wanted one number from 2 for all members"):
        job.check_folds(members)
