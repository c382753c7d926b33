"""A seed draws the same numbers in each release, so that a training can be repeated after an upgrade."""

import json
from pathlib import Path

import pytest
import torch

from contract_table import CASES
from rankaudio.data import LengthBucketSampler, PoolSampler, multilabel_folds, random_folds
from rankaudio.ensemble import WindowMean

# The numbers were drawn with torch 2.13 on a CPU. A new Module needs a line.
FILE = Path(__file__).parent / "helpers" / "draws.json"
KNOWN = json.loads(FILE.read_text(encoding="utf-8"))


def as_numbers(draw):
    """Nested lists and dictionaries of the numbers of a draw."""
    if isinstance(draw, torch.Tensor):
        return draw.tolist()
    if isinstance(draw, dict):
        return {str(name): as_numbers(value) for name, value in draw.items()}
    return [as_numbers(value) for value in draw] if isinstance(draw, list | tuple) else draw


def random_case(name):
    """The draw of a random Module of the table of contracts."""
    case = CASES[name]
    module, inputs = case.built(), case.inputs(3)
    longest = inputs[0].shape[-1]
    lengths, generator = torch.tensor([longest, longest // 3, 2]), torch.Generator().manual_seed(3)
    if name == "chain":
        return as_numbers(module.record(*inputs, lengths, generator=generator)[-1])
    return as_numbers(module.draw(inputs[0], lengths, generator=generator))


def other_draws():
    """What is drawn outside of Modules."""
    pools = [range(5), range(5, 9)]
    pool_sampler = PoolSampler(pools, shares=[0.75, 0.25], draws_per_epoch=12, batch_size=4, seed=3)
    lengths, generator = torch.arange(1, 25) ** 2, torch.Generator().manual_seed(3)
    kept = WindowMean().draw(torch.zeros(2, 3, 6, 4), torch.tensor([6, 3, 1]), generator=generator)
    by_length = LengthBucketSampler(lengths, max_samples=2000, seed=3)
    labels = torch.arange(120)[:, None] % torch.tensor([2, 3, 50, 7]) == 1
    return {
        "sampler": list(by_length),
        "sampler, next epoch": list(by_length),
        "pools": list(pool_sampler),
        "pools, next epoch": list(pool_sampler),
        "folds by label": as_numbers(multilabel_folds(labels, n_folds=5, seed=3)),
        "folds by group": as_numbers(
            multilabel_folds(labels, n_folds=5, seed=3, groups=torch.arange(120).square() % 53)
        ),
        "folds": as_numbers(random_folds(9, n_folds=3, seed=3)),
        "window mean": as_numbers(kept),
    }


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.random])
def test_a_module_draws_what_it_drew(name):
    drawn = random_case(name)
    assert name in KNOWN, f"add this line to {FILE.name}:\n{json.dumps(name)}: {json.dumps(drawn)},"
    assert_close(drawn, KNOWN[name])


OTHERS = ["sampler", "sampler, next epoch", "pools", "pools, next epoch"]
OTHERS += ["folds", "folds by label", "folds by group", "window mean"]


@pytest.mark.parametrize("name", OTHERS)
def test_samplers_and_folds_draw_what_they_drew(name):
    assert_close(other_draws()[name], KNOWN[name])


def assert_close(now, known):
    """Compare nested numbers; float64 numbers differ from float32 ones."""
    if isinstance(known, dict):
        assert now.keys() == known.keys()
        for name, value in known.items():
            assert_close(now[name], value)
    elif isinstance(known, list):
        assert len(now) == len(known)
        for one, other in zip(now, known, strict=True):
            assert_close(one, other)
    else:
        assert now == pytest.approx(known, rel=1e-9)
