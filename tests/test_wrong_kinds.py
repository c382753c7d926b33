"""A wrong kind or shape for one argument of a valid call: an error that names the argument."""

import inspect
import re

import numpy as np
import pytest
import torch

from method_calls import calls_of_methods, methods_with_arguments
from public_names import public_names
from valid_calls import RECORDS, valid_calls, write_files

WRONG = {
    "None": None, "text": "x", "float": 3.5, "negative": -1, "nan": float("nan"), "list": [], "dict": {},
    "object": object(), "complex": torch.ones(3, 4, dtype=torch.complex64), "bool": True, "2^63": 2**63,
    "minus 2^70": -(2**70), "10^400": 10**400, "array of text": np.array(["a", "b"]), "bytes": b"x",
    "set": {"a.wav", "b.wav", "c.wav"}, "numbers": [1.5, 2.5], "names": ["p", "q"], "module": torch.nn.ReLU(),
    "int tensor": torch.ones(3, dtype=torch.int64), "table": torch.ones(3, 4), "empty": torch.zeros(0),
    "infinite": float("inf"), "half": torch.ones(3, 4, dtype=torch.float16), "set of numbers": {0.5, 0.25},
}  # fmt: skip
ROWS = ("fewer rows", "one row")
# No argument of any public name may be one of these, but for an array of classes.
NEVER = {"object", "complex", "array of text", "set of numbers"}
# Another shape than that of the other tensors of a call, which has a meaning: leading axes, noise for all
# clips, and other members.
FREE = {("windows", "more axes"), ("noise", "fewer axes")}
FREE |= {(function, kind) for function in ("fit_second_level", "search_second_level") for kind in ROWS}
# A Module that cannot take the input fails in its own words.
NO_MODULE = {"tagger", "frontend", "backbone", "progress", "on_error", "criterion"}


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return valid_calls(folder) | calls_of_methods(folder)


@pytest.fixture(autouse=True)
def _in_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # some calls write a file with the name "x"


def other_shapes(tensor):
    """The same numbers with an axis less, an axis more, and other rows."""
    yield "more axes", tensor[None]
    if tensor.ndim:
        yield "fewer axes", tensor[0]
    if tensor.ndim and len(tensor) > 1:
        yield from zip(ROWS, (tensor[1:], tensor[:1]), strict=True)


def spoiled(call):
    """Each argument of a call with each wrong kind, and tensors in other shapes."""
    for name, own in call.arguments.items():
        for kind, value in other_shapes(own) if isinstance(own, torch.Tensor) else ():
            yield name, kind, {**call.arguments, name: value}
        for kind, value in WRONG.items():
            if kind == "module" and name in NO_MODULE:
                continue
            yield name, kind, {**call.arguments, name: value}


def is_alone(call, name):
    """Whether no other tensor of a call is for the same clips."""
    others = [value for other, value in call.arguments.items() if other != name]
    return not any(isinstance(value, torch.Tensor) for value in others)


def problem(call, name, kind, arguments):
    """What is wrong with the answer to a spoiled call, or None."""
    try:
        call.function(**arguments)
    except (TypeError, ValueError) as error:
        # A value of the right kind may contradict another argument, which the message then names.
        # Effects call their clips a waveform, a record holds draws, a criterion gets scores, and a folder has
        # paths. Errors of a file begin with its name.
        others = [*arguments, "waveform", "draw", "scores", "paths"]
        named = any(re.match(rf"{other}\b", str(error)) for other in others) or str(error).startswith("x: ")
        # A text may be of the right kind and not fit a file, which the message then names.
        named = named or (kind in ("text", "names") and "labels.csv" in str(error))
        return None if named or name in str(error) else f"does not name it: {type(error).__name__}: {error}"
    except Exception as error:  # noqa: BLE001  (which kinds there are is the question)
        if name in ("path", "waveform") and isinstance(error, OSError):
            return None  # predict_long also takes the path of a recording
        if (name, kind) == ("state", "dict") and "Missing key" in str(error):
            return None  # as documented, PyTorch names keys that are missing
        return f"{type(error).__name__}: {str(error)[:150]}"
    if kind in (*ROWS, "fewer axes", "more axes") and not is_alone(call, name):
        function = getattr(call.function, "__name__", "")
        return None if FREE & {(name, kind), (function, kind)} else "taken"
    return "taken" if kind in NEVER and (kind, name) != ("array of text", "classes") else None


def owner(name):
    """The public name of a call: that of the function or of the class."""
    return name.partition(".")[0].removesuffix("()")


OWNERS = sorted(set(public_names()) - RECORDS | {owner(name) for name in methods_with_arguments()})


def test_every_public_name_has_a_call(calls):
    called = {name.replace("()", ".forward") for name in calls}
    # enable and disable of a chain take any number of names.
    assert methods_with_arguments() - called == {"Chain.enable", "Chain.disable"}
    assert set(public_names()) - RECORDS == {name for name in calls if "." not in name and "()" not in name}
    assert {owner(name) for name in calls} == set(OWNERS)
    for name, call in calls.items():
        own = set(inspect.signature(call.function).parameters) if "()" not in name else set(call.arguments)
        assert set(call.arguments) == own, name
        call.function(**call.arguments)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("public_name", OWNERS)
def test_wrong_kinds_and_shapes_are_refused_by_name(calls, public_name):
    answers = {
        (name, argument, kind): problem(call, argument, kind, arguments)
        for name, call in calls.items()
        if owner(name) == public_name
        for argument, kind, arguments in spoiled(call)
    }
    assert len(answers) >= len(WRONG) - 1
    bad = [f"{'.'.join(place)}: {answer}" for place, answer in answers.items() if answer is not None]
    assert not bad, f"{len(bad)} of {len(answers)}\n" + "\n".join(bad)


def test_flags_are_true_or_false_and_generators_are_generators(calls):
    taken, named = [], []
    for name, call in calls.items():
        for argument, value in call.arguments.items():
            if not isinstance(value, bool | torch.Generator):
                continue
            for wrong in ("False", "no", 0, 1, float("nan"), [], 42, torch.tensor(True)):
                try:
                    call.function(**{**call.arguments, argument: wrong})
                    taken.append((name, argument, wrong))
                except TypeError as error:
                    named.append(str(error).startswith(f"{argument}: wanted"))
    assert not taken
    assert all(named)
    assert len(named) > 150
