"""Type hints as types, also of names that their module imports for type checkers only."""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import sys
import textwrap
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType


@cache
def hints_of(owner: type | Callable[..., Any]) -> Mapping[str, Any]:
    """Return the hints of a class, of those that it is derived from too, or of a function.

    Raises:
        NameError: if a hint names something that its module does not import.
    """
    classes = reversed(owner.__mro__[:-1]) if isinstance(owner, type) else (owner,)
    found: dict[str, Any] = {}
    for each in classes:
        if each.__module__ in {"typing", "enum"}:
            continue
        names = _names_of(sys.modules[each.__module__])
        found |= inspect.get_annotations(each, globals=names, eval_str=True)
    return found


@cache
def _names_of(module: ModuleType) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for statement in ast.parse(_for_type_checkers(inspect.getsource(module))).body:
        names |= _import(statement)
    return names | vars(module)


def _for_type_checkers(source: str) -> str:
    """Return what stands under ``if TYPE_CHECKING:``; to parse the rest would take far longer."""
    _, _, after = source.partition("\nif TYPE_CHECKING:\n")
    lines = itertools.takewhile(lambda line: not line or line[0].isspace(), after.splitlines())
    return textwrap.dedent("\n".join(lines))


def _import(statement: ast.stmt) -> dict[str, Any]:
    if isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
        module = importlib.import_module(statement.module)
        return {name.asname or name.name: _member(module, name.name) for name in statement.names}
    if isinstance(statement, ast.Import):
        plain = (name for name in statement.names if name.asname is None)
        return {name.name.split(".")[0]: _root(name.name) for name in plain}
    return {}


def _member(module: ModuleType, name: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        return importlib.import_module(f"{module.__name__}.{name}")


def _root(name: str) -> ModuleType:
    importlib.import_module(name)
    return sys.modules[name.split(".")[0]]
