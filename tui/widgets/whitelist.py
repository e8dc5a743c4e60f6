"""Checks a whitelist while the user types: findings by line, and the verdict on one caller."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.errors import InvalidAETitle, InvalidWhitelistEntry
from engine.model.peer import AETitle
from engine.model.whitelist import WhitelistEntry, match, normalize_address, parse_entry, review

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.model.whitelist import Address


TRY_ONE = "type both: would such a caller be admitted?"
MAX_REVIEWED = 300
"""Odd lines are looked for among so many; comparing each with each takes too long beyond."""


class LineState(StrEnum):
    """What is to be said about one whitelist line."""

    GOOD = "good"
    ODD = "odd"
    """Valid, but perhaps not what was meant."""
    REPEATED = "repeated"
    BLANK = "blank"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class LineVerdict:
    """One whitelist line: its state, and in words what it means or why it is wrong."""

    state: LineState
    words: str = ""


class CallerState(StrEnum):
    """What is known about the caller that is tried."""

    UNKNOWN = "unknown"
    WRONG = "wrong"
    """Not an AE title, or not an address."""
    ADMITTED = "admitted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class CallerVerdict:
    """Whether a caller would be admitted, with the line that decides."""

    state: CallerState
    words: str


def line_verdicts(lines: Sequence[str]) -> tuple[LineVerdict, ...]:
    """Return one verdict per line."""
    verdicts = tuple(_verdicts(lines))
    good = [
        line if verdict.state is LineState.GOOD else ""
        for line, verdict in zip(lines, verdicts, strict=True)
    ]
    notes: dict[int, list[str]] = {}
    for finding in review(good[:MAX_REVIEWED]):
        notes.setdefault(finding.line, []).append(finding.message)
    return tuple(
        LineVerdict(LineState.ODD, "; ".join(notes[number])) if number in notes else verdict
        for number, verdict in enumerate(verdicts, start=1)
    )


def _verdicts(lines: Sequence[str]) -> Iterator[LineVerdict]:
    first_seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            yield LineVerdict(LineState.BLANK)
        elif text in first_seen:
            yield LineVerdict(LineState.REPEATED, f"same as line {first_seen[text]}")
        else:
            first_seen[text] = number
            yield _verdict(text)


def _verdict(text: str) -> LineVerdict:
    try:
        return LineVerdict(LineState.GOOD, parse_entry(text).meaning())
    except InvalidWhitelistEntry as error:
        return LineVerdict(LineState.BAD, error.problems[0].message)


def caller_verdict(lines: Sequence[str], ae_title: str, address: str) -> CallerVerdict:
    """Say whether a caller would be admitted; lines that are wrong are not looked at."""
    if not ae_title.strip() or not address.strip():
        return CallerVerdict(CallerState.UNKNOWN, TRY_ONE)
    try:
        caller, peer = AETitle.parse(ae_title), normalize_address(address.strip())
    except InvalidAETitle as error:
        return CallerVerdict(CallerState.WRONG, f"the AE title {error.problems[0].message}")
    except ValueError:
        return CallerVerdict(CallerState.WRONG, f"{address.strip()} is not an address")
    return _decision(dict(_entries(lines)), caller, peer)


def _decision(entries: dict[int, WhitelistEntry], caller: str, peer: Address) -> CallerVerdict:
    verdict = match(tuple(entries.values()), caller, peer)
    if verdict.admitted_by is not None:
        line = _line_of(verdict.admitted_by, entries)
        words = f"admitted by line {line}: {verdict.admitted_by.text}"
        return CallerVerdict(CallerState.ADMITTED, words)
    bound = next(
        (e for e in entries.values() if _needs_only_its_certificate(e, caller, peer)), None
    )
    if bound is not None:
        words = f"admitted by line {_line_of(bound, entries)} with that certificate: {bound.text}"
        return CallerVerdict(CallerState.ADMITTED, words)
    if verdict.nearest is None:
        return CallerVerdict(CallerState.REFUSED, "refused; no line is like it")
    line = _line_of(verdict.nearest, entries)
    words = f"refused; nearest is line {line}: {verdict.nearest.text}"
    return CallerVerdict(CallerState.REFUSED, words)


def _needs_only_its_certificate(entry: WhitelistEntry, caller: str, peer: Address) -> bool:
    asks = entry.certificate is not None
    return asks and replace(entry, certificate=None).admits(caller, peer)


def _entries(lines: Sequence[str]) -> Iterator[tuple[int, WhitelistEntry]]:
    for number, line in enumerate(lines, start=1):
        if _verdict(line.strip()).state is LineState.GOOD:
            yield number, parse_entry(line, number)


def _line_of(entry: WhitelistEntry, entries: dict[int, WhitelistEntry]) -> int:
    return next(number for number, known in entries.items() if known is entry)
