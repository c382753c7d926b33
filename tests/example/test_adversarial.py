"""Adversarial validation: chance for equal distributions, certainty for different ones, joined by name."""

import csv
import re
import shutil

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from sklearn.metrics import roc_auc_score

from rankaudio import CNN2d, LogMel, Tagger, load_audio
from rankaudio.data import ScoreTable, write_scores
from tools import adversarial as program
from tools._two_sample_test import Predictions, auc_with_interval, cross_validate
from tools.adversarial import Embedding, LogMelStatistics

RATE = 44_100


def noise(generator, *, level=0.1, low_pass=False):
    """Return coloured noise of 0.2 to 0.5 s with a random tilt."""
    n = int(RATE * generator.uniform(0.2, 0.5))
    spectrum = np.fft.rfft(generator.standard_normal(n))
    f = np.arange(len(spectrum)) / len(spectrum)
    spectrum *= (f + 0.01) ** -generator.uniform(0, 1)
    if low_pass:
        spectrum[f > 0.5] = 0
    wave = np.fft.irfft(spectrum, n)
    return level * generator.uniform(0.3, 1.0) * wave / np.abs(wave).max()


def write_part(folder, count, *, seed, **how):
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    for k in range(count):
        wave = np.round(32767 * noise(generator, **how)).astype(np.int16)
        wavfile.write(folder / f"{folder.name[:2]}{k:03d}.wav", RATE, wave)


def adversarial(data, *options, out):
    options = ["--data", data, "--out", out, "--device", "cpu", *options]
    program.main([str(word) for word in options])


def refused(data, *options, out, match):
    with pytest.raises(SystemExit) as caught:
        adversarial(data, *options, out=out)
    assert re.search(match, str(caught.value.code), flags=re.DOTALL)


def printed_auc(capsys):
    found = re.search(r"AUC ([\d.]+), 95 % interval ([\d.]+) to ([\d.]+)", capsys.readouterr().out)
    return tuple(map(float, found.groups()))


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    data = tmp_path_factory.mktemp("alike")
    write_part(data / "train_curated", 40, seed=1)
    write_part(data / "test", 30, seed=2)
    return data


