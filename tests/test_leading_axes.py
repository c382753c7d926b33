"""Scores ``(*, C)``: any leading axes give what their rows give in one table."""

from functools import partial

import pytest
import torch

from rankaudio import Lwlrap, lsep_loss, lwlrap
from rankaudio.losses import l_soft_loss, lq_loss, smoothed_bce_loss
from rankaudio.noisy import calibrate_scores, label_agreement, label_margin

GENERATOR = torch.Generator().manual_seed(5)
SCORES = torch.randn(2, 3, 5, dtype=torch.float64, generator=GENERATOR)
TARGET = torch.rand(2, 3, 5, generator=GENERATOR) > 0.6
MASK = torch.rand(2, 3, 5, generator=GENERATOR) > 0.3
WEIGHT = torch.rand(2, 3, dtype=torch.float64, generator=GENERATOR)
WEIGHTED = {"mask": MASK, "sample_weight": WEIGHT}


def running(scores, target, **settings):
    metric = Lwlrap(5)
    metric.update(scores, target, **settings)
    return metric.compute()


def calibrated(scores, target):
    return calibrate_scores(scores)


CALLS = {
    "agreement": (label_agreement, {}),
    "margin": (label_margin, {}),
    "calibrated": (calibrated, {}),
    "lwlrap": (lwlrap, WEIGHTED),
    "running lwlrap": (running, WEIGHTED),
    **{f"l_soft {r}": (partial(l_soft_loss, reduction=r), {}) for r in ("none", "sum", "mean")},
    **{f"lq {r}": (partial(lq_loss, reduction=r), {}) for r in ("none", "sum", "mean")},
    **{
        f"smoothed BCE {r}": (partial(smoothed_bce_loss, reduction=r), WEIGHTED)
        for r in ("none", "sum", "mean")
    },
    **{f"LSEP {r}": (partial(lsep_loss, reduction=r), WEIGHTED) for r in ("none", "sum", "mean")},
    **{
        f"graded LSEP {r}": (partial(lsep_loss, reduction=r, graded=True), WEIGHTED) for r in ("none", "mean")
    },
}


PAIRS = [(name, only) for name, (_, taken) in CALLS.items() for only in [(), *([taken] if taken else [])]]
PAIRS += [(name, (only,)) for name, (_, taken) in CALLS.items() for only in taken]


@pytest.mark.parametrize(("name", "only"), PAIRS, ids=[f"{name} {'+'.join(only)}" for name, only in PAIRS])
def test_leading_axes_are_rows(name, only):
    function, settings = CALLS[name]
    chosen = {key: settings[key] for key in only}
    flat = {key: value.flatten(0, 1) for key, value in chosen.items()}
    ours = function(SCORES, TARGET, **chosen)
    torch.testing.assert_close(
        ours.flatten(), function(SCORES.flatten(0, 1), TARGET.flatten(0, 1), **flat).flatten()
    )
    row = function(SCORES[1, 2], TARGET[1, 2], **{key: value[1, 2] for key, value in chosen.items()})
    table = {key: value[1, 2][None] for key, value in chosen.items()}
    torch.testing.assert_close(
        row.flatten(), function(SCORES[1, 2][None], TARGET[1, 2][None], **table).flatten()
    )


@pytest.mark.parametrize("name", ["LSEP none", "graded LSEP none"])
def test_gradients_of_leading_axes_are_those_of_rows(name):
    function, settings = CALLS[name]
    scores, towards = SCORES.clone().requires_grad_(), WEIGHT - 0.5
    flat = {key: value.flatten(0, 1) for key, value in settings.items()}
    (ours,) = torch.autograd.grad(function(scores, TARGET, **settings), scores, towards)
    rows = function(scores.flatten(0, 1), TARGET.flatten(0, 1), **flat)
    torch.testing.assert_close(ours, torch.autograd.grad(rows, scores, towards.flatten())[0])
