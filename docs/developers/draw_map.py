#!/usr/bin/env python3
"""Draws the pictures and tables of `map.md` from the code.

`python docs/developers/draw_map.py` writes them; with `--check` it only says whether they are
current. Layers come from the import contracts in `pyproject.toml`, imports from the modules, and
what a package does from the docstring of its `__init__`. Imports for type checkers only are left
out.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAP = Path(__file__).with_name("map.md")
Graph = dict[str, set[str]]


def layers(container: str) -> list[list[str]]:
    """Return the layers of the contract for `engine` or `tui`, the top one first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = [c for c in settings["contracts"] if c.get("containers") == [container]]
    return [re.split(r" [|:] ", layer) for layer in contract["layers"]]


def imported(path: Path) -> set[str]:
    """Return the full names that a module imports at run time, also inside functions."""
    names: set[str] = set()
    open_nodes: list[ast.AST] = [ast.parse(path.read_text())]
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            open_nodes += node.orelse
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        else:
            open_nodes += ast.iter_child_nodes(node)
    return names


def modules(container: str, package: str) -> list[Path]:
    """Return the files of one package, or the one file of a single module."""
    folder = ROOT / container / package
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def graph(container: str, packages: list[str]) -> Graph:
    """Return which packages each package imports."""
    found: Graph = {}
    for package in packages:
        names = {name for path in modules(container, package) for name in imported(path)}
        parts = {n.split(".")[1] for n in names if n.startswith(f"{container}.")}
        found[package] = (parts & set(packages)) - {package}
    return found


def reachable(edges: Graph, start: str) -> set[str]:
    """Return everything that `start` imports, directly or through others."""
    seen: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        package = waiting.pop()
        if package not in seen:
            seen.add(package)
            waiting += edges[package]
    return seen


def drawn(edges: Graph) -> list[tuple[str, str]]:
    """Return the arrows to draw: without an arrow where another path says the same."""
    return sorted(
        (package, other)
        for package, others in edges.items()
        for other in others
        if not any(other in reachable(edges, third) for third in others - {other})
    )


def picture(container: str) -> str:
    """Return the Mermaid block of one container: a row of boxes for each layer."""
    rows = [sorted(row) for row in layers(container)]
    lines = ["```mermaid", "flowchart TB"]
    for number, row in enumerate(rows):
        lines.append(f'  subgraph layer{number}[" "]')
        lines += [f"    {name}_[{name.strip('_')}]" for name in row]
        lines.append("  end")
    edges = graph(container, [name for row in rows for name in row])
    lines += [f"  {package}_ --> {other}_" for package, other in drawn(edges)]
    return "\n".join([*lines, "```"])


def docstring(container: str, package: str) -> str:
    """Return the docstring of a package or module on one line, without lists and trees."""
    first = modules(container, package)[0]
    path = first.with_name("__init__.py") if (ROOT / container / package).is_dir() else first
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    prose = [part for part in text.split("\n\n") if not part.startswith("- ") and "├" not in part]
    return " ".join(" ".join(prose).split())


def table(container: str) -> str:
    """Return a table of the packages: what each does and what it imports, the top layer first."""
    rows = [sorted(row) for row in layers(container)]
    edges = graph(container, [name for row in rows for name in row])
    lines = ["| package | what it does | imports |", "|---|---|---|"]
    for package in (name for row in rows for name in row):
        is_folder = (ROOT / container / package).is_dir()
        link = f"[{package.strip('_')}](../../{container}/{package}{'' if is_folder else '.py'})"
        text = docstring(container, package).replace("|", "\\|")
        lines.append(f"| {link} | {text} | {', '.join(sorted(edges[package]))} |")
    return "\n".join(lines)


def redrawn(text: str) -> str:
    """Return the text of `map.md` with every drawn part made new."""
    for container in ("engine", "tui"):
        for kind in (picture, table):
            begin, end = f"<!-- drawn: {kind.__name__} {container} -->\n", "<!-- end -->"
            before, rest = text.split(begin, 1)
            text = f"{before}{begin}{kind(container)}\n{end}{rest.split(end, 1)[1]}"
    return text


def main() -> int:
    """Write `map.md`, or check it."""
    before = MAP.read_text()
    after = redrawn(before)
    if "--check" in sys.argv:
        if before != after:
            sys.stderr.write("map.md is out of date: run python docs/developers/draw_map.py\n")
        return int(before != after)
    MAP.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