class TestProgram:
    def test_equal_distributions(self, alike, tmp_path, capsys):
        adversarial(alike, out=tmp_path / "a.csv")
        area, low, high = printed_auc(capsys)
        assert low <= 0.5 <= high
        assert low < area < high
        rows = rows_of(tmp_path / "a.csv")
        for part, count in (("train_curated", 40), ("test", 30)):
            names = [row["fname"] for row in rows if row["part"] == part]
            assert sorted(names) == sorted(path.name for path in (alike / part).iterdir())
            assert len(names) == count
        assert all(0 < float(row["test_probability"]) < 1 for row in rows)

    @pytest.mark.parametrize("how", [{"level": 0.01}, {"low_pass": True}], ids=["level", "bandwidth"])
    def test_different_distributions(self, alike, tmp_path, capsys, how):
        shutil.copytree(alike / "train_curated", tmp_path / "train_curated")
        write_part(tmp_path / "test", 30, seed=2, **how)
        # One training clip is a test clip with another name.
        shutil.copy(tmp_path / "test" / "te003.wav", tmp_path / "train_curated" / "a.wav")
        (tmp_path / "test" / "te003.wav").unlink()
        adversarial(tmp_path, out=tmp_path / "a.csv")
        out = capsys.readouterr().out
        area, low, _ = map(float, re.search(r"AUC ([\d.]+).*interval ([\d.]+) to ([\d.]+)", out).groups())
        assert area > 0.95
        assert low > 0.8
        assert "can be distinguished" in out
        most_like_test = out[out.index("train_curated, most like test:") :].splitlines()[1]
        assert most_like_test.split()[1] == "a.wav"
        probability = {
            (row["part"], row["fname"]): float(row["test_probability"]) for row in rows_of(tmp_path / "a.csv")
        }
        assert probability["train_curated", "a.wav"] > 0.5 > probability["train_curated", "tr003.wav"]
        assert probability["test", "te000.wav"] > 0.5

    def test_the_same_clips_in_both_give_chance_and_are_reported(self, alike, tmp_path, capsys):
        """The names are the same too, so rows are identified by part and name."""
        for part in ("train_curated", "test"):
            shutil.copytree(alike / "test", tmp_path / part)
        adversarial(tmp_path, out=tmp_path / "a.csv")
        out = capsys.readouterr().out
        assert "AUC 0.500" in out
        assert "cannot be distinguished beyond chance" in out
        assert "30 clips of test have the same features" in out
        rows = rows_of(tmp_path / "a.csv")
        assert len({(row["part"], row["fname"]) for row in rows}) == len(rows) == 60

    def test_the_same_seed_gives_the_same_table(self, alike, tmp_path):
        for name in ("a", "b"):
            adversarial(alike, "--seed", "3", out=tmp_path / name)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()

    def test_features_of_a_run(self, alike, tmp_path, capsys):
        """Each fold's model is used for the clips that it held out and for the test part."""
        run = tmp_path / "run"
        names = sorted(path.name for path in (alike / "train_curated").iterdir())
        for fold in (0, 1):
            (run / f"fold_{fold}").mkdir(parents=True)
            torch.manual_seed(fold)
            tagger = Tagger(LogMel(), CNN2d(2, base_depth=4, n_blocks=2), classes=["A", "B"])
            tagger.save(run / f"fold_{fold}" / "model.pt")
            own = names[fold::2]
            write_scores(
                run / f"fold_{fold}" / "valid.csv", ScoreTable(own, ["A", "B"], torch.zeros(len(own), 2))
            )
        adversarial(alike, "--run", run, out=tmp_path / "a.csv")
        _, low, high = printed_auc(capsys)
        assert low <= 0.5 <= high
        assert len(rows_of(tmp_path / "a.csv")) == 70
        for fold in (0, 1):
            (run / f"fold_{fold}" / "valid.csv").unlink()
        refused(alike, "--run", run, out=tmp_path / "b.csv", match="--run: wanted folds with held-out clips")
        assert not (tmp_path / "b.csv").exists()

    def test_unreadable_clips_are_named_and_the_others_compared(self, alike, tmp_path):
        shutil.copytree(alike, tmp_path / "data")
        (tmp_path / "data" / "test" / "broken.wav").write_bytes(b"RIFF")
        refused(tmp_path / "data", out=tmp_path / "a.csv", match="1 files could not be read.*broken.wav")
        assert len(rows_of(tmp_path / "a.csv")) == 70


class TestMistakes:
    def test_folders(self, alike, tmp_path):
        out = tmp_path / "a.csv"
        refused(tmp_path / "no", out=out, match="--data: wanted a folder with train_curated and test")
        refused(alike, "--test", "no", out=out, match="no is not in")
        refused(
            alike, "--test", "train_curated", out=out, match="wanted two folders, got train_curated twice"
        )
        (tmp_path / "train_curated").mkdir()
        (tmp_path / "test").mkdir()
        refused(tmp_path, out=out, match="--data: wanted a folder with audio files, got .*train_curated")

    def test_too_few_clips(self, alike, tmp_path):
        shutil.copytree(alike / "train_curated", tmp_path / "train_curated")
        (tmp_path / "test").mkdir()
        shutil.copy(alike / "test" / "te000.wav", tmp_path / "test" / "a.wav")
        refused(tmp_path, out=tmp_path / "a.csv", match="second part: wanted two clips or more")
        (tmp_path / "test" / "b.wav").write_bytes(b"not a sound, and longer than a header is")
        refused(
            tmp_path, out=tmp_path / "a.csv", match="second part: wanted two clips.*b.wav: wanted an audio"
        )
        shutil.copy(tmp_path / "test" / "a.wav", tmp_path / "test" / "b.wav")
        refused(tmp_path, out=tmp_path / "a.csv", match="got copies of one")

    def test_a_run_on_other_clips(self, alike, tmp_path):
        fold = tmp_path / "run" / "fold_0"
        fold.mkdir(parents=True)
        Tagger(LogMel(), CNN2d(1, base_depth=4, n_blocks=2), classes=["A"]).save(fold / "model.pt")
        write_scores(fold / "valid.csv", ScoreTable(["x.wav"], ["A"], torch.zeros(1, 1)))
        refused(
            alike, "--run", tmp_path / "run", out=tmp_path / "a.csv", match=r"wanted clips of .*got 'x.wav'"
        )


