"""Settings as plain values and as TOML: how a plan is read, changed and written.

The keys of a file are the names of the fields, in one table for each part: ``optim.lr_max``. The settings of
a network stand in the table ``network`` with the name of its class.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from freesound.plans.base import Member, Network, network_settings
from freesound.regular_file import read_text
from freesound.setting import Setting, settings_of_fields

T = TypeVar("T")

# A table of settings.toml that is compared when a run is resumed, and is no setting.
CHECKS = "checks"


def to_dict(settings: Any) -> dict[str, Any]:
    """Return settings as plain values, dataclasses within them as dictionaries; None is left out."""
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    if isinstance(settings, Network):
        values |= values.pop("settings")
    values = {name: to_dict(v) if dataclasses.is_dataclass(v) else v for name, v in values.items()}
    return {name: value for name, value in values.items() if value is not None}


def from_dict(cls: type[T], values: Mapping[str, Any]) -> T:
    """Make settings of plain values; what is not there has its default.

    Raises:
        ValueError: if a name is unknown or a value is wrong.
    """
    return changed(cls(), values)


def changed(settings: T, values: Mapping[str, Any]) -> T:
    """Return settings with other values; ``values`` may have dictionaries for the parts.

    Raises:
        ValueError: if a name is unknown or a value is wrong.
        TypeError: if a part is not given as a dictionary.
    """
    if isinstance(settings, Network):
        return _changed_network(settings, values)  # type: ignore[return-value]
    names = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    unknown = [name for name in values if name not in names]
    if unknown:
        raise ValueError(f"{type(settings).__name__}: wanted {', '.join(names)}, got {unknown[0]}")
    new = {name: _changed_value(name, getattr(settings, name), value) for name, value in values.items()}
    return dataclasses.replace(settings, **new)  # type: ignore[type-var]


def _changed_value(name: str, before: Any, value: Any) -> Any:
    if not dataclasses.is_dataclass(before):
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: wanted settings by name, got {value!r}")
    return changed(before, value)


def _changed_network(network: Network, values: Mapping[str, Any]) -> Network:
    own = {name: value for name, value in values.items() if name in ("name", "start_from")}
    settings = {name: value for name, value in values.items() if name not in own}
    # Another class keeps the settings that it has too.
    new = dataclasses.replace(network, settings={}, **own)
    kept = {name: value for name, value in network.settings.items() if name in network_settings(new.name)}
    return dataclasses.replace(new, settings={**kept, **settings})


def with_assignments(member: Member, assignments: Iterable[str]) -> Member:
    """Return a member changed by words of the form ``optim.lr_max=3e-3``.

    Raises:
        ValueError: if a word has another form, or its name or value is wrong.
    """
    for word in assignments:
        name, equals, text = word.partition("=")
        part, dot, key = name.strip().partition(".")
        if not (equals and dot):
            raise ValueError(f"--set: wanted PART.NAME=VALUE, such as optim.lr_max=3e-3, got {word!r}")
        parts = [field.name for field in dataclasses.fields(member) if field.name != "name"]
        if part not in parts:
            raise ValueError(f"--set: wanted one of the parts {', '.join(parts)}, got {part!r}")
        known = settings_by_name(getattr(member, part))
        if key not in known:
            raise ValueError(f"--set: wanted a setting of {part} ({', '.join(known)}), got {key!r}")
        member = changed(member, {part: {key: known[key].parse(text.strip())}})
    return member


def settings_by_name(part: Any) -> dict[str, Setting]:
    """Return the settings of one part of a member."""
    known = settings_of_fields(type(part))
    return known | network_settings(part.name) if isinstance(part, Network) else known


def read_member(path: Path) -> Member:
    """Read the settings of a model from a TOML file.

    Raises:
        ValueError: if it is not TOML, a name is unknown or a value is wrong; the message names the file.
    """
    values = read_toml(path)
    values.pop(CHECKS, None)
    try:
        return from_dict(Member, values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; the message of an error names it."""
    try:
        return tomllib.loads(read_text(path))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: wanted TOML: {error}") from error


def to_toml(values: Mapping[str, Any]) -> str:
    """Write plain values as TOML: first those of the top, then a table for each dictionary."""
    plain = {name: value for name, value in values.items() if not isinstance(value, Mapping)}
    text = _lines(plain)
    for name, value in values.items():
        if isinstance(value, Mapping):
            text += f"\n[{name}]\n{_lines(value)}"
    return text


def _lines(values: Mapping[str, Any]) -> str:
    return "".join(f"{name} = {_toml_value(value)}\n" for name, value in values.items())


def _toml_value(value: Any) -> str:
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    return repr(value)


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested dictionaries as one, with names such as ``optim.lr_max``."""
    found = {}
    for name, value in values.items():
        inner = flat(value) if isinstance(value, Mapping) else None
        found |= {name: value} if inner is None else {f"{name}.{key}": one for key, one in inner.items()}
    return found
