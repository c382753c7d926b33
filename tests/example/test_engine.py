"""The training loop: exact gradients, the seam, precision, stopping, and what a seed decides."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from freesound import engine
from freesound.build import MemberSystem
from freesound.criteria import LOSSES
from freesound.data import Batch, SeededClips, collate, mixed_seed
from freesound.plans.base import Member, Optim
from freesound.schedule import OneCycle, one_cycle
from freesound.updates import Updates
from rankaudio import (
    Augmentation,
    Chain,
    ClipDataset,
    CNN2d,
    LogMel,
    Mixer,
    Tagger,
    lwlrap,
    pad_collate,
)
from small_networks import side_input_tagger
from training import ALONE, make_trainer, train, without_seconds


class ChosenSystem(MemberSystem):
    """The system of a member, with another tagger."""

    def __init__(self, tagger, optim):
        super().__init__(Member(optim=optim), [f"class {index}" for index in range(4)])
        self.tagger = tagger


def updates_of(tagger, **optim):
    optim = Optim(**optim)
    return Updates(ChosenSystem(tagger, optim), optim, ALONE, steps=10)


class TestAccumulation:
    """N batches give the gradient of one batch of all their clips."""

    SIZES = (5, 2, 4)

    @pytest.fixture
    def tagger(self):
        """A whole network in float64; it normalises by running statistics, which no batch can change."""
        torch.manual_seed(0)
        tagger = Tagger(LogMel(n_mels=32), CNN2d(4, n_blocks=2, base_depth=4)).double().eval()
        for norm in tagger.modules():
            if isinstance(norm, nn.BatchNorm1d):
                nn.init.uniform_(norm.running_mean, -1, 1)
                nn.init.uniform_(norm.running_var, 0.5, 2)
        return tagger

    def clips(self):
        generator = torch.Generator().manual_seed(1)
        lengths = torch.randint(3000, 12_000, (sum(self.SIZES),), generator=generator)
        waveforms = [torch.randn(n, generator=generator, dtype=torch.float64) for n in lengths.tolist()]
        target = (torch.rand(len(waveforms), 4, generator=generator) > 0.6).double()
        return list(zip(waveforms, target, torch.zeros(len(waveforms)), strict=True))

    @pytest.mark.parametrize("loss", ["lsep", "bce", "zlpr", "asl"])
    def test_gradient_is_that_of_one_batch(self, tagger, loss):
        updates, clips = updates_of(tagger, loss=loss), self.clips()
        criterion = LOSSES[loss]()
        whole = pad_collate([clip[:2] for clip in clips])
        criterion(tagger(whole.waveform, whole.lengths), whole.target).backward()
        expected = [p.grad.clone() for p in tagger.parameters()]
        tagger.zero_grad()
        begin = 0
        for number, size in enumerate(self.SIZES):
            batch = collate(clips[begin : begin + size])
            updates.backward(batch, of=len(clips), final=number == len(self.SIZES) - 1)
            begin += size
        assert max(gradient.abs().max() for gradient in expected) > 1e-3
        for parameter, gradient in zip(tagger.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)

    def test_weights_change_once_a_group_and_the_last_group_may_be_small(self, tiny_corpus, monkeypatch):
        trainer = make_trainer(tiny_corpus, accumulate=2, epochs=1)
        seen, backward, step = [], trainer.updates.backward, trainer.updates.step

        def watch_backward(batch, *, of, **rest):
            seen.append((len(batch.waveform), of, trainer.updates.parameters[0].detach().clone()))
            return backward(batch, of=of, **rest)

        def watch_step():
            seen.append("step")
            step()

        monkeypatch.setattr(trainer.updates, "backward", watch_backward)
        monkeypatch.setattr(trainer.updates, "step", watch_step)
        trainer.train_epoch(Path())  # three batches of the eight clips
        assert [entry == "step" for entry in seen] == [False, False, True, False, True]
        full, rest = seen[0:2], seen[3]
        assert {of for _, of, _ in full} == {sum(size for size, _, _ in full)}
        assert rest[0] == rest[1] == 8 - full[0][1]
        assert torch.equal(full[0][2], full[1][2])
        assert not torch.equal(full[0][2], rest[2])
        assert trainer.updates.schedule.step == trainer.updates.schedule.steps == 2


class Identity(nn.Module):
    """A frontend that returns the waveform, and knows nothing of frames."""

    def forward(self, waveform):
        return waveform


def test_a_gradient_is_scaled_down_to_the_largest_norm():
    def change(clip_norm):
        model = nn.Linear(3, 2, bias=False)
        nn.init.zeros_(model.weight)
        backbone = nn.Module()
        backbone.model, backbone.forward = model, lambda x, frames: model(x)
        updates = updates_of(Tagger(Identity(), backbone), clip_norm=clip_norm, loss="bce")
        updates.optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        batch = Batch(torch.full((4, 3), 8.0), torch.ones(4, 2), None, torch.zeros(4))
        updates.backward(batch, of=4, final=True)
        updates.step()
        return model.weight.detach() / updates.learning_rate

    # Of the mean over 4 clips and 2 classes of log(1 + e^-s), each of the 6 derivatives is -8 * 0.5 / 2.
    whole = torch.full((2, 3), 2.0)
    torch.testing.assert_close(change(None), whole)
    torch.testing.assert_close(change(100.0), whole)
    torch.testing.assert_close(change(0.3), whole / whole.norm() * 0.3, rtol=1e-5, atol=0)


class TestSeam:
    """A system decides what happens to waveforms and spectrograms, what is learnt, and how clips score."""

    class Double(Augmentation):
        def draw(self, clips, lengths=None, *, generator=None):
            return {"factor": torch.full(clips.shape[:1], 2.0)}

        def replay(self, clips, draw, lengths=None):
            return clips * 2, lengths

    class NextLabels(Mixer):
        """Changes spectrograms, and gives each clip the labels of another one too."""

        def draw(self, clips, lengths=None, *, partners=None, generator=None):
            assert clips.ndim == 3
            return {"noise": torch.rand(clips.shape[:1], generator=generator)}

        def replay(self, clips, target, draw, lengths=None):
            return clips - 1, torch.maximum(target, target.roll(1, 0)), lengths

    def test_every_part_is_called_in_its_place(self, tiny_corpus):
        seen = {}

        def criterion(outputs, target, source):
            seen.update(outputs=outputs, target=target, source=source)
            return outputs.square().mean()

        class Other(MemberSystem):
            def __init__(self, member, classes):
                super().__init__(member, classes)
                self.on_waveforms = Chain({"double": TestSeam.Double(p=1.0)})
                self.on_spectrograms = Chain({"mix": TestSeam.NextLabels(p=1.0)})
                self.criterion = criterion

            def scores(self, tagger, clips, **_):
                seen["scored"] = len(clips)
                return torch.zeros(len(clips), 16)

        trainer = make_trainer(tiny_corpus, system=Other, epochs=1)
        tagger = trainer.system.tagger.eval()
        waveform = torch.randn(2, 22_050)
        target, lengths = torch.eye(2, 16), torch.tensor([22_050, 9000])
        loss = trainer.updates.loss(Batch(waveform, target, lengths, torch.tensor([0, 1])))
        spectrogram = tagger.frontend(waveform * 2, lengths) - 1
        outputs = tagger.backbone(spectrogram, tagger.frontend.frame_lengths(lengths))
        torch.testing.assert_close(seen["outputs"], outputs)
        assert loss.item() == pytest.approx(outputs.square().mean().item())
        assert torch.equal(seen["target"], torch.maximum(target, target.roll(1, 0)))
        assert seen["source"].tolist() == [0, 1]
        assert trainer.validate().shape == (8, 16)
        assert seen["scored"] == 8

    def test_a_network_gets_the_side_inputs_of_the_augmented_clips(self):
        tagger = side_input_tagger()
        updates = updates_of(tagger, loss="bce")
        updates.system.on_waveforms = Chain({"double": TestSeam.Double(p=1.0)})
        updates.system.on_spectrograms = Chain({})
        waveform, lengths = torch.randn(3, 4000), torch.tensor([4000, 70, 900])
        batch = Batch(waveform, torch.eye(3), lengths, torch.zeros(3))
        expected = nn.functional.binary_cross_entropy_with_logits(tagger(2 * waveform, lengths), batch.target)
        torch.testing.assert_close(updates.loss(batch), expected)

    def test_a_schedule_sees_every_step_and_every_validation(self, tiny_corpus, tmp_path):
        seen = []

        class Watched(OneCycle):
            def after_step(self):
                seen.append("step")
                super().after_step()

            def after_epoch(self, value):
                seen.append(value)

        class Other(MemberSystem):
            def schedule(self, optimizer, steps):
                return Watched(optimizer, steps, low=1e-4, high=1e-3)

        best = make_trainer(tiny_corpus, system=Other, epochs=2).fit(tmp_path)
        assert [entry == "step" for entry in seen] == [True, True, True, False] * 2
        assert best == max(value for value in seen if value != "step")

    def test_augmentation_ends_with_its_epoch(self, tiny_corpus):
        trainer = make_trainer(tiny_corpus)
        system = trainer.system
        augment = {"mixup": 0.5, "augment_until": 3}
        system.member = Member(augment=type(system.member.augment)(**augment))
        system.begin_epoch(2)
        assert system.on_waveforms.enabled("mixup")
        system.begin_epoch(3)
        assert not system.on_waveforms.enabled("mixup")


class TestPrecision:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "options",
        [
            ["--precision", "bf16", "--accumulate", "2", "--clip-norm", "1"],
            ["--precision", "fp16", "--average", "ema", "--average-decay", "0.9"],
        ],
        ids=" ".join,
    )
    def test_half_precision_trains_about_the_same(self, tiny_corpus, tmp_path, options):
        for run, precision in (("half", []), ("full", ["--precision", "fp32"])):
            train(tiny_corpus, tmp_path / run, "--epochs", "2", *options, *precision)
        (half, _), (full, _) = (without_seconds(tmp_path / run / "fold_0") for run in ("half", "full"))
        for row, other in zip(half, full, strict=True):
            assert float(row["train_loss"]) == pytest.approx(float(other["train_loss"]), rel=0.05)
        assert half != full
        state = Tagger.load(tmp_path / "half" / "fold_0" / "model.pt").state_dict()
        assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}

    def test_compile_asks_for_one_program_for_all_lengths(self, tiny_corpus, tmp_path, monkeypatch):
        made = []

        def stub(model, *, dynamic):
            made.append(Watched(model))
            assert dynamic
            return made[0]

        monkeypatch.setattr(torch, "compile", stub)
        train(tiny_corpus, tmp_path / "r", "--epochs", "1", "--compile")
        train(tiny_corpus, tmp_path / "s", "--epochs", "1")
        assert [watched.calls for watched in made] == [3]
        (one, _), (other, _) = (without_seconds(tmp_path / run / "fold_0") for run in "rs")
        assert float(one[0]["train_loss"]) == pytest.approx(float(other[0]["train_loss"]), rel=1e-4)


class Watched(nn.Module):
    """Stands for what torch.compile returns; it wants the lengths of every batch."""

    def __init__(self, model):
        super().__init__()
        self.model, self.calls = model, 0

    def forward(self, spectrogram, frames):
        assert frames is not None
        self.calls += 1
        return self.model(spectrogram, frames)


class TestSchedule:
    def test_it_stops_after_epochs_without_a_better_one(self, tiny_corpus, tmp_path, monkeypatch):
        values = iter([0.5, 0.7, 0.6, 0.7, 0.9])
        monkeypatch.setattr(engine, "lwlrap", lambda *_, average="label": class_values(average, values))
        train(tiny_corpus, tmp_path / "r", "--epochs", "9", "--early-stop", "2")
        rows, log = without_seconds(tmp_path / "r" / "fold_0")
        assert [row["valid_lwlrap"] for row in rows] == ["0.500000", "0.700000", "0.600000", "0.700000"]
        assert ["*" in line for line in log.splitlines()] == [True, True, False, False]

    def test_the_learning_rate_follows_the_steps(self, tiny_corpus, tmp_path):
        options = ["--epochs", "4", "--accumulate", "2", "--lr-min", "1", "--lr-max", "8"]
        train(tiny_corpus, tmp_path / "r", *options)
        rows, _ = without_seconds(tmp_path / "r" / "fold_0")
        rates = [one_cycle(2 * epoch + 1, 8, low=1.0, high=8.0) for epoch in range(4)]
        assert [float(row["learning_rate"]) for row in rows] == pytest.approx(rates, rel=1e-3)

    def test_learning_rates_equal_the_originals(self):
        golden = np.load(Path(__file__).parents[1] / "golden" / "onecycle.npz")
        for total in (10, 100, 1000):
            ours = [one_cycle(step, total, low=1e-4, high=5e-3) for step in range(total)]
            np.testing.assert_allclose(ours, golden[f"n{total}"], rtol=1e-12)


def class_values(average, values):
    """Stand in for lwlrap: return the next of some values."""
    return lwlrap(torch.rand(1, 16), torch.ones(1, 16), average=None) if average is None else next(values)


class TestRandomness:
    @pytest.fixture
    def clips(self, tiny_corpus):
        paths = sorted((tiny_corpus / "train_curated").iterdir())[:6]
        clips = ClipDataset(paths, torch.zeros(6, 1), max_seconds=0.01)
        return SeededClips(clips, torch.arange(6), seed=3)

    def test_crops_are_a_function_of_seed_epoch_and_index(self, clips):
        before = torch.get_rng_state()
        alone = {(epoch, index): clips[epoch, index][0] for epoch in (0, 1) for index in range(6)}
        assert torch.equal(torch.get_rng_state(), before)
        assert not any(torch.equal(alone[0, index], alone[1, index]) for index in range(6))
        other = SeededClips(clips.clips, clips.source, seed=4)
        assert not torch.equal(other[0, 0][0], alone[0, 0])
        torch.manual_seed(99)
        assert torch.equal(clips[1, 5][0], alone[1, 5])

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_crops_are_the_same_in_workers(self, clips):
        places = [[(1, 4), (1, 0)], [(1, 2)]]
        read = list(DataLoader(clips, batch_sampler=places, collate_fn=collate, num_workers=2))
        assert torch.equal(read[0].waveform[1], clips[1, 0][0])
        assert torch.equal(read[1].waveform[0], clips[1, 2][0])
        assert read[0].source.tolist() == [4, 0]

    def test_seeds_of_neighbours_differ_in_the_bits_that_generators_use(self):
        seeds = {mixed_seed(42, epoch, index) for epoch in range(50) for index in range(200)}
        assert len({seed % 2**32 for seed in seeds}) > 9990
        assert all(0 <= seed < 2**63 for seed in seeds)
