"""A plan as plain values: ``--set``, RUN/plan.json, and what differs between two plans."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from freesound.json_file import read_json
from freesound.plans.base import Member, Plan
from freesound.setting import settings_of_fields
from freesound.settings import changed, flat, from_dict, to_dict, with_assignments
from rankaudio.data import write_text

P = TypeVar("P", bound=Plan)


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain values: its own parts by name, and ``members`` by name."""
    values = {name: to_dict(getattr(plan, name)) for name in own_parts(plan)}
    return values | {"members": {member.name: to_dict(member) for member in plan.members}}


def plan_from_dict(plan: P, values: Mapping[str, Any]) -> P:
    """Return a plan of the class of ``plan`` with values that :func:`plan_to_dict` returned.

    Raises:
        ValueError: if a name is unknown or a value is wrong.
    """
    missing = [name for name in own_parts(plan) if name not in values]
    if missing:
        raise ValueError(f"plan: wanted a part {missing[0]!r}, got {', '.join(values)}")
    parts = {
        name: from_dict(type(getattr(plan, name)), _with_tuples(values[name])) for name in own_parts(plan)
    }
    members = tuple(from_dict(Member, one) for one in values["members"].values())
    return replace(plan, members=members, **parts)


def own_parts(plan: Plan) -> list[str]:
    """Return the names of the parts of a plan that are not its members, such as ``rounds``."""
    return [field.name for field in fields(plan) if field.name != "members"]


def with_settings(plan: P, assignments: Iterable[str]) -> P:
    """Return a plan changed by words of the form ``NAME=VALUE``.

    ``optim.lr_max=3e-3`` changes all members, ``2d_rnn.optim.lr_max=3e-3`` one of them, and
    ``rounds.relabel=merge`` a part of the plan itself.

    Raises:
        ValueError: if a word has another form, or its name or value is wrong.
    """
    for word in assignments:
        part, _, rest = word.partition(".")
        if part in own_parts(plan):
            plan = replace(plan, **{part: _assigned(getattr(plan, part), part, rest)})
            continue
        of_one = part in {member.name for member in plan.members}
        plan = replace(
            plan,
            members=tuple(
                with_assignments(member, [rest if of_one else word])
                if not of_one or part == member.name
                else member
                for member in plan.members
            ),
        )
    return plan


def _assigned(settings: Any, part: str, word: str) -> Any:
    """Return one part of a plan, changed by ``NAME=VALUE``; a list is written with commas."""
    name, _, text = word.partition("=")
    known = settings_of_fields(type(settings))
    names = [field.name for field in fields(settings)]
    if name not in names:
        raise ValueError(f"--set: wanted a setting of {part} ({', '.join(names)}), got {name!r}")
    if name in known:
        return changed(settings, {name: known[name].parse(text)})
    return changed(settings, {name: _items(text)})


def _items(text: str) -> tuple[Any, ...]:
    """Return the items between commas: integers, numbers, or texts if one is no number."""
    items = text.split(",")
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return tuple(kind(item) for item in items)
    return tuple(items)


def write_plan(path: Path, *, system: str, cpus_per_step: int, plan: Plan) -> None:
    """Write ``plan.json``, from which ``recipe --plan`` repeats a run."""
    values = {"system": system, "cpus_per_step": cpus_per_step, "plan": plan_to_dict(plan)}
    write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def read_plan(path: Path) -> dict[str, Any]:
    """Return the values of a ``plan.json``.

    Raises:
        ValueError: if the file has another form; the message names it.
    """
    return read_json(path, "a plan.json of recipe", _is_plan_file)


def _is_plan_file(values: Any) -> bool:
    """Whether there are all parts, each of its type; their values are checked when a plan is made."""
    if not isinstance(values, dict):
        return False
    system, cpus, plan = (values.get(name) for name in ("system", "cpus_per_step", "plan"))
    if not (isinstance(system, str) and type(cpus) is int and cpus > 0 and isinstance(plan, dict)):
        return False
    members = plan.get("members")
    return isinstance(members, dict) and all(
        isinstance(one, dict) for one in (*plan.values(), *members.values())
    )


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs between two plans, such as "optim.seed 42, now 1", as short as possible."""
    before, now = dict(before), dict(now)
    members = before.pop("members"), now.pop("members")
    if members[0].keys() != members[1].keys():
        lists = [", ".join(one) for one in members]
        return [f"members {lists[0]}, now {lists[1]}"]
    found: dict[str, list[str]] = defaultdict(list)
    for name in members[0]:
        for text in _differences(members[0][name], members[1][name]):
            found[text].append(name)
    count = len(members[0])
    shared = [text if len(names) == count else f"{', '.join(names)}: {text}" for text, names in found.items()]
    return _differences(before, now) + shared


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    before, now = flat(before), flat(now)
    return [
        f"{name} {before.get(name)!r}, now {now.get(name)!r}"
        for name in dict.fromkeys([*now, *before])
        if before.get(name) != now.get(name)
    ]


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with tuples in place of the lists of JSON."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
