"""Quick steps without any training, and a program that runs them: ``python -m dummy_steps RUN [ADDRESS]``."""

import os
import sys
import time
from functools import partial
from pathlib import Path

import torch

from freesound.pipeline import claim, run
from freesound.steps import Step

TURN = 0.02  # seconds from one sign of life to the next


def write_note(folder, name, out):
    """Say who was here, and with how many threads."""
    place = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    (folder / "visits").mkdir(exist_ok=True)
    with (folder / "visits" / name).open("a") as file:
        file.write(f"{os.getpid()} {torch.get_num_threads()} {place}\n")
    out.write_text(name)


def count(folder, name, *, to):
    """Count like a training: state on disk after each turn, from which the next process goes on.

    ``NAME.turns`` has a line for each turn: who did it, which one it was, and when.
    """
    state = folder / f"{name}.state"
    number = int(state.read_text()) if state.exists() else 0
    while number < to:
        time.sleep(TURN)
        number += 1
        with (folder / f"{name}.turns").open("a") as file:
            file.write(f"{os.getpid()} {number} {time.time()}\n")
        part = state.with_suffix(".part")
        part.write_text(str(number))
        part.replace(state)


def counted(folder, name, *, to):
    """Say whether the count is complete."""
    state = folder / f"{name}.state"
    return state.exists() and int(state.read_text()) >= to


def note(folder, name, *needs, network=False):
    """A step that writes a note."""
    return Step(name, partial(write_note, folder, name), needs, out=folder / name, network=network)


def steps(folder, *, to):
    """Two counts that do not need each other, and a note that needs both."""
    counts = [
        Step(
            f"count {name}",
            partial(count, folder, name, to=to),
            finished=partial(counted, folder, name, to=to),
        )
        for name in ("a", "b")
    ]
    return [*counts, note(folder, "end", "count a", "count b")]


if __name__ == "__main__":
    where, turns = Path(sys.argv[1]), int(sys.argv[2])
    try:
        with claim(where):
            run(steps(where, to=turns), where, threads=1, ray=sys.argv[3] if len(sys.argv) > 3 else None)
    except OSError as error:
        sys.exit(str(error))
