"""``evaluate`` reports both leaderboards if the table of labels has their names."""

import pytest
import torch

from freesound.tasks import evaluate
from rankaudio import lwlrap
from rankaudio.metrics import bootstrap


def test_each_leaderboard_has_its_lwlrap_and_its_clips(tmp_path):
    scores, labels = tmp_path / "s.csv", tmp_path / "l.csv"
    scores.write_text("fname,A,B\na.wav,1,0\nb.wav,1,0\nc.wav,0,1\nd.wav,1,0\n")
    labels.write_text(
        'fname,labels,usage\nd.wav,B,private\na.wav,A,PUBLIC\nb.wav,"A,B",Private\nc.wav,B,Public\n'
    )
    public, private = evaluate(scores, labels).splitlines()[-2:]
    assert public.split() == ["public", "2", "1.0000", "[1.0000,", "1.0000]", "2", "clips"]
    # The one label of d has rank 2, and the two labels of b have ranks 1 and 2: precisions 1/2, 1, 1.
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[False, True], [True, True]])
    found = bootstrap(*rows)
    interval = [f"[{found.low:.4f},", f"{found.high:.4f}]"]
    assert private.split() == ["private", "3", "0.8333", *interval, "2", "clips"]
    assert float(lwlrap(*rows)) == pytest.approx(5 / 6)
    labels.write_text("fname,labels,usage\na.wav,A,Public\n")
    assert evaluate(scores, labels).splitlines()[-1].split() == ["private", "0", "-", "0", "clips"]


def test_tables_without_usage_or_with_an_unknown_one(tmp_path):
    scores, labels = tmp_path / "s.csv", tmp_path / "l.csv"
    scores.write_text("fname,A,B\na.wav,1,0\nb.wav,1,0\n")
    labels.write_text("fname,labels\na.wav,A\n")
    assert evaluate(scores, labels).splitlines()[-1].startswith("all labels")
    labels.write_text("fname,labels,usage\na.wav,A,Public\nb.wav,B,later\n")
    with pytest.raises(ValueError, match="l.csv, line 3: wanted Public or Private as usage, got 'later'"):
        evaluate(scores, labels)
