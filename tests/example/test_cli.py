"""The command line: the main job in small, the help, and errors in one line."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

import freesound2019
from freesound import cli
from freesound.pictures import varied
from freesound.plans.base import Augment, Clips, Member, Network, Optim
from freesound.program import run_program
from freesound.settings import read_member, read_toml
from freesound.state import Run
from freesound.synthetic import SOUNDS
from rankaudio import CNN2d, LogMel, Tagger, load_audio, lwlrap, predict
from rankaudio.data import ScoreTable, read_labels, read_scores, write_scores
from rankaudio.decisions import fit_calibration, fit_thresholds
from rankaudio.metrics import bootstrap
from training import CPU

EXAMPLE = Path(freesound2019.__file__)
SMALL = ["--base-depth", "4", "--n-blocks", "3", "--epochs", "2", *CPU]


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """Two folds of a small model."""
    run = tmp_path_factory.mktemp("runs") / "run"
    freesound2019.main(
        ["train", "--data", str(corpus), "--run", str(run), "--folds", "2", "--mixup", "0.5", *SMALL]
    )
    return run


def refused(capsys, *command, match):
    """The command ends with a message, without a traceback."""
    with pytest.raises(SystemExit) as caught:
        freesound2019.main([str(word) for word in command])
    message = caught.value.code if isinstance(caught.value.code, str) else capsys.readouterr().err
    assert "Traceback" not in message
    assert match in message


def test_corpus_is_in_the_kaggle_layout(corpus):
    assert len(SOUNDS) >= 12
    for part, count in [("train_curated", 2), ("test", 1)]:
        table = read_labels(corpus / f"{part}.csv")
        assert table.classes == tuple(sorted(SOUNDS))
        assert len(table) == count * len(SOUNDS)
        for name in table.names:
            rate, samples = wavfile.read(corpus / part / name)
            assert rate == 44_100
            assert samples.dtype == np.int16
            assert 0.39 < len(samples) / rate < 3.01
            assert np.abs(samples.astype(int)).max() > 3000
    assert read_labels(corpus / "train_curated.csv").target.sum() > 2 * len(SOUNDS)  # some have two labels


def test_a_run_has_its_files(trained, corpus):
    assert read_member(trained / "settings.toml").network.settings["base_depth"] == 4
    held_out = []
    for fold in (0, 1):
        files = {path.name for path in (trained / f"fold_{fold}").iterdir()}
        assert files == {"model.pt", "metrics.csv", "log.txt", "valid.csv"}
        with (trained / f"fold_{fold}" / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [row["epoch"] for row in rows] == ["1", "2"]
        assert len((trained / f"fold_{fold}" / "log.txt").read_text().splitlines()) == 2
        valid = read_scores(trained / f"fold_{fold}" / "valid.csv")
        truth = read_labels(corpus / "train_curated.csv", classes=valid.classes).select(valid.names)
        best = max(float(row["valid_lwlrap"]) for row in rows)
        assert float(lwlrap(valid.scores, truth.target)) == pytest.approx(best, abs=1e-6)
        held_out += valid.names
    assert sorted(held_out) == sorted(read_labels(corpus / "train_curated.csv").names)


def test_each_model_has_thresholds_and_probabilities_of_its_held_out_clips(trained, corpus):
    for fold, tagger in enumerate(Run(trained).taggers("cpu")):
        table = read_scores(trained / f"fold_{fold}" / "valid.csv")
        target = read_labels(corpus / "train_curated.csv", classes=table.classes).select(table.names).target
        thresholds = fit_thresholds(table.scores, target).thresholds
        assert torch.equal(tagger.decide(table.scores), table.scores >= thresholds)
        calibration = fit_calibration(table.scores, target).calibration
        torch.testing.assert_close(tagger.probabilities(table.scores), calibration(table.scores))


def test_predict_averages_folds_and_evaluate_agrees_with_the_metric(trained, corpus, tmp_path, capsys):
    out = tmp_path / "scores.csv"
    freesound2019.main(["predict", "--run", str(trained), "--audio", str(corpus / "test"), "--out", str(out)])
    scores = read_scores(out)
    truth = read_labels(corpus / "test.csv", classes=scores.classes)
    taggers = Run(trained).taggers("cpu")
    assert len(taggers) == 2
    _, samples = wavfile.read(corpus / "test" / scores.names[3])
    with torch.no_grad():
        clip = torch.from_numpy(samples.astype(np.float32) / 32768)[None]
        expected = (taggers[0](clip) + taggers[1](clip)) / 2
    torch.testing.assert_close(scores.scores[3], expected[0], rtol=0, atol=1e-5)
    capsys.readouterr()
    freesound2019.main(["evaluate", "--scores", str(out), "--labels", str(corpus / "test.csv")])
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3 + len(SOUNDS)
    kept = scores.select(truth.names).scores
    for line, metric in ((printed[-1], "lwlrap"), (printed[-2], "average_precision")):
        expected = bootstrap(kept, truth.target, metric=metric)
        numbers = [float(word) for word in re.findall(r"\d\.\d+", line)]
        assert numbers == pytest.approx(expected[:3], abs=6e-5)
    overall = float(lwlrap(kept, truth.target))
    assert float(re.findall(r"\d\.\d+", printed[-1])[0]) == pytest.approx(overall, abs=6e-5)


@pytest.mark.parametrize(
    "options",
    [
        ["--network", "CNN1d", "--pooling", "max"],
        ["--network", "CNN1d", "--pooling", "rnn", "--loss", "bce"],
        ["--pooling", "rnn", "--no-frequency-encoding", "--dropout", "0.5", "--growth-rate", "1.2"],
        ["--mixup", "0.5", "--effects", "0.5", "--shuffle", "0.5", "--augment-until", "1"],
        [
            "--sample-rate",
            "16000",
            "--n-mels",
            "40",
            "--f-min",
            "50",
            "--hop-length",
            "320",
            "--n-fft",
            "640",
        ],
        ["--max-seconds", "1", "--batch-size", "3", "--lr-min", "1e-5", "--lr-max", "1e-3", "--workers", "1"],
    ],
    ids=" ".join,
)
def test_every_option_trains(corpus, tmp_path, options):
    run = tmp_path / "run"
    freesound2019.main(["train", "--data", str(corpus), "--run", str(run), "--folds", "1", *SMALL, *options])
    tagger = Tagger.load(run / "fold_0" / "model.pt")
    assert tagger.classes == tuple(sorted(SOUNDS))
    assert not (run / "fold_0" / "valid.csv").exists()
    assert tagger.thresholds is None  # no clip is held out


def test_noisy_clips_are_added_and_labels_of_no_class_left_out(corpus, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(corpus, data)
    (data / "train_noisy").mkdir()
    first = read_labels(data / "train_curated.csv").names[0]
    shutil.copy(data / "train_curated" / first, data / "train_noisy" / "n.wav")
    (data / "train_noisy.csv").write_text('fname,labels\nn.wav,"Bell,Nothing_known"\n')
    command = ["train", "--data", str(data), "--folds", "1", *SMALL, "--epochs", "1"]
    for flags in ([], ["--noisy"]):
        freesound2019.main([*command, "--run", str(tmp_path / f"run{len(flags)}"), *flags])
    printed = capsys.readouterr().out
    assert f"{2 * len(SOUNDS)} clips to train on" in printed
    assert f"{2 * len(SOUNDS) + 1} clips to train on" in printed


def test_the_same_seed_trains_the_same_model(corpus, tmp_path):
    states = []
    for run in ("a", "b"):
        freesound2019.main(
            ["train", "--data", str(corpus), "--run", str(tmp_path / run), "--fold", "1", *SMALL]
        )
        states.append(Tagger.load(tmp_path / run / "fold_1" / "model.pt").state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_demo_does_the_whole_job(tmp_path, capsys):
    freesound2019.main(
        ["demo", "--out", str(tmp_path / "demo"), "--epochs", "1", "--per-class", "1", "--device", "cpu"]
    )
    light, dark = ((tmp_path / "demo" / f"spectrograms{end}.png").read_bytes() for end in ("", "_dark"))
    assert light.startswith(b"\x89PNG")
    assert dark.startswith(b"\x89PNG")
    assert light != dark
    assert "all labels" in capsys.readouterr().out


def test_pictures_show_a_new_class_each():
    target = torch.tensor([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 0]])
    assert varied(target) == [2, 3]


class TestHelp:
    def text(self, capsys, *words):
        with pytest.raises(SystemExit, match="0"):
            freesound2019.main([*words, "--help"])
        return capsys.readouterr().out

    @pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)], ids=str)
    def test_every_command_has_one(self, capsys, command):
        text = self.text(capsys, *command)
        assert "usage: freesound2019.py" in text
        assert "default: None" not in text
        assert "SUPPRESS" not in text

    def test_options_of_train_are_grouped(self, capsys):
        text = self.text(capsys, "train")
        groups = ("data", "network", "augmentation", "optimiser", "machine")
        places = [text.index(f"\n{group}:\n") for group in groups]
        assert places == sorted(places)
        options = {"--noisy": 0, "--sample-rate": 1, "--base-depth": 1, "--mixup": 2, "--lr-max": 3}
        for option, group in options.items():
            assert places[group] < text.index(f"\n  {option}") < places[group + 1], option
        assert text.index("--workers") > places[-1]

    def test_defaults_are_shown(self, capsys):
        text = " ".join(self.text(capsys, "train").split())
        assert "--lr-max X learning rate at its top (default: 0.005)" in text
        assert "--base-depth N depth of the first block (default: CNN1d 50, CNN2d 50, " in text
        assert "CNN2d: append the channel of rankaudio.frequency_encoding (default: yes)" in text


def test_a_run_is_repeated_from_its_settings(trained, corpus, tmp_path):
    again = ["train", "--plan", str(trained / "settings.toml"), "--data", str(corpus), *CPU]
    freesound2019.main([*again, "--run", str(tmp_path / "again"), "--fold", "1"])
    for name in ("model.pt", "valid.csv"):
        files = [folder / "fold_1" / name for folder in (trained, tmp_path / "again")]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert read_toml(tmp_path / "again" / "settings.toml") == read_toml(trained / "settings.toml")


def test_plan_then_options_then_set(corpus, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(cli.tasks, "train", lambda member, *_, **__: seen.append(member))
    (tmp_path / "plan.toml").write_text(
        "[optim]\nepochs = 3\nlr_max = 1.0\nseed = 5\n[augment]\nmixup = 0.5\n[network]\nbase_depth = 4\n"
    )
    words = ["train", "--data", str(corpus), "--run", "r", "--plan", str(tmp_path / "plan.toml")]
    words += ["--lr-max", "2", "--folds", "1", "--seed", "6"]
    freesound2019.main([*words, "--set", "optim.seed=7", "network.n_blocks=2"])
    assert seen == [
        Member(
            network=Network("CNN2d", {"base_depth": 4, "n_blocks": 2}),
            clips=Clips(folds=1),
            augment=Augment(mixup=0.5),
            optim=Optim(epochs=3, lr_max=2.0, seed=7),
        )
    ]


def test_a_model_at_another_rate_trains_and_predicts_at_it(corpus, tmp_path):
    """The clips are at 44.1 kHz, the model is at 16 kHz."""
    run, out = tmp_path / "run", tmp_path / "scores.csv"
    rate = ["--sample-rate", "16000", "--n-mels", "64", "--f-min", "50", "--hop-length", "320"]
    freesound2019.main(
        ["train", "--data", str(corpus), "--run", str(run), "--folds", "1", *SMALL, *rate, "--epochs", "1"]
    )
    tagger = Tagger.load(run / "fold_0" / "model.pt")
    assert tagger.sample_rate == 16_000
    freesound2019.main(["predict", "--run", str(run), "--audio", str(corpus / "test"), "--out", str(out)])
    scores = read_scores(out)
    clip = load_audio(corpus / "test" / scores.names[0], sample_rate=16_000)
    with torch.no_grad():
        torch.testing.assert_close(scores.scores[0], tagger(clip[None])[0], rtol=0, atol=1e-4)


WITHOUT_EXTRAS = """
import sys

