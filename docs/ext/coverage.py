"""A Sphinx extension that knows the public names.

It fails the build where no page documents one of them, or a public method of one. It also lets
``rankaudio.lsep_loss`` refer to the page of ``rankaudio.losses.lsep_loss``: it compares names by their
objects.
"""

import importlib
import inspect
from collections.abc import Iterator

from docutils.nodes import Element, TextElement
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from public_names import public_names

logger = logging.getLogger(__name__)


def documented_objects(env: BuildEnvironment) -> dict[int, str]:
    """From the identity of each function and class that the pages describe to its name there."""
    found = {}
    for name, entry in env.domains["py"].objects.items():
        if entry.aliased:  # the file behind a package, under which no method is listed
            continue
        module, _, attribute = name.rpartition(".")
        try:
            found[id(getattr(importlib.import_module(module), attribute))] = name
        except (ImportError, AttributeError, ValueError):  # a method, or a module by itself
            continue
    return found


def methods(cls: type) -> Iterator[tuple[str, type]]:
    """Public methods and properties of a class, and the class that has each."""
    seen = {"extra_repr"}  # part of how PyTorch prints a Module
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] == "rankaudio":
            for name, thing in vars(base).items():
                kind = isinstance(thing, property | classmethod | staticmethod) or inspect.isfunction(thing)
                if kind and not name.startswith("_") and name not in seen:
                    seen.add(name)
                    yield name, base


def check_public_names(_: Sphinx, env: BuildEnvironment) -> None:
    """Warn (which fails the build) about every public name, and method of one, that no page describes."""
    documented, objects = documented_objects(env), env.domains["py"].objects
    for name, thing in public_names().items():
        place = documented.get(id(thing))
        if place is None:
            logger.warning("rankaudio.%s is public, and no page documents it", name)
        elif inspect.isclass(thing):
            for method, base in methods(thing):
                places = {place, documented.get(id(base))}
                if not any(f"{at}.{method}" in objects for at in places):
                    logger.warning("rankaudio.%s.%s is public, and no page documents it", name, method)


def resolve_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contents: TextElement
) -> Element | None:
    """Find the page of a reference to ``rankaudio.NAME``, or to a bare ``NAME``, that led nowhere."""
    name = node.get("reftarget", "").rpartition(".")[2]
    known = public_names()
    if node.get("refdomain") != "py" or name not in known:
        return None
    target = documented_objects(env).get(id(known[name]))
    domain = env.domains["py"]
    return target and domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], target, node, contents
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Join the build."""
    app.connect("env-check-consistency", check_public_names)
    app.connect("missing-reference", resolve_public_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
