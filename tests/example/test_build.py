"""`train --start-from` of the example: weights are taken over, those of classes by their names."""

from dataclasses import replace

import pytest
import torch
from freesound.building import build_tagger

import freesound2019
from freesound.settings import Settings
from freesound.synthetic import make_corpus
from rankaudio import Tagger

SETTINGS = Settings(blocks=2, base_depth=4)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    tagger = build_tagger(SETTINGS, ("Bark", "Meow", "Tap"))
    tagger.save(tmp_path / "model.pt")
    return tagger, tmp_path / "model.pt"


def test_the_same_classes_give_the_same_model(saved):
    tagger, path = saved
    settings = replace(SETTINGS, start_from=str(path), dropout=0.3)
    started = build_tagger(settings, tagger.classes)
    assert started.backbone.dropout == 0.3
    for key, value in started.state_dict().items():
        assert torch.equal(value, tagger.state_dict()[key]), key


def test_other_classes_keep_the_rows_of_those_that_are_known(saved):
    tagger, path = saved
    settings = replace(SETTINGS, start_from=str(path))
    started = build_tagger(settings, ("Tap", "Wind", "Bark", "Rain"))
    ours, theirs = started.backbone.classifier[-1], tagger.backbone.classifier[-1]
    for row, known in ((0, 2), (2, 0)):
        assert torch.equal(ours.weight[row], theirs.weight[known])
        assert torch.equal(ours.bias[row], theirs.bias[known])
    assert ours.weight.shape[0] == 4
    assert not (ours.weight[[1, 3]][:, None] == theirs.weight).all(-1).any()
    assert torch.equal(started.backbone.blocks[0].conv.weight, tagger.backbone.blocks[0].conv.weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"base_depth": 8},
            r"wanted a backbone with base_depth 8, got one with base_depth 4 in .*model\.pt",
        ),
        ({"model": "1d"}, r"--start-from: wanted a frontend with .*type LogSTFT.* got .*type LogMel"),
    ],
)
def test_another_network_is_refused_by_what_differs(saved, change, message):
    with pytest.raises(ValueError, match=message):
        build_tagger(replace(SETTINGS, start_from=str(saved[1]), **change), ("Bark",))


def test_from_the_command_line(tmp_path):
    corpus = tmp_path / "corpus"
    make_corpus(corpus, per_class=1, test_per_class=1)
    common = ["--data", str(corpus), "--base-depth", "4", "--blocks", "2", "--folds", "2", "--fold", "0"]
    common += ["--device", "cpu", "--no-tensorboard", "--epochs", "1"]
    freesound2019.main(["train", *common, "--run", str(tmp_path / "first")])
    first = tmp_path / "first" / "fold_0" / "model.pt"
    again = ["train", *common, "--run", str(tmp_path / "second"), "--start-from", str(first)]
    freesound2019.main([*again, "--lr-min", "1e-12", "--lr-max", "1e-12"])
    before, after = (Tagger.load(tmp_path / run / "fold_0" / "model.pt") for run in ("first", "second"))
    for one, other in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
    with pytest.raises(SystemExit) as caught:
        freesound2019.main([*again, "--start-from", str(tmp_path / "no.pt"), "--resume"])
    assert "no.pt" in str(caught.value.code)
