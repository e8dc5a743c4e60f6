"""Live associations: what is counted, told and remembered."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import UID

from engine.api import AssociationEnd, RefusedContext
from engine.dimse.contexts import AcceptedUIDs
from engine.errors import NotFound
from engine.events import (
    AssociationAbortAsked,
    AssociationAborted,
    AssociationEstablished,
    AssociationRejected,
    AssociationReleased,
    CalledFromNewAddress,
    ContextsRefused,
    ObjectRefused,
    ObjectsStored,
)
from engine.events.journal import Journal
from engine.host.memory import CROWD, release_free_memory
from engine.index.senders import SenderNote
from engine.index.writer import WhitelistUse
from engine.metrics import Metrics
from engine.model.peer import AETitle
from engine.model.receiver import Receiver
from engine.model.session import ObjectState
from engine.model.whitelist import normalize_address
from engine.reception.acceptance import Acceptance, AssociationRequest, Rejection
from engine.reception.associations import (
    ENDED_KEPT,
    MAX_REPORTED_CALLERS,
    REJECTIONS_PER_MINUTE,
    AssociationControl,
    Associations,
)
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from engine.events import Event
    from engine.reception.live_association import LiveAssociation

RECEIVER = Receiver(1, AETitle("XNAT"), 8104)
REQUEST = AssociationRequest("XNAT", "CT_SCANNER_1", ip_address("10.4.7.21"))
ADDRESS = "10.4.7.21:50112"
REFUSED = (
    RefusedContext("Modality Worklist", ("Implicit VR Little Endian",), "not a storage class"),
    RefusedContext("CT Image Storage", ("Deflated",), "no common transfer syntax"),
)


class Setting:
    """Associations with an injected clock."""

    def __init__(self, clock: FixedClock | None = None, metrics: Metrics | None = None) -> None:
        self.clock = clock or FixedClock(datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC))
        self.journal = Journal(self.clock)
        self.noted: list[WhitelistUse | SenderNote] = []
        self.left: list[int] = []
        """How many were open when memory was returned."""
        self.associations = Associations(
            *(self.clock, self.journal, self.noted.append, metrics),
            crowd_gone=lambda: self.left.append(len(self.associations.live())),
        )

    @property
    def uses(self) -> list[WhitelistUse]:
        return [row for row in self.noted if isinstance(row, WhitelistUse)]

    @property
    def notes(self) -> list[SenderNote]:
        return [row for row in self.noted if isinstance(row, SenderNote)]

    def open(
        self, whitelist_line: str = "", request: AssociationRequest = REQUEST
    ) -> LiveAssociation:
        accepted = Acceptance(RECEIVER, whitelist_line)
        return self.associations.open(accepted, request, ADDRESS, lambda: None)

    def events(self, kind: type[Event]) -> list[Event]:
        page = self.journal.events_since(0, 1000)
        return [r.event for r in page.events if isinstance(r.event, kind)]


@pytest.fixture
def setting() -> Setting:
    return Setting()


def store(setting: Setting, live: LiveAssociation, state: ObjectState = ObjectState.STORED) -> None:
    setting.associations.count_object(live, state, 500_000, 0, "")


def test_a_released_association_moves_to_the_ended_ones_with_its_totals(setting: Setting) -> None:
    live = setting.open()
    setting.associations.established(live, 12, REFUSED, "DCM4CHE_5_29")
    store(setting, live)
    setting.clock.advance(2.5)
    setting.associations.close(live, AssociationEnd.RELEASED)
    assert setting.associations.live() == ()
    (ended,) = setting.associations.ended()
    assert (ended.objects, ended.bytes, ended.end) == (1, 500_000, AssociationEnd.RELEASED)
    assert (ended.contexts_accepted, ended.contexts_proposed) == (12, 14)
    (event,) = setting.events(AssociationReleased)
    assert event.sentence() == "association released after 1 object, 2.5 s"


def test_closing_twice_tells_once(setting: Setting) -> None:
    live = setting.open()
    setting.associations.close(live, AssociationEnd.RELEASED)
    setting.associations.close(live, AssociationEnd.ABORTED)
    assert len(setting.associations.ended()) == 1
    assert setting.events(AssociationAborted) == []


def test_stored_objects_are_told_once_a_second_not_once_an_object(setting: Setting) -> None:
    live = setting.open()
    for _ in range(118):
        store(setting, live)
    assert setting.events(ObjectsStored) == []
    setting.clock.advance(1)
    store(setting, live, ObjectState.DUPLICATE)
    (event,) = setting.events(ObjectsStored)
    assert event.sentence() == "stored 118 objects (59.0 MB)"
    setting.associations.close(live, AssociationEnd.RELEASED)
    assert setting.events(ObjectsStored)[1].sentence() == ("1 object already here (0.5 MB)")


def test_a_refused_object_is_told_at_once_with_status_and_reason(setting: Setting) -> None:
    live = setting.open()
    setting.associations.count_object(
        live, ObjectState.FAILED, 10, 0xA700, "only 3 MB free on the storage"
    )
    (event,) = setting.events(ObjectRefused)
    assert event.sentence() == ("object refused with status 0xA700: only 3 MB free on the storage")
    assert (live.objects, live.failed, live.bytes) == (0, 1, 0)


def test_a_rejected_association_is_remembered_with_its_reason(setting: Setting) -> None:
    rejection = Rejection(1, 1, 3, "on no whitelist line")
    setting.associations.rejected(REQUEST, rejection, 8104, ADDRESS)
    (ended,) = setting.associations.ended()
    assert (ended.end, ended.why) == (AssociationEnd.REJECTED, "on no whitelist line")
    (event,) = setting.events(AssociationRejected)
    assert event.sentence() == "association rejected (1/1/3): on no whitelist line"


def test_the_rate_of_an_association_is_a_mean_over_full_seconds(setting: Setting) -> None:
    live = setting.open()
    for _ in range(10):
        store(setting, live)
        setting.clock.advance(1)
    (status,) = setting.associations.statuses()
    assert status.bytes_rate == 500_000


def test_rates_of_associations_add_up_to_the_rate_of_the_engine() -> None:
    clock = FixedClock(datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC))
    metrics = Metrics(clock)
    setting = Setting(clock, metrics)
    long_one, short_one, failing = setting.open(), setting.open(), setting.open()
    seen = []
    for second in range(12):
        for live, state in [
            (long_one, ObjectState.STORED),
            *([(short_one, ObjectState.STORED)] * (second < 3)),
            *([(failing, ObjectState.FAILED)] * (second == 1)),
        ]:
            setting.associations.count_object(live, state, 500_000, 0, "no")
            metrics.record_object(RECEIVER.label, state, 500_000, 0.1)
        if second in (1, 2):
            ended = failing if second == 1 else short_one
            setting.associations.close(ended, AssociationEnd.ABORTED)
        clock.advance(1)
        rows = (*setting.associations.statuses(), *setting.associations.ended())
        rates = [row.bytes_rate for row in rows]
        assert sum(rates) == pytest.approx(metrics.throughput().bytes_rate)
        seen.append(sum(rates[1:]) > 0)
    assert seen == [True] * 7 + [False] * 5


def test_refused_contexts_are_told_by_name_with_the_reason(setting: Setting) -> None:
    live = setting.open()
    setting.associations.established(live, 12, REFUSED, "")
    (event,) = setting.events(ContextsRefused)
    assert event.sentence() == (
        "2 contexts refused: Modality Worklist, not a storage class; "
        "CT Image Storage, no common transfer syntax"
    )
    assert setting.associations.statuses()[0].contexts_refused == REFUSED


def test_a_repeated_refusal_is_one_row_with_a_count(setting: Setting) -> None:
    for _ in range(25):
        setting.associations.rejected(REQUEST, Rejection(1, 1, 3, "no line"), 8104, ADDRESS)
        setting.clock.advance(1)
    (row,) = setting.associations.ended()
    assert (row.repeats, row.id) == (25, "A-0025")
    told = [event.sentence() for event in setting.events(AssociationRejected)]
    assert told == [
        "association rejected (1/1/3): no line",
        "association rejected (1/1/3), 10 times by now: no line",
    ]


@pytest.mark.parametrize(
    ("calling", "why", "pause"),
    [("OTHER", "no line", 1), ("CT1", "full", 1), ("CT1", "no line", 601)],
)
def test_another_caller_reason_or_time_is_another_row(
    setting: Setting, calling: str, why: str, pause: int
) -> None:
    first = AssociationRequest("XNAT", "CT1", ip_address("10.4.7.21"))
    second = AssociationRequest("XNAT", calling, ip_address("10.4.7.21"))
    setting.associations.rejected(first, Rejection(1, 1, 3, "no line"), 8104, ADDRESS)
    setting.clock.advance(pause)
    setting.associations.rejected(second, Rejection(1, 1, 3, why), 8104, ADDRESS)
    assert [row.repeats for row in setting.associations.ended()] == [1, 1]


def rejected(setting: Setting, calling: str, address: str, reason: int = 7) -> None:
    request = AssociationRequest("XNAT", calling, normalize_address(address))
    rejection = Rejection(1, 1, reason, f"there is no {calling}")
    setting.associations.rejected(request, rejection, 8104, f"{address}:5")


def times_told(setting: Setting) -> list[int]:
    events = setting.events(AssociationRejected)
    return [event.times for event in events if isinstance(event, AssociationRejected)]


def test_many_ae_titles_of_one_address_are_few_lines(setting: Setting) -> None:
    """The AE titles are the caller's own words, and so is the lower half of its IPv6 address."""
    for number in range(1_000):
        rejected(setting, f"GUESS{number}", f"2001:db8::{number:x}")
    times = times_told(setting)
    assert len(times) == MAX_REPORTED_CALLERS + 3
    assert [count for count in times if count > 1] == [10, 100, 1_000]


