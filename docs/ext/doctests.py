"""A Sphinx extension that runs the examples of all docstrings, and fails the build where one is wrong.

They are run as `pytest --doctest-modules` runs them: each docstring by itself, with torch, rankaudio and
every public name at hand.
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
    """All docstrings of the package that have one."""
    names = public_names()
    found = pkgutil.walk_packages(rankaudio.__path__, "rankaudio.")
    for module in sorted(info.name for info in found):
        # The finder copies the names for each docstring, so no example sees what another has made.
        for test in doctest.DocTestFinder().find(importlib.import_module(module), globs=names):
            if test.examples:
                test.globs |= {"torch": torch, "rankaudio": rankaudio}
                yield test


def check_examples(_: Sphinx, __: BuildEnvironment) -> None:
    """Warn (which fails the build) about every docstring whose example gives something else."""
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    ran = 0
    for test in examples():
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            result = runner.run(test, out=said.write)
        ran += result.attempted
        if result.failed:
            logger.warning("an example of %s gives something else:\n%s", test.name, said.getvalue())
    logger.info("ran %d lines of examples in docstrings", ran)


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    app.connect("env-check-consistency", check_examples)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
