"""minimal.py: it is short, it runs as it is, and it learns."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import freesound2019
import rankaudio
from freesound.synthetic import make_corpus
from rankaudio import Tagger, lwlrap
from rankaudio.data import read_labels, read_scores

MINIMAL = Path(freesound2019.__file__).parent / "minimal.py"


def run(*words):
    command = [sys.executable, MINIMAL, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_is_short_and_uses_public_names():
    text = MINIMAL.read_text()
    assert len(text.splitlines()) <= 90
    names = set(re.findall(r"\bra\.(\w+)", text))
    assert len(names) > 10
    assert names <= set(rankaudio.__all__)
    imported = re.findall(r"^(?:from|import) (\S+)", text, flags=re.MULTILINE)
    assert {name.partition(".")[0] for name in imported} <= {*sys.stdlib_module_names, "torch", "rankaudio"}


@pytest.fixture
def four_sounds(tmp_path):
    """A corpus of four kinds of sounds that are easy to tell apart."""
    data, kept = tmp_path / "data", {"Buzz", "Hiss", "Rumble", "Telephone"}
    make_corpus(data, per_class=8, test_per_class=4)
    for part in ("train_curated", "test"):
        table = read_labels(data / f"{part}.csv")
        labels_of = zip(table.names, table.target, strict=True)
        rows = {name: {table.classes[c] for c in row.nonzero()} for name, row in labels_of}
        easy = [name for name, labels in rows.items() if len(labels) == 1 and labels <= kept]
        lines = [f"{name},{','.join(rows[name])}" for name in easy]
        (data / f"{part}.csv").write_text("\n".join(["fname,labels", *lines]))
        for name in set(rows) - set(easy):
            (data / part / name).unlink()
    return data


@pytest.mark.slow
def test_it_learns_and_scores_the_test_part(four_sounds, tmp_path):
    out = tmp_path / "out"
    small = ["folds=2", "epochs=20", "base_depth=8", "batch_size=4", "max_seconds=0.5", "dropout=0"]
    done = run(f"data={four_sounds}", f"out={out}", *small, "mixup=0.2", "effects=0.1", "shuffle=0.2")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[1] for line in lines] == ["0"] * 20 + ["1"] * 20
    scores = read_scores(out / "scores.csv")
    truth = read_labels(four_sounds / "test.csv", classes=scores.classes)
    value = float(lwlrap(scores.select(truth.names).scores, truth.target))
    assert value > 0.75  # by chance about 0.52
    for fold in ("0", "1"):
        kept = Tagger.load(out / f"fold_{fold}.pt")
        assert kept.classes == truth.classes


def test_a_name_that_is_no_setting_is_refused(tmp_path):
    done = run(f"out={tmp_path}", "epoch=3")
    assert done.returncode == 1
    assert "wanted NAME=value" in done.stderr
    assert "got 'epoch=3'" in done.stderr


def test_files_in_the_test_part_that_are_no_audio_are_named_before_the_training(tmp_path):
    (tmp_path / "test" / "fold1").mkdir(parents=True)
    (tmp_path / "test" / "fold1" / "readme.txt").write_text("These are sounds.")
    (tmp_path / "train_curated.csv").write_text("fname,labels\na.wav,Bark\nb.wav,Meow\n")
    done = run(f"data={tmp_path}", f"out={tmp_path / 'out'}", "folds=2")
    assert "fold1/readme.txt: wanted an audio file, got" in done.stderr
