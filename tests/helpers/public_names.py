"""The public classes and functions of rankaudio, for everything that goes over all of them."""

import importlib
import inspect
import pkgutil

import rankaudio


def public_names() -> dict[str, object]:
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
