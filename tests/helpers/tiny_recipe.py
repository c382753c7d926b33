"""A corpus of short synthetic sounds in the Kaggle layout, and the third-place plan at its smallest."""

import csv
import shutil

import torch
from scipy.io import wavfile

from freesound.plan_file import write_plan
from freesound.plans.third import ROWS, SELECTORS, Scale, make_plan
from freesound.synthetic import SOUNDS, make_corpus
from rankaudio.data import ScoreTable, read_labels, read_scores, write_scores

FIVE = ("2d_max", "2d_max_r1", "2d_max_r2", "2d_rnn", "1d_max_all")
THREE = ("2d_max", "2d_max_r1", "2d_max_all")


def tiny_plan(names=FIVE, sizes=(2, 4)):
    """Return some members, as small as they can be; effects take longer than such networks."""
    scale = Scale(sizes=sizes, folds=2, depth=0.04, epochs=0.01, effects=0.0)
    return make_plan(scale, [row for row in ROWS if row.name in names], SELECTORS[: 1 + len(sizes)])


def write_tiny_plan(path, **options):
    """Write a plan.json for ``recipe --plan``."""
    write_plan(path, system="third", cpus_per_step=1, plan=tiny_plan(**options))
    return path


def write_csv(path, header, rows):
    """Write a table."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def rows_of(path):
    """Read a table as dictionaries."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def make_tiny_corpus(data):
    """Write two clips a class, one to test, and ten noisy ones: two in three are right, one has no class.

    The labels of the test part are in ``kept_back.csv``, because a plan has to do without them. The classes
    and clips of ``sample_submission.csv`` are in no particular order.
    """
    make_corpus(data, per_class=2, test_per_class=1)
    for part in ("train_curated", "test"):
        for path in (data / part).iterdir():
            rate, wave = wavfile.read(path)
            wavfile.write(path, rate, wave[: rate // 4])
    _add_noisy_clips(data)
    (data / "test.csv").rename(data / "kept_back.csv")
    template = read_scores(data / "sample_submission.csv")
    names = template.names[::-1]
    classes = template.classes[3:] + template.classes[:3]
    write_scores(
        data / "sample_submission.csv", ScoreTable(names, classes, torch.zeros(len(names), len(classes)))
    )


def _add_noisy_clips(data):
    curated = read_labels(data / "train_curated.csv")
    (data / "train_noisy").mkdir()
    given, true = [], []
    for index, name in enumerate(curated.names[:10]):
        labels = [curated.classes[c] for c in curated.target[index].nonzero().flatten().tolist()]
        shutil.copy(data / "train_curated" / name, data / "train_noisy" / f"n{index}.wav")
        wrong = [curated.classes[(curated.classes.index(labels[0]) + 5) % len(SOUNDS)]]
        written = ["Traffic_jam"] if index == 4 else wrong if index % 3 == 2 else labels
        given.append([f"n{index}.wav", ",".join(written)])
        true.append([f"n{index}.wav", ",".join(labels), "ok" if written == labels else "wrong"])
    write_csv(data / "train_noisy.csv", ["fname", "labels"], given)
    write_csv(data / "train_noisy_truth.csv", ["fname", "labels", "error"], true)
