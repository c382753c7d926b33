"""The example's training: exact gradients, averages, and the same end however often it is interrupted."""

import csv
import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from freesound.batches import SeededClips
from freesound.corpus import read_corpus, split_corpus
from freesound.processes import World
from freesound.runs import read_state, write_state
from freesound.training import Trainer
from torch import nn
from torch.utils.data import DataLoader

import freesound2019
from freesound import training
from freesound.averaging import AverageOfLast, ExponentialAverage
from freesound.settings import Settings, mixed_seed
from freesound.synthetic import make_corpus
from freesound.updates import Updates
from rankaudio import ClipDataset, CNN2d, LogMel, Tagger, lwlrap, pad_collate
from rankaudio.data import read_labels, read_scores

ALONE = World(torch.device("cpu"))
SMALL = ["--base-depth", "4", "--blocks", "2", "--folds", "2", "--fold", "0", "--device", "cpu"]
SMALL += ["--batch-size", "3", "--no-tensorboard", "--checkpoint-seconds", "0"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sixteen clips, half of which are held out."""
    folder = tmp_path_factory.mktemp("corpus")
    make_corpus(folder, per_class=1, test_per_class=1)
    return folder


def train(corpus, run, *options):
    freesound2019.main(["train", "--data", str(corpus), "--run", str(run), *SMALL, *map(str, options)])


def without_seconds(folder):
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    log = re.sub(r"\d+\.\d s", "", (folder / "log.txt").read_text())
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows], log


def assert_same_outcome(one, other):
    """Every file of two folds, to the bit, but for the seconds it took."""
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}
    states = [Tagger.load(folder / "model.pt").state_dict() for folder in (one, other)]
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
    assert (one / "model.pt").read_bytes() == (other / "model.pt").read_bytes()
    assert (one / "valid.csv").read_bytes() == (other / "valid.csv").read_bytes()
    assert without_seconds(one) == without_seconds(other)


class TestAccumulation:
    """N batches make the gradient of one batch of all their clips."""

    SIZES = (5, 2, 4)

    @pytest.fixture
    def tagger(self):
        """A whole network in float64, normalised by running statistics, which no batch can change."""
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
        clips = [torch.randn(n, generator=generator, dtype=torch.float64) for n in lengths.tolist()]
        return list(zip(clips, (torch.rand(len(clips), 4, generator=generator) > 0.6).double(), strict=True))

    @pytest.mark.parametrize("loss", ["lsep", "bce"])
    def test_gradient_is_that_of_one_batch(self, tagger, loss):
        updates, clips = Updates(tagger, Settings(loss=loss), ALONE, total=10), self.clips()
        whole = pad_collate(clips)
        updates.criterion(tagger(whole.waveform, whole.lengths), whole.target).backward()
        expected = [p.grad.clone() for p in tagger.parameters()]
        tagger.zero_grad()
        begin = 0
        for number, size in enumerate(self.SIZES):
            batch = pad_collate(clips[begin : begin + size])
            final = number == len(self.SIZES) - 1
            updates.backward(batch.waveform, batch.target, batch.lengths, of=len(clips), final=final)
            begin += size
        assert max(gradient.abs().max() for gradient in expected) > 1e-3
        for parameter, gradient in zip(tagger.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-12)

    def test_weights_change_once_a_group_and_the_last_group_may_be_small(self, corpus, monkeypatch):
        trainer = make_trainer(corpus, accumulate=2, epochs=1)
        seen, backward, step = [], trainer.updates.backward, trainer.updates.step

        def watch_backward(waveform, *rest, of, final):
            seen.append((len(waveform), of, trainer.updates.parameters[0].detach().clone()))
            return backward(waveform, *rest, of=of, final=final)

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
        assert trainer.updates.step_number == trainer.updates.total == 2


def make_trainer(corpus, **changes):
    settings = Settings(**({"base_depth": 4, "blocks": 2, "folds": 2, "batch_size": 3} | changes))
    data = read_corpus(corpus, noisy=False)
    split = split_corpus(data, folds=2, fold=0, max_seconds=15.0, seed=42)
    return Trainer(split, settings, data.classes, world=ALONE, say=lambda _: None)


def test_a_long_gradient_is_shortened(corpus):
    def change(clip_norm):
        model = nn.Linear(3, 2, bias=False)
        nn.init.zeros_(model.weight)
        updates = Updates(Adder(model), Settings(clip_norm=clip_norm, loss="bce"), ALONE, total=10)
        updates.optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        updates.backward(torch.full((4, 3), 8.0), torch.ones(4, 2), None, of=4, final=True)
        updates.step()
        return model.weight.detach() / updates.learning_rate

    # Of the mean over 4 clips and 2 classes of log(1 + e^-s), each of the 6 derivatives is -8 * 0.5 / 2.
    whole = torch.full((2, 3), 2.0)
    torch.testing.assert_close(change(None), whole)
    torch.testing.assert_close(change(100.0), whole)
    torch.testing.assert_close(change(0.3), whole / whole.norm() * 0.3, rtol=1e-5, atol=0)


class Adder(nn.Module):
    """A model of waveforms and lengths that leaves the lengths alone."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, waveform, lengths=None):
        return self.inner(waveform)


class TestAverages:
    def models(self, count):
        torch.manual_seed(0)
        models = [nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for _ in range(count)]
        for number, model in enumerate(models):
            model(torch.randn(5, 2) * number)
        return models

    def test_the_last_epochs_weigh_alike(self):
        average, models = AverageOfLast(epochs=3), self.models(5)
        for count, model in enumerate(models, start=1):
            average.after_step(model)
            average.after_epoch(model)
            kept = [m.state_dict() for m in models[max(0, count - 3) : count]]
            for name, value in average.mean().items():
                values = [m[name].double() for m in kept]
                expected = values[-1] if "tracked" in name else sum(values) / len(values)
                torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-7)
                assert value.dtype == kept[0][name].dtype

    def test_the_exponential_average_by_its_formula(self):
        models = self.models(6)
        average = ExponentialAverage(models[0], decay=0.3, world=ALONE)
        expected = {name: value.double() for name, value in models[0].state_dict().items()}
        for update, model in enumerate(models):
            average.after_step(model)
            average.after_epoch(model)
            decay = min(0.3, (1 + update) / (10 + update))
            for name, value in model.state_dict().items():
                kept = 0.0 if "tracked" in name else decay
                expected[name] = kept * expected[name] + (1 - kept) * value.double()
        for name, value in average.mean().items():
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-6, atol=1e-7)

    def test_an_average_is_a_copy(self):
        (model,) = self.models(1)
        for average in (ExponentialAverage(model, decay=0.0, world=ALONE), AverageOfLast(epochs=2)):
            average.after_step(model)
            average.after_epoch(model)
            before = average.mean()["0.weight"].clone()
            nn.init.ones_(model[0].weight)
            assert torch.equal(average.mean()["0.weight"], before)
            nn.init.zeros_(model[0].weight)

    def test_what_is_validated_and_kept_is_the_average(self, corpus, tmp_path):
        train(corpus, tmp_path / "r", "--average", "last", "--average-last", "2", "--epochs", "2")
        models, plain = [], Trainer._end_epoch

        def watch(trainer, folder, loss):
            models.append({name: value.clone() for name, value in trainer.tagger.state_dict().items()})
            plain(trainer, folder, loss)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Trainer, "_end_epoch", watch)
            train(corpus, tmp_path / "s", "--average", "last", "--average-last", "2", "--epochs", "2")
        assert_same_outcome(tmp_path / "r" / "fold_0", tmp_path / "s" / "fold_0")
        rows, _ = without_seconds(tmp_path / "s" / "fold_0")
        last = float(rows[1]["valid_lwlrap"]) > float(rows[0]["valid_lwlrap"])
        kept = Tagger.load(tmp_path / "s" / "fold_0" / "model.pt").state_dict()
        for name, value in kept.items():
            mean = sum(m[name].double() for m in models) / 2
            expected = mean if last and value.is_floating_point() else models[last][name].double()
            torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-7)


