"""From the options of the command line to the work."""

from __future__ import annotations

import argparse
import os

from archive.machine import Machine
from archive.run import tag_archive
from archive.settings import Settings, digest
from rankaudio import Tagger


def run(args: argparse.Namespace) -> int:
    """Tag an archive, and return the exit status."""
    return tag_archive(args.audio, args.model, args.out, settings_of(args), machine_of(args))


def settings_of(args: argparse.Namespace) -> Settings:
    """Return what decides the rows."""
    rate = Tagger.load(args.model).sample_rate
    if rate is None:
        raise ValueError(f"--model: wanted a frontend with a sample rate, got none in {args.model}")
    return Settings(
        audio=str(args.audio.resolve()),
        model=digest(args.model),
        rate=rate,
        window=args.window,
        hop=args.window / 2 if args.hop is None else args.hop,
        shard_seconds=args.shard_seconds,
        embeddings=args.embeddings,
        threshold=args.threshold,
        min_gap=args.min_gap,
        min_duration=args.min_duration,
    )


def machine_of(args: argparse.Namespace) -> Machine:
    """Return where to work."""
    return Machine(
        address=args.address,
        cpus=args.cpus or cpus_here(),
        threads=args.threads,
        gpus=args.num_gpus,
        scorers=args.scorers,
        decoders=args.decoders,
        batch=args.batch,
    )


def cpus_here() -> int:
    """Return the CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
