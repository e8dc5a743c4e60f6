"""No module is imported, for its types only or for good, by what it imports itself."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
FACADE = "engine"
"""It imports the engine inside a function, and the engine asks it for the version."""


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_at_the_top(tree: ast.Module, *, late: bool = False) -> set[str]:
    """Return what a module imports when it is imported, and what only its type checker imports.

    With `late`, what its functions import too.
    """
    named: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif late or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)
    return named


def imports_of(package: str, *, late: bool = False) -> dict[str, set[str]]:
    """Return which modules of a package import which others of it."""
    files = {module_of(file): file for file in (ROOT / package).rglob("*.py")}
    return {
        module: imports_at_the_top(ast.parse(file.read_text("utf-8")), late=late)
        & files.keys() - {FACADE, module}
        for module, file in files.items()
    }


def test_no_module_of_the_engine_depends_on_itself() -> None:
    imports = imports_of("engine")
    assert len(imports) > 300
    assert len(tuple(TopologicalSorter(imports).static_order())) == len(imports)


def test_no_module_of_the_console_depends_on_itself_by_late_imports_either() -> None:
    imports = imports_of("tui", late=True)
    assert len(imports) > 90
    assert len(tuple(TopologicalSorter(imports).static_order())) == len(imports)