class TestPlainChoices:
    @pytest.mark.parametrize(
        "options",
        [
            ["--precision", "bf16", "--accumulate", "2", "--clip-norm", "1"],
            ["--precision", "fp16", "--average", "ema", "--average-decay", "0.9"],
        ],
        ids=" ".join,
    )
    def test_half_precision_trains_about_the_same(self, corpus, tmp_path, options):
        for run, precision in (("half", []), ("full", ["--precision", "fp32"])):
            train(corpus, tmp_path / run, "--epochs", "2", *options, *precision)
        (half, _), (full, _) = (without_seconds(tmp_path / run / "fold_0") for run in ("half", "full"))
        for row, other in zip(half, full, strict=True):
            assert float(row["train_loss"]) == pytest.approx(float(other["train_loss"]), rel=0.05)
        assert half != full
        state = Tagger.load(tmp_path / "half" / "fold_0" / "model.pt").state_dict()
        assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}

    def test_compile_asks_for_one_program_for_all_lengths(self, corpus, tmp_path, monkeypatch):
        made = []

        def stub(model, *, dynamic):
            made.append(dynamic)
            return Watched(model)

        monkeypatch.setattr(torch, "compile", stub)
        train(corpus, tmp_path / "r", "--epochs", "1", "--compile")
        train(corpus, tmp_path / "s", "--epochs", "1")
        assert made == [True]
        assert Watched.calls == 3
        (one, _), (other, _) = (without_seconds(tmp_path / run / "fold_0") for run in "rs")
        assert float(one[0]["train_loss"]) == pytest.approx(float(other[0]["train_loss"]), rel=1e-4)

    def test_it_stops_after_epochs_without_a_better_one(self, corpus, tmp_path, monkeypatch):
        values = iter([0.5, 0.7, 0.6, 0.7, 0.9])
        monkeypatch.setattr(training, "lwlrap", lambda *_, average="label": class_values(average, values))
        train(corpus, tmp_path / "r", "--epochs", "9", "--early-stop", "2")
        rows, log = without_seconds(tmp_path / "r" / "fold_0")
        assert [row["valid_lwlrap"] for row in rows] == ["0.500000", "0.700000", "0.600000", "0.700000"]
        assert ["*" in line for line in log.splitlines()] == [True, True, False, False]

    def test_the_learning_rate_follows_the_steps(self, corpus, tmp_path):
        train(corpus, tmp_path / "r", "--epochs", "4", "--accumulate", "2", "--lr-min", "1", "--lr-max", "8")
        rows, _ = without_seconds(tmp_path / "r" / "fold_0")
        rates = [training.one_cycle(2 * epoch + 1, 8, low=1.0, high=8.0) for epoch in range(4)]
        assert [float(row["learning_rate"]) for row in rows] == pytest.approx(rates, rel=1e-3)


