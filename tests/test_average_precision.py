"""Average precision, ROC area and d-prime: against scikit-learn, with ties, weights and unknown labels."""

import copy
import math
import pickle
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import distributed

from rankaudio.metrics import AveragePrecision, average_precision, d_prime, roc_auc
from two_processes import run_both

EXACT = {"rtol": 1e-12, "atol": 1e-12, "equal_nan": True}


def draw(rows=40, classes=5, *, levels=4, seed=0):
    """Scores with many ties. Class 0 has no label, class 1 has all of them."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, levels, (rows, classes), generator=generator).float()
    target = torch.rand(rows, classes, generator=generator) < 0.3
    target[:, 0], target[:, 1] = False, True
    return scores, target


def by_scikit_learn(score, scores, target, weight=None):
    values = []
    for one, truth in zip(scores.T.numpy(), target.T.numpy(), strict=True):
        usable = truth.any() and (score is average_precision_score or not truth.all())
        values.append(score(truth, one, sample_weight=weight) if usable else math.nan)
    return np.array(values)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25), st.sampled_from([2, 4, 10**6]), st.booleans())
def test_classes_are_those_of_scikit_learn(seed, rows, levels, weighted):
    scores, target = draw(rows, levels=levels, seed=seed)
    weight = torch.rand(rows, generator=torch.Generator().manual_seed(seed)) + 0.1 if weighted else None
    given_weight = None if weight is None else weight.double().numpy()
    ours = average_precision(scores, target, average=None, sample_weight=weight)
    theirs = by_scikit_learn(average_precision_score, scores, target, given_weight)
    np.testing.assert_allclose(ours.average_precision, theirs, atol=1e-9)
    area = roc_auc(scores, target, average=None, sample_weight=weight)
    theirs = by_scikit_learn(roc_auc_score, scores, target, given_weight)
    np.testing.assert_allclose(area.roc_auc, theirs, atol=1e-9)
    np.testing.assert_allclose(area.d_prime, math.sqrt(2) * norm.ppf(theirs), atol=1e-6)
    torch.testing.assert_close(area.support, ours.support)


def test_averages_are_those_of_scikit_learn():
    scores, target = draw()
    usable, truth = slice(1, None), target.numpy()
    for average in ("macro", "micro"):
        kept = usable if average == "macro" else slice(None)
        theirs = average_precision_score(truth[:, kept], scores[:, kept].numpy(), average=average)
        assert float(average_precision(scores, target, average=average)) == pytest.approx(theirs, abs=1e-12)
    theirs = roc_auc_score(truth[:, 2:], scores[:, 2:].numpy(), average="macro")
    assert float(roc_auc(scores, target)) == pytest.approx(theirs, abs=1e-12)
    assert float(d_prime(scores, target)) == pytest.approx(math.sqrt(2) * norm.ppf(theirs), abs=1e-9)
    theirs = roc_auc_score(truth.ravel(), scores.numpy().ravel())
    assert float(roc_auc(scores, target, average="micro")) == pytest.approx(theirs, abs=1e-12)


def test_d_prime_is_0_for_chance_and_infinite_for_a_perfect_class():
    target = torch.tensor([[1], [0], [1], [0]])
    assert d_prime(torch.zeros(4, 1), target) == 0
    assert d_prime(target.float(), target) == math.inf
    assert d_prime(target.float(), torch.zeros(4, 1)).isnan()


@pytest.mark.parametrize("function", [average_precision, roc_auc])
def test_the_order_of_tied_clips_does_not_matter(function):
    scores, target = draw()
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        function(scores, target, average=None), function(scores[order], target[order], average=None), **EXACT
    )


@pytest.mark.parametrize(
    ("function", "theirs"), [(average_precision, average_precision_score), (roc_auc, roc_auc_score)]
)
def test_known_labels_with_weights_are_those_of_scikit_learn(function, theirs):
    scores, target = draw(levels=9, seed=5)
    generator = torch.Generator().manual_seed(6)
    known, weight = torch.rand(40, 5, generator=generator) < 0.6, torch.rand(40, generator=generator) + 0.1
    ours = function(scores, target, average=None, mask=known, sample_weight=weight)
    for c in range(2, 5):
        rows = known[:, c]
        wanted = theirs(target[rows, c], scores[rows, c], sample_weight=weight[rows].double())
        assert ours[0][c].item() == pytest.approx(wanted, abs=1e-9)
        assert ours.support[c].item() == pytest.approx(weight[rows & target[:, c]].double().sum().item())


@pytest.mark.parametrize("function", [average_precision, roc_auc])
@pytest.mark.parametrize("average", ["macro", "micro", None])
def test_unknown_labels_and_their_scores_do_not_count(function, average):
    scores, target = draw()
    known = torch.rand(40, 5, generator=torch.Generator().manual_seed(2)) < 0.6
    spoiled = scores.masked_fill(~known, math.nan)
    ours = function(spoiled, target ^ ~known, mask=known, average=average)
    torch.testing.assert_close(ours, function(scores, target, mask=known, average=average), **EXACT)
    if average is None:
        for c in range(5):
            rows = known[:, c]
            alone = function(scores[rows, c : c + 1], target[rows, c : c + 1], average=None)
            torch.testing.assert_close(ours[0][c : c + 1], alone[0], **EXACT)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_dtype_arrays_and_leading_axes_are_taken(dtype):
    scores, target = draw()
    for function in (average_precision, roc_auc, d_prime):
        expected = function(scores, target)
        assert expected.dtype == torch.float64
        torch.testing.assert_close(function(scores.to(dtype), target), expected, **EXACT)
        torch.testing.assert_close(function(scores.numpy(), target.numpy()), expected, **EXACT)
        folded = function(scores.reshape(8, 5, 5), target.reshape(8, 5, 5))
        torch.testing.assert_close(folded, expected, **EXACT)


def test_infinities_are_scores_and_no_clips_are_no_accident(monkeypatch):
    scores, target = draw()
    stretched = torch.tensor([-math.inf, -1.0, 1.0, math.inf])[scores.long()]
    for function in (average_precision, roc_auc):
        whole = function(scores, target, average=None)
        torch.testing.assert_close(function(stretched, target, average=None), whole, **EXACT)
        assert function(scores[:0], target[:0]).isnan()
        assert function(scores[:0], target[:0], average="micro").isnan()
        assert function(scores[:0], target[:0], average=None)[0].shape == (5,)
        with monkeypatch.context() as patch:
            patch.setattr("rankaudio.metrics._ranked._BUDGET", 90)  # two classes at a time
            weight = torch.full((40,), 2.0)  # which are sorted in the other way
            weighted = function(scores, target, average=None, sample_weight=weight)
            torch.testing.assert_close(weighted[0], whole[0], **EXACT)
            torch.testing.assert_close(weighted.support, 2 * whole.support, **EXACT)


@pytest.mark.parametrize("average", ["macro", "micro", None])
def test_batches_add_up_to_the_whole(average):
    scores, target = draw()
    mask, weight = target | (scores > 1), torch.rand(40)
    whole = AveragePrecision(5, average=average)
    parts = [AveragePrecision(5, average=average) for _ in range(2)]
    for start in range(0, 40, 8):
        rows = slice(start, start + 8)
        for metric in (whole, parts[start // 8 % 2]):
            batch = scores[rows].clone()
            metric.update(batch, target[rows], mask=mask[rows], sample_weight=weight[rows])
            batch.zero_()
    expected = average_precision(scores, target, average=average, mask=mask, sample_weight=weight)
    for _ in range(2):
        torch.testing.assert_close(whole.compute(), expected, **EXACT)
    parts[0].merge(parts[1])
    torch.testing.assert_close(parts[0].compute(), expected, **EXACT)
    state = whole.state_dict()
    for twin in (
        copy.deepcopy(whole),
        pickle.loads(pickle.dumps(whole)),
        AveragePrecision(5, average=average),
    ):
        twin.load_state_dict(state)
        torch.testing.assert_close(twin.compute(), expected, **EXACT)
        assert repr(twin) == f"AveragePrecision(5, average={average!r})"
    whole.reset()
    state["scores"].zero_()
    torch.testing.assert_close(twin.compute(), expected, **EXACT)
    assert whole.compute()[0].isnan().all() if average is None else whole.compute().isnan()


def test_update_reads_no_value_off_an_accelerator():
    metric = AveragePrecision(3).to("meta")
    scores = torch.zeros(4, 3, device="meta")
    metric.update(scores, scores.bool(), mask=scores.bool(), sample_weight=torch.zeros(4, device="meta"))
    assert metric.device.type == "meta"
    assert metric.state_dict()["scores"].shape == (4, 3)


# One of two processes. The second has float64 scores; in the second round it has no clips.
PROCESS = """
import datetime, os, sys, torch
from torch import distributed
from rankaudio.metrics import AveragePrecision, F1

