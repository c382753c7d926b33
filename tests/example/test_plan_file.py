"""A plan as values: --set, plan.json, and what differs."""

import json

import pytest

import freesound2019
from freesound.plan_file import (
    differences,
    plan_from_dict,
    plan_to_dict,
    read_plan,
    with_settings,
    write_plan,
)
from freesound.plans.third import PLANS
from freesound.recipe import earlier_plan
from freesound.steps import total_time

SMALL = PLANS["small"]


def test_a_setting_of_all_members():
    plan = with_settings(SMALL, ["optim.lr_max=3e-3", "clips.folds=2"])
    assert {member.optim.lr_max for member in plan.members} == {3e-3}
    assert {member.clips.folds for member in plan.members} == {2}
    assert plan.rounds == SMALL.rounds


def test_a_setting_of_one_member():
    plan = with_settings(SMALL, ["2d_rnn.network.rnn_units=16", "2d_rnn.optim.epochs=2"])
    changed = [a.name for a, b in zip(SMALL.members, plan.members, strict=True) if a != b]
    assert changed == ["2d_rnn"]
    assert plan.member("2d_rnn").optim.epochs == 2
    assert plan.member("2d_rnn").network.settings["rnn_units"] == 16
    assert plan.member("2d_rnn").network.settings["base_depth"] == 8


def test_settings_of_the_plan():
    words = [
        "rounds.sizes=1,2,3,4,5",
        "rounds.relabel=merge",
        "rounds.balanced=true",
        "rounds.mean_labels=1.5",
    ]
    rounds = with_settings(SMALL, words).rounds
    assert (rounds.sizes, rounds.relabel, rounds.balanced, rounds.mean_labels) == (
        (1, 2, 3, 4, 5),
        "merge",
        True,
        1.5,
    )
    assert rounds.selectors == SMALL.rounds.selectors


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("speed=3", "--set: wanted PART.NAME=VALUE"),
        ("optim.speed=3", "wanted a setting of optim"),
        ("2d_rnn.optim.speed=3", "wanted a setting of optim"),
        ("optim.epochs=0", "epochs: wanted an integer from 1, got 0"),
        (
            "rounds.size=3",
            "wanted a setting of rounds .sizes, selectors, balanced, relabel, mean_labels., got 'size'",
        ),
        ("rounds.sizes=1,2", "rounds.sizes: wanted 5, one for each round, got 2"),
        ("rounds.relabel=some", "relabel: wanted one of all, merge, match"),
        ("rounds.mean_labels=0", "mean_labels: wanted a number above 0"),
    ],
)
def test_settings_that_are_wrong(word, message):
    with pytest.raises(ValueError, match=message):
        with_settings(SMALL, [word])


def test_a_file_gives_the_same_plan(tmp_path):
    plan = with_settings(SMALL, ["rounds.mean_labels=2", "1d_rnn.optim.clip_norm=1"])
    write_plan(tmp_path / "plan.json", system="third", cpus_per_step=3, plan=plan)
    values = read_plan(tmp_path / "plan.json")
    assert (values["system"], values["cpus_per_step"]) == ("third", 3)
    assert plan_from_dict(PLANS["full"], values["plan"]) == plan


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "null", "5", "[" * 100_000, '{"system": "third"}', "\udcff"),
        '{"system": ["third"], "cpus_per_step": 1, "plan": {"members": {}}}',
        '{"system": "third", "cpus_per_step": true, "plan": {"members": {}}}',
        '{"system": "third", "cpus_per_step": 1, "plan": []}',
        '{"system": "third", "cpus_per_step": 1, "plan": {}}',
        '{"system": "third", "cpus_per_step": 1, "plan": {"members": {"a": 5}}}',
    ],
)
def test_a_file_that_is_no_plan(tmp_path, text):
    (tmp_path / "it.json").write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match="it.json: wanted a plan.json of recipe"):
        read_plan(tmp_path / "it.json")


@pytest.mark.parametrize(
    ("members", "more", "message"),
    [
        ({}, {}, "wanted a part 'rounds'"),
        ({"a": {"optim": 5}}, {"rounds": {}}, "optim: wanted settings by name, got 5"),
        ({"a": {"optim": {"epochs": "many"}}}, {"rounds": {}}, "epochs: wanted an integer"),
        ({"a": {"nothing": 1}}, {"rounds": {}}, "wanted name, sound"),
        ({}, {"rounds": {"sizes": 3}}, "it.json"),
    ],
)
def test_a_plan_with_wrong_values_is_named(tmp_path, members, more, message):
    plan = {"members": members, **more}
    text = json.dumps({"system": "third", "cpus_per_step": 1, "plan": plan})
    (tmp_path / "it.json").write_text(text)
    words = ["recipe", "--data", tmp_path, "--run", tmp_path / "run", "--plan", tmp_path / "it.json"]
    with pytest.raises(SystemExit, match=f"it.json: .*{message}" if message != "it.json" else message):
        freesound2019.main([str(word) for word in [*words, "--dry-run", "--device", "cpu"]])
    (tmp_path / "run").mkdir()
    (tmp_path / "it.json").rename(tmp_path / "run" / "plan.json")
    with pytest.raises(ValueError, match="holds a run of another plan"):
        earlier_plan(tmp_path / "run", "third", SMALL)


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"seconds": "x", "cpu_seconds": 1}'])
def test_times_of_another_form_are_named(tmp_path, text):
    (tmp_path / "times").mkdir()
    (tmp_path / "times" / "a.json").write_text(text)
    with pytest.raises(ValueError, match="a.json: wanted the times of a step"):
        total_time(["a"], tmp_path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["optim.seed=1"], ["optim.seed 42, now 1"]),
        (["2d_rnn.optim.seed=1", "1d_rnn.optim.seed=1"], ["2d_rnn, 1d_rnn: optim.seed 42, now 1"]),
        (
            ["rounds.balanced=true", "optim.clip_norm=1"],
            ["rounds.balanced False, now True", "optim.clip_norm None, now 1.0"],
        ),
    ],
)
def test_differences(words, expected):
    before, now = (json.loads(json.dumps(plan_to_dict(p))) for p in (SMALL, with_settings(SMALL, words)))
    assert differences(before, now) == expected


def test_difference_of_members():
    before = plan_to_dict(SMALL)
    now = before | {"members": {name: before["members"][name] for name in ("2d_max", "2d_rnn")}}
    (text,) = differences(before, now)
    assert text.startswith("members 2d_max, 2d_max_r1, ")
    assert text.endswith(", 1d_rnn, now 2d_max, 2d_rnn")
