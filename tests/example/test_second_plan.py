"""The values of the second-place plan, the order of its steps, and what a training step does."""

import dataclasses

import pytest
import torch

from freesound.build import MemberSystem, build_scorer, build_tagger, load_weights
from freesound.corpus import read_corpus
from freesound.criteria import build_criterion
from freesound.data import Batch, split_corpus
from freesound.plan_file import plan_from_dict, plan_to_dict, with_settings
from freesound.plans.base import Augment, Clips, Crops, Member, Network, Optim, Pools, Sound
from freesound.plans.second import PLANS, Stacking
from freesound.recipe import SYSTEMS
from freesound.schedule import Milestones
from freesound.steps import check_steps
from freesound.updates import Updates
from rankaudio.losses import smooth_labels
from tiny_recipe import make_tiny_corpus
from tiny_second import tiny_plan
from training import ALONE

# Written out by hand: start, stem, width, squeeze-excite, first pooling, weight.
FULL = {
    "msc_se_x1": ("noisy_msc_se_x1", "multi_scale", 1.0, True, "time", 1.0),
    "msc_se_x1_5": ("noisy_msc_se_x1_5", "multi_scale", 1.5, True, "time", 1.0),
    "msc_se_x2": ("noisy_msc_se_x2", "multi_scale", 2.0, True, "time", 1.0),
    "max3exam": ("noisy_v1mix", "plain", 1.0, False, "frequency", 1.9),
    "v1mix": ("noisy_v1mix", "plain", 1.0, False, "time", 2.1),
    "se": ("noisy_se", "plain", 1.0, True, "time", 0.0),
}
STARTS = ["noisy_msc_se_x1", "noisy_msc_se_x1_5", "noisy_msc_se_x2", "noisy_v1mix", "noisy_se"]
COMMON = {"n_fft": 1024, "hop_length": 512, "n_mels": 64, "f_min": 0.0, "ref": "max", "pad_mode": "same"}
COMMON |= {"trim": 60.0, "segment_seconds": 5.0, "batch_size": 32, "max_seconds": 30.0, "mixup_weight": 0.3}
COMMON |= {"loss": "bce", "label_smoothing": 0.01, "optimizer": "nadam", "schedule": "milestones"}
COMMON |= {"lr_max": 5e-4, "factor": 0.5, "base_depth": 64, "rnn_units": 128, "statistics_momentum": 0.01}
COMMON |= {"pool_time": "mean", "pool_frequency": "max", "highway": False, "reduction": 4, "draws": None}
CURATED = {"folds": 10, "epochs": 40, "milestones": "14,21,28", "augment_until": 14, "weighted_mixup": 0.6}
CURATED |= {"noisy": False, "only_noisy": False}
NOISY = {"folds": 1, "epochs": 35, "milestones": "8,12,16", "augment_until": 8, "weighted_mixup": 0.7}
NOISY |= {"noisy": True, "only_noisy": True}


def values(member):
    """All settings of a member by name, without their parts."""
    found = dict(member.network.all_settings())
    for part in (member.sound, member.clips, member.augment, member.crops, member.pools, member.optim):
        found |= dataclasses.asdict(part)
    return found


@pytest.mark.parametrize("member", PLANS["full"].members, ids=lambda member: member.name)
def test_settings_of_every_member(member):
    known = values(member)
    special = NOISY if member.name in STARTS else CURATED
    assert {name: known[name] for name in COMMON | special} == COMMON | special
    names = ["stem", "width", "squeeze_excite", "pool_first"]
    if member.name in FULL:
        start, *expected, _ = FULL[member.name]
        assert member.network.start_from == f"models/{start}/fold_0/model.pt"
    else:
        expected = next(row[1:-1] for row in FULL.values() if row[0] == member.name and row[4] == "time")
        assert member.network.start_from is None
    assert [known[name] for name in names] == list(expected)


