"""lwlrap against its definition in fractions, the golden numbers, scikit-learn, and the corners."""

import copy
import io
import math
import os
import pickle
import socket
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score
from torch import distributed

from rankaudio import _rank_sums
from rankaudio.metrics import ClassLwlrap, Lwlrap, lwlrap

# Scores of float64 cases are kept as their ranks, ties included, which is all the metric sees of them.
GOLDEN = np.load(Path(__file__).parent / "golden" / "lwlrap.npz")
CASES = sorted(key.removesuffix("_scores") for key in GOLDEN if key.endswith("_scores"))
AVERAGES = ["label", "macro", "sample", None]
EXACT = {"rtol": 1e-12, "atol": 1e-12, "equal_nan": True}


def golden(case):
    scores = GOLDEN[f"{case}_scores"]
    truth = GOLDEN["logits_n200_c80_truth" if case.startswith("sigmoid") else f"{case}_truth"]
    return scores.astype(np.float64) if scores.dtype == np.int16 else scores, truth


def precisions(scores, target, mask=None):
    """{(row, class): precision} of every true label, one pair of labels at a time."""
    found = {}
    for i, (s, t) in enumerate(zip(scores.tolist(), target.tolist(), strict=True)):
        classes = [c for c in range(len(s)) if mask is None or mask[i, c]]
        for c in classes:
            if t[c]:
                reached = [k for k in classes if s[k] >= s[c]]
                found[i, c] = Fraction(sum(bool(t[k]) for k in reached), len(reached))
    return found


def by_definition(scores, target, average="label", mask=None, weight=None):
    """The averages, in exact fractions until the last division."""
    found = precisions(scores, target, mask)
    w = [Fraction(1)] * len(scores) if weight is None else [Fraction(x) for x in weight.tolist()]

    def mean(keys, weights=None):
        weights = [w[i] for i, _ in keys] if weights is None else weights
        total = sum(weights)
        return sum(found[k] * x for k, x in zip(keys, weights, strict=True)) / total if total else math.nan

    if average == "label":
        return float(mean(list(found)))
    if average == "sample":
        rows = {i: [k for k in found if k[0] == i] for i in {i for i, _ in found}}
        total = sum(w[i] for i in rows)
        return float(sum(w[i] * mean(keys, [1] * len(keys)) for i, keys in rows.items()) / total)
    classes = range(scores.shape[-1])
    each = [mean([k for k in found if k[1] == c]) for c in classes]
    if average == "macro":
        seen = [x for x in each if not math.isnan(x)]
        return float(sum(seen) / len(seen))
    support = [float(sum(w[i] for i, k in found if k == c)) for c in classes]
    return [float(x) for x in each], support


def check_against_definition(scores, target, **options):
    for average in ("label", "macro", "sample"):
        ours = lwlrap(
            scores, target, average=average, mask=options.get("mask"), sample_weight=options.get("weight")
        )
        assert ours.item() == pytest.approx(by_definition(scores, target, average, **options), rel=1e-12)
        assert ours.dtype == torch.float64
    ours = lwlrap(scores, target, average=None, mask=options.get("mask"), sample_weight=options.get("weight"))
    each, support = by_definition(scores, target, None, **options)
    torch.testing.assert_close(ours.lwlrap, torch.tensor(each, dtype=torch.float64), **EXACT)
    torch.testing.assert_close(ours.support, torch.tensor(support, dtype=torch.float64), **EXACT)