class Watched(nn.Module):
    """Stands in for what torch.compile returns."""

    calls = 0

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, waveform, lengths):
        assert lengths is not None
        Watched.calls += 1
        return self.model(waveform, lengths)


def class_values(average, values):
    """In place of lwlrap: the next of some values."""
    return lwlrap(torch.rand(1, 16), torch.ones(1, 16), average=None) if average is None else next(values)


class TestRandomness:
    def test_crops_are_a_function_of_seed_epoch_and_index(self, corpus):
        paths = sorted((corpus / "train_curated").iterdir())[:6]
        clips = SeededClips(ClipDataset(paths, torch.zeros(6, 1), max_seconds=0.01), seed=3)
        before = torch.get_rng_state()
        alone = {(epoch, index): clips[epoch, index][0] for epoch in (0, 1) for index in range(6)}
        assert torch.equal(torch.get_rng_state(), before)
        assert not any(torch.equal(alone[0, index], alone[1, index]) for index in range(6))
        other = SeededClips(clips.clips, seed=4)
        assert not torch.equal(other[0, 0][0], alone[0, 0])
        torch.manual_seed(99)
        assert torch.equal(clips[1, 5][0], alone[1, 5])

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_crops_are_the_same_in_workers(self, corpus):
        paths = sorted((corpus / "train_curated").iterdir())[:6]
        clips = SeededClips(ClipDataset(paths, torch.zeros(6, 1), max_seconds=0.01), seed=3)
        places = [[(1, 4), (1, 0)], [(1, 2)]]
        read = list(DataLoader(clips, batch_sampler=places, collate_fn=pad_collate, num_workers=2))
        assert torch.equal(read[0].waveform[1], clips[1, 0][0])
        assert torch.equal(read[1].waveform[0], clips[1, 2][0])

    def test_seeds_of_neighbours_differ_in_the_bits_that_generators_use(self):
        seeds = {mixed_seed(42, epoch, index) for epoch in range(50) for index in range(200)}
        assert len({seed % 2**32 for seed in seeds}) > 9990
        assert all(0 <= seed < 2**63 for seed in seeds)


