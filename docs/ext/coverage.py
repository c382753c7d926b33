"""A Sphinx extension that knows the public names.

It fails the build if no page documents a public name or a public method. It also makes
``rankaudio.lsep_loss`` refer to the page of ``rankaudio.losses.lsep_loss``, because it compares objects
instead of names.
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
    """Map the identity of each function and class on the pages to its name there."""
    found = {}
    for name, entry in env.domains["py"].objects.items():
        if entry.aliased:  # the file behind a package; no method is listed under it
            continue
        module, _, attribute = name.rpartition(".")
        try:
            found[id(getattr(importlib.import_module(module), attribute))] = name
        except (ImportError, AttributeError, ValueError):  # a method or a module
            continue
    return found


def methods(cls: type) -> Iterator[tuple[str, type]]:
    """Public methods and properties of a class, each with the class that defines it."""
    seen = {"extra_repr"}  # part of how PyTorch prints a Module
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] == "rankaudio":
            for name, thing in vars(base).items():
                kind = isinstance(thing, property | classmethod | staticmethod) or inspect.isfunction(thing)
                if kind and not name.startswith("_") and name not in seen:
                    seen.add(name)
                    yield name, base


def check_public_names(_: Sphinx, env: BuildEnvironment) -> None:
    """Warn about each public name and method that no page describes. A warning fails the build."""
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
    """Find the page for an unresolved reference to ``rankaudio.NAME``, ``NAME`` or ``NAME.METHOD``."""
    known = public_names()
    *before, last = node.get("reftarget", "").split(".")
    if node.get("refdomain") != "py":
        return None
    if last in known:
        target = documented_objects(env).get(id(known[last]))
    elif before and before[-1] in known:
        target = f"{documented_objects(env).get(id(known[before[-1]]))}.{last}"
    else:
        return None
    domain = env.domains["py"]
    return target and domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], target, node, contents
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("env-check-consistency", check_public_names)
    app.connect("missing-reference", resolve_public_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
