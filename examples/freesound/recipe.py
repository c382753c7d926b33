"""``recipe``: a whole system in one command, which continues where it was interrupted."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from freesound.all_systems import join_steps
from freesound.distributed import local_device
from freesound.job import Job, SystemPlan
from freesound.options import add_machine, integer_from_one, machine_of, number
from freesound.pipeline import HERE, claim
from freesound.pipeline import run as run_steps
from freesound.plan_file import (
    differences,
    plan_from_dict,
    plan_to_dict,
    read_plan,
    with_settings,
    write_plan,
)
from freesound.plans import first, second, third
from freesound.progress import log
from freesound.steps import Step

HELP = "run a whole system: folds, a choice of noisy clips, all members, their blend, submission.csv"

ALL = "all"
SHOWN = 5  # differences between plans that a message lists


# The plans of each system by scale. A new system is added here.
SYSTEMS: dict[str, Mapping[str, SystemPlan]] = {
    "third": third.PLANS,
    "second": second.PLANS,
    "first": first.PLANS,
}


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the data, the plan, and where its steps run."""
    data, plan = command.add_argument_group("data"), command.add_argument_group("plan")
    machine = command.add_argument_group("machine")
    add = data.add_argument
    add(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder in the Kaggle layout, with train_noisy and test",
    )
    add("--run", type=Path, required=True, help="folder for everything; what is done there is not done again")
    add("--only", nargs="+", metavar="MEMBER", help="only these members, and the steps that they need")
    add("--dry-run", action="store_true", help="only list the steps and whether they are done")
    _add_plan(plan)
    add_machine(machine, ["device", "workers"])
    _add_ray(machine)


def _add_plan(group: Any) -> None:
    scales = sorted({scale for plans in SYSTEMS.values() for scale in plans})
    add = group.add_argument
    add(
        "--system",
        choices=[*SYSTEMS, ALL],
        default="third",
        help=f"which system; {ALL}: each of them in a folder of RUN, and a blend of their answers "
        "(default: third)",
    )
    add("--scale", choices=scales, default="full", help="size of its plan (default: full)")
    add(
        "--plan",
        type=Path,
        metavar="FILE",
        help="the plan.json of another run, instead of --system and --scale",
    )
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="settings of all members (optim.seed=1), of one (2d_rnn.optim.seed=1) or of the plan "
        "(rounds.relabel=merge, rounds.sizes=20,40,60,80,100)",
    )
    add(
        "--corrections",
        type=Path,
        metavar="CSV",
        help="table (fname, labels) of curated clips with other labels; a clip without labels is removed",
    )
    add(
        "--trusted",
        type=Path,
        metavar="CSV",
        help="table of noisy clips to trust, instead of a choice by a model; a column labels has other "
        "labels, and a column decision says keep or drop (--system first)",
    )


def _add_ray(group: Any) -> None:
    add = group.add_argument
    add(
        "--cpus-per-step",
        type=integer_from_one,
        metavar="N",
        help="threads of each step, and its CPUs on Ray; by default as in an earlier call, or all CPUs "
        "divided by the number of accelerators. On a CPU another number can change the last digits",
    )
    add(
        "--ray",
        nargs="?",
        const=HERE,
        metavar="ADDRESS",
        help="run independent steps at the same time, with Ray, on this machine or on the cluster at "
        "ADDRESS, whose machines have --data and --run under the same paths (extra: ray)",
    )
    add(
        "--gpus-per-step",
        type=number(low=0),
        metavar="X",
        help="on Ray, GPUs of each step with a network, such as 0.5; by default 1 if there are GPUs",
    )


def run(args: argparse.Namespace) -> None:
    """Do the steps of a plan that are not done, or with ``--dry-run`` list them."""
    if args.system == ALL and args.plan is None:
        run_all(args)
    else:
        run_one(args)


def run_all(args: argparse.Namespace) -> None:
    """Run each system in a folder of the run, and blend their answers.

    Raises:
        ValueError: if members are chosen, a setting is wrong, or a setting does not suit the data.
        FileExistsError: if the folder holds a run of one system.
    """
    if args.only is not None:
        raise ValueError(f"--only: wanted one system, got --system {ALL}")
    if (args.run / "plan.json").exists():
        raise FileExistsError(f"--run: {args.run} holds a run of one system; choose another folder")
    systems, options = {}, {}
    for system in SYSTEMS:
        trusted = args.trusted if system == "first" else None
        changes = {"system": system, "run": args.run / system, "trusted": trusted}
        options[system] = argparse.Namespace(**(vars(args) | changes))
        _, plan = chosen_plan(options[system])
        systems[system] = Job(args.data, args.run / system, corrections=plan.corrections), plan
    # Before the first system begins, because the others come hours later.
    for job, plan in systems.values() if not args.dry_run else ():
        if any(not step.done for step in plan.steps(job)):
            plan.check(job)
    for system in SYSTEMS:
        log(f"== system {system}")
        run_one(options[system])
    corrections = next(iter(systems.values()))[0].corrections
    job = Job(args.data, args.run, corrections=corrections)
    steps = join_steps(job, systems)
    if args.dry_run:
        log(f"== {ALL} systems")
        show_steps(steps)
        return
    with claim(job.folder):
        run_steps(steps, job.folder, threads=cpus_per_step(args.cpus_per_step, {}))
    show_table(args.run / "summary.csv")
    log(f"{args.run}: nothing left to do")


