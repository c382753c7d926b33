"""``recipe``: everything that the third-place team did, in one command that can be interrupted."""

from __future__ import annotations

import argparse
import csv
import dataclasses
from pathlib import Path

import torch

from freesound.assembly import Recipe
from freesound.commands._options import at_least_one, number
from freesound.console import check_device, say
from freesound.plan import MEMBERS, SCALES, Plan
from freesound.settings import Settings
from freesound.steps import Steps

HELP = "carry out the whole plan: folds, rounds over noisy clips, 11 members, their blend, submission.csv"


def run(args: argparse.Namespace) -> None:
    """Do whatever of the plan is not done yet."""
    scale = SCALES[args.scale]
    changed = {"sizes": None if args.sizes is None else tuple(args.sizes), "folds": args.folds}
    scale = dataclasses.replace(
        scale, **{name: value for name, value in changed.items() if value is not None}
    )
    plan = Plan(
        scale,
        balanced=args.balanced,
        relabel=args.relabel,
        mean_labels=args.mean_labels,
        seed=args.seed,
    )
    carry_out(args, plan)


def carry_out(args: argparse.Namespace, plan: Plan) -> None:
    """Do it, or with ``--dry-run`` say what there is to do."""
    for device in args.devices:
        check_device(device)
    if plan.scale.folds < 2:
        raise ValueError(f"--folds: wanted 2 or more, for clips held out decide, got {plan.scale.folds}")
    options = ["--workers", str(args.workers), "--precision", args.precision]
    recipe = Recipe(args.data, args.run, plan, options=options + ["--compile"] * args.compile)
    steps = recipe.steps(args.only)
    if args.dry_run:
        show_steps(steps)
        return
    recipe.refuse_another()
    if any(not step.done for step in steps.steps):
        recipe.check()
        recipe.begin()
        steps.run(devices=args.devices, jobs=args.jobs or len(args.devices))
    summary = args.run / "summary.csv"
    if args.only is None:
        show_table(summary)
        say(f"for a page about this run: python examples/tools/report --run {args.run} --data {args.data}")
    say(
        f"{args.run}: nothing left to do" if args.only is None else f"{args.run}: {', '.join(args.only)} done"
    )


def show_steps(steps: Steps) -> None:
    """Print each step and whether it is done."""
    for step in steps.steps:
        say(f"{'done ' if step.done else 'to do'}  {step.name}")
    left = sum(not step.done for step in steps.steps)
    say(f"{len(steps.steps)} steps, {left} to do")


def show_table(path: Path) -> None:
    """Print a CSV file in columns."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        say("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def add_arguments(sub: argparse.ArgumentParser) -> None:
    """Data, run, size, rounds, machine."""
    add = sub.add_argument
    add("--data", type=Path, required=True, help="folder in the Kaggle layout, with train_noisy and test")
    add("--run", type=Path, required=True, help="folder for everything; what is done there is not done again")
    add("--scale", choices=list(SCALES), default="full", help="size of the plan")
    add(
        "--only",
        nargs="+",
        choices=[member.name for member in MEMBERS],
        default=None,
        metavar="MEMBER",
        help="only these members, and the rounds that they need: " + ", ".join(m.name for m in MEMBERS),
    )
    add("--dry-run", action="store_true", help="only say what is done and what there is to do")
    add("--folds", type=at_least_one, default=None, help="folds; default: those of the scale")
    add("--seed", type=int, default=Settings().seed, help="of folds, weights, batches, augmentation")
    _add_rounds(sub)
    _add_machine(sub)


def _add_rounds(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add(
        "--sizes",
        type=at_least_one,
        nargs="+",
        default=None,
        metavar="K",
        help="noisy clips that each round takes; default: those of the scale",
    )
    add("--balanced", action="store_true", help="let the classes take turns in each round")
    add(
        "--relabel",
        choices=["all", "merge", "match"],
        default="all",
        help="labels of clips that no round took: the model's, given and the model's, or given if the same",
    )
    add(
        "--mean-labels",
        type=number(above=0),
        default=None,
        metavar="X",
        help="mean number of labels that the model gives them; default: that of the curated clips",
    )


def _add_machine(sub: argparse.ArgumentParser) -> None:
    add = sub.add_argument
    add(
        "--device",
        dest="devices",
        nargs="+",
        default=["cuda" if torch.cuda.is_available() else "cpu"],
        help="where to compute; several train different folds at the same time",
    )
    add("--jobs", type=at_least_one, default=None, help="trainings at a time; default: one for each device")
    add("--workers", type=int, default=0, help="processes that read clips for each job; 0: none")
    add("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="of networks in training")
    add("--compile", action="store_true", help="compile networks for training")
