"""``evaluate`` reports the scores of both leaderboards where a table of labels says which clip counted for which."""

import pytest
import torch

import freesound2019
from rankaudio import lwlrap


def test_evaluate_reports_each_leaderboard(tmp_path, capsys):
    scores, labels = tmp_path / "s.csv", tmp_path / "l.csv"
    scores.write_text("fname,A,B\na.wav,1,0\nb.wav,1,0\nc.wav,0,1\nd.wav,1,0\n")
    command = ["evaluate", "--scores", str(scores), "--labels", str(labels)]
    labels.write_text(
        'fname,labels,usage\nd.wav,B,private\na.wav,A,PUBLIC\nb.wav,"A,B",Private\nc.wav,B,Public\n'
    )
    freesound2019.main(command)
    public, private = capsys.readouterr().out.splitlines()[-2:]
    assert public.split() == ["public", "2", "1.0000", "2", "clips"]
    # The one label of d is second, the two of b are first and second: 1/2, 1, 1.
    assert private.split() == ["private", "3", "0.8333", "2", "clips"]
    expected = lwlrap(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[False, True], [True, True]]))
    assert float(expected) == pytest.approx(5 / 6)
    labels.write_text("fname,labels,usage\na.wav,A,Public\n")
    freesound2019.main(command)
    assert capsys.readouterr().out.splitlines()[-1].split() == ["private", "0", "-", "0", "clips"]
    labels.write_text("fname,labels\na.wav,A\n")
    freesound2019.main(command)
    assert capsys.readouterr().out.splitlines()[-1].startswith("all labels")
    labels.write_text("fname,labels,usage\na.wav,A,Public\nb.wav,B,later\n")
    with pytest.raises(SystemExit, match="l.csv, line 3: wanted Public or Private as usage, got 'later'"):
        freesound2019.main(command)
