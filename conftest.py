"""Names that every docstring example may use without importing them."""

import pytest
import torch

import rankaudio


@pytest.fixture(autouse=True)
def _names_for_doctests(doctest_namespace: dict[str, object]) -> None:
    doctest_namespace["torch"] = torch
    doctest_namespace["rankaudio"] = rankaudio
    doctest_namespace.update({name: getattr(rankaudio, name) for name in rankaudio.__all__})