for name in ("tqdm", "matplotlib", "tensorboard", "sklearn", "jinja2", "pooch", "ray", "soundfile"):
    sys.modules[name] = None
import freesound2019

freesound2019.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_it_works_without_any_extra(corpus, tmp_path):
    def run(*words):
        env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", WITHOUT_EXTRAS, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=env)

    done = run("train", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    done = run("demo", "--out", tmp_path / "demo", "--epochs", 1, "--per-class", 1, "--device", "cpu")
    assert (done.returncode, done.stderr) == (0, "")
    assert "no picture: pictures: wanted matplotlib to be installed (pip install matplotlib)" in done.stdout
    assert "all labels" in done.stdout
    done = run("train", "--data", corpus, "--run", tmp_path / "run", "--tensorboard")
    assert done.returncode == 1
    assert "--tensorboard: wanted TensorBoard to be installed (pip install tensorboard)" in done.stderr


class TestErrors:
    """Each ends in a line that says what was wanted and what came."""

    def test_data_that_is_not_there(self, tmp_path, capsys):
        refused(
            capsys,
            "train",
            "--data",
            tmp_path / "no",
            "--run",
            tmp_path / "r",
            match="wanted a folder in the Kaggle",
        )
        refused(capsys, "train", "--data", tmp_path, "--run", tmp_path / "r", match="train_curated.csv")
        assert not (tmp_path / "r").exists()

    @pytest.mark.parametrize(
        ("table", "match"),
        [
            ("name,tags\na.wav,Dog\n", "fname"),
            ("fname,labels\na.wav,Dog\na.wav,Dog\n", "a.wav"),
            ("fname,labels\na.wav,Dog\nb.wav,Dog\n", "b.wav"),
            ("fname,labels\n", "train_curated.csv"),
        ],
        ids=["columns", "duplicates", "missing file", "empty"],
    )
    def test_label_tables(self, tmp_path, capsys, table, match):
        (tmp_path / "train_curated").mkdir()
        wavfile.write(tmp_path / "train_curated" / "a.wav", 44100, np.zeros(100, dtype=np.int16))
        (tmp_path / "train_curated.csv").write_text(table)
        refused(capsys, "train", "--data", tmp_path, "--run", tmp_path / "r", "--folds", "1", match=match)

    def test_a_label_of_no_class(self, corpus, tmp_path, capsys):
        data = tmp_path / "data"
        shutil.copytree(corpus, data)
        (data / "sample_submission.csv").write_text("fname,Bell,Drum\n")
        refused(capsys, "train", "--data", data, "--run", tmp_path / "r", match="train_curated.csv")

    def test_broken_clips_are_all_named(self, corpus, tmp_path, capsys):
        data = tmp_path / "data"
        shutil.copytree(corpus, data)
        names = read_labels(data / "train_curated.csv").names
        (data / "train_curated" / names[0]).write_bytes(b"")
        (data / "train_curated" / names[1]).write_bytes(
            b"no sound at all, but long enough for a header, surely so"
        )
        for name in names[:2]:
            refused(capsys, "train", "--data", data, "--run", tmp_path / "r", "--folds", "1", match=name)

    def test_a_run_that_exists(self, trained, corpus, tmp_path, capsys):
        train = ["train", "--data", corpus, "--folds", "2", "--mixup", "0.5", *SMALL]
        refused(capsys, *train, "--run", trained, match="holds fold 0, 1 already")
        refused(capsys, *train, "--run", trained, "--dropout", "0.2", match="network.dropout 0.0, now 0.2")
        (tmp_path / "things").write_text("mine")
        refused(capsys, *train, "--run", tmp_path, match="holds other things")
        assert (tmp_path / "things").read_text() == "mine"

    def test_settings_out_of_range(self, corpus, tmp_path, capsys):
        train = ["train", "--data", corpus, "--run", tmp_path / "r"]
        refused(capsys, *train, "--fold", "7", match="--fold: wanted 0 to 4")
        refused(capsys, *train, "--epochs", "0", match="argument --epochs: wanted an integer from 1, got 0")
        refused(capsys, *train, "--dropout", "2", match="dropout: wanted a finite number from 0 to 1")
        refused(capsys, *train, "--device", "abacus", match="--device: wanted one that this machine has")
        refused(capsys, *train, "--network", "CNN3d", match="--network: wanted one of ")

    def test_options_out_of_range(self, corpus, tmp_path, capsys):
        train = ["train", "--data", corpus, "--run", tmp_path / "r"]
        for options, match in [
            (["--clip-norm", "0"], "argument --clip-norm: wanted a number above 0, got 0"),
            (["--average-decay", "1"], "argument --average-decay: wanted a number from 0 below 1, got 1"),
            (["--accumulate", "0"], "argument --accumulate: wanted an integer from 1, got 0"),
            (
                ["--checkpoint-seconds", "nan"],
                "--checkpoint-seconds: wanted a number from 0, got nan",
            ),
            (["--clip-norm", "much"], "argument --clip-norm: wanted a number above 0, got 'much'"),
            (["--noisy", "--extra", "x"], "noisy, extra: wanted one of them, got both"),
            (["--early-stop", "1", "--folds", "1"], "early_stop: wanted clips that are held out"),
            (["--network", "CNN1d", "--frequency-encoding"], "wanted settings of CNN1d (n_blocks, "),
            (["--plan", tmp_path / "no.toml"], "no.toml"),
            (["--set", "lr_max=3"], "--set: wanted PART.NAME=VALUE"),
        ]:
            refused(capsys, *train, *options, match=match)
        assert not (tmp_path / "r").exists()

    def test_a_run_without_models_or_with_another_model(self, trained, corpus, tmp_path, capsys):
        predict = ["predict", "--audio", corpus / "test", "--out", tmp_path / "s.csv", "--run"]
        refused(capsys, *predict, tmp_path / "none", match="wanted a folder with fold_*/model.pt")
        mixed = tmp_path / "mixed"
        shutil.copytree(trained, mixed)
        Tagger(LogMel(), CNN2d(2, base_depth=4), classes=["a", "b"]).save(mixed / "fold_1" / "model.pt")
        refused(capsys, *predict, mixed, match="wanted the classes of the other folds")
        torch.save({"weight": torch.zeros(1)}, mixed / "fold_1" / "model.pt")
        refused(capsys, *predict, mixed, match="wanted a file written by Tagger.save")

    def test_audio_that_is_not_there_or_broken(self, trained, corpus, tmp_path, capsys):
        out = tmp_path / "s.csv"
        predict = ["predict", "--run", trained, "--out", out, "--audio"]
        refused(capsys, *predict, tmp_path / "no", match="--audio: wanted a folder of audio files")
        refused(capsys, *predict, tmp_path, match="--audio: wanted a folder with")
        folder = tmp_path / "clips"
        shutil.copytree(corpus / "test", folder)
        (folder / "aa.wav").write_bytes(b"RIFF")
        refused(capsys, *predict, folder, match="1 files could not be scored")
        assert read_scores(out).names == tuple(sorted(path.name for path in (corpus / "test").iterdir()))

    def test_scores_and_labels_of_other_clips(self, corpus, tmp_path, capsys):
        (tmp_path / "s.csv").write_text(
            "fname," + ",".join(sorted(SOUNDS)) + "\nx.wav" + ",0.5" * len(SOUNDS) + "\n"
        )
        evaluate = ["evaluate", "--scores", tmp_path / "s.csv", "--labels"]
        refused(capsys, *evaluate, corpus / "test.csv", match="does not have a row for every clip")
        refused(capsys, *evaluate, tmp_path / "no.csv", match="no.csv")

    def test_no_traceback_from_the_shell(self, tmp_path):
        command = [sys.executable, EXAMPLE, "train", "--data", tmp_path / "no", "--run", tmp_path / "r"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.startswith("freesound2019.py: --data: wanted a folder")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_closes_the_output_is_no_error(corpus, tmp_path, unbuffered):
    labels = read_labels(corpus / "test.csv")
    scores = torch.rand(len(labels), len(labels.classes))
    write_scores(tmp_path / "scores.csv", ScoreTable(labels.names, labels.classes, scores))
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as nobody:
        command = [sys.executable, EXAMPLE, "evaluate", "--scores", tmp_path / "scores.csv"]
        command += ["--labels", corpus / "test.csv"]
        env = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, env=env, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")


class Killed(torch.utils.data.Dataset):
    """Clips whose reading process is killed at the second one."""

    lengths = (100, 100)

    def __len__(self):
        return 2

    def __getitem__(self, index):
        if index == 1 and torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.zeros(100)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_reading_process_that_is_killed_is_said_in_a_line():
    tagger = Tagger(LogMel(), CNN2d(2, base_depth=4, n_blocks=2))
    with pytest.raises(
        SystemExit, match=r"predict: a process that reads clips was killed, .*lower --workers"
    ) as caught:
        run_program("predict", lambda: predict(tagger, Killed(), workers=1))
    assert "\n" not in caught.value.code
