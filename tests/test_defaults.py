"""A function and its Module have the same defaults, and each public default is the one in the table."""

import inspect
import re
from pathlib import Path

from public_names import public_callables, public_names


def defaults(function):
    return {
        name: parameter.default
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty and parameter.kind is parameter.KEYWORD_ONLY
    }


def twins():
    """Pairs of a function and the Module whose name is the same in other letters."""
    names = {name: value for name, value in public_names().items() if callable(value)}
    plain = {
        re.sub("[^a-z0-9]", "", name.lower()): value for name, value in names.items() if name[0].islower()
    }
    for name, value in names.items():
        other = plain.get(name.lower()) or plain.get(name.lower() + "loss")
        if name[0].isupper() and other is not None:
            yield name, value, other


def test_twins_have_the_same_defaults():
    differ, compared = [], 0
    for name, module, function in twins():
        shared = defaults(module).keys() & defaults(function).keys()
        compared += len(shared)
        differ += [
            f"{name}: {one}: {defaults(module)[one]!r}, function {defaults(function)[one]!r}"
            for one in sorted(shared)
            # An effect draws from a range, where its function has a number.
            if defaults(module)[one] != defaults(function)[one]
            and not isinstance(defaults(module)[one], tuple)
        ]
    assert not differ
    assert compared > 60


def test_each_public_default_is_in_the_table():
    """A default is part of the interface, so nobody changes one by accident. None needs no line."""
    table = set((Path(__file__).parent / "helpers" / "defaults.txt").read_text(encoding="utf-8").splitlines())
    now = {
        f"{name}({argument}={parameter.default!r})"
        for name, function in public_callables()
        for argument, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty and parameter.default is not None
    }
    changes = [f"- {line}" for line in sorted(table - now)] + [f"+ {line}" for line in sorted(now - table)]
    assert not changes, "tests/helpers/defaults.txt differs:\n" + "\n".join(changes)