def run_one(args: argparse.Namespace) -> None:
    """Do the steps of one system."""
    machine = replace(machine_of(args), tensorboard=False)
    if args.ray is None:
        machine = replace(machine, device=local_device(machine.device))
    system, plan = chosen_plan(args)
    job = Job(args.data, args.run, machine, corrections=plan.corrections)
    for name in args.only or []:
        plan.member(name)
    steps = plan.steps(job, args.only)
    if args.dry_run:
        show_steps(steps)
        return
    before = earlier_plan(job.folder, system, plan) or (read_plan(args.plan) if args.plan else {})
    if any(not step.done for step in steps):
        plan.check(job)
        with claim(job.folder):
            cpus = cpus_per_step(args.cpus_per_step, before)
            write_plan(job.folder / "plan.json", system=system, cpus_per_step=cpus, plan=plan)
            gpus = 0 if machine.device == "cpu" else args.gpus_per_step
            run_steps(steps, job.folder, threads=cpus, ray=args.ray, gpus=gpus)
    if args.only is not None:
        log(f"{args.run}: {', '.join(args.only)} done")
        return
    show_table(args.run / "summary.csv")
    log(f"{args.run}: nothing left to do. This makes a page about it:")
    log(f"  python examples/tools/report --run {args.run} --data {args.data}")


def chosen_plan(args: argparse.Namespace) -> tuple[str, SystemPlan]:
    """Return the name of the system and its plan, as the options say.

    Raises:
        ValueError: if the system has no such scale, or a setting is wrong.
    """
    assignments = [*table_settings(args), *args.set]
    if args.plan is None:
        if args.trusted is not None and args.system != "first":
            raise ValueError(f"--trusted: wanted --system first, got {args.system}")
        plans = SYSTEMS[args.system]
        if args.scale not in plans:
            raise ValueError(f"--scale: wanted one of {args.system} ({', '.join(plans)}), got {args.scale}")
        return args.system, with_settings(plans[args.scale], assignments)
    values = read_plan(args.plan)
    if values["system"] not in SYSTEMS:
        raise ValueError(f"{args.plan}: wanted a system ({', '.join(SYSTEMS)}), got {values['system']!r}")
    like = next(iter(SYSTEMS[values["system"]].values()))
    try:
        plan = plan_from_dict(like, values["plan"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{args.plan}: {error}") from error
    return values["system"], with_settings(plan, assignments)


def table_settings(args: argparse.Namespace) -> list[str]:
    """Return ``--corrections`` and ``--trusted`` as words of ``--set``, with absolute paths."""
    names = {"clips.corrections": args.corrections, "noisy.table": args.trusted}
    for name, path in names.items():
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"{name}: wanted a table, got {path}, which is none")
    return [f"{name}={path.absolute()}" for name, path in names.items() if path is not None]


def earlier_plan(folder: Path, system: str, plan: SystemPlan) -> dict[str, Any]:
    """Return what ``plan.json`` has, if anything.

    Raises:
        ValueError: if the folder holds another plan.
        FileExistsError: if it holds other things.
    """
    path = folder / "plan.json"
    if path.exists():
        before = read_plan(path)
        now = json.loads(json.dumps(plan_to_dict(plan)))
        changes = [f"system {before['system']}, now {system}"] * (before["system"] != system)
        changes = changes or differences(before["plan"], now)
        if changes:
            more = f" and {len(changes) - SHOWN} more" * (len(changes) > SHOWN)
            raise ValueError(
                f"--run: {folder} holds a run of another plan: {'; '.join(changes[:SHOWN])}{more}. "
                f"Choose another folder, or continue this one with --plan {path}"
            )
        return before
    if folder.exists() and (not folder.is_dir() or any(folder.glob("[!.]*"))):
        raise FileExistsError(f"--run: wanted a new or empty folder, got {folder}, which holds other things")
    return {}


def cpus_per_step(wanted: int | None, before: Mapping[str, Any]) -> int:
    """Return the threads of each step: as asked for, else as in the plan so far, else a default."""
    known = before.get("cpus_per_step")
    if wanted is None and known is not None:
        return int(known)
    devices = torch.accelerator.device_count() if torch.accelerator.is_available() else 1
    cpus = wanted or max(1, torch.get_num_threads() // max(1, devices))
    if known not in (None, cpus):
        log(f"--cpus-per-step {cpus}: the plan had {known}, so on a CPU the last digits can differ")
    return cpus


def show_steps(steps: Sequence[Step]) -> None:
    """Print each step and whether it is done."""
    for step in steps:
        log(f"{'done ' if step.done else 'to do'}  {step.name}")
    left = sum(not step.done for step in steps)
    log(f"{len(steps)} steps, {left} to do")


def show_table(path: Path) -> None:
    """Print a CSV file in columns."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        log("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
