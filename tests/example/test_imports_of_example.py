"""Files of the example import each other without a circle."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import freesound2019

EXAMPLES = Path(freesound2019.__file__).parent


def modules():
    paths = [
        path for folder in ("freesound", "tools", "archive") for path in (EXAMPLES / folder).rglob("*.py")
    ]
    return {".".join(path.relative_to(EXAMPLES).with_suffix("").parts): path for path in paths}


def imported(path, known):
    """The modules of the example that a file imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in [node.module, *inner] if name in known)


def test_there_is_no_circle():
    known = modules()
    graph = {name: set(imported(path, known)) for name, path in known.items()}
    assert {"freesound.engine", "freesound.state"} <= graph["freesound.tasks"]
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("freesound.system") < order.index("freesound.engine") < order.index("freesound.cli")


def test_the_loop_knows_no_plan():
    known = modules()
    for name in ("freesound.engine", "freesound.updates", "freesound.system"):
        found = set(imported(known[name], known))
        assert not {one for one in found if one.startswith("freesound.plans.")} - {"freesound.plans.base"}
        assert not {"freesound.build", "freesound.tasks"} & found
