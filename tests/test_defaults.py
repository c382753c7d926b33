"""A function and its Module have the same defaults, which are written in both."""

import inspect
import re

from public_names import public_names


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
