"""The objects that arrived last, with what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.session import ObjectState
from tui.text import clock, safe, size
from tui.theme import Look, Tone
from tui.widgets.live_table import Cell, Column, LiveTable, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.view.objects import RecentObject

NOTHING = "no object arrived lately"
OBJECT_LOOKS = {
    ObjectState.STORED: Look("✓", "stored", Tone.OK),
    ObjectState.DUPLICATE: Look("=", "known", Tone.MUTED),
    ObjectState.FILTERED: Look("–", "filtered", Tone.MUTED),
    ObjectState.REJECTED: Look("✗", "rejected", Tone.WARNING),
    ObjectState.QUARANTINED: Look("✗", "set aside", Tone.ERROR),
    ObjectState.FAILED: Look("✗", "failed", Tone.ERROR),
}
UNKNOWN = Look("?", "unknown", Tone.MUTED)


class LastObjectsTable(LiveTable):
    """Stays at the top while the cursor is there."""

    FOLLOWS_TOP = True
    NOUN = "object"
    UNSORTED = "newest first"
    HELP_TITLE = "Last objects"
    HELP = (
        "The objects that arrived last from the caller under the cursor above, or from everybody, "
        "with the status that was answered: enter opens the header of a stored one, and says of "
        "any other why it was not kept."
    )
    COLUMNS = (
        Column("at", "Time", 8),
        Column("modality", "Mod", 3),
        Column("project", "Project", 8, flexible=True, max_width=16),
        Column("label", "Session", 8, flexible=True, max_width=24),
        Column("size", "Size", 7, right=True),
        Column("result", "Result", 11),
        Column("status", "Status", 6, at_least=70),
        Column("reason", "Why", 10, flexible=True, at_least=78),
    )


def last_object_rows(objects: Iterable[RecentObject]) -> list[TableRow]:
    """Return the rows of objects; `objects` come newest first."""
    return [TableRow(object_key(one), _cells(one)) for one in objects]


def object_key(one: RecentObject) -> str:
    """Return what tells an arrival from all others."""
    return f"{one.at.isoformat()} {one.reference.sop_instance_uid} {one.state}"


def object_facts(one: RecentObject) -> list[tuple[str, str]]:
    """Return name and value of what is known about an arrival; safe text."""
    where = " / ".join(safe(part) for part in (one.project, one.label) if part)
    return [
        ("result", str(object_look(one))),
        ("status", f"0x{one.status:04X}"),
        ("why", safe(one.reason) or "–"),
        ("arrived", clock(one.at)),
        ("receiver", safe(one.receiver)),
        ("calling AE title", safe(one.calling_ae_title)),
        ("kind of object", safe(one.sop_class)),
        ("session", where or "none"),
        ("size", size(one.bytes)),
        ("SOP instance UID", safe(one.reference.sop_instance_uid)),
    ]


def object_look(one: RecentObject) -> Look:
    """Return how the state of an arrival is shown."""
    return OBJECT_LOOKS[ObjectState(one.state)] if one.state in set(ObjectState) else UNKNOWN


def _cells(one: RecentObject) -> dict[str, Cell]:
    look = object_look(one)
    return {
        "at": Cell(clock(one.at), Tone.MUTED, one.at.timestamp()),
        "modality": Cell(safe(one.modality) or "–"),
        "project": Cell(safe(one.project) or "–"),
        "label": Cell(safe(one.label) or "–"),
        "size": Cell(size(one.bytes), Tone.PLAIN, one.bytes),
        "result": Cell(str(look), look.tone),
        "status": Cell(f"0x{one.status:04X}", Tone.MUTED, one.status),
        "reason": Cell(safe(one.reason)),
    }
