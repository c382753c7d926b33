"""The values of the first-place plan, and the order of its steps."""

import dataclasses

import pytest
import torch

from freesound.build import MemberSystem
from freesound.data import Batch
from freesound.plan_file import plan_from_dict, plan_to_dict, with_settings
from freesound.plans.first import KEPT, PLANS, SELECTOR, TRUSTED, Noisy, SecondLevel
from freesound.recipe import SYSTEMS
from freesound.steps import check_steps
from freesound.updates import Updates
from training import ALONE

AUX, RNN, SKIP = "AuxSkipAttention", "RnnAuxSkipAttention", "SkipAttention"
# Written out by hand: shares of noisy, trusted and curated draws, all noisy clips, table of noisy clips,
# probabilities of mixers and of stretched parts, smallest area, ratios, dropout, hidden layer, kernel.
FULL = {
    SELECTOR: (AUX, 0.0, 0.0, 1.0, False, None, 0.8, 0.33, 0.8, 1.7, 2.3, 0.4, 4, 7),
    "auxiliary_016": (AUX, 0.2, 0.0, 0.8, True, None, 0.8, 0.33, 0.8, 1.7, 2.3, 0.4, 4, 7),
    "auxiliary_019": (AUX, 0.2, 0.0, 0.8, True, None, 0.8, 0.33, 0.75, 1.6, 2.4, 0.4, 4, 7),
    "corr_noisy_003": (RNN, 0.1, 0.2, 0.7, True, None, 0.8, 0.33, 0.8, 1.7, 2.3, 0.4, 4, 7),
    "corr_noisy_004": (AUX, 0.07, 0.33, 0.6, False, KEPT, 0.8, 0.33, 0.8, 1.7, 2.3, 0.4, 4, 7),
    "corr_noisy_007": (AUX, 0.01, 0.42, 0.57, False, KEPT, 0.8, 0.33, 0.8, 1.7, 2.3, 0.4, 4, 7),
    "corrections_002": (SKIP, 0.33, 0.0, 0.67, True, None, 0.66, 0.0, 0.8, 1.7, 2.3, 0.2, 2, 7),
    "corrections_003": (SKIP, 0.33, 0.0, 0.67, True, None, 0.66, 0.0, 0.8, 1.7, 2.3, 0.2, 2, 3),
}
COMMON = {"crop_frames": 256, "window_hop": 128, "wrap": 0.5, "spec_augment": 0.5, "concat_share": 0.6}
COMMON |= {"draws": 32_768, "noisy_loss": "l_soft", "noisy_beta": 0.7, "clean_weight": 0.5}
COMMON |= {"noisy_weight": 0.5, "batch_size": 128, "folds": 5, "loss": "bce", "optimizer": "adam"}
COMMON |= {"schedule": "plateau", "lr_max": 9e-4, "patience": 6, "factor": 0.6, "early_stop": 18}
COMMON |= {"epochs": 700, "precision": "auto", "trim": 60.0, "scale": 0.01, "base_depth": 64, "seed": 42}


def values(member):
    """All settings of a member by name, without their parts."""
    found = dict(member.network.all_settings())
    for part in (member.sound, member.clips, member.crops, member.pools, member.optim):
        found |= dataclasses.asdict(part)
    return found


@pytest.mark.parametrize("member", PLANS["full"].members, ids=lambda member: member.name)
def test_settings_of_every_member(member):
    known = values(member)
    names = ["noisy_share", "trusted_share", "curated_share", "noisy", "extra", "mixers", "resize"]
    names += ["area_low", "ratio_low", "ratio_high", "dropout", "hidden_factor", "spatial_kernel"]
    assert (member.network.name, *(known[name] for name in names)) == FULL[member.name]
    assert {name: known[name] for name in COMMON} == COMMON
    assert member.pools.trusted == (TRUSTED if member.pools.trusted_share else None)


def test_all_members_are_there():
    plan = PLANS["full"]
    assert [member.name for member in plan.members] == list(FULL)
    assert [member.name for member in plan.ensemble] == list(FULL)[1:]
    assert SYSTEMS["first"] is PLANS


def test_the_small_plan_has_the_same_members():
    full, small = PLANS["full"], PLANS["small"]
    assert [member.name for member in small.members] == list(FULL)
    for one, other in zip(full.members, small.members, strict=True):
        assert one.pools.shares == other.pools.shares
        assert (one.crops.mixers, one.crops.resize) == (other.crops.mixers, other.crops.resize)
        assert other.network.settings["base_depth"] < one.network.settings["base_depth"]
    assert len(small.second.names) == len(full.second.names) == 3


