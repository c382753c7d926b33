"""Choosing and labelling noisy clips, by hand."""

import pytest

from freesound.rounds import choose_clips, label_the_rest
from tiny_recipe import rows_of, write_csv

CLASSES = ("Bark", "Meow", "Purr")
GIVEN = [["a.wav", "Bark"], ["b.wav", "Meow"], ["c.wav", "Hum"], ["d.wav", "Purr,Bark"], ["e.wav", "Purr"]]
SCORES = [[3, 1, 0], [2, 1, 0], [5, 0, 0], [1, 9, 2], [0, 1, 4.5]]


def tables(folder, given=GIVEN):
    """Write the given labels and a model's scores; return both and the path of a result."""
    write_csv(folder / "noisy.csv", ["fname", "labels"], given)
    rows = [[row[0], *scores] for row, scores in zip(GIVEN, SCORES, strict=True)]
    write_csv(folder / "scores.csv", ["fname", *CLASSES], reversed(rows))
    return folder / "noisy.csv", folder / "scores.csv", folder / "out.csv"


def test_choice(tmp_path):
    noisy, scores, out = tables(tmp_path)
    assert choose_clips(noisy, scores, out, classes=CLASSES, size=3) == 3
    # d: Purr is second of two labels and three classes, Bark third: (1/2 + 2/3) / 2; b: 1/2.
    assert [tuple(row.values()) for row in rows_of(out)] == [
        ("e.wav", "Purr", "1.000000", "3.5", "given"),
        ("a.wav", "Bark", "1.000000", "2", "given"),
        ("d.wav", "Bark,Purr", "0.583333", "-8", "given"),
    ]
    assert choose_clips(noisy, scores, out, classes=CLASSES, size=99) == 4


def test_balanced_choice(tmp_path):
    """The classes take turns, so the one clip of Meow is chosen before the second clip of Purr."""
    noisy, scores, out = tables(tmp_path)
    choose_clips(noisy, scores, out, classes=CLASSES, size=3, balanced=True)
    assert {row["fname"] for row in rows_of(out)} == {"a.wav", "b.wav", "e.wav"}


@pytest.mark.parametrize(
    ("mode", "rest"),
    [
        ("all", {"b.wav": "Bark", "c.wav": "Bark", "d.wav": "Meow"}),
        ("merge", {"b.wav": "Bark,Meow", "c.wav": "Bark", "d.wav": "Bark,Meow,Purr"}),
        ("match", {}),
    ],
)
def test_labels_of_the_rest(tmp_path, mode, rest):
    noisy, scores, out = tables(tmp_path)
    chosen = tmp_path / "chosen.csv"
    choose_clips(noisy, scores, chosen, classes=CLASSES, size=2)
    count = label_the_rest(noisy, scores, chosen, out, classes=CLASSES, mode=mode, mean_labels=1)
    rows = {row["fname"]: row for row in rows_of(out)}
    assert count == len(rows) == 2 + len(rest)
    kept = {"e.wav": "Purr", "a.wav": "Bark"}
    assert {name: row["labels"] for name, row in rows.items()} == kept | rest
    assert {name for name, row in rows.items() if row["source"] == "given"} == set(kept)


def test_no_rest(tmp_path):
    noisy, scores, out = tables(tmp_path, GIVEN[:2])
    chosen = tmp_path / "chosen.csv"
    choose_clips(noisy, scores, chosen, classes=CLASSES, size=2)
    label_the_rest(noisy, scores, chosen, out, classes=CLASSES, mean_labels=1)
    assert out.read_bytes() == chosen.read_bytes()


def test_nothing_to_choose_from(tmp_path):
    noisy, scores, out = tables(tmp_path, [["c.wav", "Hum"]])
    with pytest.raises(ValueError, match="wanted at least one clip with a label"):
        choose_clips(noisy, scores, out, classes=CLASSES, size=2)
    assert not out.exists()
