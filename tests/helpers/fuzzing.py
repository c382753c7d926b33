"""What the tests with arbitrary files share: the number of examples, and the limits of time and memory.

``FUZZ_EXAMPLES`` sets the number of examples, and then the memory of the process is capped as well.
"""

import os
import time
import zipfile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

resource = pytest.importorskip("resource")

MOST_SECONDS = 5  # of processor time, because other programs may keep the machine busy
MOST_MEMORY = 500 << 20
# Reading without a cap could stop the machine, if a file chose the size of something.
CAP = 4 << 30


def limits(usual: int) -> settings:
    """Return the settings of a test, with its usual number of examples."""
    chosen = os.environ.get("FUZZ_EXAMPLES")
    if chosen and resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_DATA, (CAP, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    return settings(
        max_examples=int(chosen or usual),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


def outcome(path, read):
    """Return what ``read`` returns, or None for an error that names the file. It has to take little."""
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = None
    try:
        result = read(path)
    except (ValueError, TypeError, OSError) as error:
        assert str(path) in str(error), error  # noqa: PT017
        assert len(str(error)) < 2000  # noqa: PT017
    assert time.process_time() - start < MOST_SECONDS
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert used << 10 < MOST_MEMORY
    return result


def flipped(content: bytes, places: list[int]) -> bytes:
    """Flip bits; places after the end begin again at the start."""
    damaged = bytearray(content)
    for place in places:
        damaged[place // 8 % len(damaged)] ^= 1 << place % 8
    return bytes(damaged)


def with_part(source, target, part: str, change) -> None:
    """Copy an archive with another content of the part whose name ends so. The checksums are right."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for info in before.infolist():
            body = before.read(info)
            after.writestr(info.filename, change(body) if info.filename.endswith(part) else body)


bits = st.lists(st.integers(0, 1 << 20), min_size=1, max_size=4)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
        | st.tuples(inner)
    ),
    max_leaves=5,
)


@st.composite
def changed_dicts(draw, content):
    """A copy of nested dicts in which one value, at any depth, is replaced, removed or added."""
    copy = dict(content)
    key = draw(st.sampled_from(sorted(copy, key=str)))
    if isinstance(copy[key], dict) and copy[key] and draw(st.integers(0, 3)):
        copy[key] = draw(changed_dicts(copy[key]))
        return copy
    what = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
    if what == "remove":
        del copy[key]
    else:
        copy[key if what == "replace" else draw(st.text(max_size=5) | st.integers())] = draw(plain)
    return copy
