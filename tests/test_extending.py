"""The examples on the page *Extending* keep the contracts that the page names."""

import re
from pathlib import Path

import pytest
import torch

from freesound.job import Job
from freesound.plan_file import plan_from_dict, plan_to_dict

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
LENGTHS = torch.tensor([640, 161, 1])


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The names that the blocks of the page define, run in order."""
    names = {"__name__": "extending"}
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL):
            exec(compile(code, "extending.md", "exec"), names)
    return names


def padded_clips():
    """Clips of three lengths, with NaN after them."""
    clips = torch.randn(3, 640, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for row, length in enumerate(LENGTHS):
        clips[row, length:] = torch.nan
    return clips


def test_network_and_frontend_score_a_clip_as_if_it_were_alone(page):
    tagger = page["tagger"].double()
    clips = padded_clips()
    together = tagger(clips, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = tagger(clips[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-12)
    together.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in tagger.parameters())


def test_network_keeps_its_settings_and_weights_in_a_file(page):
    again = page["again"]
    assert again.backbone.settings() == {"n_classes": 3, "n_bins": 128, "width": 64}
    assert again.classes == ("Bark", "Meow", "Purr")
    again.reset_classifier(["Hiss"])
    assert again(torch.randn(2, 4000)).shape == (2, 1)


def test_loss_equals_its_definition(page):
    scores = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    target = (scores.flip(0) > 0.3).long()
    target[0], target[1] = 0, 1
    wanted = []
    for row, labels in zip(scores.tolist(), target.tolist(), strict=True):
        pairs = [
            1 + other - own
            for own, label in zip(row, labels, strict=True)
            for other, absent in zip(row, labels, strict=True)
            if label == 1 and absent == 0
        ]
        wanted.append(max([0.0, *pairs]))
    found = page["hinge_loss"](scores, target, reduction="none")
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64))
    torch.testing.assert_close(page["hinge_loss"](scores, target), found.mean())
    assert page["hinge_loss"](torch.tensor([[2.0, 0.0, 1.5]]), torch.tensor([[1, 0, 0]])).item() == 0.5
    scores.requires_grad_()
    page["hinge_loss"](scores, target).backward()
    assert scores.grad.isfinite().all()


def test_augmentation_reverses_real_samples_only(page):
    clips = padded_clips()
    before = clips.clone()
    reverse = page["Reverse"](p=1.0)
    changed, lengths = reverse(clips, LENGTHS)
    assert lengths is LENGTHS
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(changed[row, :length], before[row, :length].flip(0), rtol=0, atol=0)
        assert changed[row, length:].isnan().all()
    torch.testing.assert_close(clips, before, equal_nan=True, rtol=0, atol=0)
    assert reverse.eval()(clips, LENGTHS)[0] is clips
    assert page["Reverse"](p=0.0)(clips)[0] is clips


def test_augmentation_draws_from_the_generator_alone(page):
    clips, reverse = torch.randn(64, 3), page["Reverse"](p=0.5)
    first, second = (reverse.draw(clips, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert first["reversed"].tolist() == second["reversed"].tolist()
    assert 0 < first["reversed"].sum() < 64


def test_frontend_counts_its_frames(page):
    frontend = page["Energy"]()
    for samples in (1, 159, 160, 161, 640):
        frames = frontend(torch.randn(2, samples)).shape[-1]
        assert frontend.frame_lengths(torch.tensor([samples])).item() == frames


def test_plan_has_steps_in_an_order_that_works(page, tmp_path):
    plan = page["PLANS"]["full"]
    steps = plan.steps(Job(tmp_path, tmp_path / "run"))
    done = set()
    for step in steps:
        assert set(step.needs) <= done, step.name
        done.add(step.name)
    assert {"train max fold 2", "predict test rnn", "blend", "summary"} <= done
    assert plan_from_dict(plan, plan_to_dict(plan)) == plan
    assert {step.name for step in plan.steps(Job(tmp_path, tmp_path), ["max"])} == {
        *(f"train max fold {fold}" for fold in range(3)),
        "predict test max",
    }
