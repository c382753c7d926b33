"""With torchmetrics: lwlrap in collections and over processes, like its own metrics."""

import copy
import pickle

import pytest
import torch
from torch import distributed
from torchmetrics import MetricCollection
from torchmetrics.classification import MultilabelRankingAveragePrecision

from rankaudio import Lwlrap, lwlrap
from rankaudio.integrations.torchmetrics import LwlrapMetric
from rankaudio.metrics import ClassLwlrap
from two_processes import run_both

EXACT = {"rtol": 0, "atol": 1e-12, "equal_nan": True}
AVERAGES = ["label", "macro", "sample", None]


def batches(rows=24, classes=5, *, size=7):
    """Draw batches of unequal size with ties, rows without labels, and scores outside 0 to 1."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(-6, 7, (rows, classes), generator=generator).float()
    target = (torch.rand(rows, classes, generator=generator) < 0.3).long()
    return list(zip(scores.split(size), target.split(size), strict=True))


def all_of(parts):
    scores, target = zip(*parts, strict=True)
    return torch.cat(scores), torch.cat(target)


@pytest.mark.parametrize("average", AVERAGES)
def test_values_equal_those_of_lwlrap(average):
    metric, ours = LwlrapMetric(5, average=average), Lwlrap(5, average=average)
    for scores, target in batches():
        torch.testing.assert_close(metric(scores, target), lwlrap(scores, target, average=average), **EXACT)
        ours.update(scores, target)
    torch.testing.assert_close(metric.compute(), ours.compute(), **EXACT)
    assert type(metric.compute()) is (torch.Tensor if average else ClassLwlrap)


def test_masks_and_weights_reach_the_sums():
    (scores, target), *_ = batches()
    mask, weight = torch.rand(target.shape) < 0.7, torch.rand(len(target))
    metric = LwlrapMetric(5)
    metric.update(scores, target, mask=mask, sample_weight=weight)
    expected = lwlrap(scores, target, mask=mask, sample_weight=weight)
    torch.testing.assert_close(metric.compute(), expected, **EXACT)


def test_collection_of_both_averages_and_of_another_library():
    metrics = MetricCollection(
        {
            "lwlrap": LwlrapMetric(5),
            "macro": LwlrapMetric(5, average="macro"),
            "theirs": MultilabelRankingAveragePrecision(5),
        }
    )
    clone = metrics.clone(prefix="valid_")
    for scores, target in batches():
        step = metrics(scores, target)
        torch.testing.assert_close(step["lwlrap"], lwlrap(scores, target), **EXACT)
        clone.update(preds=scores, target=target)
    scores, target = all_of(batches())
    values, cloned = metrics.compute(), clone.compute()
    for name, average in (("lwlrap", "label"), ("macro", "macro")):
        expected = lwlrap(scores, target, average=average)
        torch.testing.assert_close(values[name], expected, **EXACT)
        torch.testing.assert_close(cloned[f"valid_{name}"], expected, **EXACT)
    # Our two metrics share their sums. Theirs does not, because it counts a clip without labels as 1.
    assert sorted(map(sorted, clone.compute_groups.values())) == [["lwlrap", "macro"], ["theirs"]]
    metrics.reset()
    metrics.update(scores[:7], target[:7])
    torch.testing.assert_close(metrics.compute()["lwlrap"], lwlrap(scores[:7], target[:7]), **EXACT)


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), LwlrapMetric.clone]
)
def test_copies_are_independent(copied):
    first, second, *_ = batches()
    metric = LwlrapMetric(5, average="macro")
    metric.update(*first)
    twin = copied(metric)
    assert repr(twin) == repr(metric) == "LwlrapMetric(5, average='macro')"
    twin.update(*second)
    torch.testing.assert_close(metric.compute(), lwlrap(*first, average="macro"), **EXACT)
    torch.testing.assert_close(twin.compute(), lwlrap(*all_of([first, second]), average="macro"), **EXACT)


def test_persistent_states_are_saved():
    first, second, *_ = batches()
    metric, other = LwlrapMetric(5), LwlrapMetric(5)
    assert metric.state_dict() == {}  # as an attribute of a model, it is not saved with the weights
    for each in (metric, other):
        each.persistent(mode=True)
    metric.update(*first)
    other.load_state_dict(metric.state_dict())
    other.update(*second)
    torch.testing.assert_close(other.compute(), lwlrap(*all_of([first, second])), **EXACT)


def test_sums_keep_their_precision():
    (scores, target), *_ = batches()
    metric = torch.nn.ModuleList([LwlrapMetric(5)]).half()[0]  # as an attribute of a model
    metric.update(scores.half(), target)
    assert metric.compute().dtype == torch.float64
    metric.set_dtype(torch.float32)  # only an explicit request changes it
    metric.update(scores, target)
    assert {part.dtype for part in metric.metric_state.values()} == {torch.float32}
    torch.testing.assert_close(metric.compute(), lwlrap(scores, target), rtol=0, atol=1e-6)


def test_sums_are_float32_on_devices_without_float64():
    first, second, *_ = batches()
    metric = LwlrapMetric(5)
    metric.update(*first)

    def to_mps(tensor):  # PyTorch raises the same error there
        if tensor.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return tensor.clone()

    assert metric._apply(to_mps) is metric
    metric.update(*second)
    assert {part.dtype for part in metric.metric_state.values()} == {torch.float32}
    torch.testing.assert_close(metric.compute(), lwlrap(*all_of([first, second])), rtol=0, atol=1e-6)

    def fail(_):
        raise TypeError("for another reason")

    for each in (metric, LwlrapMetric(5)):
        with pytest.raises(TypeError, match="for another reason"):
            each._apply(fail)


def test_bad_arguments_are_named():
    metric = LwlrapMetric(5)
    with pytest.raises(ValueError, match="scores: wanted 5 classes, got"):
        metric.update(torch.zeros(2, 4), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="target: wanted only 0 and 1, got 2"):
        metric.update(torch.zeros(1, 5), torch.full((1, 5), 2))
    metric.update(torch.full((1, 5), torch.nan), torch.ones(1, 5))
    with pytest.raises(ValueError, match="scores: wanted numbers, got 5 NaN"):
        metric.compute()
    with pytest.raises(ValueError, match="average: wanted"):
        LwlrapMetric(5, average="micro")


PROCESS = """
import datetime, os, sys, torch
from torch import distributed
from torchmetrics import MetricCollection
from rankaudio.integrations.torchmetrics import LwlrapMetric

