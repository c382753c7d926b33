"""A Sphinx extension that writes the page of a module: a table of its names, then each of them.

    .. api:: rankaudio.losses

shows the module's docstring, a table with the first sentence of each public name, and then all of them in
the order of the table. Functions come first, then Modules, other classes, and records. A name that the root
has too is shown as people import it, ``rankaudio.LogMel``.

    .. api-modules::

shows a table of all public modules. If a module has no page, the build fails.
"""

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective
from torch import nn

import rankaudio


def shown_name(module: ModuleType, name: str) -> str:
    """Name of an object as users import it: from the root if the root has it."""
    in_root = getattr(rankaudio, name, None) is getattr(module, name)
    return f"{'rankaudio' if in_root else module.__name__}.{name}"


def kind_of(thing: object) -> str | None:
    """Group of the page that an object belongs to, or None if it is neither a function nor a class."""
    if inspect.isfunction(thing):
        return "Functions"
    if not inspect.isclass(thing):
        return None
    if issubclass(thing, nn.Module):
        return "Modules"
    return "Records" if issubclass(thing, tuple) or dataclasses.is_dataclass(thing) else "Classes"


def groups(module: ModuleType) -> dict[str, list[str]]:
    """Public names of a module by group, in the order of the page, each group sorted by name."""
    found: dict[str, list[str]] = {"Functions": [], "Modules": [], "Classes": [], "Records": []}
    for name in sorted(module.__all__, key=str.lower):
        kind = kind_of(getattr(module, name))
        if kind:
            found[kind].append(shown_name(module, name))
    return {kind: names for kind, names in found.items() if names}


def described_data(module: ModuleType) -> list[str]:
    """Public constants of a module whose own file describes them."""
    described = ModuleAnalyzer.for_module(module.__name__).find_attr_docs()
    return [name for name in module.__all__ if ("", name) in described]


class Api(SphinxDirective):
    """Write the page of a module."""

    required_arguments = 1
    option_spec = {"inherited-members": directives.unchanged}  # noqa: RUF012  (docutils wants it so)

    def run(self) -> list[nodes.Node]:
        module = importlib.import_module(self.arguments[0])
        self.env.note_dependency(str(module.__file__))
        lines = [f".. py:module:: {module.__name__}", "", inspect.getdoc(module) or ""]
        # autosummary refuses full names of the current module, so its tables have no current one.
        lines += ["", ".. py:currentmodule:: None", *self.tables(module)]
        lines += ["", f".. py:currentmodule:: {module.__name__}", *self.descriptions(module)]
        text = "\n".join(lines)
        return self.parse_text_to_nodes(text)

    def tables(self, module: ModuleType) -> Iterator[str]:
        """A table of names and first sentences for each group."""
        for kind, names in groups(module).items():
            yield from ("", f".. rubric:: {kind}", "", ".. autosummary::", "   :nosignatures:", "")
            yield from (f"   ~{name}" for name in names)

    def descriptions(self, module: ModuleType) -> Iterator[str]:
        """All names in the order of the tables, and then described constants."""
        for kind, names in groups(module).items():
            for name in names:
                yield from ("", f".. auto{'function' if kind == 'Functions' else 'class'}:: {name}")
                if kind != "Functions" and "inherited-members" in self.options:
                    yield f"   :inherited-members: {self.options['inherited-members']}"
        for name in described_data(module):
            yield from ("", f".. autodata:: {module.__name__}.{name}")


class ApiModules(SphinxDirective):
    """Show a table of all public modules, each with the first sentence of its docstring."""

    def run(self) -> list[nodes.Node]:
        found = (info.name for info in pkgutil.iter_modules(rankaudio.__path__, "rankaudio."))
        names = [name for name in found if not name.partition(".")[2].startswith("_")]
        names[names.index("rankaudio.integrations")] += ".torchmetrics"
        lines = [".. autosummary::", "   :nosignatures:", "", *(f"   {name}" for name in names)]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive, and the extension that it uses."""
    app.setup_extension("sphinx.ext.autosummary")
    app.add_directive("api", Api)
    app.add_directive("api-modules", ApiModules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
