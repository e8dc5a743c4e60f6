"""Which faults are put into a source file: each mutant replaces one piece of its text."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLUSH = re.compile(r"^_?(fsync|fdatasync|flush(_\w+)?)$")
LOCK = re.compile(r"(?<![a-z])(lock|condition)|_changed\b", re.IGNORECASE)
GUARDING_FLAGS = ("O_NOFOLLOW", "O_EXCL", "O_DIRECTORY")
COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
"""What each comparison is replaced with."""
_LOOSE = (ast.BoolOp, ast.IfExp, ast.Lambda, ast.NamedExpr)
BRACKETED: dict[type[ast.expr], tuple[type[ast.expr], ...]] = {
    ast.BoolOp: _LOOSE,
    ast.Compare: (*_LOOSE, ast.Compare, ast.UnaryOp),
    ast.BinOp: (*_LOOSE, ast.Compare, ast.UnaryOp, ast.BinOp),
}
"""Which operands of an operation get brackets, because a node's text has none around it."""
SQL_FAULTS = (
    (re.compile(r"journal_mode\s*=\s*WAL", re.IGNORECASE), "journal_mode=DELETE"),
    (re.compile(r"synchronous\s*=\s*\w+", re.IGNORECASE), "synchronous=OFF"),
    (re.compile(r"BEGIN IMMEDIATE"), "BEGIN"),
)


