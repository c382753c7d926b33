"""lwlrap of a blend from the pairs about which the members disagree, against lwlrap of the blend."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from rankaudio import lwlrap
from rankaudio._ties import mid_ranks, sort_rows, tie_starts
from rankaudio.ensemble import _pairs


@st.composite
def problems(draw):
    """Members with scores and weights of few values, so that ties and agreement are frequent."""
    members, clips, classes = draw(st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6)))
    number = st.integers(-2, 2).map(float)
    scores = draw(st.lists(number, min_size=members * clips * classes, max_size=members * clips * classes))
    target = draw(st.lists(st.booleans(), min_size=clips * classes, max_size=clips * classes))
    weights = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=members, max_size=members))
    shape = (members, clips, classes)
    return torch.tensor(scores).reshape(shape), torch.tensor(target).reshape(shape[1:]), torch.tensor(weights)


@pytest.mark.parametrize("chunk", [1, 2**20])
@given(problem=problems())
def test_it_is_lwlrap_of_the_blend(problem, chunk):
    scores, target, weights = problem
    assume(target.any() and weights.any())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pairs, "CHUNK", chunk)
        found = _pairs.BlendedPrecisions(scores, target).lwlrap(weights)
    blended = (weights[:, None, None] * scores).sum(0)  # exact in these numbers
    assert found == pytest.approx(float(lwlrap(blended, target)), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rows_are_sorted_with_their_ties(dtype):
    infinity = float("inf")
    row = [0.0, -0.0, -1.5, infinity, -infinity, 2.0, -1.5, -1.0, 2.0, infinity]
    scores = torch.tensor([row, row[::-1]], dtype=dtype)
    order, changes = sort_rows(scores)
    ranked = scores.gather(-1, torch.from_numpy(order))
    assert (ranked[:, 1:] >= ranked[:, :-1]).all()
    assert torch.equal(torch.from_numpy(changes), ranked[:, 1:] > ranked[:, :-1])
    below = (scores[:, None] < scores[:, :, None]).sum(-1)
    equal = (scores[:, None] == scores[:, :, None]).sum(-1)
    assert torch.equal(
        torch.from_numpy(tie_starts(changes)).long(), below.gather(-1, torch.from_numpy(order))
    )
    assert torch.equal(mid_ranks(scores), below + (equal - 1) / 2)