def test_all_members_are_there():
    plan = PLANS["full"]
    assert [member.name for member in plan.members] == [*STARTS, *FULL]
    assert [member.name for member in plan.ensemble] == list(FULL)
    assert plan.second.weights == tuple(row[-1] for row in FULL.values())
    assert plan.start_of(plan.member("max3exam")) is plan.member("noisy_v1mix")
    assert SYSTEMS["second"] is PLANS
    assert [member.name for member in PLANS["small"].members] == [*STARTS, *FULL]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Stacking(weights=(1.0, -1.0)), "second.weights: wanted numbers from 0, got -1.0"),
        (lambda: Stacking(weights=(0, 0)), "second.weights: wanted one above 0"),
        (lambda: Stacking(lr=0), "lr: wanted a number above 0"),
        (lambda: Crops(segment_seconds=1, crop_frames=9), "segment_seconds, crop_frames: wanted one"),
        (lambda: Clips(only_noisy=True), "only_noisy: wanted --noisy or --extra"),
        (lambda: Optim(label_smoothing=0.1), "label_smoothing: wanted loss bce, got lsep"),
        (lambda: Optim(milestones="3;5"), "milestones: wanted epochs with commas between them, got '3;5'"),
        (lambda: Sound(ref="min"), "ref: wanted one of max, got 'min'"),
    ],
)
def test_settings_that_make_no_sense(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_settings_of_the_plan_are_assigned_and_stored():
    plan = with_settings(PLANS["small"], ["second.weights=1,1,1,1,1,0", "second.lr=1e-3", "optim.seed=7"])
    assert (plan.second.weights, plan.second.lr) == ((1.0, 1.0, 1.0, 1.0, 1.0, 0.0), 1e-3)
    assert plan_from_dict(PLANS["full"], plan_to_dict(plan)) == plan


def test_steps_of_the_whole_plan(job):
    steps = PLANS["full"].steps(job)
    check_steps(steps)
    names = [step.name for step in steps]
    assert len(names) == 5 + 6 * 10 + 6 + 3
    assert names[-3:] == ["second level stacking", "submission", "summary"]
    assert not [name for name in names if name.startswith("predict test noisy")]
    waits = {
        step.name.split()[1]: step.needs for step in steps if step.name.endswith("fold 0") and step.needs
    }
    assert waits == {name: (f"train {row[0]} fold 0",) for name, row in FULL.items()}


def test_steps_of_one_member(job):
    (first, *others) = PLANS["small"].steps(job, ["max3exam"])
    assert first.name == "train noisy_v1mix fold 0"
    folds = [f"train max3exam fold {fold}" for fold in range(3)]
    assert [step.name for step in others] == [*folds, "predict test max3exam"]
    start = others[0].work.args[0].network.start_from
    assert start == str(job.run("noisy_v1mix").folder / "fold_0" / "model.pt")


def test_a_member_may_start_from_a_model_of_another_run(job):
    plan = with_settings(PLANS["small"], ["se.network.start_from=/other/model.pt"])
    assert "train noisy_se fold 0" not in [step.name for step in plan.steps(job)]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("clips.folds=2", "clips.folds: wanted at least 3 for the second level, got 2"),
        ("clips.folds=5", "noisy_msc_se_x1.clips.folds: wanted 1, because no clip is held out, got 5"),
        ("second.weights=1,2", "second.weights: wanted 6, one for each member, got 2"),
        ("se.network.base_depth=9", "se: wanted the sound and network of noisy_se"),
        ("v1mix.sound.n_mels=9", "v1mix: wanted the sound and network of noisy_v1mix"),
    ],
)
def test_plans_that_would_fail_later(job, word, message):
    with pytest.raises(ValueError, match=message):
        with_settings(PLANS["small"], [word]).check(job)


@pytest.mark.parametrize("member", tiny_plan().members, ids=lambda member: member.name)
def test_every_member_takes_a_training_step(member):
    member = dataclasses.replace(member, network=dataclasses.replace(member.network, start_from=None))
    system = MemberSystem(member, ["a", "b"])
    updates = Updates(system, member.optim, ALONE, steps=1)
    lengths = torch.tensor([44_100, 30_000, 9000, 44_100])
    batch = Batch(
        torch.randn(4, 44_100), torch.eye(2).repeat(2, 1), lengths, torch.zeros(4, dtype=torch.long)
    )
    loss = updates.backward(batch, of=4, final=True)
    assert loss.isfinite()
    assert all(p.grad is not None for p in system.tagger.parameters())
    updates.step()
    assert updates.learning_rate == member.optim.lr_max


class Spy(torch.nn.Module):
    """Keeps what a network is given."""

    side_inputs = ("duration", "statistics")

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))

    def forward(self, spectrogram, lengths=None, side_inputs=None):
        self.shape, self.lengths, self.given = spectrogram.shape, lengths, side_inputs
        return self.weight.expand(len(spectrogram), 2)


