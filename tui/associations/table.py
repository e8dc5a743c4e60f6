"""The table of associations: current ones first, then ended and rejected ones with the reason."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, ClassVar

from engine.api import AssociationEnd
from tui.text import clock, count, duration, host_of, megabytes, safe, size
from tui.theme import ASSOCIATION_STYLES, Tone
from tui.widgets.filter import folded
from tui.widgets.live_table import LiveTable, RowMemory
from tui.widgets.marks import MarkableTable
from tui.widgets.table import Cell, Column, TableRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from engine.api import AssociationStatus, EngineSnapshot

    Lasting = tuple[AssociationStatus, int]
    """An association, and for how many seconds it has lasted."""

FIELDS = ("state", "caller", "called", "receiver", "address", "id", "implementation", "why")
"""Fields of a filter."""
NOBODY = "nobody has called since the engine started"


class AssociationsTable(LiveTable):
    """Who sends now, and who did or was refused a moment ago."""

    NOUN = "association"
    UNSORTED = "live ones first"
    HELP_TITLE = "Associations"
    HELP = (
        "Live associations come first, oldest on top; below them those that ended recently. A "
        "rejected caller is a row like any other, ×25 in place of objects meaning 25 attempts: the "
        "line under the table says why, {association.allow} lets it in or says what helps, and "
        "{list.open} shows everything that is known, refused presentation contexts too. MB/s is "
        "the mean of the last five full seconds. An association that ended in these seconds keeps "
        "its rate, so that all rows add up to the rate in the header."
    )
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("state", "State", 10),
        Column("since", "Since", 8),
        Column("caller", "Calling AE", 16),
        Column("called", "Called AE", 9, flexible=True, max_width=16),
        Column("address", "Address", 14, at_least=66, flexible=True, max_width=21),
        Column("duration", "Duration", 12, right=True, at_least=110),
        Column("objects", "Obj", 6, right=True),
        Column("size", "Size", 8, right=True, at_least=104),
        Column("rate", "MB/s", 5, right=True, at_least=58),
        Column("contexts", "Contexts", 8, right=True, at_least=96),
        Column("implementation", "Implementation", 16, at_least=128, flexible=True, max_width=20),
    )

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._memory = RowMemory(_key, _row)

    def show_associations(
        self, associations: Iterable[AssociationStatus], now: datetime, empty: str = ""
    ) -> None:
        """Show associations as of a moment; if there are none, show why (safe text)."""
        lasting = ((a, int(((a.ended_at or now) - a.since).total_seconds())) for a in associations)
        self.show(self._memory.rows(lasting), empty)


class AllAssociationsTable(MarkableTable, AssociationsTable):
    """The same on a screen of its own, where many can be marked."""

    COLUMNS = (
        Column("state", "State", 10),
        Column("since", "Since", 8),
        Column("caller", "Calling AE", 16),
        Column("called", "Called AE", 9, flexible=True, max_width=16),
        Column("address", "Address", 15, flexible=True, max_width=21),
        Column("duration", "Duration", 11, right=True, at_least=100),
        Column("objects", "Obj", 6, right=True),
        Column("size", "Size", 8, right=True, at_least=86),
        Column("rate", "MB/s", 5, right=True),
        Column("contexts", "Contexts", 8, right=True, at_least=109),
        Column("implementation", "Implementation", 12, at_least=120, flexible=True, max_width=20),
        Column("id", "Number", 8, at_least=140),
    )


def association_fields(association: AssociationStatus) -> dict[str, str]:
    """Return the values that a filter searches, by field."""
    return folded(
        state=ASSOCIATION_STYLES[association.end].word,
        caller=association.calling_ae_title,
        called=association.called_ae_title,
        receiver=association.receiver,
        address=association.address,
        id=association.id,
        implementation=association.implementation,
        why=association.why,
    )


def association_of(snapshot: EngineSnapshot, chosen: str | None) -> AssociationStatus | None:
    """Return the association with this row key, if it is (still) there."""
    both = (*snapshot.associations, *snapshot.ended_associations)
    return next((a for a in both if row_key(a) == chosen), None)


def _key(lasting: Lasting) -> str:
    return row_key(lasting[0])


def _row(lasting: Lasting, key: str) -> TableRow:
    association, seconds = lasting
    look = ASSOCIATION_STYLES[association.end]
    live = association.end is None
    rejected = association.end is AssociationEnd.REJECTED
    tone = Tone.PLAIN if live else Tone.MUTED
    # One that ended a moment ago is still in the rate of the engine, and so it has its own.
    has_rate = live or association.bytes_rate > 0
    rate = megabytes(association.bytes_rate) if has_rate else "–"
    cells = {
        "state": Cell(str(look), look.tone),
        "since": Cell(clock(association.since), tone, association.since.timestamp()),
        "caller": Cell(safe(association.calling_ae_title), Tone.STRONG if live else Tone.PLAIN),
        "called": Cell(safe(association.called_ae_title), tone),
        "address": Cell(safe(host_of(association.address)), tone),
        "duration": Cell("–" if rejected else duration(seconds), tone, seconds),
        "objects": _objects(association, tone),
        "size": Cell("–" if rejected else size(association.bytes), tone, association.bytes),
        "rate": Cell(rate, tone, association.bytes_rate),
        "contexts": Cell(contexts(association), tone, association.contexts_accepted),
        "implementation": Cell(safe(association.implementation) or "–", tone),
        "id": Cell(safe(association.id), tone),
    }
    return TableRow(key, cells)


def row_key(association: AssociationStatus) -> str:
    """Return what identifies an association's row, also while a rejection is repeated.

    Each repetition gets the number of the newest attempt; caller, reason and beginning stay.
    """
    if association.end is not AssociationEnd.REJECTED:
        return association.id
    began = association.since.isoformat()
    caller = association.calling_ae_title
    return "\n".join((association.receiver, caller, association.why, began))


def _objects(association: AssociationStatus, tone: Tone) -> Cell:
    """A rejected caller brings no objects; the count of its attempts stands in their place."""
    if association.end is AssociationEnd.REJECTED:
        return Cell(repeated(association) or "–", Tone.ERROR if repeated(association) else tone, 0)
    return Cell(count(association.objects), tone, association.objects)


def repeated(association: AssociationStatus) -> str:
    """Return how often the caller was rejected, if more than once, such as ``×25``."""
    return f"×{association.repeats:,}" if association.repeats > 1 else ""


def contexts(association: AssociationStatus) -> str:
    """Return accepted and proposed presentation contexts."""
    if not association.contexts_proposed:
        return "–"
    return f"{association.contexts_accepted}/{association.contexts_proposed}"


def why_ended(association: AssociationStatus) -> str:
    """Say why an association did not end with a release; empty if it did, or is open."""
    by_the_caller = association.end is AssociationEnd.ABORTED and not association.why
    return "by the caller" if by_the_caller else safe(association.why)


def when_rejected(association: AssociationStatus) -> str:
    """Say when, and how often, a caller was rejected."""
    first = clock(association.since)
    if association.repeats == 1:
        return first
    last = clock(association.ended_at or association.since)
    return f"{repeated(association)} from {first} to {last}"


def association_title(live: Sequence[AssociationStatus], ended: Sequence[AssociationStatus]) -> str:
    """Return how many there are of each kind; of rejected ones, how many attempts."""
    ends = Counter[AssociationEnd | None]()
    for association in ended:
        ends[association.end] += association.repeats
    counts = [f"{len(live)} live"]
    counts += [f"{ends[end]:,} {ASSOCIATION_STYLES[end].word}" for end in AssociationEnd]
    return "   ".join(counts)
