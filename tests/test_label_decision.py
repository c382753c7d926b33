"""The heads that decide which labels are present: their losses by the formula, decisions, bad input."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from rankaudio.decisions import CountHead, ThresholdHead

EMBEDDING = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
SCORES = torch.randn(6, 5, generator=torch.Generator().manual_seed(1))
TARGET = torch.rand(6, 5, generator=torch.Generator().manual_seed(2)) < 0.4


def fitted(head, steps, *given):
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = head.loss(*given)
        loss.backward()
        optimizer.step()
    return loss.item()


def test_the_loss_of_thresholds_is_the_formula():
    head = ThresholdHead(n_features=4, n_classes=5).double()
    embedding, scores = EMBEDDING.double(), SCORES.double()
    delta = (scores - head(embedding)).sigmoid()
    mask = torch.rand(6, 5) < 0.7
    each = binary_cross_entropy(delta, TARGET.double(), reduction="none")
    torch.testing.assert_close(head.loss(embedding, scores, TARGET), each.mean())
    torch.testing.assert_close(head.loss(embedding, scores, TARGET, mask=mask), each[mask].mean())


def test_the_loss_of_a_count_is_the_formula():
    head = CountHead(n_features=4, max_labels=2).double()
    embedding = EMBEDDING.double()
    log_p = head(embedding).log_softmax(1)
    number = [min(sum(row), 2) for row in TARGET.int().tolist()]
    expected = -sum(log_p[row, n] for row, n in enumerate(number)) / 6
    torch.testing.assert_close(head.loss(embedding, TARGET), expected)


def test_the_ranking_is_constant():
    scores = SCORES.clone().requires_grad_()
    ThresholdHead(n_features=4, n_classes=5).loss(EMBEDDING, scores, TARGET).backward()
    assert scores.grad is None


def test_thresholds_find_an_offset_that_the_embedding_tells():
    """Each clip has its own offset, as a ranking loss allows. No common threshold is right."""
    torch.manual_seed(0)
    embedding = torch.randn(60, 2)
    target = torch.rand(60, 5) < 0.4
    scores = torch.where(target, 1.0, -1.0) + 5 * embedding[:, :1]
    cuts = scores.flatten()[:, None, None]
    assert ((scores >= cuts) != target).flatten(1).sum(1).min() > 60
    head = ThresholdHead(n_features=2, n_classes=5, hidden=())
    fitted(head, 200, embedding, scores, target)
    assert torch.equal(head.decide(embedding, scores), target)


def test_counts_are_learnt_and_the_highest_scores_get_them():
    torch.manual_seed(0)
    number = torch.arange(40) % 4
    target = torch.arange(5) < number[:, None]
    scores = torch.arange(5.0).flip(0) + torch.randn(40, 1)
    head = CountHead(n_features=4, max_labels=3, hidden=(8,))
    fitted(head, 150, torch.eye(4)[number], target)
    assert torch.equal(head.decide(torch.eye(4)[number], scores), target)


@pytest.mark.parametrize(("number", "present"), list(enumerate([[], [1], [1, 2], [1, 2, 4], [0, 1, 2, 4]])))
def test_ties_go_to_the_first_classes(number, present):
    head = CountHead(n_features=1, max_labels=9, hidden=())
    with torch.no_grad():
        head.last.weight.zero_()
        head.last.bias.copy_(torch.eye(10)[number])
    scores = torch.tensor([[0.0, 2.0, 1.0, -math.inf, 1.0]])
    assert head.decide(torch.zeros(1, 1), scores)[0].nonzero()[:, 0].tolist() == present
    head.last.bias.data = torch.eye(10)[9]
    assert head.decide(torch.zeros(1, 1), scores).all()  # more than there are classes


def test_no_clips_cost_nothing():
    empty = torch.zeros(0, 4), torch.zeros(0, 5)
    for loss in (
        ThresholdHead(n_features=4, n_classes=5).loss(*empty, torch.zeros(0, 5)),
        CountHead(n_features=4).loss(empty[0], torch.zeros(0, 5)),
    ):
        loss.backward()
        assert loss == 0
    assert CountHead(n_features=4).decide(*empty).shape == (0, 5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_heads_work_in_other_dtypes(dtype):
    embedding, scores = EMBEDDING.to(dtype), SCORES.to(dtype)
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    threshold = ThresholdHead(n_features=4, n_classes=5).to(dtype)
    assert threshold.loss(embedding, scores, TARGET).dtype == exact
    assert threshold.decide(embedding, scores).shape == (6, 5)
    count = CountHead(n_features=4).to(dtype)
    assert count.loss(embedding, TARGET).dtype == exact
    assert count.decide(embedding, scores).shape == (6, 5)


@pytest.mark.slow
@pytest.mark.parametrize("head", [ThresholdHead(n_features=4, n_classes=5), CountHead(n_features=4)])
def test_heads_compile_and_load(head, tmp_path):
    given = (SCORES, TARGET) if isinstance(head, ThresholdHead) else (TARGET,)
    compiled = torch.compile(head.loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(EMBEDDING, *given), head.loss(EMBEDDING, *given))
    decide = torch.compile(head.decide, fullgraph=True, backend="aot_eager")
    assert torch.equal(decide(EMBEDDING, SCORES), head.decide(EMBEDDING, SCORES))
    torch.save(head.state_dict(), tmp_path / "head.pt")
    head.load_state_dict(torch.load(tmp_path / "head.pt", weights_only=True))
    assert "n_features=4" in repr(head)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ThresholdHead(n_features=0, n_classes=5),
            ValueError,
            "n_features: wanted an integer >= 1",
        ),
        (lambda: CountHead(n_features=4, max_labels=0), ValueError, "max_labels: wanted an integer >= 1"),
        (lambda: CountHead(n_features=4, hidden=(0,)), ValueError, "hidden: wanted an integer >= 1"),
        (lambda: CountHead(n_features=4, hidden=8), TypeError, "hidden: wanted a list of integers"),
        (
            lambda: CountHead(n_features=3).loss(EMBEDDING, TARGET),
            ValueError,
            r"embedding: wanted shape \(B, 3\)",
        ),
        (
            lambda: CountHead(n_features=4).loss(EMBEDDING, TARGET[:2]),
            ValueError,
            r"target: wanted shape \(6, C\)",
        ),
        (
            lambda: CountHead(n_features=4).loss(EMBEDDING, TARGET + 0.5),
            ValueError,
            "target: wanted only 0 and 1",
        ),
        (
            lambda: CountHead(n_features=4).decide(EMBEDDING, SCORES[:2]),
            ValueError,
            r"scores: wanted shape \(6, C\)",
        ),
        (
            lambda: ThresholdHead(n_features=4, n_classes=3).decide(EMBEDDING, SCORES),
            ValueError,
            r"scores: wanted shape \(6, 3\)",
        ),
        (
            lambda: ThresholdHead(n_features=4, n_classes=5).loss(EMBEDDING, SCORES, TARGET.float() / 2),
            ValueError,
            "target: wanted only 0 and 1",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_of_equal_scores_the_first_classes_are_present():
    """A sort that is not stable would choose others from about 17 classes on."""
    head = CountHead(n_features=4, max_labels=7, hidden=())
    torch.nn.init.zeros_(head.last.weight)
    head.last.bias.data = torch.nn.functional.one_hot(torch.tensor(7), 8).float()
    scores = torch.randint(0, 3, (6, 80), generator=torch.Generator().manual_seed(0)).float()
    for row, found in zip(scores.tolist(), head.decide(EMBEDDING, scores), strict=True):
        best = sorted(range(80), key=lambda label: (-row[label], label))[:7]
        assert found.nonzero()[:, 0].tolist() == sorted(best)
