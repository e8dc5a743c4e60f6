"""No module is imported, for its types only or for good, by what it imports itself."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imports_of(package: str) -> dict[str, set[str]]:
    """Return which modules of a package import which others of it."""
    folder = ROOT / package.replace(".", "/")
    files = {f"{package}.{file.stem}": file for file in folder.glob("*.py")}
    found: dict[str, set[str]] = {}
    for module, file in files.items():
        named = set()
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        found[module] = named & files.keys()
    return found


@pytest.mark.parametrize("package", ["engine.net", "engine.dimse", "engine.reception"])
def test_no_module_of_reception_depends_on_itself(package: str) -> None:
    imports = imports_of(package)
    assert len(imports) > 5
    assert len(tuple(TopologicalSorter(imports).static_order())) == len(imports)
