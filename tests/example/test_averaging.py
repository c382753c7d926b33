"""Averages of weights: their formulas, and that they are what is validated and saved."""

import pytest
import torch
from torch import nn

from freesound.averaging import AverageOfLast, ExponentialAverage
from freesound.engine import Trainer
from rankaudio import Tagger
from training import ALONE, assert_same_outcome, train, without_seconds


def make_models(count):
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for _ in range(count)]
    for number, model in enumerate(models):
        model(torch.randn(5, 2) * number)
    return models


def test_the_last_epochs_have_equal_weight():
    average, models = AverageOfLast(epochs=3), make_models(5)
    for count, model in enumerate(models, start=1):
        average.after_step(model)
        average.after_epoch(model)
        kept = [m.state_dict() for m in models[max(0, count - 3) : count]]
        for name, value in average.mean().items():
            values = [m[name].double() for m in kept]
            expected = values[-1] if "tracked" in name else sum(values) / len(values)
            torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-7)
            assert value.dtype == kept[0][name].dtype


def test_the_exponential_average_by_its_formula():
    models = make_models(6)
    average = ExponentialAverage(models[0], decay=0.3, group=ALONE)
    expected = {name: value.double() for name, value in models[0].state_dict().items()}
    for update, model in enumerate(models):
        average.after_step(model)
        average.after_epoch(model)
        decay = min(0.3, (1 + update) / (10 + update))
        for name, value in model.state_dict().items():
            kept = 0.0 if "tracked" in name else decay
            expected[name] = kept * expected[name] + (1 - kept) * value.double()
    for name, value in average.mean().items():
        torch.testing.assert_close(value.double(), expected[name], rtol=1e-6, atol=1e-7)


def test_an_average_is_a_copy():
    (model,) = make_models(1)
    for average in (ExponentialAverage(model, decay=0.0, group=ALONE), AverageOfLast(epochs=2)):
        average.after_step(model)
        average.after_epoch(model)
        before = average.mean()["0.weight"].clone()
        nn.init.ones_(model[0].weight)
        assert torch.equal(average.mean()["0.weight"], before)
        nn.init.zeros_(model[0].weight)


def test_the_average_is_validated_and_saved(tiny_corpus, tmp_path):
    train(tiny_corpus, tmp_path / "r", "--average", "last", "--average-last", "2", "--epochs", "2")
    models, plain = [], Trainer._end_epoch

    def watch(trainer, folder, loss):
        models.append({name: value.clone() for name, value in trainer.system.tagger.state_dict().items()})
        plain(trainer, folder, loss)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "_end_epoch", watch)
        train(tiny_corpus, tmp_path / "s", "--average", "last", "--average-last", "2", "--epochs", "2")
    assert_same_outcome(tmp_path / "r" / "fold_0", tmp_path / "s" / "fold_0")
    rows, _ = without_seconds(tmp_path / "s" / "fold_0")
    last = float(rows[1]["valid_lwlrap"]) > float(rows[0]["valid_lwlrap"])
    kept = Tagger.load(tmp_path / "s" / "fold_0" / "model.pt").state_dict()
    for name in models[0]:  # thresholds and calibration come after the training
        value = kept[name]
        mean = sum(m[name].double() for m in models) / 2
        expected = mean if last and value.is_floating_point() else models[last][name].double()
        torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-7)
