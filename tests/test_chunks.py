"""Some rows or clips at a time: every row is in one chunk, and no chunk is larger than its budget."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankaudio._chunks import row_chunks, rows_per_chunk
from rankaudio.effects._cached import cached


@given(st.integers(0, 40), st.integers(0, 60), st.integers(1, 200))
def test_chunks_are_as_large_as_the_budget_allows(rows, row_size, budget):
    chunks = [range(rows)[chunk] for chunk in row_chunks(rows, row_size, budget)]
    assert [row for chunk in chunks for row in chunk] == list(range(rows))
    for chunk in chunks:
        assert len(chunk) == 1 or len(chunk) * row_size <= budget
    for chunk in chunks[:-1]:
        assert len(chunk) == rows_per_chunk(row_size, budget)
        assert (len(chunk) + 1) * max(1, row_size) > budget


@pytest.mark.parametrize("compiling", [False, True])
def test_a_constant_is_stored_except_in_a_graph(monkeypatch, compiling):
    built = []

    @cached
    def constant(device, dtype):
        built.append((device, dtype))
        return torch.full((2,), 3.0, device=device, dtype=dtype)

    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    cpu = torch.device("cpu")
    found = [constant(cpu, dtype) for dtype in (torch.float32, torch.float64, torch.float32)]
    assert [each.dtype for each in found] == [torch.float32, torch.float64, torch.float32]
    assert len(built) == (3 if compiling else 2)
    assert (found[0] is found[2]) == (not compiling)