CHOICES = [
    ["--accumulate", "2", "--clip-norm", "1", "--average", "ema", "--mixup", "0.5", "--dropout", "0.3"],
    [
        "--average",
        "last",
        "--average-last",
        "2",
        "--early-stop",
        "1",
        "--augment-until",
        "2",
        "--shuffle",
        "1",
    ],
    ["--precision", "fp16", "--max-seconds", "0.5", "--workers", "1", "--pooling", "rnn", "--mixup", "1"],
]


class Interrupted(BaseException):
    """As sudden as the processor allows within one process."""


class TestInterruption:
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    @pytest.mark.parametrize("options", CHOICES, ids=" ".join)
    def test_a_run_interrupted_over_and_over_ends_the_same(self, corpus, tmp_path, monkeypatch, options):
        options = [*options, "--epochs", "3"]
        train(corpus, tmp_path / "whole", *options)
        left = 0

        def fail_now_and_then(plain):
            def call(*args, **kwargs):
                nonlocal left
                left -= 1
                if left == 0:
                    raise Interrupted
                return plain(*args, **kwargs)

            return call

        # Between batches, before validation, and between any two of the files that are written.
        monkeypatch.setattr(Trainer, "train_batch", fail_now_and_then(Trainer.train_batch))
        monkeypatch.setattr(Trainer, "validate", fail_now_and_then(Trainer.validate))
        monkeypatch.setattr(Path, "replace", fail_now_and_then(Path.replace))
        interrupted = 0
        for allowed in [1, 2, 6, 7, 11, 12, 13, 14, 15, 16, 17, 0]:
            left = allowed
            try:
                train(corpus, tmp_path / "broken", *options, "--resume")
            except Interrupted:
                interrupted += 1
            else:
                break
        assert interrupted >= 5
        assert_same_outcome(tmp_path / "broken" / "fold_0", tmp_path / "whole" / "fold_0")

    def test_kill_9_leaves_what_can_be_resumed(self, corpus, tmp_path):
        options = ["--mixup", "0.5", "--max-seconds", "1", "--epochs", "6", "--average", "ema"]
        train(corpus, tmp_path / "whole", *options)
        drawn = random.Random(0)
        for number in range(2):
            run = tmp_path / f"run{number}"
            kill_after(drawn.randint(1, 10), drawn.random() * 0.05, corpus, run, options)
            state = run / "fold_0" / "state.pt"
            assert read_state(state)["format"] == "freesound2019.state/1"
            train(corpus, run, *options, "--resume")
            assert_same_outcome(run / "fold_0", tmp_path / "whole" / "fold_0")

    @pytest.mark.parametrize("name", ["model.pt", "valid.csv", "metrics.csv", "log.txt", "state.pt"])
    def test_a_full_disk_leaves_the_last_good_files(self, corpus, tmp_path, monkeypatch, capsys, name):
        train(corpus, tmp_path / "whole", "--epochs", "2")
        run, plain = tmp_path / "run", os.fdopen if name == "model.pt" else Path.open
        room = 4 if name == "state.pt" else 0  # the first state is written before anything else

        def open_on_a_full_disk(file, mode="r", *args, **kwargs):
            nonlocal room
            opened = plain(file, mode, *args, **kwargs)
            if "w" not in mode or (name != "model.pt" and name not in file.name):
                return opened
            room -= 1
            return opened if room >= 0 else FullDisk(opened)

        with monkeypatch.context() as patch:
            patch.setattr(*(os, "fdopen") if name == "model.pt" else (Path, "open"), open_on_a_full_disk)
            where = f".*{name}" if name in ("metrics.csv", "log.txt", "state.pt") else ""
            with pytest.raises(SystemExit, match="No space left on device" + where):
                train(corpus, run, "--epochs", "2")
        assert not list((run / "fold_0").glob(".*"))
        read_state(run / "fold_0" / "state.pt")
        train(corpus, run, "--epochs", "2", "--resume")
        assert_same_outcome(run / "fold_0", tmp_path / "whole" / "fold_0")


