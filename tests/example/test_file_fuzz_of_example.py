"""Any state of training or of a download, settings and plan: the content, or an error that names the file."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from freesound.plan_file import read_plan, write_plan
from freesound.plans.base import Member
from freesound.plans.third import PLANS
from freesound.settings import read_member, to_dict, to_toml
from freesound.state import read_state, write_state
from fuzzing import bits, changed_dicts, flipped, limits, outcome, plain, with_part
from tools.download.parts import Part

LIMITS = limits(40)


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "state.pt"
    optimizer = {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(4)}},
        "param_groups": [{"lr": 0.1}],
    }
    content = {"clips": "abc", "progress": {"epoch": 1, "best": 0.5}, "model": {"w": torch.arange(4.0)}}
    write_state(
        path, content | {"updates": {"optimizer": optimizer}, "average": None, "training_log": [1, 2]}
    )
    return path, path.read_bytes()


@LIMITS
@given(bits)
def test_a_state_with_any_flipped_bits(tmp_path, state, bits):
    path = tmp_path / "state.pt"
    path.write_bytes(flipped(state[1], bits))
    read = outcome(path, read_state)
    assert read is None or torch.equal(read["model"]["w"], torch.arange(4.0))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@LIMITS
@given(bits | st.binary(max_size=40))
def test_a_state_with_any_pickle(tmp_path, state, change):
    """The checksums are right, so the bytes reach PyTorch."""
    path = tmp_path / "state.pt"
    is_whole = isinstance(change, bytes)
    with_part(state[0], path, "data.pkl", lambda body: change if is_whole else flipped(body, change))
    outcome(path, read_state)


JSON = plain.map(lambda value: json.dumps(value, default=str, skipkeys=True))


@LIMITS
@given(st.data())
def test_any_plan_and_any_state_of_a_download(tmp_path, data):
    path = tmp_path / "plan.json"
    write_plan(path, system="third", cpus_per_step=1, plan=PLANS["small"])
    changed = changed_dicts(json.loads(path.read_text())).map(lambda value: json.dumps(value, default=str))
    text = data.draw(st.one_of(changed, JSON, st.text(max_size=40)))
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    outcome(path, read_plan)
    state = tmp_path / ".download" / "meta.json"
    state.parent.mkdir(exist_ok=True)
    state.write_text(text, encoding="utf-8", errors="surrogatepass")
    part = Part("meta", tmp_path, ())
    outcome(state, lambda _: part.is_complete())


@LIMITS
@given(st.data())
def test_any_settings(tmp_path, data):
    path, usual = tmp_path / "settings.toml", to_toml(to_dict(Member()))
    lines = usual.splitlines()
    place = data.draw(st.integers(0, len(lines) - 1))
    name = lines[place].partition(" = ")[0]
    values = ["-1", "1e999", "nan", "[]", "{}", '"x"', "true", "9" * 40, "[[1]]", "2020-01-01", "", "\0"]
    lines[place] = data.draw(
        st.sampled_from([f"{name} = {value}" for value in values]) | st.text(max_size=20)
    )
    path.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    member = outcome(path, read_member)
    assert member is None or isinstance(member, Member)
