"""The flow of objects is one row for each association, and pushes no warning away."""

from __future__ import annotations

from datetime import timedelta

from engine.events import AssociationRejected, Event, ObjectsStored, RecordedEvent
from tests.fakes import busy
from tests.fakes.values import NOW
from tui.app import ConsoleApp
from tui.log.events import EventsTable
from tui.log.folding import folded_events
from tui.shell.dialogs import MessageDialog


def stored(association: str, objects: int = 2) -> ObjectsStored:
    return ObjectsStored(
        receiver="XNAT:8104",
        calling_ae_title="CT",
        association=association,
        objects=objects,
        duplicates=1,
        bytes=1_000_000,
    )


def newest_first(*events: Event) -> tuple[RecordedEvent, ...]:
    numbered = enumerate(events, start=1)
    return tuple(reversed([RecordedEvent(i, NOW + timedelta(seconds=i), e) for i, e in numbered]))


REJECTED = AssociationRejected(
    receiver="XNAT:8104", calling_ae_title="OLD", called_ae_title="XNAT", address="10.4.2.77",
    port=8104, association="A-9", result=1, source=1,
    reason=3, why="it is on no whitelist line",
)  # fmt: skip


def test_objects_of_an_association_are_one_row_where_they_began() -> None:
    events = newest_first(stored("A-1"), stored("A-2"), REJECTED, *[stored("A-1")] * 58)
    rejected, second, first = folded_events(events)
    assert rejected.event is REJECTED
    assert (second.event, second.sequence) == (stored("A-2"), 2)
    assert first.sequence == 1
    sentence = "stored 118 objects (59.0 MB), 59 already here"
    assert first.event.sentence() == sentence


def test_the_same_number_after_a_restart_is_another_association() -> None:
    before, after = newest_first(stored("A-1")), newest_first(stored("A-1"))
    assert len(folded_events((*after, *before))) == 2


async def test_a_rejection_stays_on_top_of_the_flow_and_the_row_opens_with_its_sums() -> None:
    engine = busy()
    engine.events.clear()
    engine.record(stored("A-1"), REJECTED)
    app = ConsoleApp(engine, refresh_hz=0, blink=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        engine.record(*[stored("A-1")] * 20)
        await app.look()
        await pilot.pause()
        table = app.screen.query_one(EventsTable)
        assert table.row_count == 2
        table.focus()
        await pilot.press("j", "enter")
        await pilot.pause()
        assert isinstance(app.screen, MessageDialog)
        assert "stored 42 objects (21.0 MB), 21 already here" in app.screen._plain()