class FullDisk:
    """A file that takes half of what is written, and then has no room."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name):
        return getattr(self.file, name)


def command(corpus, run, options):
    words = ["train", "--data", corpus, "--run", run, *SMALL, *options]
    return [sys.executable, freesound2019.__file__, *map(str, words)]


def kill_after(states, delay, corpus, run, options):
    """Start a run and kill it a moment after it has written so many states."""
    path = run / "fold_0" / "state.pt"
    process = subprocess.Popen(command(corpus, run, options), stdout=subprocess.DEVNULL)
    try:
        seen, latest = 0, None
        end = time.monotonic() + 120
        while seen < states and time.monotonic() < end and process.poll() is None:
            now = path.stat().st_mtime_ns if path.exists() else None
            seen, latest = seen + (now != latest), now
            time.sleep(0.001)
        time.sleep(delay)
    finally:
        process.kill()
        process.wait(timeout=60)
    assert process.returncode == -signal.SIGKILL, "it was over before it could be killed"


class TestResume:
    @pytest.fixture
    def begun(self, corpus, tmp_path, monkeypatch):
        """A run that was interrupted in its first validation."""
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "validate", lambda _: (_ for _ in ()).throw(Interrupted))
            with pytest.raises(Interrupted):
                train(corpus, tmp_path / "run", "--epochs", "1")
        return tmp_path / "run"

    def refused(self, match, *args):
        with pytest.raises(SystemExit, match=match):
            train(*args)

    def test_only_when_asked(self, corpus, begun):
        self.refused(
            "fold 0, begun and not finished; go on with it with --resume", corpus, begun, "--epochs", 1
        )

    def test_with_the_settings_of_before(self, corpus, begun):
        self.refused("mixup 0.0, now 0.2", corpus, begun, "--epochs", 1, "--mixup", 0.2, "--resume")
        self.refused("precision 'fp32', now 'bf16'", corpus, begun, "--epochs", 1, "--precision", "bf16")

    def test_with_the_clips_of_before(self, corpus, begun, tmp_path):
        data = tmp_path / "data"
        shutil.copytree(corpus, data)
        table = (data / "train_curated.csv").read_text().splitlines()
        table[-1] = table[-1].split(",")[0] + ",Bell"
        (data / "train_curated.csv").write_text("\n".join(table))
        self.refused(
            "wanted the clips and labels that .*state.pt was begun", data, begun, "--epochs", 1, "--resume"
        )

    def test_a_damaged_state_is_named(self, corpus, begun):
        path = begun / "fold_0" / "state.pt"
        whole = path.read_bytes()
        for content in (b"", whole[: len(whole) // 2]):
            path.write_bytes(content)
            self.refused("state.pt: wanted a state of training", corpus, begun, "--epochs", 1, "--resume")
        torch.save({"other": 1}, path)
        self.refused("state.pt: wanted a state of training", corpus, begun, "--epochs", 1, "--resume")

    def test_what_is_finished_is_left_alone(self, corpus, tmp_path, capsys):
        train(corpus, tmp_path / "run", "--epochs", "1", "--resume")  # a new folder just starts
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
        capsys.readouterr()
        train(corpus, tmp_path / "run", "--epochs", "1", "--resume")
        assert "fold 0: finished already" in capsys.readouterr().out
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before
        self.refused("holds fold 0 already", corpus, tmp_path / "run", "--epochs", "1")

    def test_a_start_that_was_killed_is_a_start(self, corpus, tmp_path):
        run = tmp_path / "run"
        run.mkdir()
        stump = run / ".settings.json.7.part"  # of a process that may still be at work on another fold
        stump.write_text("{")
        train(corpus, run, "--epochs", "1")
        assert json.loads((run / "settings.json").read_text())["processes"] == 1
        assert {path.name for path in run.iterdir()} == {"settings.json", "fold_0", stump.name}

    def test_states_hold_tensors_and_plain_types(self, tmp_path):
        state = {"a": torch.arange(3), "b": [1, 2.5, None, True], "c": {"d": "e", 4: -float("inf")}}
        write_state(tmp_path / "s.pt", state)
        back = read_state(tmp_path / "s.pt")
        assert torch.equal(back.pop("a"), state.pop("a"))
        assert back == {"format": "freesound2019.state/1", **state}


class TestExtra:
    @pytest.fixture
    def data(self, corpus, tmp_path):
        data = tmp_path / "data"
        shutil.copytree(corpus, data)
        (data / "train_noisy").mkdir()
        for name in ("n1.wav", "n2.wav"):
            shutil.copy(next((data / "train_curated").iterdir()), data / "train_noisy" / name)
        (data / "train_noisy.csv").write_text("fname,labels\nn1.wav,Drum\nn2.wav,Drum\n")
        (tmp_path / "more.csv").write_text('fname,labels\nn2.wav,"Bell,Clap"\n')
        return data

    def test_its_clips_and_labels_are_trained_on(self, data, tmp_path):
        corpus = read_corpus(data, noisy=False, extra=tmp_path / "more.csv")
        split = split_corpus(corpus, folds=1, fold=0, max_seconds=15.0, seed=0)
        assert split.train.paths[16:] == (data / "train_noisy" / "n2.wav",)
        labels = [name for name, on in zip(corpus.classes, split.train.target[16], strict=True) if on]
        assert labels == ["Bell", "Clap"]

    def test_another_table_is_another_run(self, data, tmp_path, monkeypatch):
        table = tmp_path / "more.csv"
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "validate", lambda _: (_ for _ in ()).throw(Interrupted))
            with pytest.raises(Interrupted):
                train(data, tmp_path / "run", "--epochs", "1", "--extra", table)
        settings = json.loads((tmp_path / "run" / "settings.json").read_text())
        assert settings["extra"] == str(table)
        again = ["--epochs", "1", "--resume", "--extra"]
        moved = tmp_path / "moved.csv"
        shutil.copy(table, moved)
        table.write_text("fname,labels\nn2.wav,Clap\n")
        with pytest.raises(SystemExit, match=f"extra_sha256 '{settings['extra_sha256']}', now"):
            train(data, tmp_path / "run", *again, table)
        train(data, tmp_path / "run", *again, moved)
        assert (tmp_path / "run" / "fold_0" / "model.pt").exists()

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (None, "more.csv"),
            ("fname,labels\nn2.wav,Trumpet\n", "more.csv, line 2: .*Trumpet"),
            ("fname,labels\ngone.wav,Bell\n", "gone.wav: no such file"),
        ],
        ids=["no table", "label of no class", "no clip"],
    )
    def test_mistakes_are_named(self, data, tmp_path, table, message):
        (tmp_path / "more.csv").unlink()
        if table is not None:
            (tmp_path / "more.csv").write_text(table)
        with pytest.raises(SystemExit, match=message):
            train(data, tmp_path / "run", "--extra", tmp_path / "more.csv")
        assert not (tmp_path / "run").exists()


def test_settings_out_of_range_are_named(corpus, tmp_path, capsys):
    for options, match in [
        (["--clip-norm", "0"], "argument --clip-norm: wanted a number above 0, got 0"),
        (["--average-decay", "1"], "argument --average-decay: wanted a number from 0 below 1, got 1"),
        (["--accumulate", "0"], "argument --accumulate: wanted an integer from 1, got 0"),
        (["--checkpoint-seconds", "nan"], "argument --checkpoint-seconds: wanted a number from 0, got nan"),
        (["--clip-norm", "much"], "argument --clip-norm: invalid number value: 'much'"),
        (["--noisy", "--extra", "x"], "argument --extra: not allowed with argument --noisy"),
    ]:
        with pytest.raises(SystemExit, match="2"):
            train(corpus, tmp_path / "r", *options)
        assert match in capsys.readouterr().err
    with pytest.raises(SystemExit, match="--early-stop: wanted clips that are held out"):
        train(corpus, tmp_path / "r", "--early-stop", "1", "--folds", "1")
    assert not (tmp_path / "r").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestTensorBoard:
    def test_scalars_of_each_epoch_are_there_once(self, corpus, tmp_path, monkeypatch):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        options = ["--tensorboard", "--epochs", "3"]
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_write_epoch", interrupt_at(2, Trainer._write_epoch))
            with pytest.raises(Interrupted):
                train(corpus, tmp_path / "r", *options)
        train(corpus, tmp_path / "r", *options, "--resume")
        folder = tmp_path / "r" / "fold_0"
        events = EventAccumulator(str(folder / "tensorboard")).Reload()
        rows, _ = without_seconds(folder)
        for tag, column in [
            ("loss", "train_loss"),
            ("valid_lwlrap", "valid_lwlrap"),
            ("learning_rate", "learning_rate"),
        ]:
            scalars = events.Scalars(tag)
            assert [scalar.step for scalar in scalars] == [1, 2, 3]
            values = [float(row[column]) for row in rows]
            assert [scalar.value for scalar in scalars] == pytest.approx(values, rel=1e-3)
        assert len(events.Scalars("seconds")) == 3
        valid = read_scores(folder / "valid.csv")
        target = read_labels(corpus / "train_curated.csv", classes=valid.classes).select(valid.names).target
        best = max(range(3), key=lambda epoch: float(rows[epoch]["valid_lwlrap"]))
        for name, value, support in zip(
            valid.classes, *lwlrap(valid.scores, target, average=None), strict=True
        ):
            if support:
                seen = events.Scalars(f"valid_lwlrap_of/{name}")[best].value
                assert seen == pytest.approx(float(value), abs=1e-6)

    def test_none_where_it_is_not_wanted_or_not_there(self, corpus, tmp_path, monkeypatch):
        train(corpus, tmp_path / "r", "--epochs", "1", "--no-tensorboard")
        assert not (tmp_path / "r" / "fold_0" / "tensorboard").exists()
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(SystemExit, match="--tensorboard: wanted TensorBoard to be installed"):
            train(corpus, tmp_path / "s", "--epochs", "1", "--tensorboard")


def interrupt_at(call, plain):
    left = call

    def instead(*args, **kwargs):
        nonlocal left
        left -= 1
        if left == 0:
            raise Interrupted
        return plain(*args, **kwargs)

    return instead