def test_side_inputs_are_those_of_whole_clips():
    """Not those of the segments and mixtures that the spectrograms are made of."""
    member = dataclasses.replace(tiny_plan().members[0], augment=Augment(weighted_mixup=1.0))
    system = MemberSystem(member, ["a", "b"])
    system.tagger.backbone = spy = Spy()
    lengths = torch.tensor([44_100, 4410])
    waveform = torch.randn(2, 44_100)
    waveform[1, 4410:] = 0
    batch = Batch(waveform, torch.eye(2), lengths, torch.zeros(2, dtype=torch.long))
    Updates(system, member.optim, ALONE, steps=1).loss(batch)
    assert spy.given["duration"].flatten().tolist() == pytest.approx([0.1, 0.01])
    for name, expected in system.tagger.side_inputs(waveform, lengths).items():
        torch.testing.assert_close(spy.given[name], expected)
    assert spy.shape == (2, 8, -(-round(0.3 * 44_100) // 512))
    assert spy.lengths is None  # zeros around a short clip are signal


def test_scores_are_means_over_segments_of_the_whole_clip():
    member = tiny_plan().members[0]
    tagger = build_tagger(member, ["a", "b"]).eval()
    clips = torch.randn(2, 44_100)
    scorer = build_scorer(member, tagger)
    size, side = scorer.size, tagger.side_inputs(clips)
    assert size == 13_230
    starts = [0, (44_100 - size) // 2, 44_100 - size]
    parts = [tagger(clips[:, start : start + size], None, side).sigmoid() for start in starts]
    torch.testing.assert_close(scorer(clips).sigmoid(), sum(parts) / 3)


def test_segment_and_mixup():
    member = Member(
        network=Network("AxisPoolCNN", {"base_depth": 2, "rnn_units": 2}),
        crops=Crops(segment_seconds=0.1),
        augment=Augment(weighted_mixup=1.0, mixup_weight=0.3, augment_until=1),
    )
    system = MemberSystem(member, ["a", "b"])
    waveform, target, lengths = system.on_waveforms(
        torch.randn(2, 9000), torch.eye(2), torch.tensor([9000, 800])
    )
    assert (waveform.shape, lengths) == ((2, 4410), None)
    torch.testing.assert_close(target, torch.tensor([[0.7, 0.3], [0.3, 0.7]]))
    system.begin_epoch(1)
    waveform, target, _ = system.on_waveforms(torch.randn(2, 9000), torch.eye(2))
    assert (waveform.shape, target.tolist()) == ((2, 4410), torch.eye(2).tolist())


def test_label_smoothing():
    scores, target = torch.randn(3, 2), torch.eye(3)[:, :2]
    source = torch.zeros(3, dtype=torch.long)
    loss = build_criterion(Optim(loss="bce", label_smoothing=0.1), Pools())(scores, target, source)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(scores, smooth_labels(target, 0.1))
    torch.testing.assert_close(loss, expected)


def test_rates_are_halved_when_epochs_begin():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = Milestones(optimizer, rate=8.0, epochs=(1, 3), factor=0.5)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.after_step()
        schedule.after_epoch(0.0)
    assert rates == [8.0, 4.0, 4.0, 2.0]
    again = Milestones(optimizer, rate=8.0, epochs=(1, 3), factor=0.5)
    again.load_state_dict({"epoch": 1})
    assert optimizer.param_groups[0]["lr"] == 4.0


def test_weights_of_one_kind_of_pooling_start_the_other(tmp_path):
    plan = tiny_plan()
    first, second = (
        dataclasses.replace(plan.member(name).network, start_from=None) for name in ("v1mix", "max3exam")
    )
    sound = plan.members[0].sound
    one, other = (
        build_tagger(Member(sound=sound, network=network), ["a", "b"]) for network in (first, second)
    )
    one.save(tmp_path / "model.pt")
    load_weights(other, tmp_path / "model.pt")
    assert other.backbone.pool_first == "frequency"
    assert torch.equal(other.backbone.classifier[0].weight, one.backbone.classifier[0].weight)


def test_noisy_clips_alone_in_plain_shuffles(tmp_path):
    make_tiny_corpus(tmp_path)
    split = split_corpus(
        read_corpus(tmp_path, noisy=True), folds=1, fold=0, max_seconds=2.0, seed=1, only_noisy=True
    )
    assert (len(split.train), split.valid) == (10, None)
    assert {path.parent.name for path in split.train.paths} == {"train_noisy"}
    batches = MemberSystem(tiny_plan().members[0], ["a"]).batches(split, ALONE)
    epoch = list(batches)
    assert sorted(map(len, epoch)) == [2, 8]
    assert sorted(index for batch in epoch for index in batch) == list(range(10))
