"""lwlrap against its definition in fractions, the golden numbers, scikit-learn, and edge cases."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score

from lwlrap_cases import AVERAGES, EXACT, batch
from rankaudio.metrics import ClassLwlrap, Lwlrap, _label_precisions, lwlrap

# Float64 scores are stored as their ranks, ties included. The metric depends on nothing else.
GOLDEN = np.load(Path(__file__).parent / "golden" / "lwlrap.npz")
CASES = sorted(key.removesuffix("_scores") for key in GOLDEN if key.endswith("_scores"))


def golden(case):
    scores = GOLDEN[f"{case}_scores"]
    truth = GOLDEN["logits_n200_c80_truth" if case.startswith("sigmoid") else f"{case}_truth"]
    return scores.astype(np.float64) if scores.dtype == np.int16 else scores, truth


def precisions(scores, target, mask=None):
    """Return {(row, class): precision} of every true label, from one pair of labels at a time."""
    found = {}
    for i, (s, t) in enumerate(zip(scores.tolist(), target.tolist(), strict=True)):
        classes = [c for c in range(len(s)) if mask is None or mask[i, c]]
        for c in classes:
            if t[c]:
                reached = [k for k in classes if s[k] >= s[c]]
                found[i, c] = Fraction(sum(bool(t[k]) for k in reached), len(reached))
    return found


def by_definition(scores, target, average="label", mask=None, weight=None):
    """Compute the averages in exact fractions until the last division."""
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


@pytest.fixture(params=["comparing", "sorting", "that of an accelerator"])
def route(request, monkeypatch):
    """Choose the way of counting, and make chunks of a few rows, so that there are several chunks."""
    if request.param == "that of an accelerator":
        monkeypatch.setattr(_label_precisions, "_sum_precisions", _label_precisions._by_sorting)
    monkeypatch.setattr(_label_precisions, "LABELS_TO_SORT", math.inf if request.param == "comparing" else 0)
    monkeypatch.setattr(_label_precisions, "CHUNK", 20)
    monkeypatch.setattr(_label_precisions, "COMPARISONS", 15)


@pytest.mark.parametrize("case", CASES)
def test_equals_scikit_learn_weighted_by_label_counts(case):
    scores, truth = golden(case)
    assert lwlrap(scores, truth).item() == pytest.approx(float(GOLDEN[f"{case}_sklearn"]), rel=0, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_sorting_equals_scikit_learn_too(case, route):
    test_equals_scikit_learn_weighted_by_label_counts(case)


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith(("noties", "logits"))])
def test_per_class_equals_the_official_program_without_ties(case):
    ours = lwlrap(*golden(case), average=None)
    count = torch.from_numpy(GOLDEN[f"{case}_official_count"])
    assert torch.equal(ours.support, count.double())
    assert torch.equal(ours.lwlrap.isnan(), count == 0)
    official = torch.from_numpy(GOLDEN[f"{case}_official_per_class"])
    torch.testing.assert_close(ours.lwlrap.nan_to_num(0.0), official, rtol=0, atol=1e-12)


def test_the_arbitrary_order_of_ties_is_not_inherited():
    """Of 80 equal scores each label has rank 80. The official program ranked them by position."""
    scores, truth = golden("ties_constant_n50_c80")
    counts = truth.sum(1)
    expected = sum(Fraction(int(n) ** 2, 80) for n in counts) / int(counts.sum())
    assert lwlrap(scores, truth).item() == pytest.approx(float(expected), rel=1e-12)
    assert GOLDEN["ties_constant_n50_c80_official"] > 2 * expected


def test_no_sigmoid_is_applied_to_scores():
    """A sigmoid in float32 makes large scores equal. The metric then falls from 0.23 to 0.02."""
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
    for dtype in (torch.float64, torch.float32):
        check_against_definition(scores.to(dtype), target, **options)


@pytest.mark.parametrize("average", AVERAGES)
def test_both_ways_of_counting_agree(average, monkeypatch):
    """With 100 classes, 1 label per row is compared and 90 are sorted. The other way gives the same."""
    for labels, other in [(0.01, 0), (0.9, math.inf)]:
        scores, target = batch(60, 100, labels=labels, levels=40)
        chosen = lwlrap(scores, target, average=average)
        with monkeypatch.context() as patch:
            patch.setattr(_label_precisions, "LABELS_TO_SORT", other)
            torch.testing.assert_close(lwlrap(scores, target, average=average), chosen, **EXACT)


@pytest.mark.slow
def test_equals_scikit_learn_beyond_one_chunk():
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(2100, 527, generator=generator).round(decimals=1)
    target = torch.rand(scores.shape, generator=generator) < 0.005
    assert scores.numel() > _label_precisions.CHUNK
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


def test_masked_labels_are_ignored():
    scores, target = batch()
    mask = torch.ones_like(target)
    mask[:, 2] = False
    kept = [0, 1, 3, 4, 5, 6]
    scores[:, 2] = math.nan
    value = lwlrap(scores[:, kept], target[:, kept])
    assert lwlrap(scores, target, mask=mask) == value


def test_a_row_of_weight_two_counts_as_two_rows():
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
    """Adjacent numbers of a dtype are never ties, whatever their size. Zeros of both signs are ties."""
    for size in [1.0, 0.001, 3e4]:
        low = torch.tensor(size, dtype=dtype)
        high = torch.nextafter(low, torch.tensor(math.inf, dtype=dtype))
        scores, target = torch.stack([low, high, -low])[None], torch.tensor([[0, 1, 0]])
        assert lwlrap(scores, target) == 1
        assert lwlrap(scores.clamp(max=low), target) == 0.5
    assert lwlrap(torch.tensor([[0.0, -0.0]], dtype=dtype), torch.tensor([[0, 1]])) == 0.5


def test_infinities_are_compared_like_other_scores(route):
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


def test_rows_without_labels_do_not_count():
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
