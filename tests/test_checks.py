"""Private helpers that many parts share: checks of masks, lists of names, and chunks of rows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankaudio._checks import check_floating, check_mask, first_few
from rankaudio._chunks import row_chunks
from rankaudio._messages import describe


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        ([True, False], TypeError, r"keep: wanted a torch.Tensor, got \[True, False\]"),
        (torch.ones(2), TypeError, "keep: wanted a bool tensor, got a float32 tensor"),
        (torch.ones(3, dtype=torch.bool), ValueError, r"keep: wanted shape \(2,\), got a bool tensor"),
        (torch.ones(2, dtype=torch.bool, device="meta"), ValueError, "keep: wanted a tensor on cpu, got"),
    ],
)
def test_bad_masks_are_named(mask, error, message):
    with pytest.raises(error, match=message):
        check_mask("keep", mask, (2,), like=torch.zeros(2))


def test_a_good_mask_is_returned_as_it_is():
    mask = torch.tensor([True, False])
    assert check_mask("keep", mask, torch.Size([2]), like=mask) is mask


@pytest.mark.parametrize(
    ("count", "listed"), [(0, ""), (1, "'0'"), (3, "'0', '1', '2'"), (4, "'0', '1', '2', ...")]
)
def test_long_lists_end_with_dots(count, listed):
    assert first_few(map(str, range(count)), most=3) == listed
    assert first_few(map(str, range(count)), most=3, show=str) == listed.replace("'", "")


@pytest.mark.parametrize(
    ("name", "axes", "cured"),
    [("clip", 1, True), ("clip", 0, False), ("clip", 3, False), ("clips[0]", 1, False)],
)
def test_only_a_single_clip_is_told_to_add_an_axis(name, axes, cured):
    with pytest.raises(ValueError, match=r"wanted 2 axes") as error:
        check_floating(name, torch.ones((2,) * axes), ndim=(2,))
    assert (f"(a single clip is {name}[None])" in str(error.value)) == cured


class WithShape:
    """Like a table of pandas, which has a shape and no dtype."""

    shape = (2, 3)


class WithDtype:
    """Like a scalar type of other libraries."""

    dtype = "float32"


@pytest.mark.parametrize("value", [WithShape(), WithDtype(), WithShape, WithDtype])
def test_what_only_looks_like_an_array_is_described_as_it_is(value):
    assert describe(value).endswith(f"({type(value).__name__})")


@given(st.integers(0, 50), st.integers(0, 20), st.integers(1, 100))
def test_chunks_cover_every_row_once_within_the_budget(rows, row_size, budget):
    values = torch.arange(rows)
    parts = [values[chunk] for chunk in row_chunks(rows, row_size, budget)]
    assert torch.equal(torch.cat([values[:0], *parts]), values)
    assert all(len(part) == 1 or len(part) * row_size <= budget for part in parts)
    assert all(len(part) > 0 for part in parts)