folder, rank = sys.argv[1], int(os.environ["RANK"])
torch.set_num_threads(1)
distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
scores, target = torch.load(f"{folder}/batch.pt", weights_only=True)
results = []
for rows in (slice(rank, None, 2), slice(0, 40 * (1 - rank))):
    for metric in (AveragePrecision(5), F1(5, thresholds=1.5)):
        metric.update(scores[rows].to(torch.float64 if rank else torch.float32), target[rows])
        results.append(torch.stack([metric.compute(), metric.compute(), metric.compute(sync=False)]))
torch.save(results, f"{folder}/{rank}.pt")
# A normal exit can hang right after a collective: it joins the group's thread, which waits for the GIL.
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not (distributed.is_available() and distributed.is_gloo_available()),
    reason="this build of PyTorch has no gloo",
)
def test_two_processes_give_the_value_of_one(tmp_path):
    from rankaudio.metrics import f1

    scores, target = draw()
    torch.save((scores, target), tmp_path / "batch.pt")
    assert run_both(PROCESS, words=[tmp_path]) == [("", 0)] * 2
    whole = [average_precision(scores, target), f1(scores, target, thresholds=1.5)] * 2
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for values, expected in zip(results, whole, strict=True):
            torch.testing.assert_close(values[:2], expected.repeat(2), **EXACT)
        rows = slice(rank, None, 2)
        torch.testing.assert_close(results[0][2], average_precision(scores[rows], target[rows]), **EXACT)
        assert results[2][2].isnan() == (rank == 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda s, t: average_precision(s, t, average="sample"),
            ValueError,
            "average: wanted one of 'macro'",
        ),
        (
            lambda s, t: d_prime(s, t, average=None),
            ValueError,
            "average: wanted one of 'macro', 'micro', got",
        ),
        (lambda s, t: roc_auc(s / 0, t), ValueError, "scores: wanted numbers, got 51 NaN"),
        (lambda s, t: roc_auc(s, t * 0.5), ValueError, "target: wanted only 0 and 1"),
        (lambda s, t: average_precision(s, t, sample_weight=-torch.ones(40)), ValueError, "sample_weight: "),
        (lambda s, t: AveragePrecision(4).update(s, t), ValueError, "scores: wanted 4 classes"),
        (lambda s, t: AveragePrecision(4).merge(3), TypeError, "other: wanted an AveragePrecision"),
        (lambda s, t: AveragePrecision(4).merge(AveragePrecision(5)), ValueError, "other: wanted 4 classes"),
        (lambda s, t: AveragePrecision(4).load_state_dict({}), ValueError, "state: wanted scores, target"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(*draw())


def test_a_refused_state_changes_nothing():
    metric = AveragePrecision(5)
    metric.update(*draw())
    value, state = metric.compute(), metric.state_dict()
    for wrong in ({"scores": torch.zeros(40, 4)}, {"mask": torch.ones(39, 5, dtype=torch.bool)}):
        with pytest.raises(ValueError, match="state"):
            metric.load_state_dict(state | wrong)
    with pytest.raises(TypeError, match="state"):
        metric.load_state_dict(state | {"target": torch.ones(40, 5)})
    assert metric.compute() == value


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert average_precision(torch.zeros(1, 1), torch.zeros(1, 1)).isnan()


@pytest.mark.parametrize("name", ["target", "mask", "sample_weight"])
@pytest.mark.parametrize("metric", [average_precision, roc_auc, d_prime])
def test_tensors_on_another_device_than_the_scores_are_named(metric, name):
    scores, target = draw()
    given = {"target": target, "mask": target, "sample_weight": torch.ones(len(scores))}
    with pytest.raises(ValueError, match=f"{name}: wanted .* cpu, got .* on meta"):
        metric(scores, **{**given, name: given[name].to("meta")})
