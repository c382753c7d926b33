"""Interrupted trainings end as if they had not been interrupted, and only the same run is resumed."""

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.utils.data import get_worker_info

import freesound2019
from freesound.corpus import read_corpus
from freesound.data import SeededClips, split_corpus
from freesound.engine import Trainer
from freesound.settings import CHECKS, read_toml
from freesound.state import read_state, write_state
from training import SMALL, Interrupted, assert_same_outcome, interrupt_at, train

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


class TestInterruption:
    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    @pytest.mark.parametrize("options", CHOICES, ids=" ".join)
    def test_a_run_that_is_interrupted_many_times_ends_the_same(
        self, tiny_corpus, tmp_path, monkeypatch, options
    ):
        options = [*options, "--epochs", "3"]
        train(tiny_corpus, tmp_path / "whole", *options)
        left = 0

        def fail_when_none_is_left(plain):
            def call(*args, **kwargs):
                nonlocal left
                left -= 1
                if left == 0:
                    raise Interrupted
                return plain(*args, **kwargs)

            return call

        # Between batches, before validation, and between any two of the files that are written.
        monkeypatch.setattr(Trainer, "train_batch", fail_when_none_is_left(Trainer.train_batch))
        monkeypatch.setattr(Trainer, "validate", fail_when_none_is_left(Trainer.validate))
        monkeypatch.setattr(Path, "replace", fail_when_none_is_left(Path.replace))
        interrupted = 0
        for allowed in [1, 2, 6, 7, 11, 12, 13, 14, 15, 16, 17, 0]:
            left = allowed
            try:
                train(tiny_corpus, tmp_path / "broken", *options, "--resume")
            except Interrupted:
                interrupted += 1
            else:
                break
        assert interrupted >= 5
        assert_same_outcome(tmp_path / "broken" / "fold_0", tmp_path / "whole" / "fold_0")

    @pytest.mark.slow
    def test_a_killed_run_can_be_resumed(self, tiny_corpus, tmp_path):
        options = ["--mixup", "0.5", "--max-seconds", "1", "--epochs", "6", "--average", "ema"]
        train(tiny_corpus, tmp_path / "whole", *options)
        drawn = random.Random(0)
        for number in range(2):
            run = tmp_path / f"run{number}"
            kill_after(drawn.randint(1, 10), drawn.random() * 0.05, tiny_corpus, run, options)
            state = run / "fold_0" / "state.pt"
            assert read_state(state)["format"] == "freesound2019.state/2"
            train(tiny_corpus, run, *options, "--resume")
            assert_same_outcome(run / "fold_0", tmp_path / "whole" / "fold_0")

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["model.pt", "valid.csv", "metrics.csv", "log.txt", "state.pt"])
    def test_a_full_disk_leaves_the_last_good_files(self, tiny_corpus, tmp_path, monkeypatch, name):
        train(tiny_corpus, tmp_path / "whole", "--epochs", "2")
        run, plain = tmp_path / "run", Path.open
        room = 4 if name == "state.pt" else 0  # the first state is written before anything else

        def open_on_a_full_disk(file, mode="r", *args, **kwargs):
            nonlocal room
            opened = plain(file, mode, *args, **kwargs)
            if "w" not in mode or name not in file.name:
                return opened
            room -= 1
            return opened if room >= 0 else FullDisk(opened)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", open_on_a_full_disk)
            with pytest.raises(SystemExit, match=f"No space left on device.*{name}"):
                train(tiny_corpus, run, "--epochs", "2")
        assert not list((run / "fold_0").glob(".*"))
        read_state(run / "fold_0" / "state.pt")
        train(tiny_corpus, run, "--epochs", "2", "--resume")
        assert_same_outcome(run / "fold_0", tmp_path / "whole" / "fold_0")