folder, rank = sys.argv[1], int(os.environ["RANK"])
torch.set_num_threads(1)
distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
metrics = MetricCollection({"label": LwlrapMetric(5), "macro": LwlrapMetric(5, average="macro")})
steps = []
for batch in torch.load(f"{folder}/batches.pt", weights_only=True)[rank::2]:
    steps.append(float(metrics(*batch)["label"]))
alone, step = LwlrapMetric(5, sync_on_compute=False), LwlrapMetric(5, dist_sync_on_step=True)
alone.update(*batch)
values = metrics.compute(), metrics.compute(), float(alone.compute()), float(step(*batch))
torch.save((steps, *values), f"{folder}/{rank}.pt")
# A normal exit can hang right after a collective: it joins the group's thread, which waits for the GIL.
os._exit(0)
"""


@pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="this build of PyTorch has no gloo",
)
def test_two_processes_give_the_value_of_one(tmp_path):
    parts = batches()
    torch.save(parts, tmp_path / "batches.pt")
    assert run_both(PROCESS, words=[tmp_path]) == [("", 0)] * 2
    for rank in range(2):
        steps, *values, alone, together = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        # A step has the value of this process's batch, the end that of all batches.
        assert steps == pytest.approx([float(lwlrap(*part)) for part in parts[rank::2]], abs=1e-12)
        assert alone == steps[-1]
        assert together == pytest.approx(float(lwlrap(*all_of(parts[-2:]))), abs=1e-12)
        for value in values:
            for average in ("label", "macro"):
                torch.testing.assert_close(value[average], lwlrap(*all_of(parts), average=average), **EXACT)
