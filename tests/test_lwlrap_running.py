"""The running metric: batches, states, copies, devices and processes."""

import copy
import io
import pickle

import pytest
import torch
from torch import distributed

from lwlrap_cases import AVERAGES, EXACT, batch
from rankaudio.metrics import Lwlrap, lwlrap
from two_processes import run_both


@pytest.mark.parametrize("average", AVERAGES)
def test_batches_add_up_to_the_whole(average):
    scores, target = batch()
    mask, weight = target | (scores > 2), torch.rand(40)
    whole, parts = Lwlrap(7, average=average), [Lwlrap(7, average=average) for _ in range(2)]
    for start in range(0, 40, 8):
        rows = slice(start, start + 8)
        for metric in (whole, parts[start // 8 % 2]):
            metric.update(scores[rows], target[rows], mask=mask[rows], sample_weight=weight[rows])
    whole.update(scores[:0], target[:0])
    expected = lwlrap(scores, target, average=average, mask=mask, sample_weight=weight)
    torch.testing.assert_close(whole.compute(), expected, **EXACT)
    torch.testing.assert_close(whole.compute(), expected, **EXACT)
    parts[0].merge(parts[1])
    torch.testing.assert_close(parts[0].compute(), expected, **EXACT)


def test_a_new_or_reset_metric_is_empty():
    metric = Lwlrap(7)
    assert metric.compute().isnan()
    metric.update(*batch())
    assert metric.compute() > 0
    metric.reset()
    assert metric.compute().isnan()


def test_memory_does_not_grow_with_the_clips():
    metric = Lwlrap(7)
    size = len(pickle.dumps(metric))
    clips = 0
    for seed in range(5):
        scores, target = batch(seed=seed)
        metric.update(scores, target)
        clips += len(scores)
    # A reference to a value that is there already takes some bytes, and not always the same.
    assert len(pickle.dumps(metric)) < size + clips


def test_state_round_trips_and_is_not_shared(tmp_path):
    metric = Lwlrap(7)
    metric.update(*batch())
    value, state = metric.compute(), metric.state_dict()
    torch.save(state, tmp_path / "state.pt")
    metric.update(*batch(seed=1))
    assert metric.compute() != value
    for loaded in (state, torch.load(tmp_path / "state.pt", weights_only=True)):
        fresh = Lwlrap(7)
        fresh.load_state_dict(loaded)
        assert fresh.compute() == value
        loaded["precision"].zero_()
        assert fresh.compute() == value


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda metric: pickle.loads(pickle.dumps(metric))])
def test_copies_are_independent(twin):
    metric = Lwlrap(7, average="macro")
    with torch.inference_mode():
        metric.update(*batch())
    other = twin(metric)
    assert repr(other) == "Lwlrap(7, average='macro')"
    assert other.compute() == metric.compute()
    other.update(*batch(seed=1))
    assert other.compute() != metric.compute()


def test_states_are_saved_by_torch():
    buffer = io.BytesIO()
    metric = Lwlrap(7)
    metric.update(*batch())
    torch.save({"metric": metric.state_dict(), "epoch": 3}, buffer)
    buffer.seek(0)
    assert set(torch.load(buffer, weights_only=True)["metric"]) == set(metric.state_dict())


def test_scores_are_expected_on_the_device_of_the_metric():
    metric = Lwlrap(3)
    assert metric.to("meta") is metric
    assert metric.device.type == "meta"
    metric.reset()
    assert metric.device.type == "meta"
    metric.update(torch.zeros(2, 3, device="meta"), torch.zeros(2, 3, device="meta"))
    assert {part.device.type for part in metric.state_dict().values()} == {"meta"}


def test_update_reads_no_value_off_an_accelerator():
    """Meta tensors have no values, so code that reads one raises an error, also for masks and weights."""
    metric = Lwlrap(3).to("meta")
    scores = torch.zeros(4, 3, device="meta")
    metric.update(scores, scores.bool(), mask=scores.bool(), sample_weight=torch.zeros(4, device="meta"))
    assert metric.state_dict()["precision"].shape == (3,)


# One of two processes, with every other row. For the macro average the second process has no rows.
PROCESS = """
import datetime, os, sys, torch
from torch import distributed
from rankaudio.metrics import Lwlrap

folder, rank = sys.argv[1], int(os.environ["RANK"])
torch.set_num_threads(1)
distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
scores, target = torch.load(f"{folder}/batch.pt", weights_only=True)
results = []
for average in ("label", "macro", "sample", None):
    metric = Lwlrap(7, average=average)
    if average != "macro" or rank == 0:
        metric.update(scores[rank::2], target[rank::2])
    values = metric.compute(), metric.compute(), metric.compute(sync=False)
    results.append([tuple(value) if average is None else value for value in values])
metric.update(torch.full((1, 7), float("nan") if rank else 0.0), torch.ones(1, 7))
try:
    metric.compute()
except ValueError as error:
    results.append(str(error))
torch.save(results, f"{folder}/{rank}.pt")
# A normal exit can hang right after a collective: it joins the group's thread, which waits for the GIL.
os._exit(0)
"""


@pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="this build of PyTorch has no gloo",
)
def test_two_processes_give_the_value_of_one(tmp_path):
    scores, target = batch()
    torch.save((scores, target), tmp_path / "batch.pt")
    assert run_both(PROCESS, words=[tmp_path]) == [("", 0)] * 2
    for rank in range(2):
        *results, message = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for average, values in zip(AVERAGES, results, strict=True):
            kept = slice(0, None, 2) if average == "macro" else slice(None)
            here = slice(40, None) if average == "macro" and rank else slice(rank, None, 2)
            for value, rows in zip(values, (kept, kept, here), strict=True):
                expected = lwlrap(scores[rows], target[rows], average=average)
                torch.testing.assert_close(value, expected if average else tuple(expected), **EXACT)
        assert message == "scores: wanted numbers, got 7 NaN"


def test_a_refused_state_changes_nothing():
    metric = Lwlrap(7)
    metric.update(*batch())
    value = metric.compute()
    with pytest.raises(ValueError, match="state"):
        metric.load_state_dict(metric.state_dict() | {"support": torch.zeros(3)})
    assert metric.compute() == value
