"""What developers' documents say of places in the code and in each other is true."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.processing.contract import Continue, Reject, Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
GUIDES = [ROOT / "docs" / "developers" / name for name in ("ways.md", "reception.md", "how-to.md")]
STEP = re.compile(r"`((?:engine|tui)/[\w/]+\.py)`\s+`([\w.]+)`")


LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)")
MOST_LINES_OF_README = 150


def test_every_link_leads_to_a_file_and_a_heading_in_it() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {link[0]}#{link[1]}"
        for document in DOCUMENTS
        for link in LINK.findall(_prose(document.read_text()))
        if not _is_there(document, *link)
    ]
    assert broken == []


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = ROOT / "docs" / "README.md"
    linked = {(contents.parent / to).resolve() for to, _ in LINK.findall(contents.read_text())}
    assert set(ROOT.glob("docs/*/*.md")) <= linked


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= MOST_LINES_OF_README


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_every_module_that_a_guide_names_is_there(guide: Path) -> None:
    named = set(re.findall(r"(?<![\w/.<>-])(?:\w+/)+\w+\.py\b", guide.read_text()))
    named = {name for name in named if not re.search("NAME|TOPIC", name)}  # what is to be added
    missing = {
        name for name in named if not any((top / name).exists() for top in (ROOT, ROOT / "engine"))
    }
    assert missing == set()


def test_every_function_that_a_way_names_is_there() -> None:
    steps = STEP.findall((ROOT / "docs" / "developers" / "ways.md").read_text())
    assert len(steps) > 50
    assert [step for step in steps if step[1] not in _defined(ROOT / step[0])] == []


def test_the_example_of_a_processor_works() -> None:
    text = (ROOT / "docs" / "developers" / "how-to.md").read_text()
    (example,) = [
        code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "import" in code
    ]
    space: dict[str, Any] = {}
    exec(example, space)
    processor = space["RejectStation"]()
    header = _Header({0x00081010: "CT1"})
    context = SimpleNamespace(header=header, settings=Settings((("station", "CT1"),)))
    assert processor.accepts(context)
    assert isinstance(processor.process(context), Reject)
    context.settings = Settings((("station", "CT2"),))
    assert processor.process(context) == Continue()


def _prose(text: str) -> str:
    """Return a document without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def _is_there(document: Path, link: str, heading: str) -> bool:
    target = document.parent / link if link else document
    if not target.exists():
        return False
    return not heading or heading in _headings(target)


@cache
def _headings(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as web sites make them of the words."""
    titles = re.findall(r"^#+ (.*)$", _prose(document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


class _Header(dict[int, str]):
    def text(self, tag: int) -> str | None:
        return self.get(tag)


def _defined(path: Path) -> set[str]:
    """Return the classes, functions and methods of a module, methods with and without class."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, kinds):
            names.add(node.name)
            inner = (child for child in node.body if isinstance(child, kinds))
            names |= {f"{node.name}.{child.name}" for child in inner}
    return names
