"""A Sphinx extension that runs the examples of all docstrings, and fails the build if one is wrong.

It runs them like `pytest --doctest-modules`: each docstring alone, with torch, rankaudio, every public name
and the names of its module defined.
"""

import contextlib
import doctest
import importlib
import io
import pkgutil
from collections.abc import Iterator

import torch
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

import rankaudio
from public_names import public_names

logger = logging.getLogger(__name__)


def examples() -> Iterator[doctest.DocTest]:
    """All docstrings of the package that have an example."""
    names = public_names()
    found = pkgutil.walk_packages(rankaudio.__path__, "rankaudio.")
    for name in sorted(info.name for info in found):
        module = importlib.import_module(name)
        # The finder copies the names for each docstring, so examples do not share variables.
        for test in doctest.DocTestFinder().find(module, globs=vars(module) | names):
            if test.examples:
                test.globs |= {"torch": torch, "rankaudio": rankaudio}
                yield test


def check_examples(_: Sphinx, __: BuildEnvironment) -> None:
    """Warn about each docstring whose example gives another result. A warning fails the build."""
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    ran = 0
    for test in examples():
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            result = runner.run(test, out=said.write)
        ran += result.attempted
        if result.failed:
            logger.warning("an example of %s gives another result:\n%s", test.name, said.getvalue())
    logger.info("ran %d lines of examples in docstrings", ran)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("env-check-consistency", check_examples)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
