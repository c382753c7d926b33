"""Private helpers that many parts share: checks of masks, lists of names, and chunks of rows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankaudio._checks import check_mask, first_few
from rankaudio._chunks import row_chunks


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


@given(st.integers(0, 50), st.integers(0, 20), st.integers(1, 100))
def test_chunks_cover_every_row_once_within_the_budget(rows, row_size, budget):
    values = torch.arange(rows)
    parts = [values[chunk] for chunk in row_chunks(rows, row_size, budget)]
    assert torch.equal(torch.cat([values[:0], *parts]), values)
    assert all(len(part) == 1 or len(part) * row_size <= budget for part in parts)
    assert all(len(part) > 0 for part in parts)
