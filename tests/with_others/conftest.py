"""What the tests with other libraries share."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Mark every test of this folder, because the other libraries alone take seconds to import."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