def test_networks_of_the_second_level():
    networks = PLANS["full"].second.networks()
    assert list(networks) == ["net_43040", "net_45041", "net_50013"]
    found = networks["net_45041"]
    assert (found["reduction"], found["patience"], found["hidden"], found["stop"]) == (2, 9, 512, 30)
    assert found["dropout"] == 0.48357033916143033
    assert found["factor"] == 0.7953702239306087
    assert found["lr"] == 3.897529465275052e-05


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SecondLevel(lr=(1e-3,)), "second.lr: wanted 3, one for each network, got 1"),
        (lambda: SecondLevel(reduction=(1, 2, "x")), "second.reduction: wanted numbers, got 'x'"),
        (lambda: SecondLevel(hidden=0), "hidden: wanted an integer from 1"),
        (lambda: Noisy(trusted_share=0.7, dropped_share=0.4), "wanted at most 1 together, got 0.7 and 0.4"),
        (lambda: Noisy(trusted_share=0.0), "trusted_share: wanted a number to 1 above 0"),
    ],
)
def test_settings_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_settings_of_the_plan_are_assigned_and_stored():
    words = ["second.lr=1e-3,2e-3,3e-3", "second.reduction=1,2,3", "noisy.dropped_share=0.1", "optim.seed=7"]
    plan = with_settings(PLANS["small"], words)
    assert plan.second.lr == (1e-3, 2e-3, 3e-3)
    assert plan.second.reduction == (1, 2, 3)
    assert {member.optim.seed for member in plan.members} == {7}
    assert plan_from_dict(PLANS["full"], plan_to_dict(plan)) == plan


def test_steps_of_the_whole_plan(job):
    steps = PLANS["full"].steps(job)
    check_steps(steps)
    names = [step.name for step in steps]
    assert len(names) == 8 * 5 + 2 + 7 + 7 + 3 + 2
    assert names[:7] == [
        *(f"train selector fold {fold}" for fold in range(5)),
        "predict train_noisy selector",
        "choose noisy",
    ]
    assert names[-6:] == [
        "score windows corrections_003",
        "second level net_43040",
        "second level net_45041",
        "second level net_50013",
        "submission",
        "summary",
    ]
    assert "predict test selector" not in names


def test_only_members_with_chosen_clips_wait_for_the_choice(job):
    steps = {step.name: step for step in PLANS["small"].steps(job)}
    waits = {name.split()[1] for name, step in steps.items() if "choose noisy" in step.needs}
    assert waits == {"corr_noisy_003", "corr_noisy_004", "corr_noisy_007"}
    member = steps["train corr_noisy_004 fold 1"].work.args[0]
    assert member.clips.extra == str(job.folder / "noisy" / "kept.csv")
    assert member.pools.trusted == str(job.folder / "noisy" / "trusted.csv")


def test_steps_of_one_member(job):
    folds = range(3)
    names = [step.name for step in PLANS["small"].steps(job, ["auxiliary_016"])]
    assert names == [*(f"train auxiliary_016 fold {fold}" for fold in folds), "predict test auxiliary_016"]
    names = [step.name for step in PLANS["small"].steps(job, ["corr_noisy_007"])]
    assert names == [
        *(f"train selector fold {fold}" for fold in folds),
        "predict train_noisy selector",
        "choose noisy",
        *(f"train corr_noisy_007 fold {fold}" for fold in folds),
        "predict test corr_noisy_007",
    ]


def test_a_table_of_trusted_clips_needs_no_selector(job):
    plan = with_settings(PLANS["small"], ["noisy.table=/some/table.csv"])
    steps = plan.steps(job)
    check_steps(steps)
    assert steps[0].name == "choose noisy"
    assert not [step for step in steps if "selector" in step.name]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("clips.folds=2", "clips.folds: wanted at least 3 for the second level, got 2"),
        ("auxiliary_016.crops.window_hop=8", "crops.window_hop: wanted the same for all members"),
        ("auxiliary_016.clips.corrections=x.csv", "clips.corrections: wanted one table for all members"),
        ("noisy.selector=nobody", "wanted members of the plan .* got 'nobody'"),
    ],
)
def test_plans_that_would_fail_later(job, word, message):
    with pytest.raises(ValueError, match=message):
        with_settings(PLANS["small"], [word]).check(job)


@pytest.mark.parametrize("member", PLANS["small"].members, ids=lambda member: member.name)
def test_every_member_takes_a_training_step(member):
    system = MemberSystem(member, ["a", "b"])
    updates = Updates(system, member.optim, ALONE, steps=1)
    assert updates.precision == "fp32"  # on a CPU
    source = torch.tensor([0, 0, 1, 2])  # curated, noisy, trusted
    lengths = torch.tensor([44_100, 30_000, 9000, 44_100])
    batch = Batch(torch.randn(4, 44_100), torch.eye(2).repeat(2, 1), lengths, source)
    loss = updates.backward(batch, of=4, final=True)
    assert loss.isfinite()
    assert all(p.grad is not None for p in system.tagger.parameters())
    updates.step()
    assert updates.learning_rate == member.optim.lr_max
