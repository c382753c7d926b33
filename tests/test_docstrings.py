"""Every public name has a docstring with its definition, shapes, arguments, result, errors and an example.

The definition is a formula, or words for the names in IN_WORDS. Shapes are needed where tensors go in or come
out. `pytest --doctest-modules` runs the examples. A Module and its function have the definition once. The
Module of a deterministic function points to the function. The function of a random augmentation points to its
Module. A method that overrides a documented method only needs one line.
"""

import ast
import inspect
import itertools
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass

import pytest
from torch import nn

from public_names import public_names

NAMES = public_names()

# Their definitions are rules, choices or records: words say them best.
IN_WORDS = {
    *("AudioInfo", "Batch", "BlendFit", "ClassLwlrap", "LabelQuality", "LabelTable"),
    *("Event", "write_audacity", "write_events", "write_raven"),
    *("CalibrationFit", "ClassAveragePrecision", "ClassF1", "ClassRoc", "ThresholdFit"),
    *("Interval", "PairedTest"),
    "FrameWindows",
    *("FoldBalance", "PoolDraws"),
    *("SecondLevelFit", "SecondLevelSearch", "SecondLevelTrial"),
    *("ScoreTable", "StackedTables", "StreamScores", "WindowScores"),
    *("audio_info", "read_classes", "read_labels", "read_scores", "write_labels", "write_scores"),
    *("write_bytes", "write_text"),
    *("ClipDataset", "pad_collate", "multilabel_folds", "predict", "blend_tables", "stack_tables"),
    "AddNoise",
    *("Augmentation", "Chain", "Mixer", "RandomMixer", "ThirdPlaceEffects", "CNN1d"),
    *("deltas", "label_quality", "label_threshold", "relabel", "select_agreeing"),
}
SHAPE = r"``\([^`]*\)``"  # ``(B, T)``, ``()``, ``(*)``
OWN = ("extra_repr",)  # part of how PyTorch prints a Module, which documents it


def public_methods(cls: type) -> dict[str, tuple[type, Callable[..., object]]]:
    """From the name of each public method or property to the class that has it and its function."""
    found: dict[str, tuple[type, Callable[..., object]]] = {}
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] == "rankaudio":
            for name, thing in vars(base).items():
                function = thing.fget if isinstance(thing, property) else getattr(thing, "__func__", thing)
                if inspect.isfunction(function) and not name.startswith("_") and name not in OWN:
                    found.setdefault(name, (base, function))
    return found


def overridden(cls: type, name: str) -> bool:
    """Whether a public class above has a method of that name, which says what all of them do."""
    above = [base for base in cls.__mro__[1:] if base.__name__ in NAMES]
    return any(name in vars(base) for base in above)


def twin(thing: Callable[..., object]) -> Callable[..., object] | None:
    """Return the function that a Module points to, or the Module that a function points to."""
    role = "class" if inspect.isfunction(thing) else "func"
    pointed = re.match(rf"\w+ form of :{role}:`(\w+)`", inspect.getdoc(thing) or "")
    return NAMES[pointed[1]] if pointed else None


def section(documentation: str, title: str) -> str:
    """Return the text below a title, up to the next line that is not indented."""
    found = re.search(rf"^{title}:\n((?:    .*\n|\n)+)", documentation + "\n", flags=re.MULTILINE)
    return textwrap.dedent(found[1]) if found else ""


