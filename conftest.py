"""Names that every docstring example may use without importing them."""

import pytest
import torch

import rankaudio
from public_names import public_names


@pytest.fixture(autouse=True)
def _names_for_doctests(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace.update({"torch": torch, "rankaudio": rankaudio, **public_names()})
