"""A named pipe in place of a file that the user names: refused by name, and nothing waits."""

import os

import pytest

from freesound.corpus import read_corpus
from freesound.data import checksum
from freesound.plan_file import read_plan
from freesound.plans.base import Table
from freesound.settings import read_member
from freesound.state import read_state
from freesound.tables import read_rows

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")

READERS = {
    "--plan": read_member,
    "plan.json": read_plan,
    "state.pt": read_state,
    "--corrections": checksum,
    "tables": read_rows,
    "--table": lambda path: read_corpus(path.parent, table=Table(path.name)),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_named_pipe_is_refused(tmp_path, read):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match=f"{pipe}: wanted a regular file, got a"):
        read(pipe)