class TestNumbers:
    def test_area_is_that_of_scikit_learn(self):
        generator = np.random.default_rng(0)
        p = generator.integers(0, 8, 60) / 8  # with ties
        second = generator.random(60) < 0.4
        fold = np.arange(60) % 3
        area, low, high = auc_with_interval([Predictions(p, second, fold, 0)], seed=0)
        expected = np.mean([roc_auc_score(second[fold == k], p[fold == k]) for k in range(3)])
        assert area == pytest.approx(expected, abs=1e-12)
        assert low < area < high

    def test_interval_narrows_with_clips_and_stays_in_range(self):
        generator = np.random.default_rng(0)
        widths = []
        for n in (40, 400, 4000):
            second = np.arange(n) % 2 == 1
            p = np.clip(generator.normal(0.45 + 0.1 * second, 0.2), 0, 1)
            _, low, high = auc_with_interval([Predictions(p, second, np.arange(n) // 2 % 5, 0)], seed=0)
            widths.append(high - low)
        assert widths[0] > 2 * widths[1] > 4 * widths[2] > 0
        certain = Predictions(second.astype(float), second, np.arange(n) // 2 % 5, 0)
        assert auc_with_interval([certain], seed=0) == (1, 1, 1)

    def test_copies_are_in_the_same_fold(self):
        x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
        found = cross_validate(x, x.flip(0), seed=0)
        assert found.n_duplicates == 12
        assert found.fold[:12].tolist() == found.fold[12:][::-1].tolist()
        np.testing.assert_array_equal(found.probability[:12], found.probability[12:][::-1])

    def test_constant_features_give_finite_probabilities(self):
        x = torch.cat([torch.arange(9.0)[:, None], torch.ones(9, 1)], 1)
        found = cross_validate(x[:, :], x + torch.tensor([0.5, 0.0]), seed=0)
        assert np.isfinite(found.probability).all()


class TestFeatures:
    def test_statistics_by_definition_with_any_padding(self, alike):
        paths = sorted((alike / "test").iterdir())[:3]
        clips = [load_audio(path) for path in paths] + [torch.zeros(1)]
        lengths = torch.tensor([len(clip) for clip in clips])
        batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
        rows = LogMelStatistics(RATE)(batch, lengths)
        frontend = LogMel(sample_rate=RATE)
        for clip, row in zip(clips, rows, strict=True):
            frames = frontend(clip[None])[0].numpy()
            expected = np.concatenate([frames.mean(1), frames.std(1)])
            np.testing.assert_allclose(row.numpy(), expected, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(LogMelStatistics(RATE)(clip[None])[0].numpy(), expected, atol=1e-4)

    def test_an_embedding_is_the_input_of_the_classifier(self):
        tagger = Tagger(LogMel(), CNN2d(3, base_depth=4, n_blocks=2)).eval()
        waveform, lengths = torch.randn(2, 9000), torch.tensor([9000, 5000])
        expected = tagger(waveform, lengths)
        features = Embedding(tagger)(waveform, lengths)
        torch.testing.assert_close(tagger.backbone.classifier(features), expected)
