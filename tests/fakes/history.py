"""Revisions of a made-up configuration, and a `HistoryView` that answers from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.api.history import ChangeRow, ReceiverTimes, RevisionPage, RevisionSummary
from engine.errors import ChangedMeanwhile, NotFound
from engine.model.configuration_diff import Change
from tests.fakes.values import NOW

if TYPE_CHECKING:
    from collections.abc import Callable


def example_revisions() -> list[RevisionSummary]:
    """Return thirty revisions, the newest first."""
    shapes = (
        ("anna", "10.4.1.20", ("receiver PET_STAGING:8106 added",)),
        ("bert", "", ("receiver CT_INTAKE:8104 whitelist: +OLD_WS1",)),
        ("an editor", "", ("site limits.associations: 25 → 200",)),
        (
            *("anna", "10.4.1.20"),
            (
                "site project_routing: -(0008,1030):(.*), +(0008,1030):([A-Z]+-\\d+).*:1",
                "project NEURO-07 added",
                "receiver MR_RESEARCH:11112 routing_enabled: off → on",
            ),
        ),
        ("dicomdock import", "", tuple(f"receiver US_ROOM{n}:8105 added" for n in range(1, 6))),
    )
    return [
        RevisionSummary(
            number=number,
            changed_at=NOW - timedelta(hours=5 * (12 - number), minutes=number * 7 % 60),
            changed_by=who,
            changed_from=where,
            changes=len(said) + 7 * (number % 5 == 0),
            summary=said,
            subjects=tuple(dict.fromkeys(" ".join(words.split()[:2]) for words in said)),
        )
        for number in range(12, 0, -1)
        for who, where, said in (shapes[number % len(shapes)],)
    ]


def example_changes() -> tuple[ChangeRow, ...]:
    """Return differences of every kind: whole subjects, fields, lines, and a secret."""
    rows = (
        ("receiver PET_STAGING:8106", Change.ADDED, "", "", ""),
        ("receiver US_OLD:8105", Change.REMOVED, "", "", ""),
        ("receiver CT_INTAKE:8104", Change.CHANGED, "enabled", "off", "on"),
        (
            *("receiver CT_INTAKE:8104", Change.CHANGED, "whitelist"),
            "CT_SCANNER_1@10.4.7.0/24\nER_CT",
            "CT_SCANNER_1@10.4.7.0/24\nER_CT\nOLD_WS1",
        ),
        ("site", Change.CHANGED, "limits.associations", "25", "200"),
        ("site", Change.CHANGED, "control.token", "••••••••", "••••••••"),
    )
    return tuple(ChangeRow(*row, sentence=_sentence(*row)) for row in rows)


def _sentence(subject: str, change: Change, field: str, before: str, after: str) -> str:
    if change is not Change.CHANGED:
        return f"{subject} {change}"
    come = [f"+{line}" for line in after.splitlines() if line not in before.splitlines()]
    return f"{subject} {field}: " + (", ".join(come) if "\n" in after else f"{before} → {after}")


@dataclass
class FakeHistory:
    """A `HistoryView` that answers from memory."""

    command: Callable[..., None]
    known: list[RevisionSummary] = field(default_factory=example_revisions)
    changes: tuple[ChangeRow, ...] = field(default_factory=example_changes)
    restored: Callable[[int], None] = lambda number: None
    """Told the number of the revision that a restore made."""

    def revisions(self, *, before: int | None = None, limit: int = 50) -> RevisionPage:
        found = [r for r in self.known if before is None or r.number < before]
        in_force = self.known[0].number if self.known else 0
        return RevisionPage(tuple(found[:limit]), in_force, more=len(found) > limit)

    def diff(self, before: int, after: int | None = None) -> tuple[ChangeRow, ...]:
        numbers = {0, *(revision.number for revision in self.known)}
        for number in (before, before if after is None else after):
            if number not in numbers:
                raise NotFound(f"revision {number} is not kept", "kept revisions: 1 to 12")
        return () if before == after else self.changes

    def receiver_times(self) -> tuple[ReceiverTimes, ...]:
        return ()

    def restore(self, number: int, actor: str, *, replacing: int | None = None) -> int:
        self.command("history.restore", number, actor, replacing)
        newest = self.known[0]
        if number not in {revision.number for revision in self.known}:
            raise NotFound(f"revision {number} is not kept", "kept revisions: 1 to 12")
        if replacing is not None and replacing != newest.number:
            raise ChangedMeanwhile("the configuration", "bert", NOW, newest.summary)
        return self.add(actor, f"as revision {number}")

    def add(self, actor: str, said: str) -> int:
        """Make a revision; return its number."""
        number = self.known[0].number + 1
        self.known.insert(0, RevisionSummary(number, NOW, actor, "", 1, (said,)))
        self.restored(number)
        return number
