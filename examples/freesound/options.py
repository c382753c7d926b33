"""Options of the command line, made from the settings: one for each field, grouped, with its help text."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable
from typing import Any

from freesound.plans.base import (
    Augment,
    Clips,
    Crops,
    Machine,
    Member,
    Network,
    Optim,
    Pools,
    Sound,
    Table,
    network_settings,
)
from freesound.setting import Setting, settings_of_fields
from freesound.settings import changed
from rankaudio.backbones import NETWORKS

# The parts of a member by group of the help.
GROUPS: dict[str, dict[str, type]] = {
    "data": {"table": Table, "clips": Clips},
    "pools": {"pools": Pools},
    "network": {"sound": Sound, "network": Network},
    "augmentation": {"augment": Augment},
    "crops": {"crops": Crops},
    "optimiser": {"optim": Optim},
}


def add_member(parser: argparse.ArgumentParser, groups: dict[str, Any]) -> None:
    """Add an option for each setting of a model; ``groups`` has the groups that the parser already has."""
    for title, parts in GROUPS.items():
        group = groups.get(title) or parser.add_argument_group(title)
        for part, cls in parts.items():
            add_settings(group, settings_of_fields(cls).values(), prefix=f"{part}.", first=("name",))
            if cls is Network:
                _add_network_settings(group)


def add_machine(group: Any, names: Iterable[str] = ("device", "workers")) -> None:
    """Add options for where to compute."""
    known = settings_of_fields(Machine)
    add_settings(group, [known[name] for name in names], prefix="machine.")


def add_settings(
    group: Any, settings: Iterable[Setting], *, prefix: str = "", first: Iterable[str] = ()
) -> None:
    """Add an option for each setting. A value that is not given is not in the result.

    Args:
        group: a parser or one of its groups.
        settings: the settings; ``lr_max`` becomes ``--lr-max``.
        prefix: put before the name in the result.
        first: names that are too general for an option; the option has the prefix instead.
    """
    for setting in settings:
        flag = prefix.rstrip(".") if setting.name in first else setting.name.replace("_", "-")
        default = "" if setting.default is None else f" (default: {_shown(setting.default)})"
        add_setting(group, f"--{flag}", setting, dest=prefix + setting.name, text=setting.text + default)


def add_setting(group: Any, flag: str, setting: Setting, *, dest: str, text: str) -> None:
    """Add the option of one setting."""
    shared = {"dest": dest, "default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
    if setting.kind is bool:
        group.add_argument(flag, action=argparse.BooleanOptionalAction, **shared)
    else:
        kind = {int: "N", float: "X"}.get(setting.kind, setting.name.upper())
        metavar = setting.metavar or ("{" + ",".join(setting.choices) + "}" if setting.choices else kind)
        group.add_argument(flag, type=_converter(setting), metavar=metavar, **shared)


def _add_network_settings(group: Any) -> None:
    """Add the settings of all networks; those of one name share an option, which says whose they are."""
    by_name: dict[str, dict[str, Setting]] = {}
    for network in NETWORKS:
        for name, setting in network_settings(network).items():
            by_name.setdefault(name, {})[network] = setting
    for name, owners in by_name.items():
        setting = next(iter(owners.values()))
        values = {network: _shown(one.default) for network, one in owners.items()}
        if len(set(values.values())) == 1:
            default = next(iter(values.values()))
        else:
            default = ", ".join(f"{network} {value}" for network, value in values.items())
        whose = "" if len(owners) == len(NETWORKS) else f"{', '.join(owners)}: "
        # The text says what None means.
        known = "" if all(one.default is None for one in owners.values()) else f" (default: {default})"
        text = f"{whose}{setting.text}{known}"
        add_setting(group, f"--{name.replace('_', '-')}", setting, dest=f"network.{name}", text=text)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _converter(setting: Setting) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return setting.parse(text)
        except ValueError as error:
            # argparse names the option itself.
            raise argparse.ArgumentTypeError(str(error).partition(": ")[2]) from error

    return convert


def member_of(args: argparse.Namespace, start: Member) -> Member:
    """Return a member with the settings that were given as options."""
    given: dict[str, dict[str, Any]] = {}
    for name, value in vars(args).items():
        part, dot, key = name.partition(".")
        if dot and part != "machine":
            given.setdefault(part, {})[key] = value
    return changed(start, given)


def machine_of(args: argparse.Namespace) -> Machine:
    """Return the machine that the options describe."""
    given = {name.partition(".")[2]: v for name, v in vars(args).items() if name.startswith("machine.")}
    return Machine(**given)


def add_table(group: Any) -> None:
    """Add options for the columns of a table of labels."""
    known = settings_of_fields(Table)
    names = [name for name in known if name not in ("table", "audio")]
    add_settings(group, [known[name] for name in names], prefix="table.")


def table_of(args: argparse.Namespace) -> Table:
    """Return the columns that the options describe."""
    given = {name.partition(".")[2]: v for name, v in vars(args).items() if name.startswith("table.")}
    return Table(**given)


def integer_from_one(text: str) -> int:
    """Convert an option to an integer from 1."""
    return _converter(Setting("", int, None, low=1))(text)


def number(
    *, low: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> Callable[[str], float]:
    """Return a converter of an option to a number in a range."""
    return _converter(Setting("", float, None, low=low, above=above, below=below))
