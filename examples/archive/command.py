"""From the options of the command line to the work."""

from __future__ import annotations

import argparse
import os

import torch

from archive.machine import Machine
from archive.run import tag_archive
from archive.settings import Settings, digest
from rankaudio._program.model import Model


def run(args: argparse.Namespace) -> int:
    """Tag an archive, and return the exit status."""
    content = digest(args.model)
    model = Model.load(args.model, device=torch.device("cpu"), batch=args.batch, workers=0)
    settings = settings_of(args, content, model.sample_rate)
    paths = (args.audio, args.model, model.taggers[0], args.out)
    return tag_archive(*paths, settings=settings, machine=machine_of(args))


def settings_of(args: argparse.Namespace, content: str, rate: int) -> Settings:
    """Return what decides the rows, given the checksum and the sample rate of the model."""
    return Settings(
        audio=str(args.audio.resolve()),
        model=content,
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
