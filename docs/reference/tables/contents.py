"""The table of contents: every page of the folders for users, by its title."""

from __future__ import annotations

import re
from pathlib import Path

from tables.markdown import table

DOCS = Path(__file__).parents[2]


def pages(folder: str) -> str:
    """Return the pages of a folder: title, and the first sentence of the first paragraph."""
    rows = []
    for path in sorted((DOCS / folder).glob("*.md")):
        title, *rest = path.read_text("utf-8").lstrip("# ").split("\n\n")
        rows.append((f"[{title.strip()}]({folder}/{path.name})", _begin(rest)))
    return table(("page", "it begins"), sorted(rows))


def decisions() -> str:
    """Return the records of decisions, by number and title."""
    rows = []
    for path in sorted((DOCS / "adr").glob("*.md")):
        title = path.read_text("utf-8").partition("\n")[0]
        number, _, words = title.lstrip("# ").partition(". ")
        rows.append((f"[{number}](adr/{path.name})", words))
    return table(("number", "decision"), rows)


def _begin(paragraphs: list[str]) -> str:
    prose = " ".join(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", paragraphs[0]).split())
    if prose.startswith(("|", "-", "#", "<", "```")):
        raise ValueError(f"a page begins with a table, a list or code: {prose[:60]}")
    return re.split(r"(?<=[.:])(?:\*\*)? ", prose)[0].rstrip(".:").replace("**", "")
