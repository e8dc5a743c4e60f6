"""The objects that a receiver stored last: the fetch and its table."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from engine.model.session import ObjectState
from tui.engine_client import Fetch
from tui.text import clock, safe, size
from tui.theme import StateStyle, Tone
from tui.widgets.table import Cell, Column, LiveTable, TableRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from engine.api import EngineView, ReceiverStatus
    from engine.api.objects import RecentObject
    from tui.engine_client import Asker


NOTHING = "no object arrived lately"
OBJECT_STYLES = {
    ObjectState.STORED: StateStyle("✓", "stored", Tone.OK),
    ObjectState.DUPLICATE: StateStyle("=", "known", Tone.MUTED),
    ObjectState.FILTERED: StateStyle("–", "filtered", Tone.MUTED),
    ObjectState.REJECTED: StateStyle("✗", "rejected", Tone.WARNING),
    ObjectState.QUARANTINED: StateStyle("✗", "set aside", Tone.ERROR),
    ObjectState.FAILED: StateStyle("✗", "failed", Tone.ERROR),
}
UNKNOWN = StateStyle("?", "unknown", Tone.MUTED)


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
        ("result", str(object_style(one))),
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


def object_style(one: RecentObject) -> StateStyle:
    """Return how the state of an arrival is shown."""
    return OBJECT_STYLES[ObjectState(one.state)] if one.state in set(ObjectState) else UNKNOWN


def _cells(one: RecentObject) -> dict[str, Cell]:
    look = object_style(one)
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


SHOWN = 50


class RecentObjectsFetch:
    """Asks the engine for one receiver and caller at a time."""

    def __init__(self, asker: Asker, changed: Callable[[], None]) -> None:
        self._fetch: Fetch[tuple[RecentObject, ...]] = Fetch("list last objects", asker, changed)
        self._counted: object = None

    def of(self, status: ReceiverStatus, caller: str, now: datetime) -> tuple[RecentObject, ...]:
        """Return what is known of a receiver's objects from a caller (empty for all); may ask."""
        label = status.receiver.label
        counted = (label, status.objects_today, status.failed_today, status.last_object_at)
        came, self._counted = counted != self._counted, counted
        wish = (label, caller)
        self._fetch.want(wish, partial(_recent, *wish), now, again=came)
        return (self._fetch.answer or ()) if self._fetch.wish == wish else ()

    def find(self, key: str | None) -> RecentObject | None:
        """Return the object of a row."""
        return next((one for one in self._fetch.answer or () if object_key(one) == key), None)


def _recent(receiver: str, caller: str, engine: EngineView) -> tuple[RecentObject, ...]:
    return engine.objects.recent(receiver=receiver, calling_ae_title=caller, limit=SHOWN)
