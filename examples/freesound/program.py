"""How a program of the example ends: errors of the user in one line, other errors with a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn

from torch import distributed

from freesound.distributed import USER_ERRORS, OtherRankError, exit_process, is_distributed

READER_KILLED = (
    "a process that reads clips was killed, perhaps because the memory was full; lower --workers and try "
    "again (train continues with --resume)"
)


def run_program(name: str, work: Callable[[], object]) -> None:
    """Run ``work``. An error that the user can correct is printed in one line, with status 1."""
    try:
        work()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output, such as `head`, has closed it. What Python still flushes must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _exit(name)
    except USER_ERRORS as error:
        _exit(name, str(error))
    except OtherRankError:
        _exit(name)
    except KeyboardInterrupt:
        _exit(name, "interrupted")
    except RuntimeError as error:
        if "DataLoader worker" in str(error):
            _exit(name, READER_KILLED)
        # If one of several processes ends, the others fail while they exchange data with it.
        if not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise
        _exit(name, "another process has ended, so this one has to")
    if is_distributed():
        exit_process(0)


def _exit(name: str, message: str = "") -> NoReturn:
    """End with status 1, and with a message if there is one."""
    if not is_distributed():
        sys.exit(f"{name}: {message}" if message else 1)
    if message:
        which = f"process {distributed.get_rank()} of {distributed.get_world_size()}"
        print(f"{name}: {which}: {message}", file=sys.stderr)
    exit_process(1)
