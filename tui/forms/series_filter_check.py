"""What is to be said about a series import filter while it is typed, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.series_filter import FilterMode, Presence, filter_problems, parse_series_filter
from engine.model.trace import element_number
from tui.forms.settings_form import Remark

if TYPE_CHECKING:
    from engine.model.series_filter import SeriesFilter

_MODES = {
    FilterMode.BLACKLIST: "what a line below applies to is not wanted",
    FilterMode.WHITELIST: "only what a line below applies to is wanted",
}


def filter_remarks(text: str) -> tuple[Remark, ...]:
    """Return one remark per line: what it does, or why it is wrong."""
    lines = text.split("\n")
    wrong = _wrong_lines(text)
    kept = "\n".join("" if n in wrong else line for n, line in enumerate(lines, start=1))
    parsed = parse_series_filter(kept)
    return tuple(
        Remark(f"✗ {wrong[number]}", is_wrong=True)
        if number in wrong
        else _remark(number, line.strip(), parsed)
        for number, line in enumerate(lines, start=1)
    )


def _wrong_lines(text: str) -> dict[int, str]:
    """Return what is wrong, by 1-based line."""
    found = filter_problems("series_filter", text)
    return {p.line: f"{p.message}; {p.remedy}" for p in found if p.line is not None}


def _remark(number: int, line: str, parsed: SeriesFilter) -> Remark:
    if not line or line.startswith("#"):
        return Remark()
    if line.lower() in set(FilterMode):
        return Remark(f"✓ {_MODES[FilterMode(line.lower())]}", is_good=True)
    if line.startswith("["):
        return Remark("the lines below look at this element")
    found = next((known for known in parsed.lines if known.number == number), None)
    if found is None:  # XNAT's literal \\n makes several lines of one
        return Remark()
    means = {Presence.EXISTS: "is present", Presence.ABSENT: "is absent"}
    condition = found.condition
    what = means[condition] if isinstance(condition, Presence) else "contains a match"
    return Remark(f"✓ if {_name(found.tag)} {what}", is_good=True)


def _name(tag: int) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or element_number(tag)
