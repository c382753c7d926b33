"""One setting: its type, its range, its default and its help text.

A setting is read from a field of a dataclass, or from an argument of a class's constructor. Options of the
command line, keys of a TOML file and ``--set NAME=VALUE`` are all checked here.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "text"}


@dataclass(frozen=True)
class Setting:
    """A value of type ``kind``, or None if ``optional``; the bounds are for numbers."""

    name: str
    kind: type
    default: Any
    text: str = ""
    optional: bool = False
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    metavar: str | None = None

    @property
    def wanted(self) -> str:
        """The values that it takes, in words."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        words = [KINDS[self.kind]]
        bounds = {"from": self.low, "to": self.high, "above": self.above, "below": self.below}
        words += [f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound)]
        return " ".join(words)

    def check(self, value: object) -> Any:
        """Return the value, an integer as a float where the setting is a float; ValueError if it is wrong."""
        if value is None and self.optional:
            return None
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        right = isinstance(value, self.kind) and isinstance(value, bool) == (self.kind is bool)
        if not right or not self._in_range(value):
            raise ValueError(f"{self.name}: wanted {self.wanted}, got {value!r}")
        return value

    def parse(self, text: str) -> Any:
        """Return the value that a text stands for; ValueError if it stands for none."""
        if self.optional and text.lower() == "none":
            return None
        try:
            value = {"true": True, "false": False}[text.lower()] if self.kind is bool else self.kind(text)
        except (ValueError, KeyError) as error:
            raise ValueError(f"{self.name}: wanted {self.wanted}, got {text!r}") from error
        return self.check(value)

    def _in_range(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if self.kind not in (int, float):
            return True
        return bool(self.low <= value <= self.high and self.above < value < self.below)


def option(
    default: Any,
    text: str,
    *,
    choices: Sequence[str] = (),
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    metavar: str | None = None,
) -> Any:
    """Make a field of a dataclass with its help text, its choices and the range of its values."""
    about = {"text": text, "choices": tuple(choices), "low": low, "high": high}
    about |= {"above": above, "below": below, "metavar": metavar}
    return dataclasses.field(default=default, metadata=about)


class Checked:
    """Base of the settings: every value is checked when an object is made."""

    def __post_init__(self) -> None:
        for name, setting in settings_of_fields(type(self)).items():
            object.__setattr__(self, name, setting.check(getattr(self, name)))


def settings_of_fields(cls: type) -> dict[str, Setting]:
    """Return the settings of a dataclass by name; fields that hold other dataclasses are left out."""
    hints = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        kind, optional, choices = _kind(hints[field.name])
        if kind is not None:
            about = {"choices": choices} | dict(field.metadata)
            found[field.name] = Setting(field.name, kind, field.default, optional=optional, **about)
    return found


def settings_of_arguments(cls: type) -> dict[str, Setting]:
    """Return the settings of a class by name: the keyword-only arguments of its constructor.

    Types and defaults are those of the signature. The text is that of the ``Args`` section in the docstring.
    """
    hints, texts = typing.get_type_hints(cls.__init__), dict(_argument_texts(cls))
    found = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        kind, optional, choices = _kind(hints.get(name))
        if parameter.kind is parameter.KEYWORD_ONLY and kind is not None:
            default, text = parameter.default, texts.get(name, "")
            found[name] = Setting(name, kind, default, text, optional=optional, choices=choices)
    return found


def _kind(hint: Any) -> tuple[type | None, bool, tuple[str, ...]]:
    """Type, whether None is allowed, and choices; the type is None if the hint is no plain type."""
    optional = False
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        others = [one for one in typing.get_args(hint) if one is not types.NoneType]
        optional = len(others) < len(typing.get_args(hint))
        hint = others[0] if len(others) == 1 else None
    if typing.get_origin(hint) is typing.Literal and all(isinstance(c, str) for c in typing.get_args(hint)):
        return str, optional, typing.get_args(hint)
    return (hint if hint in KINDS else None), optional, ()


def _argument_texts(cls: type) -> Iterator[tuple[str, str]]:
    """Name and text of each argument in a Google-style docstring, without the markup."""
    doc = inspect.getdoc(cls) or ""
    section = re.search(r"^Args:\n((?:[ ]+.*\n|\n)*)", doc + "\n", flags=re.MULTILINE)
    if section is None:
        return
    for name, text in re.findall(r"^ {4}(\w+): ((?:.*\n)(?: {5,}.*\n)*)", section[1], flags=re.MULTILINE):
        plain = re.sub(r":\w+:`~?([^`]*)`", r"\1", " ".join(text.split()))
        yield name, plain.replace("`", "").rstrip(".")
