#!/usr/bin/env python3
"""Draws the tables of the documents, and the manual page, from the code.

`python docs/reference/draw.py` writes them; with `--check` it only says which are out of date. A
page has the places: `<!-- drawn: NAME -->` and `<!-- end -->`, and a word after the name is its
argument.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tables import commands, conformance, contents, interfaces, records, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCS = Path(__file__).parents[1]
MANUAL = Path(__file__).with_name("dicomdock.1")
DRAWN: dict[str, Callable[..., str]] = {
    function.__name__: function
    for function in (
        commands.command_pages,
        conformance.commitment_sop_class,
        conformance.commitment_statuses,
        conformance.failure_reasons,
        conformance.implementation,
        conformance.rejections,
        conformance.report_times,
        conformance.statuses,
        conformance.storage_classes,
        conformance.transfer_syntaxes,
        conformance.verification,
        contents.decisions,
        contents.pages,
        interfaces.dialog_keys,
        interfaces.keys,
        interfaces.requests,
        records.errors,
        records.events,
        records.metrics,
        records.object_states,
        records.session_states,
        records.transitions,
        settings.alert_settings,
        settings.limit_settings,
        settings.processor_parameters,
        settings.project_settings,
        settings.receiver_settings,
        settings.session_settings,
        settings.site_settings,
    )
}
_PLACE = re.compile(r"(<!-- drawn: (\w+)(?: (\S+))? -->\n).*?(<!-- end -->)", re.DOTALL)


def redrawn(text: str) -> str:
    """Return a page with every drawn part made new."""

    def draw(place: re.Match[str]) -> str:
        name, argument = place[2], place[3]
        drawn = DRAWN[name](argument) if argument else DRAWN[name]()
        return f"{place[1]}\n{drawn}\n\n{place[4]}"

    return _PLACE.sub(draw, text)


def drawn_files() -> Iterator[tuple[Path, str]]:
    """Yield each file that has something drawn, with its text as it should be."""
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text("utf-8")
        if "<!-- drawn: " in text and path.name != "map.md":
            yield path, redrawn(text)
    yield MANUAL, commands.manual()


def main() -> int:
    """Write what is drawn, or check it."""
    late = [
        (path, text)
        for path, text in drawn_files()
        if not path.exists() or path.read_text("utf-8") != text
    ]
    for path, text in late:
        if "--check" in sys.argv:
            name = path.relative_to(DOCS)
            sys.stderr.write(f"{name} is out of date: run python docs/reference/draw.py\n")
        else:
            path.write_text(text, "utf-8")
    return int(bool(late) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
