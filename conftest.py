"""Names that every docstring example may use without importing them, and the choice of long tests."""

import pytest
import torch

import rankaudio
from public_names import public_names


@pytest.fixture(autouse=True)
def _names_for_doctests(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace.update({"torch": torch, "rankaudio": rankaudio, **public_names()})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that runs the tests marked long."""
    parser.addoption("--long", action="store_true", help="run the tests marked long too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests marked long, unless they are asked for."""
    left_out = [] if config.getoption("--long") else [one for one in items if one.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [one for one in items if one not in left_out]