class FullDisk:
    """A file that takes half of what is written; then the disk is full."""

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
    def begun(self, tiny_corpus, tmp_path, monkeypatch):
        """A run that was interrupted in its first validation."""
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "validate", interrupt_at(1, Trainer.validate))
            with pytest.raises(Interrupted):
                train(tiny_corpus, tmp_path / "run", "--epochs", "1")
        return tmp_path / "run"

    def refused(self, match, *args):
        with pytest.raises(SystemExit, match=match):
            train(*args)

    def test_only_when_asked(self, tiny_corpus, begun):
        self.refused(
            "fold 0, begun and not finished; continue it with --resume", tiny_corpus, begun, "--epochs", 1
        )

    def test_with_the_settings_of_before(self, tiny_corpus, begun):
        self.refused(
            "augment.mixup 0.0, now 0.2", tiny_corpus, begun, "--epochs", 1, "--mixup", 0.2, "--resume"
        )
        self.refused(
            "optim.precision 'fp32', now 'bf16'", tiny_corpus, begun, "--epochs", 1, "--precision", "bf16"
        )

    def test_with_the_clips_of_before(self, tiny_corpus, begun, tmp_path):
        data = tmp_path / "data"
        shutil.copytree(tiny_corpus, data)
        table = (data / "train_curated.csv").read_text().splitlines()
        table[-1] = table[-1].split(",")[0] + ",Bell"
        (data / "train_curated.csv").write_text("\n".join(table))
        self.refused(
            "wanted the clips and labels that .*state.pt was begun", data, begun, "--epochs", 1, "--resume"
        )

    def test_with_the_samples_of_before(self, tiny_corpus, begun, tmp_path):
        data = tmp_path / "data"
        shutil.copytree(tiny_corpus, data, copy_function=shutil.copyfile)  # times of files may differ
        clip = next(iter(sorted((data / "train_curated").iterdir())))
        whole = bytearray(clip.read_bytes())
        middle = len(whole) // 2
        whole[middle : middle + 100] = bytes(100)
        clip.write_bytes(whole)
        self.refused("wanted the clips and labels that", data, begun, "--epochs", 1, "--resume")
        shutil.copyfile(tiny_corpus / "train_curated" / clip.name, clip)
        train(data, begun, "--epochs", 1, "--resume")

    def test_by_one_process_at_a_time(self, tiny_corpus, begun):
        hold = (
            "import sys; from pathlib import Path; from freesound.locks import lock\n"
            "with lock(Path(sys.argv[1]), log=print):\n    print('held', flush=True); sys.stdin.read()"
        )
        words = [sys.executable, "-c", hold, begun / ".fold_0.lock"]
        folder = Path(freesound2019.__file__).parent
        with subprocess.Popen(
            words, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout.readline() == "held\n"
            match = f"{begun}: wanted a folder that no other process works in.*process {other.pid} "
            self.refused(match, tiny_corpus, begun, "--epochs", 1, "--resume")
            other.stdin.close()
        train(tiny_corpus, begun, "--epochs", 1, "--resume")

    @pytest.mark.parametrize("key", ["clips", "progress", "model", "updates", "training_log"])
    @pytest.mark.parametrize("value", ["missing", None, {}, 5])
    def test_a_state_with_other_parts_is_named(self, tiny_corpus, begun, key, value):
        path = begun / "fold_0" / "state.pt"
        state = read_state(path)
        del state[key]
        write_state(path, state if value == "missing" else {**state, key: value})
        message = "wanted the clips" if key == "clips" and value != "missing" else "state.pt: wanted a state"
        self.refused(message, tiny_corpus, begun, "--epochs", 1, "--resume")

    @pytest.mark.parametrize(
        "wrong",
        [{"batch": -5}, {"batch": 10**6}, {"epoch": 10**9}, {"epoch": 1.5}, {"clips": True}, {"best": None}],
        ids=str,
    )
    def test_a_state_with_impossible_counts_is_named(self, tiny_corpus, begun, wrong):
        path = begun / "fold_0" / "state.pt"
        state = read_state(path)
        state["progress"] |= wrong
        write_state(path, state)
        self.refused(
            "state.pt: .*got another: progress: wanted", tiny_corpus, begun, "--epochs", 1, "--resume"
        )

    def test_a_flipped_bit_of_a_weight_is_found(self, begun):
        path = begun / "fold_0" / "state.pt"
        whole = path.read_bytes()
        weight = next(iter(read_state(path)["model"].values())).numpy().tobytes()
        place = whole.index(weight)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 64]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"state.pt: damaged: its part .* checksum; use another copy"):
            read_state(path)

    def test_a_damaged_state_is_named(self, tiny_corpus, begun):
        path = begun / "fold_0" / "state.pt"
        whole = path.read_bytes()
        for content in (b"", whole[: len(whole) // 2]):
            path.write_bytes(content)
            self.refused(
                "state.pt: wanted a state of training", tiny_corpus, begun, "--epochs", 1, "--resume"
            )
        torch.save({"other": 1}, path)
        self.refused("state.pt: wanted a state of training", tiny_corpus, begun, "--epochs", 1, "--resume")

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_after_a_reading_process_was_killed(self, tiny_corpus, tmp_path, monkeypatch):
        plain, run, options = SeededClips.__getitem__, tmp_path / "run", ["--epochs", "1", "--workers", "1"]

        def killed(clips, index):
            if get_worker_info() is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            return plain(clips, index)

        with monkeypatch.context() as patch:
            patch.setattr(SeededClips, "__getitem__", killed)
            with pytest.raises(
                SystemExit, match="a process that reads clips was killed, .*--resume"
            ) as caught:
                train(tiny_corpus, run, *options)
        assert "\n" not in caught.value.code
        train(tiny_corpus, run, *options, "--resume")
        train(tiny_corpus, tmp_path / "whole", *options)
        assert_same_outcome(run / "fold_0", tmp_path / "whole" / "fold_0")

    def test_what_is_finished_is_left_alone(self, tiny_corpus, tmp_path, capsys):
        train(tiny_corpus, tmp_path / "run", "--epochs", "1", "--resume")  # a new folder just starts
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
        capsys.readouterr()
        train(tiny_corpus, tmp_path / "run", "--epochs", "1", "--resume")
        assert "fold 0: finished already" in capsys.readouterr().out
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before
        self.refused("holds fold 0 already", tiny_corpus, tmp_path / "run", "--epochs", "1")

    def test_a_run_killed_at_its_first_file_can_be_started(self, tiny_corpus, tmp_path):
        run = tmp_path / "run"
        run.mkdir()
        part = run / ".settings.toml.7.part"
        part.write_text("[")
        train(tiny_corpus, run, "--epochs", "1")
        assert read_toml(run / "settings.toml")[CHECKS]["processes"] == 1
        assert {path.name for path in run.iterdir()} == {
            "settings.toml",
            "fold_0",
            ".start.lock",
            ".fold_0.lock",
        }

    def test_states_hold_tensors_and_plain_types(self, tmp_path):
        state = {"a": torch.arange(3), "b": [1, 2.5, None, True], "c": {"d": "e", 4: -float("inf")}}
        write_state(tmp_path / "s.pt", state)
        back = read_state(tmp_path / "s.pt")
        assert torch.equal(back.pop("a"), state.pop("a"))
        assert back == {"format": "freesound2019.state/2", **state}


class TestExtra:
    @pytest.fixture
    def data(self, tiny_corpus, tmp_path):
        data = tmp_path / "data"
        shutil.copytree(tiny_corpus, data)
        (data / "train_noisy").mkdir()
        for name in ("n1.wav", "n2.wav"):
            shutil.copy(next((data / "train_curated").iterdir()), data / "train_noisy" / name)
        (data / "train_noisy.csv").write_text("fname,labels\nn1.wav,Drum\nn2.wav,Drum\n")
        (tmp_path / "more.csv").write_text('fname,labels\nn2.wav,"Bell,Clap"\n')
        return data

    def test_its_clips_and_labels_are_trained_on(self, data, tmp_path):
        corpus = read_corpus(data, extra=tmp_path / "more.csv")
        split = split_corpus(corpus, folds=1, fold=0, max_seconds=15.0, seed=0)
        assert split.train.paths[16:] == (data / "train_noisy" / "n2.wav",)
        labels = [name for name, on in zip(corpus.classes, split.train.target[16], strict=True) if on]
        assert labels == ["Bell", "Clap"]

    def test_another_table_is_another_run(self, data, tmp_path, monkeypatch):
        table = tmp_path / "more.csv"
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "validate", interrupt_at(1, Trainer.validate))
            with pytest.raises(Interrupted):
                train(data, tmp_path / "run", "--epochs", "1", "--extra", table)
        settings = read_toml(tmp_path / "run" / "settings.toml")
        assert settings["clips"]["extra"] == str(table)
        again = ["--epochs", "1", "--resume", "--extra"]
        moved = tmp_path / "moved.csv"
        shutil.copy(table, moved)
        table.write_text("fname,labels\nn2.wav,Clap\n")
        with pytest.raises(SystemExit, match=f"extra_sha256 '{settings[CHECKS]['extra_sha256']}', now"):
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
    def test_errors_name_the_table_or_the_clip(self, data, tmp_path, table, message):
        (tmp_path / "more.csv").unlink()
        if table is not None:
            (tmp_path / "more.csv").write_text(table)
        with pytest.raises(SystemExit, match=message):
            train(data, tmp_path / "run", "--extra", tmp_path / "more.csv")
        assert not (tmp_path / "run").exists()