class Kind(StrEnum):
    """What a fault breaks; every kind but `LOGIC` has to be noticed without exception."""

    DURABILITY = "durability"
    LOCK = "lock"
    SECURITY = "security"
    TIME_ZONE = "time zone"
    LOGIC = "logic"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: `text[start:end]` of the file becomes `replacement`. Offsets are characters."""

    module: str
    function: str
    line: int
    kind: Kind
    what: str
    start: int
    end: int
    replacement: str

    @property
    def key(self) -> str:
        """What stays the same when lines move: for the list of mutants that change nothing."""
        return f"{self.module}:{self.function}:{self.what}"


def mutants_of(module: str, file: Path) -> list[Mutant]:
    """Return all mutants of one module, in the order of its text."""
    found = _Mutator(module, file.read_text("utf-8")).mutants()
    return sorted(found, key=lambda m: (m.start, m.what))


class _Mutator:
    """Walks the tree of one module; a node's replacement is its own text, changed."""

    def __init__(self, module: str, text: str) -> None:
        self._module = module
        self._text = text
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._lines = text.splitlines(keepends=True)
        self._tree = ast.parse(text)

    def mutants(self) -> Iterator[Mutant]:
        yield from self._walk(self._tree, "<module>")

    def _walk(self, node: ast.AST, function: str) -> Iterator[Mutant]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and _is_type_checking(child.test):
                continue
            if isinstance(node, ast.ClassDef) and child in node.decorator_list:
                continue  # `frozen` and `slots` change what can be written, not what is done
            if _is_piece_of_text(child, node):
                continue  # before Python 3.12 it has no place of its own
            name = function
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = child.name if function == "<module>" else f"{function}.{child.name}"
            for kind, target, replacement in _faults(child, self._segment):
                yield self._mutant(function, kind, target, replacement)
            yield from self._walk(child, name)

    def _mutant(self, function: str, kind: Kind, target: ast.AST, replacement: str) -> Mutant:
        start, end = self._span(target)
        original = " ".join(self._text[start:end].split())
        return Mutant(
            self._module,
            function,
            getattr(target, "lineno", 0),
            kind,
            f"{original[:120]} -> {' '.join(replacement.split())[:120]}",
            start,
            end,
            replacement,
        )

    def _segment(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self._text[start:end]

    def _span(self, node: ast.AST) -> tuple[int, int]:
        where = node if hasattr(node, "lineno") else next(ast.iter_child_nodes(node))
        return (
            self._offset(where.lineno, where.col_offset),  # type: ignore[attr-defined]
            self._offset(where.end_lineno, where.end_col_offset),  # type: ignore[attr-defined]
        )

    def _offset(self, line: int, column_bytes: int) -> int:
        before = self._lines[line - 1].encode()[:column_bytes].decode()
        return self._starts[line - 1] + len(before)


Segment = Callable[[ast.AST], str]
"""Returns the text of a node."""
Fault = tuple[Kind, ast.AST, str]
"""The kind, the node whose text is replaced, and the text that takes its place."""


def _faults(node: ast.AST, segment: Segment) -> Iterator[Fault]:
    match node:
        case ast.Expr(value=ast.Call() as call):
            yield from _statement_faults(node, call)
        case ast.With() | ast.AsyncWith():
            yield from _with_faults(node, segment)
        case ast.BinOp(op=ast.BitOr()):
            yield from _flag_faults(node, segment)
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            yield from _arithmetic_faults(node, segment)
        case ast.keyword(arg="follow_symlinks", value=ast.Constant(value=False) as value):
            yield Kind.SECURITY, value, "True"
        case ast.Call():
            yield from _call_faults(node, segment)
        case ast.Constant() | ast.JoinedStr():
            yield from _constant_faults(node, segment(node))
        case ast.Compare(ops=[op], left=left, comparators=[right]):
            first, second = _operands(node, [left, right], segment)
            yield Kind.LOGIC, node, f"({first} {COMPARISONS[type(op)]} {second})"
        case ast.BoolOp(values=values):
            word = " and " if isinstance(node.op, ast.And) else " or "
            for dropped in values:
                kept = [value for value in values if value is not dropped]
                yield Kind.LOGIC, node, f"({word.join(_operands(node, kept, segment))})"
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield Kind.LOGIC, node, f"bool({segment(operand)})"
        case ast.If(test=test) | ast.IfExp(test=test):
            yield Kind.LOGIC, test, "True"
            yield Kind.LOGIC, test, "False"
        case ast.Raise():
            yield Kind.LOGIC, node, "pass"
        case ast.Return(value=ast.expr() as value) if not _is_none(value):
            yield Kind.LOGIC, value, "None"
        case ast.ExceptHandler(type=ast.expr() as caught):
            yield Kind.LOGIC, caught, "()"
        case _:
            return


def _statement_faults(node: ast.Expr, call: ast.Call) -> Iterator[Fault]:
    name, of = _called(call)
    if FLUSH.match(name) and of not in {"sys.stdout", "sys.stderr"}:
        yield Kind.DURABILITY, node, "pass"
    elif name not in {"super", "__init__"}:
        yield Kind.LOGIC, node, "pass"


def _with_faults(node: ast.With | ast.AsyncWith, segment: Segment) -> Iterator[Fault]:
    for item in node.items:
        expression = segment(item.context_expr)
        if LOCK.search(expression) and item.optional_vars is None:
            yield Kind.LOCK, item.context_expr, '__import__("contextlib").nullcontext()'


def _flag_faults(node: ast.BinOp, segment: Segment) -> Iterator[Fault]:
    if isinstance(node.right, ast.Attribute) and node.right.attr in GUARDING_FLAGS:
        yield Kind.SECURITY, node, f"({segment(node.left)})"
    if isinstance(node.left, ast.Attribute) and node.left.attr in GUARDING_FLAGS:
        yield Kind.SECURITY, node, f"({segment(node.right)})"


def _arithmetic_faults(node: ast.BinOp, segment: Segment) -> Iterator[Fault]:
    if not any(isinstance(side, ast.JoinedStr) for side in (node.left, node.right)):
        turned = "-" if isinstance(node.op, ast.Add) else "+"
        left, right = _operands(node, [node.left, node.right], segment)
        yield Kind.LOGIC, node, f"({left} {turned} {right})"


def _call_faults(node: ast.Call, segment: Segment) -> Iterator[Fault]:
    name, _ = _called(node)
    if name == "compare_digest":
        yield Kind.SECURITY, node, "True"
    if name == "astimezone" and not node.args and isinstance(node.func, ast.Attribute):
        yield Kind.TIME_ZONE, node, segment(node.func.value)


def _constant_faults(node: ast.Constant | ast.JoinedStr, text: str) -> Iterator[Fault]:
    if isinstance(node, ast.JoinedStr) or isinstance(node.value, str):
        for pattern, fault in SQL_FAULTS:
            if pattern.search(text):
                yield Kind.DURABILITY, node, pattern.sub(fault, text)
    elif text.startswith("0o") and node.value < 0o777:  # type: ignore[operator]
        is_umask = node.value & 0o700 == 0  # type: ignore[operator]
        yield Kind.SECURITY, node, "0o000" if is_umask else "0o777"
    elif isinstance(node.value, bool):
        yield Kind.LOGIC, node, str(not node.value)
    elif isinstance(node.value, int):
        yield Kind.LOGIC, node, str(node.value + 1)


def _operands(node: ast.expr, operands: list[ast.expr], segment: Segment) -> list[str]:
    """Return the file's own text of operands: what `ast.unparse` writes differs by version."""
    texts = [(operand, segment(operand)) for operand in operands]
    return [f"({text})" if isinstance(of, BRACKETED[type(node)]) else text for of, text in texts]


def _is_piece_of_text(child: ast.AST, node: ast.AST) -> bool:
    """Tell whether a node is a plain piece of an f-string, or the format of a value in it."""
    is_piece = isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)
    return is_piece or (isinstance(node, ast.FormattedValue) and child is node.format_spec)


def _called(call: ast.Call) -> tuple[str, str]:
    """Return the name of what is called, and the text of whose it is."""
    match call.func:
        case ast.Name(id=name):
            return name, ""
        case ast.Attribute(value=value, attr=name):
            return name, ast.unparse(value)
        case _:
            return "", ""


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_type_checking(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "TYPE_CHECKING"
