"""``noisy_audit.py`` counts selected clips and right labels. The expected tables are counted by hand."""

import csv
import re

import pytest

from tools import noisy_audit as program


def write_csv(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def options(data, *selection):
    return [str(word) for word in ("--data", data, "--selection", *selection)]


def refused(data, *selection, match):
    with pytest.raises(SystemExit) as caught:
        program.main(options(data, *selection))
    assert str(caught.value.code).startswith("noisy_audit.py: ")
    assert match in str(caught.value.code)


@pytest.fixture
def data(tmp_path):
    (tmp_path / "train_curated").mkdir()
    write_csv(tmp_path / "train_curated.csv", ["fname", "labels"], [["x.wav", "Bark,Meow,Purr"]])
    given = [
        ["a.wav", "Bark"],
        ["b.wav", "Meow"],
        ["c.wav", "Hum"],
        ["d.wav", "Purr,Bark"],
        ["e.wav", "Purr"],
    ]
    write_csv(tmp_path / "train_noisy.csv", ["fname", "labels"], given)
    true = [["a.wav", "Bark", "ok"], ["b.wav", "Bark", "wrong"], ["c.wav", "", "oov"]]
    true += [["d.wav", "Bark", "extra"], ["e.wav", "Meow,Purr", "missing"]]
    write_csv(tmp_path / "truth.csv", ["fname", "labels", "error"], true)
    chosen = [["a.wav", "Bark", 1.0], ["d.wav", "Purr,Bark", 0.9], ["b.wav", "Bark", 0.8]]
    write_csv(tmp_path / "chosen.csv", ["fname", "labels", "agreement"], chosen)
    return tmp_path


def test_counts_by_hand(data, capsys):
    program.main(options(data, data / "chosen.csv", "--truth", data / "truth.csv"))
    lines = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        [
            "clips",
            "labels",
            "as given",
            "clips right",
            "labels right",
            "right clips found",
            "true labels found",
        ],
        # Right clip: a. True labels given: Bark of a and d, Purr of e. True: Bark three times, Meow, Purr.
        [
            "as given",
            "4",
            "5",
            "4/4 = 100.0%",
            "1/4 = 25.0%",
            "3/5 = 60.0%",
            "1/1 = 100.0%",
            "3/5 = 60.0%",
        ],
        # Right clips: a, and b with its new label. The only clip with a right given label is a.
        ["chosen", "3", "4", "2/3 = 66.7%", "2/3 = 66.7%", "3/4 = 75.0%", "1/1 = 100.0%", "3/5 = 60.0%"],
        [""],
        ["class", "as given", "chosen"],
        ["Bark", "2/2", "3/3"],
        ["Meow", "1/0", "0/0"],
        ["Purr", "2/1", "1/0"],
    ]


def test_without_truth(data, capsys):
    program.main(options(data, data / "chosen.csv"))
    lines = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["clips", "labels", "as given"]
    assert lines[2] == ["chosen", "3", "4", "2/3 = 66.7%"]
    assert lines[-1] == ["Purr", "2", "1"]


def test_mistakes(data):
    refused(data, data / "no.csv", match="no.csv")
    write_csv(data / "strange.csv", ["fname", "labels"], [["q.wav", "Bark"]])
    refused(data, data / "strange.csv", match="wanted clips of train_noisy.csv, got 1 others: q.wav")
    write_csv(data / "half.csv", ["fname", "labels"], [["a.wav", "Bark"]])
    refused(data, data / "chosen.csv", "--truth", data / "half.csv", match="b.wav")
