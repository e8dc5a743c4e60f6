"""Tables in Markdown, and the texts that stand beside fields in the code."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a pipe in a cell is escaped."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in lines)


def code(text: object) -> str:
    """Return a text as code; nothing for an empty one."""
    return f"`{text}`" if str(text) else ""


def sentence(documentation: str | None) -> str:
    """Return the first paragraph of a docstring as one line of Markdown."""
    first = inspect.cleandoc(documentation or "").partition("\n\n")[0]
    return " ".join(first.replace("``", "`").split())


@cache
def field_texts(cls: type) -> Mapping[str, str]:
    """Return the docstrings below the fields or members of a class, by their names."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            for name in _assigned(field):
                found[name] = sentence(str(below.value.value))
    return found


def _assigned(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.AnnAssign):
        targets: list[ast.expr] = [node.target]
    else:
        targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def in_words(name: str) -> str:
    """Return a class's name in words: ``PortMoved`` is ``port moved``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
