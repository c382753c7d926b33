"""The changes that make mutants: another operator or number, a condition turned round, a call left out."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
SWAPPED |= {"amin": "amax", "amax": "amin", "floor": "ceil", "ceil": "floor", "cummax": "cummin"}
# Methods whose result may be used like the thing itself.
LEFT_OUT = {"abs", "clamp", "contiguous", "detach", "double", "float", "flip", "long", "masked_fill", "sort"}
# Keywords that only matter when something else is wrong, or on an accelerator, or for memory; and `**`.
NOT_LEFT_OUT = (None, "strict", "stacklevel", "encoding", "maxsize", "device", "inplace")
LEFT_OUT |= {"exp", "log", "sqrt", "square", "strip", "casefold", "removesuffix", "copy", "clone", "to"}


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    function: str
    line: int
    change: str
    start: int
    stop: int
    text: str

    @property
    def key(self) -> str:
        """The name of the mutant, which stays when other lines change."""
        return f"{self.file}: {self.function}: {self.change}"

    def applied(self, source: bytes) -> bytes:
        """Return the changed source."""
        return source[: self.start] + self.text.encode() + source[self.stop :]


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Return all mutants of a file. Annotations, docstrings and messages are left alone."""
    lines = [0]
    for line in source.encode().splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    found, seen = [], Counter[str]()
    for function, node in _expressions(ast.parse(source), ""):
        for changed in _changes(node):
            text = f"({ast.unparse(changed)})"
            change = f"{ast.unparse(node)} -> {ast.unparse(changed)}"
            seen[f"{function}: {change}"] += 1
            number = seen[f"{function}: {change}"]
            change += f" (no. {number})" if number > 1 else ""
            start = lines[node.lineno - 1] + node.col_offset
            stop = lines[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
            found.append(Mutant(file, function or "module", node.lineno, change, start, stop, text))
    return found


def _expressions(node: ast.AST, function: str) -> Iterator[tuple[str, ast.expr]]:
    """All expressions that count, each with the name of its function."""
    if isinstance(node, ast.expr) and not isinstance(node, ast.JoinedStr):
        yield function, node
    for child in ast.iter_child_nodes(node):
        if _is_left_alone(node, child):
            continue
        named = isinstance(child, (ast.FunctionDef, ast.ClassDef))
        yield from _expressions(child, f"{function}.{child.name}".lstrip(".") if named else function)


def _is_left_alone(parent: ast.AST, child: ast.AST) -> bool:
    if isinstance(child, (ast.JoinedStr, ast.Raise, ast.Import, ast.ImportFrom)):
        return True  # f-strings are messages
    if isinstance(parent, (ast.FunctionDef, ast.ClassDef)):
        return child in parent.decorator_list or child is getattr(parent, "returns", None)
    if isinstance(parent, (ast.AnnAssign, ast.arg)) and child is parent.annotation:
        return True
    if isinstance(parent, ast.If) and ast.unparse(parent.test) == "TYPE_CHECKING":
        return True
    names = [target.id for target in getattr(child, "targets", []) if isinstance(target, ast.Name)]
    return "__all__" in names


def _changes(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                if type(op) in COMPARISONS:
                    yield _with(node, lambda new, i=i, op=op: new.ops.__setitem__(i, COMPARISONS[type(op)]()))
        case ast.BinOp(op=op) if type(op) in ARITHMETIC and not _is_text(node):
            yield _with(node, lambda new: setattr(new, "op", ARITHMETIC[type(op)]()))
        case ast.BoolOp(op=op):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield _with(node, lambda new: setattr(new, "op", other))
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.IfExp(body=body, orelse=orelse):
            yield ast.IfExp(test=node.test, body=orelse, orelse=body)
        case ast.Constant(value=value):
            yield from (ast.Constant(other) for other in _other_values(value))
        case ast.Call(func=func):
            yield from _changed_calls(node, func)


def _other_values(value: object) -> Iterator[object]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
    elif isinstance(value, float):
        yield 2 * value if value else 1.0


def _changed_calls(node: ast.Call, func: ast.expr) -> Iterator[ast.expr]:
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    if name in SWAPPED:
        which = "attr" if isinstance(func, ast.Attribute) else "id"
        yield _with(node, lambda new: setattr(new.func, which, SWAPPED[name]))
    if isinstance(func, ast.Attribute) and name in LEFT_OUT and ast.unparse(func.value) != "torch":
        yield func.value
    if name.startswith(("check_", "_check_")) and node.args:
        # A check that is left out; where its result is used, it returns the value itself.
        yield node.args[-1] if len(node.args) < 3 else node.args[1]
    for i, keyword in enumerate(node.keywords):
        if keyword.arg not in NOT_LEFT_OUT:
            yield _with(node, lambda new, i=i: new.keywords.pop(i))


def _with(node: ast.expr, change: Callable[..., object]) -> ast.expr:
    new = copy.deepcopy(node)
    change(new)
    return new


def _is_text(node: ast.BinOp) -> bool:
    sides = (node.left, node.right)
    return any(
        isinstance(side, ast.JoinedStr) or isinstance(getattr(side, "value", None), (str, bytes))
        for side in sides
    )
