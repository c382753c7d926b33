"""The public classes and functions of rankaudio, for everything that goes over all of them."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import rankaudio


def public_names() -> dict[str, Any]:
    """Map each name to its class or function: those of every module without an underscore.

    Modules that need other libraries (``integrations``) and the command line are left out.
    """
    found = {}
    for info in pkgutil.iter_modules(rankaudio.__path__, "rankaudio."):
        name = info.name.rpartition(".")[2]
        if not name.startswith("_") and name != "integrations":
            module = importlib.import_module(info.name)
            found |= {each: getattr(module, each) for each in module.__all__}
    return {name: it for name, it in found.items() if inspect.isclass(it) or inspect.isfunction(it)}


def public_callables() -> Iterator[tuple[str, Callable[..., object]]]:
    """The public classes and functions, and the public methods that the classes define."""
    for name, value in sorted(public_names().items()):
        yield name, value
        for method, function in sorted(vars(value).items()) if inspect.isclass(value) else ():
            function = getattr(function, "__func__", function)  # noqa: PLW2901  (a classmethod)
            if inspect.isfunction(function) and not method.startswith("_"):
                yield f"{name}.{method}", function