def test_rejections_of_many_networks_are_only_so_many_lines_a_minute(setting: Setting) -> None:
    """One host may have a whole /48 of IPv6 addresses."""
    for number in range(500):
        for calling in ("A", "B", "C"):
            rejected(setting, f"{calling}{number}", f"2001:db8:1:{number:x}::1")
    assert len(times_told(setting)) == REJECTIONS_PER_MINUTE
    setting.clock.advance(60)
    rejected(setting, "CT1", "10.1.2.3")
    last = setting.events(AssociationRejected)[-1]
    assert last.sentence().endswith("there is no CT1; 1,440 such reports left out before")


def test_the_first_callers_of_an_address_are_each_told(setting: Setting) -> None:
    """A few devices may share an address, behind a gateway."""
    for calling in ("CT1", "CT2", "CT1", "CT2", "CT3"):
        rejected(setting, calling, "10.1.2.3")
    told = [event.calling_ae_title for event in setting.events(AssociationRejected)]
    assert told == ["CT1", "CT2", "CT3"]


@pytest.mark.parametrize(("address", "reason"), [("10.1.2.4", 7), ("10.1.2.3", 3)])
def test_another_address_or_cause_is_told_by_itself(
    setting: Setting, address: str, reason: int
) -> None:
    for _ in range(3):
        rejected(setting, "CT1", "10.1.2.3")
    rejected(setting, "CT1", address, reason)
    assert times_told(setting) == [1, 1]