def batch(rows=40, classes=7, *, labels=0.3, levels=6, seed=0):
    """Scores with many ties, some infinite, and labels, the first row without any."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, levels, (rows, classes), generator=generator).float()
    scores[scores == levels - 1] = math.inf
    scores[scores == 0] = -math.inf
    target = torch.rand(rows, classes, generator=generator) < labels
    target[0] = False
    target[1] = True
    return scores, target


@pytest.fixture(params=["comparing", "sorting"])
def route(request, monkeypatch):
    """Count in the way named, and in chunks of a few rows, so that there are seams."""
    monkeypatch.setattr(_rank_sums, "LABELS_TO_SORT", math.inf if request.param == "comparing" else 0)
    monkeypatch.setattr(_rank_sums, "CHUNK", 20)
    monkeypatch.setattr(_rank_sums, "PIECE", 15)


@pytest.mark.parametrize("case", CASES)
def test_equals_scikit_learn_weighted_by_label_counts(case):
    scores, truth = golden(case)
    assert lwlrap(scores, truth).item() == pytest.approx(float(GOLDEN[f"{case}_sklearn"]), rel=0, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_sorting_equals_scikit_learn_too(case, route):
    test_equals_scikit_learn_weighted_by_label_counts(case)


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith(("noties", "logits"))])
def test_per_class_equals_the_task_where_there_are_no_ties(case):
    ours = lwlrap(*golden(case), average=None)
    count = torch.from_numpy(GOLDEN[f"{case}_official_count"])
    assert torch.equal(ours.support, count.double())
    assert torch.equal(ours.lwlrap.isnan(), count == 0)
    official = torch.from_numpy(GOLDEN[f"{case}_official_per_class"])
    torch.testing.assert_close(ours.lwlrap.nan_to_num(0.0), official, rtol=0, atol=1e-12)


def test_the_arbitrary_order_of_ties_is_not_inherited():
    """Of 80 equal scores each label has rank 80; the task's program gave them ranks by position."""
    scores, truth = golden("ties_constant_n50_c80")
    counts = truth.sum(1)
    expected = sum(Fraction(int(n) ** 2, 80) for n in counts) / int(counts.sum())
    assert lwlrap(scores, truth).item() == pytest.approx(float(expected), rel=1e-12)
    assert GOLDEN["ties_constant_n50_c80_official"] > 2 * expected


def test_scores_are_never_squashed():
    """A sigmoid in float32 makes large scores equal, and then the metric falls from 0.23 to 0.02."""
    logits, truth = golden("logits_n200_c80")
    value = lwlrap(logits, truth)
    assert lwlrap(logits * np.float32(1024), truth) == value
    assert lwlrap(golden("sigmoid_shift20_n200_c80")[0], truth) < value / 10