def arguments(function: Callable[..., object]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def explained(documentation: str, title: str) -> list[str]:
    return re.findall(r"^(\w+): ", section(documentation, title), flags=re.MULTILINE)


def fields_explained(cls: type) -> str:
    """What stands below the fields of a named tuple, as if it were a section."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body
    lines = [
        f"    {field.target.id}: {text.value.value}"
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    ]
    return "\n\nAttributes:\n" + "\n".join(lines) + "\n" if lines else ""


def has_tensors(function: Callable[..., object]) -> bool:
    return bool(re.search(r"\b(Tensor|Array|Draw|Result|Batch)\b", str(inspect.signature(function))))


def refuses(function: Callable[..., object]) -> bool:
    """Whether a function raises, or calls one of the checks, in its own lines."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [getattr(call, "id", getattr(call, "attr", "")) for call in called]
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
    real = [exc for exc in raised if getattr(exc, "id", "") != "NotImplementedError"]
    return bool(real) or any(name.lstrip("_").startswith("check_") for name in names)


def settings(function: Callable[..., object]) -> dict[str, object]:
    """Return the keyword-only arguments of a function or constructor, with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY}


def lacks_of_functional_form(function: Callable[..., object], module: type) -> Iterator[str]:
    """Yield what the function of a random augmentation lacks, whose Module has the definition."""
    documentation, draws = inspect.getdoc(function) or "", ("partners", "groups", "generator")
    own = {name: default for name, default in settings(function).items() if name not in draws}
    if own != settings(module):
        yield f"the settings of {module.__name__}, {settings(module)}"
    if not re.search(SHAPE, documentation):
        yield "shapes"
    if ">>> " not in documentation:
        yield "an example"


def lacks_of_function(name: str, function: Callable[..., object]) -> Iterator[str]:
    module = twin(function)
    if module is not None:
        yield from lacks_of_functional_form(function, module)
        return
    documentation = inspect.getdoc(function) or ""
    if explained(documentation, "Args") != arguments(function):
        yield f"Args for {arguments(function)}"
    if str(inspect.signature(function).return_annotation) != "None" and not section(documentation, "Returns"):
        yield "Returns"
    yield from lacks_of_all(name, documentation, tensors=has_tensors(function), raises=refuses(function))


def lacks_of_class(name: str, cls: type) -> Iterator[str]:
    documentation = inspect.getdoc(cls) or ""
    dataclass = is_dataclass(cls)
    record = issubclass(cls, tuple) or (dataclass and not issubclass(cls, nn.Module))
    fields = list(getattr(cls, "_fields", getattr(cls, "__dataclass_fields__", {})))
    if record:
        documentation += fields_explained(cls)
        if explained(documentation, "Attributes") != fields:
            yield f"Attributes {fields}"
        tensors = any("Tensor" in str(kind) for kind in cls.__annotations__.values())
    else:
        if explained(documentation, "Args") != arguments(cls):
            yield f"Args for {arguments(cls)}"
        tensors = any(has_tensors(function) for _, function in public_methods(cls).values())
    made = getattr(cls, "__post_init__", None) if record or dataclass else cls.__init__
    if twin(cls) is None:
        raises = made is not None and refuses(made)
        yield from lacks_of_all(name, documentation, tensors=tensors, raises=raises)
    elif ">>> " not in documentation:
        yield "an example"


def lacks_of_method(cls: type, base: type, name: str, function: Callable[..., object]) -> Iterator[str]:
    documentation = inspect.getdoc(function) or ""
    if len(documentation.partition("\n")[0]) < 10:
        yield "a first line"
    if overridden(base, name):
        return
    whole = f"{inspect.getdoc(cls)}\n{documentation}"
    used = r"(?m)^>>> .*(\w\(|\)\()" if name == "forward" else rf"(?m)^(>>>|\.\.\.) .*\.{name}\b"
    if not re.search(used, whole):
        yield "an example"
    if twin(cls) or re.search(r":(func|meth|class):", documentation):
        return
    unexplained = [argument for argument in arguments(function) if not re.search(rf"\b{argument}\b", whole)]
    if unexplained:
        yield f"a word on {unexplained}"
    if has_tensors(function) and not re.search(SHAPE, whole):
        yield "shapes"
    if refuses(function) and "Raises:" not in whole:
        yield "Raises"


def lacks_of_all(name: str, documentation: str, *, tensors: bool, raises: bool) -> Iterator[str]:
    if len(documentation.partition("\n")[0]) < 10:
        yield "a first line"
    if ".. math::" not in documentation and ":math:" not in documentation and name not in IN_WORDS:
        yield "a formula"
    if tensors and not re.search(SHAPE, documentation):
        yield "shapes"
    if raises and not explained(documentation, "Raises"):
        yield "Raises"
    if ">>> " not in documentation:
        yield "an example"


def everything() -> dict[str, list[str]]:
    """From each public name, and each public method of a public class, to what its docstring lacks."""
    found = {}
    for name, thing in NAMES.items():
        if inspect.isclass(thing):
            found[name] = list(lacks_of_class(name, thing))
            for method, (base, function) in public_methods(thing).items():
                if base is not thing and base.__name__ in NAMES:
                    continue  # it stands under its own name
                found[f"{name}.{method}"] = list(lacks_of_method(thing, base, method, function))
        else:
            found[name] = list(lacks_of_function(name, thing))
    return found


EVERYTHING = everything()


@pytest.mark.parametrize("name", EVERYTHING)
def test_docstring_lacks_nothing(name):
    assert EVERYTHING[name] == []


def test_words_are_for_names_without_a_formula():
    """A name leaves the list with its formula, and another does not get on it unseen."""
    for name in IN_WORDS:
        documentation = inspect.getdoc(NAMES[name])
        assert ".. math::" not in documentation, name


def test_what_is_lacking_is_found():
    def bare(scores: "Tensor", k: int) -> "Tensor":  # noqa: F821
        """Too short."""
        raise ValueError

    wanted = ["Args for ['scores', 'k']", "Returns", "a formula", "shapes", "Raises", "an example"]
    assert list(lacks_of_function("bare", bare)) == wanted


def test_what_a_functional_form_lacks_is_found():
    def crop(clips: "Tensor", *, size: int, p: float = 0.5) -> "Tensor":  # noqa: F821
        """Functional form of :class:`RandomCrop`, which has the definition."""

    settings_of_module = "{'size': <class 'inspect._empty'>, 'p': 1.0}"
    wanted = [f"the settings of RandomCrop, {settings_of_module}", "shapes", "an example"]
    assert list(lacks_of_function("crop", crop)) == wanted