def test_only_the_latest_ended_associations_are_kept(setting: Setting) -> None:
    for number in range(ENDED_KEPT + 10):
        rejection = Rejection(1, 1, 7, f"reason {number}")
        setting.associations.rejected(REQUEST, rejection, 8104, ADDRESS)
    ended = setting.associations.ended()
    assert len(ended) == ENDED_KEPT
    assert ended[0].id == f"A-{ENDED_KEPT + 10:04d}"


def test_waiting_for_none_ends_when_the_last_one_closes(setting: Setting) -> None:
    live = setting.open()
    closer = threading.Thread(
        target=setting.associations.close, args=(live, AssociationEnd.RELEASED)
    )
    closer.start()
    assert setting.associations.wait_until_none(30)
    closer.join()


def test_memory_is_returned_once_when_a_crowd_has_gone(setting: Setting) -> None:
    def come_and_go(number: int) -> None:
        for live in [setting.open() for _ in range(number)]:
            setting.associations.close(live, AssociationEnd.RELEASED)

    come_and_go(CROWD - 1)
    assert setting.left == []
    for times in (1, 2):
        come_and_go(CROWD)
        assert setting.left == [CROWD // 10 - 1] * times
    release_free_memory()


def test_waiting_for_none_gives_up_at_its_deadline(setting: Setting) -> None:
    setting.open()
    assert not setting.associations.wait_until_none(0)


def test_the_whitelist_line_that_let_a_caller_in_is_counted_and_told(setting: Setting) -> None:
    setting.associations.established(setting.open("CT_SCANNER_1"), 1, (), "")
    setting.associations.established(setting.open(), 1, (), "")
    told = setting.events(AssociationEstablished)
    assert [getattr(event, "whitelist_line", None) for event in told] == ["CT_SCANNER_1", ""]
    assert setting.uses == [
        WhitelistUse(RECEIVER.label, "CT_SCANNER_1", "2026-08-24T14:03:22+00:00")
    ]


def test_a_sender_is_noted_when_it_comes_and_when_it_leaves_never_for_each_object(
    setting: Setting,
) -> None:
    live = setting.open()
    setting.associations.established(live, 12, REFUSED, "DCM4CHE_5_29", "1.2.40.0.13.1.3")
    for _ in range(500):
        store(setting, live)
    setting.associations.count_object(live, ObjectState.FAILED, 10, 0xA700, "the disk is full")
    (begun,) = setting.notes
    assert (begun.calling_ae_title, begun.address) == ("CT_SCANNER_1", "10.4.7.21")
    assert (begun.contexts_proposed, begun.contexts_refused) == (14, 2)
    assert json.loads(begun.refused_contexts)[0] == "Modality Worklist, not a storage class"
    assert begun.implementation_class_uid == "1.2.40.0.13.1.3"
    setting.associations.close(live, AssociationEnd.RELEASED)
    _, ended = setting.notes
    assert (ended.objects, ended.bytes, ended.failed) == (500, 250_000_000, 1)
    assert (ended.associations, ended.aborted, ended.error) == (1, 0, "the disk is full")
    assert ended.hour == "2026-08-24T14:00:00.000000+00:00"


def test_what_comes_over_several_hours_is_noted_hour_by_hour(setting: Setting) -> None:
    live = setting.open()
    for objects in (3, 2):
        for _ in range(objects):
            store(setting, live)
        setting.clock.advance(3600)
    store(setting, live)
    setting.clock.advance(5)
    setting.associations.close(live, AssociationEnd.ABORTED)
    assert [(note.hour[11:13], note.objects, note.associations) for note in setting.notes] == [
        *(("14", 3, 0), ("15", 2, 0), ("16", 1, 1))
    ]
    assert setting.notes[-1].error == "the connection ended"


def test_each_refusal_of_a_caller_is_noted_with_its_reason(setting: Setting) -> None:
    for _ in range(3):
        rejection = Rejection(1, 1, 3, "on no whitelist line")
        setting.associations.rejected(REQUEST, rejection, 8104, ADDRESS)
    assert [(note.rejected, note.rejection) for note in setting.notes] == [
        (1, "on no whitelist line")
    ] * 3


CT = UID("1.2.840.10008.5.1.4.1.1.2")
PRIVATE = UID("1.3.46.670589.11.0.0.12.2")
EXPLICIT = UID("1.2.840.10008.1.2.1")


def test_accepted_contexts_are_named_while_an_association_is_kept(setting: Setting) -> None:
    control = AssociationControl(setting.associations, setting.journal.record)
    live = setting.open()
    assert control.contexts(live.id) == ()
    accepted = (AcceptedUIDs(5, PRIVATE, EXPLICIT), AcceptedUIDs(1, CT, ""))
    setting.associations.established(live, 2, REFUSED, "", contexts=accepted)
    named = control.contexts(live.id)
    assert [(context.id, context.sop_class) for context in named] == [
        (1, "CT Image Storage"),
        (5, str(PRIVATE)),
    ]
    assert [context.transfer_syntax for context in named] == ["none", "Explicit VR Little Endian"]
    setting.associations.close(live, AssociationEnd.RELEASED)
    assert control.contexts(live.id) == named
    for _ in range(ENDED_KEPT):
        setting.associations.close(setting.open(), AssociationEnd.RELEASED)
    with pytest.raises(NotFound, match=f"{live.id} is not known any more"):
        control.contexts(live.id)


def test_an_abort_is_told_with_who_did_it_and_an_ended_one_is_not_found(setting: Setting) -> None:
    control = AssociationControl(setting.associations, setting.journal.record)
    aborted: list[str] = []
    live, other = setting.open(), setting.open()
    live.abort = lambda: aborted.append(live.id)
    other.abort = lambda: aborted.append(other.id)
    control.abort(live.id, "anna")
    assert aborted == [live.id]
    setting.associations.close(live, AssociationEnd.ABORTED)
    (event,) = setting.events(AssociationAborted)
    assert event.sentence().endswith("aborted by anna")
    (asked,) = setting.events(AssociationAbortAsked)
    assert asked == AssociationAbortAsked(association=live.id, by="anna")
    assert asked.is_audited()
    with pytest.raises(NotFound, match=f"{live.id} has ended"):
        control.abort(live.id, "anna")


def test_a_known_title_that_calls_from_elsewhere_is_told_once(setting: Setting) -> None:
    elsewhere = AssociationRequest("XNAT", "CT_SCANNER_1", ip_address("10.4.9.9"))
    for request in (REQUEST, elsewhere, REQUEST, elsewhere):
        setting.associations.established(setting.open(request=request), 1, (), "")
    (event,) = setting.events(CalledFromNewAddress)
    assert event.calling_ae_title == "CT_SCANNER_1"
    assert event.sentence() == "calls from a new address, 10.4.9.9; until now from 10.4.7.21"