@given(st.integers(1, 6), st.integers(1, 9), st.floats(0.1, 1), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_any_batch_equals_the_definition(rows, classes, labels, levels, seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, levels, (rows, classes), generator=generator).double() - 1
    target = torch.rand(rows, classes, generator=generator) < labels
    target[0, 0] = True
    check_against_definition(scores, target)


@pytest.mark.parametrize("labels", [0.1, 0.9])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_masks_weights_ties_and_infinities(route, labels, masked, weighted):
    scores, target = batch(labels=labels)
    generator = torch.Generator().manual_seed(1)
    options = {}
    if masked:
        options["mask"] = torch.rand(scores.shape, generator=generator) < 0.6
        options["mask"][2] = False
    if weighted:
        options["weight"] = torch.rand(len(scores), generator=generator)
        options["weight"][3] = 0
    check_against_definition(scores, target, **options)


@pytest.mark.parametrize("average", AVERAGES)
def test_both_ways_of_counting_agree_where_each_is_chosen(average, monkeypatch):
    """100 classes: 5 labels a row are compared, 90 are sorted, and the other way gives the same."""
    for labels, other in [(0.05, 0), (0.9, math.inf)]:
        scores, target = batch(60, 100, labels=labels, levels=40)
        chosen = lwlrap(scores, target, average=average)
        with monkeypatch.context() as patch:
            patch.setattr(_rank_sums, "LABELS_TO_SORT", other)
            torch.testing.assert_close(lwlrap(scores, target, average=average), chosen, **EXACT)


def test_equals_scikit_learn_beyond_one_chunk():
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(2100, 527, generator=generator).round(decimals=1)
    target = torch.rand(scores.shape, generator=generator) < 0.005
    assert scores.numel() > _rank_sums.CHUNK
    counts = target.sum(1).numpy()
    peer = label_ranking_average_precision_score(target.numpy(), scores.numpy(), sample_weight=counts)
    assert lwlrap(scores, target).item() == pytest.approx(peer, rel=1e-12)
    kept = counts > 0  # scikit-learn's plain mean takes rows without labels for perfect
    peer = label_ranking_average_precision_score(target.numpy()[kept], scores.numpy()[kept])
    assert lwlrap(scores, target, average="sample").item() == pytest.approx(peer, rel=1e-12)


@pytest.mark.parametrize("average", AVERAGES)
def test_the_order_of_classes_and_rows_never_matters(average):
    scores, target = batch()
    value = lwlrap(scores, target, average=average)
    rows = torch.randperm(len(scores), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(lwlrap(scores[rows], target[rows], average=average), value, **EXACT)
    mirrored = lwlrap(scores.flip(-1), target.flip(-1), average=average)
    if average is None:
        mirrored = ClassLwlrap(*(part.flip(-1) for part in mirrored))
    torch.testing.assert_close(mirrored, value, **EXACT)


def test_masked_labels_are_as_if_they_were_not_there():
    scores, target = batch()
    mask = torch.ones_like(target)
    mask[:, 2] = False
    kept = [0, 1, 3, 4, 5, 6]
    scores[:, 2] = math.nan
    value = lwlrap(scores[:, kept], target[:, kept])
    assert lwlrap(scores, target, mask=mask) == value


def test_a_row_of_weight_two_is_two_rows():
    scores, target = batch()
    weight = torch.ones(len(scores))
    weight[4] = 2
    for average in AVERAGES:
        torch.testing.assert_close(
            lwlrap(scores, target, average=average, sample_weight=weight),
            lwlrap(torch.cat([scores, scores[4:5]]), torch.cat([target, target[4:5]]), average=average),
            **EXACT,
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_scores_are_compared_as_they_are(dtype, route):
    """Neighbours in their own dtype are no ties, whatever their size; zeros of both signs are one."""
    for size in [1.0, 0.001, 3e4]:
        low = torch.tensor(size, dtype=dtype)
        high = torch.nextafter(low, torch.tensor(math.inf, dtype=dtype))
        scores, target = torch.stack([low, high, -low])[None], torch.tensor([[0, 1, 0]])
        assert lwlrap(scores, target) == 1
        assert lwlrap(scores.clamp(max=low), target) == 0.5
    assert lwlrap(torch.tensor([[0.0, -0.0]], dtype=dtype), torch.tensor([[0, 1]])) == 0.5


def test_infinities_are_scores_like_others(route):
    scores = torch.tensor([[math.inf, -math.inf, 0.0, math.inf]])
    assert lwlrap(scores, torch.tensor([[1, 0, 0, 0]])) == 1 / 2
    assert lwlrap(scores, torch.tensor([[0, 1, 0, 0]])) == 1 / 4
    hidden = torch.tensor([[True, True, False, False]])
    assert lwlrap(scores, torch.tensor([[0, 1, 0, 0]]), mask=hidden) == 1 / 2


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.float64])
def test_targets_of_any_dtype(dtype):
    scores, target = batch()
    assert lwlrap(scores, target.to(dtype)) == lwlrap(scores, target)


def test_leading_axes_are_free():
    scores, target = batch()
    mask, weight = target | (scores > 2), torch.arange(40.0)
    value = lwlrap(scores, target, mask=mask, sample_weight=weight)
    folded = [x.reshape(4, 10, 7) for x in (scores, target, mask)]
    assert lwlrap(*folded[:2], mask=folded[2], sample_weight=weight.reshape(4, 10)) == value
    assert lwlrap(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([0, 1, 0])) == 0.5
    metric = Lwlrap(7)
    metric.update(*folded[:2], mask=folded[2], sample_weight=weight.reshape(4, 10))
    assert metric.compute() == value


@pytest.mark.parametrize("mixed", [False, True])
def test_numpy_arrays_of_every_kind(mixed):
    scores, target = batch()
    mask, weight = target | (scores > 2), torch.rand(40)
    value = lwlrap(scores, target, mask=mask, sample_weight=weight)
    arrays = [np.asfortranarray(x) for x in (scores, target, mask, weight)]
    arrays[1] = arrays[1].astype(">i4")
    arrays[2] = arrays[2][::-1, ::-1].copy()[::-1, ::-1]
    for array in arrays:
        array.flags.writeable = False
    first = scores if mixed else arrays[0]
    assert lwlrap(first, arrays[1], mask=arrays[2], sample_weight=arrays[3]) == value


def test_views_are_counted_like_copies(route):
    scores, target = batch()
    assert lwlrap(scores.T.contiguous().T, target[::2].repeat_interleave(2, 0)) == lwlrap(
        scores, target[::2].repeat_interleave(2, 0)
    )


@pytest.mark.parametrize("shape", [(0, 5), (3, 5)], ids=["no rows", "no labels"])
@pytest.mark.parametrize("average", ["label", "macro", "sample"])
def test_a_set_without_labels_is_nan(shape, average, route):
    assert lwlrap(torch.zeros(shape), torch.zeros(shape), average=average).isnan()
    assert lwlrap(
        torch.zeros(shape), torch.ones(shape), average=average, mask=torch.zeros(shape).bool()
    ).isnan()
    assert lwlrap(
        torch.zeros(shape), torch.ones(shape), average=average, sample_weight=torch.zeros(shape[0])
    ).isnan()
    per_class = lwlrap(torch.zeros(shape), torch.zeros(shape), average=None)
    assert per_class.lwlrap.isnan().all()
    assert torch.equal(per_class.support, torch.zeros(5, dtype=torch.float64))


def test_rows_without_labels_weigh_nothing():
    scores, target = batch()
    labelled = target.any(-1)
    assert not labelled.all()
    for average in AVERAGES:
        torch.testing.assert_close(
            lwlrap(scores[labelled], target[labelled], average=average),
            lwlrap(scores, target, average=average),
            **EXACT,
        )


def test_one_class_and_one_clip():
    assert lwlrap(torch.randn(4, 1), torch.tensor([[1], [0], [1], [0]])) == 1
    assert lwlrap(torch.tensor([[2.0, 3.0]]), torch.tensor([[1, 0]])) == 0.5


def test_inputs_are_not_written_and_no_graph_is_kept():
    scores, target = batch()
    scores, weight = scores.requires_grad_(), torch.ones(40, requires_grad=True)
    before = scores.detach().clone(), target.clone()
    assert not lwlrap(scores, target, sample_weight=weight).requires_grad
    assert torch.equal(scores, before[0])
    assert torch.equal(target, before[1])


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


def test_a_new_or_reset_metric_knows_nothing():
    metric = Lwlrap(7)
    assert metric.compute().isnan()
    metric.update(*batch())
    assert metric.compute() > 0
    metric.reset()
    assert metric.compute().isnan()


def test_memory_does_not_grow_with_the_clips():
    metric = Lwlrap(7)
    size = len(pickle.dumps(metric))
    for seed in range(5):
        metric.update(*batch(seed=seed))
    assert len(pickle.dumps(metric)) == size


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


def test_whole_metrics_save_with_torch():
    buffer = io.BytesIO()
    metric = Lwlrap(7)
    metric.update(*batch())
    torch.save({"metric": metric.state_dict(), "epoch": 3}, buffer)
    buffer.seek(0)
    assert set(torch.load(buffer, weights_only=True)["metric"]) == set(metric.state_dict())


def test_moves_to_a_device_where_scores_are_then_wanted():
    metric = Lwlrap(3)
    assert metric.to("meta") is metric
    assert metric.device.type == "meta"
    metric.reset()
    assert metric.device.type == "meta"
    metric.update(torch.zeros(2, 3, device="meta"), torch.zeros(2, 3, device="meta"))
    assert {part.device.type for part in metric.state_dict().values()} == {"meta"}


def test_update_reads_no_value_off_an_accelerator():
    """Meta tensors have no values, so whatever would wait for one raises; masks and weights included."""
    metric = Lwlrap(3).to("meta")
    scores = torch.zeros(4, 3, device="meta")
    metric.update(scores, scores.bool(), mask=scores.bool(), sample_weight=torch.zeros(4, device="meta"))
    assert metric.state_dict()["precision"].shape == (3,)


@pytest.mark.parametrize("average", AVERAGES)
def test_nan_scores_raise_at_compute(average, route):
    scores, target = batch()
    scores[3, 2] = scores[9, 0] = math.nan
    with pytest.raises(ValueError, match="scores: wanted numbers, got 2 NaN"):
        lwlrap(scores, target, average=average)
    metric = Lwlrap(7, average=average)
    metric.update(scores, target)
    good = Lwlrap(7, average=average)
    good.update(*batch())
    good.merge(metric)
    for spoilt in (metric, good):
        with pytest.raises(ValueError, match="scores: wanted numbers, got 2 NaN"):
            spoilt.compute()
    metric.reset()
    metric.update(*batch())
    metric.compute()


def test_nan_scores_of_a_row_without_labels_raise_too():
    with pytest.raises(ValueError, match="got 3 NaN"):
        lwlrap(torch.full((1, 3), math.nan), torch.zeros(1, 3))


# One of two processes, with every other row. For the macro average the second has seen no row at all.
PROCESS = """
import datetime, os, sys, torch
from torch import distributed
from rankaudio.metrics import Lwlrap

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
distributed.init_process_group(
    "gloo",
    init_method=f"tcp://127.0.0.1:{sys.argv[3]}",
    rank=rank,
    world_size=2,
    timeout=datetime.timedelta(seconds=60),
)
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
# Taking the group apart right after a collective can hang: its thread is joined while it waits for the GIL.
os._exit(0)
"""


def run_both(folder):
    """Fresh interpreters, which meet at a free port and talk over the loopback device."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = os.environ | ({"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {})
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(rank), str(folder), port],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for process in started:
            _, complaint = process.communicate(timeout=120)
            assert process.returncode == 0, complaint
    finally:
        for process in started:
            process.kill()


@pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="this build of PyTorch has no gloo",
)
def test_two_processes_give_the_value_of_one(tmp_path):
    scores, target = batch()
    torch.save((scores, target), tmp_path / "batch.pt")
    run_both(tmp_path)
    for rank in range(2):
        *results, message = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for average, values in zip(AVERAGES, results, strict=True):
            kept = slice(0, None, 2) if average == "macro" else slice(None)
            here = slice(40, None) if average == "macro" and rank else slice(rank, None, 2)
            for value, rows in zip(values, (kept, kept, here), strict=True):
                expected = lwlrap(scores[rows], target[rows], average=average)
                torch.testing.assert_close(value, expected if average else tuple(expected), **EXACT)
        assert message == "scores: wanted numbers, got 7 NaN"


BAD_BATCHES = [
    ({"scores": [[1.0]]}, TypeError, r"scores: wanted a torch.Tensor, got \[\[1.0\]\]"),
    ({"scores": torch.zeros(2, 3).long()}, TypeError, "scores: wanted a floating-point tensor, got a int64"),
    ({"scores": np.zeros((2, 3), int)}, TypeError, "scores: wanted a floating-point tensor, got a int64"),
    ({"scores": np.array([["a"]])}, TypeError, "scores: wanted an array of numbers, got dtype <U1"),
    (
        {"target": torch.zeros(2, 4)},
        ValueError,
        r"target: wanted the shape of scores, \(2, 3\), got .*\(2, 4\)",
    ),
    ({"target": torch.zeros(3)}, ValueError, r"target: wanted the shape of scores, \(2, 3\), got .*\(3,\)"),
    ({"target": torch.zeros(2, 3, device="meta")}, ValueError, "target: wanted the device of scores, cpu"),
    ({"target": torch.full((2, 3), 2)}, ValueError, "target: wanted only 0 and 1, got 2 in"),
    ({"target": np.full((2, 3), 0.5)}, ValueError, "target: wanted only 0 and 1, got 0.5 in"),
    ({"target": torch.full((2, 3), math.nan)}, ValueError, "target: wanted only 0 and 1, got nan in"),
    ({"target": torch.zeros(2, 3).cfloat()}, TypeError, "target: wanted bool, integers or real numbers"),
    ({"mask": torch.ones(2, 3)}, TypeError, "mask: wanted a bool tensor, got a float32"),
    ({"mask": torch.ones(3, dtype=torch.bool)}, ValueError, r"mask: wanted shape \(2, 3\), got"),
    ({"mask": torch.ones(2, 3, device="meta").bool()}, ValueError, "mask: wanted a tensor on cpu, got"),
    ({"mask": [True]}, TypeError, r"mask: wanted a torch.Tensor, got \[True\]"),
    ({"sample_weight": torch.ones(3)}, ValueError, r"sample_weight: wanted shape \(2,\), got"),
    ({"sample_weight": torch.ones(2).int()}, TypeError, "sample_weight: wanted a floating-point tensor"),
    ({"sample_weight": -torch.ones(2)}, ValueError, "sample_weight: wanted finite, non-negative .*got -1.0"),
    ({"sample_weight": torch.full((2,), math.inf)}, ValueError, "sample_weight: wanted finite.*got inf"),
    ({"sample_weight": torch.full((2,), math.nan)}, ValueError, "sample_weight: wanted finite.*got nan"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD_BATCHES)
def test_bad_batches_are_named_and_leave_no_trace(change, error, message):
    arguments = {"scores": torch.zeros(2, 3), "target": torch.ones(2, 3)} | change
    scores, target = arguments.pop("scores"), arguments.pop("target")
    with pytest.raises(error, match=message):
        lwlrap(scores, target, **arguments)
    metric = Lwlrap(3)
    with pytest.raises((error, ValueError)):
        metric.update(scores, target, **arguments)
    assert metric.compute().isnan()


def test_scores_need_a_class():
    with pytest.raises(ValueError, match="C >= 1 classes"):
        lwlrap(torch.zeros(2, 0), torch.zeros(2, 0))
    with pytest.raises(ValueError, match="C >= 1 classes"):
        lwlrap(torch.tensor(1.0), torch.tensor(1))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Lwlrap(0), ValueError, "n_classes: wanted an integer >= 1, got 0"),
        (lambda: Lwlrap(2.0), TypeError, "n_classes: wanted an integer, got 2.0"),
        (lambda: Lwlrap(3, average="micro"), ValueError, "average: wanted one of 'label', .*got 'micro'"),
        (
            lambda: lwlrap(torch.zeros(1, 2), torch.zeros(1, 2), average="weighted"),
            ValueError,
            "average: wanted one of 'label', 'macro', 'sample', None, got 'weighted'",
        ),
        (
            lambda: Lwlrap(3).update(torch.zeros(2, 4), torch.zeros(2, 4)),
            ValueError,
            r"scores: wanted 3 classes, got a float32 tensor of shape \(2, 4\)",
        ),
        (
            lambda: Lwlrap(3).update(torch.tensor(1.0), torch.tensor(1)),
            ValueError,
            "scores: wanted 3 classes, got",
        ),
        (
            lambda: Lwlrap(3).update(torch.zeros(2, 3, device="meta"), torch.zeros(2, 3, device="meta")),
            ValueError,
            "scores: wanted the device of the metric, cpu, got",
        ),
        (lambda: Lwlrap(3).merge(Lwlrap(4)), ValueError, "other: wanted 3 classes, got Lwlrap\\(4"),
        (lambda: Lwlrap(3).merge(0.5), TypeError, "other: wanted an Lwlrap, got 0.5"),
        (
            lambda: Lwlrap(3).load_state_dict(Lwlrap(4).state_dict()),
            ValueError,
            r"state\['precision'\]: wanted shape \(3,\), got .*\(4,\)",
        ),
        (lambda: Lwlrap(3).load_state_dict({}), ValueError, "state: wanted precision, .*got nothing"),
        (
            lambda: Lwlrap(3).load_state_dict(Lwlrap(3).state_dict() | {"epoch": torch.tensor(1)}),
            ValueError,
            "state: wanted precision, .*epoch",
        ),
        (
            lambda: Lwlrap(3).load_state_dict(Lwlrap(3).state_dict() | {"support": [1.0, 2.0, 3.0]}),
            TypeError,
            r"state\['support'\]: wanted a torch.Tensor",
        ),
    ],
)
def test_bad_settings_and_states_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_state_refused_changes_nothing():
    metric = Lwlrap(7)
    metric.update(*batch())
    value = metric.compute()
    with pytest.raises(ValueError, match="state"):
        metric.load_state_dict(metric.state_dict() | {"support": torch.zeros(3)})
    assert metric.compute() == value
