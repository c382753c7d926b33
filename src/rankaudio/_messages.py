"""How a value appears in an error message: short, whatever the value is."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable
from itertools import islice

from torch import Tensor


class _ShortRepr(reprlib.Repr):
    """``repr`` with a bound on its length and time, also for containers that hold themselves many times."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 8
        self.maxstring = self.maxother = self.maxlong = 200

    def repr1(self, x: object, level: int) -> str:
        """Show a value. A dict of a subclass is a dict too, because its own repr has no bound."""
        if isinstance(x, int) and x.bit_length() > 512:
            return f"an integer of {x.bit_length()} bits"  # Python refuses to print one of 4,300 digits
        if isinstance(x, dict):
            return self.repr_dict(x, level)
        return super().repr1(x, level)


short_repr: Callable[[object], str] = _ShortRepr().repr


def describe(value: object) -> str:
    """Describe what came: dtype, shape and device of a tensor, type and value of anything else."""
    if isinstance(value, Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"a {dtype} tensor of shape {tuple(value.shape)} on {value.device}"
    kind = type(value).__name__
    if isinstance(getattr(value, "shape", None), tuple) and hasattr(value, "dtype"):  # a NumPy array
        return f"a {kind} of dtype {value.dtype} and shape {short_repr(getattr(value, 'shape', ()))}"
    return f"{short_repr(value)} ({kind})"


def first_few(values: Iterable[object], *, most: int = 5, show: Callable[[object], str] = short_repr) -> str:
    """List the first values, and end with dots if there are more.

    >>> first_few(["a", "b", "c"], most=2)
    "'a', 'b', ..."
    """
    listed = [show(value) for value in islice(values, most + 1)]
    return ", ".join([*listed[:most], "..."] if len(listed) > most else listed)
