"""Blends of tables against dictionaries: joins by the names of clips and classes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rankaudio.data import ScoreTable
from rankaudio.ensemble import blend, blend_tables, stack_tables

seeds = st.integers(0, 2**32 - 1)


def tables(*rows, classes=("Bark", "Meow"), seed=0):
    """Make one table for each list of clips, with rows and columns in random order."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for names in rows:
        mixed = [names[i] for i in torch.randperm(len(names), generator=generator).tolist()]
        labels = [classes[i] for i in torch.randperm(len(classes), generator=generator).tolist()]
        made.append(ScoreTable(mixed, labels, torch.rand(len(mixed), len(labels), generator=generator) + 0.1))
    return made


def look_up(table):
    """{(clip, class): score}."""
    return {
        (name, label): table.scores[i, j].item()
        for i, name in enumerate(table.names)
        for j, label in enumerate(table.classes)
    }


@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True), min_size=1, max_size=4),
    seeds,
    st.sampled_from(["mean", "geometric"]),
)
def test_tables_are_joined_by_the_names_of_clips_and_classes(rows, seed, method):
    members = tables(*rows, classes=("x", "y", "z"), seed=seed)
    weights = [0.5, 3.0, 1.0, 2.0][: len(members)]
    ours = look_up(blend_tables(members, weights=weights, method=method))
    assert {name for name, _ in ours} == {name for row in rows for name in row}
    for key, score in ours.items():
        have = [(look_up(t)[key], w) for t, w in zip(members, weights, strict=True) if key[0] in t.names]
        values, factors = zip(*have, strict=True)
        mean = stats.gmean if method == "geometric" else np.average
        assert score == pytest.approx(float(mean(np.array(values), weights=factors)), rel=1e-6)


def test_out_of_fold_tables_of_disjoint_clips_are_put_together():
    first, second = tables(["a", "b"], ["c"])
    whole = blend_tables([first, second], weights=[0.3, 9])
    assert whole.names == (*first.names, "c")
    assert whole.classes == first.classes
    expected = look_up(first) | look_up(second)
    assert look_up(whole) == pytest.approx(expected, rel=1e-7)


def test_a_stack_marks_what_is_missing_and_follows_the_names_asked_for():
    members = tables(["a", "b", "c"], ["c", "d"])
    stack = stack_tables(members, names=["d", "c", "a"], classes=["Meow", "Bark"])
    assert stack.names == ("d", "c", "a")
    assert stack.classes == ("Meow", "Bark")
    assert stack.present.tolist() == [[False, True, True], [True, True, False]]
    assert torch.equal(stack.scores.isnan(), ~stack.present[..., None].expand_as(stack.scores))
    assert stack.scores[1, 0, 1].item() == look_up(members[1])["d", "Bark"]
    wanted = blend_tables(members, names=["d", "c", "a"], classes=["Meow", "Bark"], method="rank")
    by_hand = blend(stack.scores, present=stack.present, method="rank")
    assert torch.equal(wanted.scores, by_hand)
    assert (wanted.names, wanted.classes) == (stack.names, stack.classes)
    with pytest.raises(ValueError, match=r"scores\[0\]: wanted numbers, got nan for clip 0, class 0"):
        blend(stack.scores)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tables": []}, ValueError, "tables: wanted at least one, got none"),
        ({"tables": tables(["a"])[0]}, TypeError, "tables: wanted a list of ScoreTable, got ScoreTable"),
        ({"tables": [torch.ones(1, 2)]}, TypeError, r"tables\[0\]: wanted a ScoreTable, got a float32"),
        (
            {"tables": [*tables(["a"]), *tables(["a"], classes=("Bark", "Moo"))]},
            ValueError,
            r"tables\[1\]: wanted the 2 classes of the blend, got 1 missing: 'Meow'$",
        ),
        (
            {"tables": [*tables(["a"]), *tables(["a"], classes=("Bark", "Meow", "Moo"))]},
            ValueError,
            r"tables\[1\]: wanted the 2 classes of the blend, got 1 unknown: 'Moo'$",
        ),
        ({"classes": ["Bark"]}, ValueError, r"tables\[0\]: wanted the 1 classes .* got 1 unknown: 'Meow'$"),
        ({"classes": ["Bark", "Bark"]}, ValueError, "classes: wanted different names, got 'Bark' twice"),
        ({"names": ["b", "c"]}, ValueError, "names: wanted clips of the tables, got 1 unknown: 'c'$"),
        ({"names": list("bcdefgh")}, ValueError, r"got 6 unknown: 'c', 'd', 'e', 'f', 'g', \.\.\.$"),
        ({"names": ["a", "a"]}, ValueError, "names: wanted different names, got 'a' twice"),
        ({"names": "ab"}, TypeError, "names: wanted a list of strings, got 'ab'"),
        (
            {"tables": [ScoreTable(("u", "v"), ("x", "y"), torch.tensor([[0, 0], [1, math.nan]]))]},
            ValueError,
            r"tables\[0\]: wanted numbers, got nan for clip 'v', class 'y'$",
        ),
        (
            {
                "tables": [ScoreTable(("u", "v"), ("x", "y"), torch.tensor([[0, 0], [-1.0, 1]]))],
                "method": "geometric",
            },
            ValueError,
            r"tables\[0\]: wanted numbers >= 0 .*, got -1.0 for clip 'v', class 'x'$",
        ),
        ({"weights": [1, 2, 3]}, ValueError, "weights: wanted one for each of the 2 members, got 3"),
    ],
)
def test_bad_tables_are_named(change, error, message):
    arguments = {"tables": tables(["a"], ["b"])} | change
    with pytest.raises(error, match=message):
        blend_tables(arguments.pop("tables"), **arguments)


def test_a_score_that_is_nan_is_named_by_stack_and_blend():
    good, bad = tables(["a", "b"], ["a", "b"])
    bad.scores[bad.names.index("b"), bad.classes.index("Meow")] = math.nan
    for join in (stack_tables, blend_tables):
        with pytest.raises(ValueError, match=r"tables\[1\]: wanted numbers, got nan .*'b'.*'Meow'"):
            join([good, bad])
