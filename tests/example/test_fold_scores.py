"""Scores of all folds at once equal those of each fold alone, and each spectrogram is computed once."""

from dataclasses import replace

import pytest
import torch

from freesound.build import build_scorer, build_tagger
from freesound.fold_scores import scores_of_folds
from freesound.plans.base import Member, Network, Sound
from freesound.plans.crops import Crops
from rankaudio import predict
from rankaudio.spectral import LogMel

pytestmark = pytest.mark.example

CLIPS = [
    torch.randn(length, generator=torch.Generator().manual_seed(length)) for length in (4000, 9000, 2500)
]
NETWORK, SOUND = Network(settings={"base_depth": 8}), Sound(sample_rate=8000)
MEMBERS = {
    "whole": Member(network=NETWORK, sound=SOUND),
    "windows": Member(network=NETWORK, sound=SOUND, crops=Crops(crop_frames=4, window_hop=2)),
    "segments": Member(network=NETWORK, sound=SOUND, crops=Crops(segment_seconds=0.5)),
}


def folds_of(member):
    taggers = []
    for seed in range(3):
        torch.manual_seed(seed)
        taggers.append(build_tagger(member, ["a", "b"]).eval())
    return taggers


@pytest.mark.parametrize("name", MEMBERS)
def test_all_folds_at_once_give_the_scores_of_each(name, monkeypatch):
    member = MEMBERS[name]
    taggers = folds_of(member)
    alone = torch.stack([predict(build_scorer(member, tagger), CLIPS) for tagger in taggers])
    assert not torch.equal(alone[0], alone[1])
    calls, forward = [], LogMel.forward
    monkeypatch.setattr(LogMel, "forward", lambda *args: calls.append(args) or forward(*args))
    one = predict(build_scorer(member, taggers[0]), CLIPS)
    expected = len(calls)
    calls.clear()
    together = scores_of_folds(member, taggers, CLIPS)
    assert len(calls) == expected
    assert torch.equal(together, alone)
    assert torch.equal(together[0], one)


def test_a_fold_with_another_frontend_uses_it():
    member = MEMBERS["whole"]
    other = replace(member, sound=replace(member.sound, f_min=200.0))
    taggers = [*folds_of(member)[:2], folds_of(other)[2]]
    alone = torch.stack([predict(tagger, CLIPS) for tagger in taggers])
    assert torch.equal(scores_of_folds(member, taggers, CLIPS), alone)


def test_no_clips_and_unreadable_clips():
    taggers, errors = folds_of(MEMBERS["whole"]), []
    assert scores_of_folds(MEMBERS["whole"], taggers, []).shape == (3, 0, 2)
    clips = [CLIPS[0], torch.zeros(0), CLIPS[2]]
    found = scores_of_folds(
        MEMBERS["whole"], taggers, clips, on_error=lambda index, error: errors.append((index, str(error)))
    )
    assert [index for index, _ in errors] == [1]
    assert found[:, 1].isnan().all()
    assert found[:, [0, 2]].isfinite().all()
