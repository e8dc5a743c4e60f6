"""What every engine promises a console: the real one, the same from afar, and the fake.

A test against the fake engine means something only as far as the fake keeps these promises.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.api import EngineView
from engine.api.objects import ObjectReference
from engine.api.scripts import ScriptTrial
from engine.api.senders import SenderOrder
from engine.api.status import ImportCounts
from engine.errors import ChangedMeanwhile, ConfigurationError, EngineError, NotFound, SessionError
from engine.events import ImportBegun, ImportEnded, SecretsShown
from engine.model.alerts import AlertTarget
from engine.model.anonymization import ScriptScope
from engine.model.identity import MASK
from engine.model.known_peer import KnownPeer
from engine.model.peer import AETitle
from engine.model.processor import Processor
from engine.model.project import Project
from engine.model.queries import SessionQuery
from engine.model.session import SessionStatus
from engine.model.study_route import StudyRoute
from engine.remote.client import _mirror
from engine.remote.protocol import methods
from tests.fakes import busy, make_receiver
from tests.interop.at_work import SCRIPT, engine_at_work
from tests.kinds import kinds_in
from tests.running import free_port
from tests.serving import attached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.events import RecordedEvent
    from engine.model.receiver import Receiver
    from engine.model.session import Session
    from engine.remote.protocol import Method

WHO = "anna"
UNKNOWN = 999_999
"""No receiver, session or processor has this id."""
NO_OBJECT = ObjectReference(UNKNOWN, "SCANS/1/DICOM/none.dcm")

Promise = Callable[[EngineView], None]
PROMISES: list[Promise] = []
KEPT_BY: dict[str, str] = {}
"""Which promise is about a method, by the path of the method."""


def promise(*paths: str) -> Callable[[Promise], Promise]:
    """Note a promise, and which methods it is about."""

    def noted(kept: Promise) -> Promise:
        PROMISES.append(kept)
        KEPT_BY.update(dict.fromkeys(paths, kept.__name__))
        return kept

    return noted


def checked(view: EngineView) -> EngineView:
    """Return a view whose every answer is of the types that the protocol declares."""

    def call(method: Method, arguments: dict[str, Any]) -> Any:
        answer = method.of(view)(**arguments)
        again = method.result.load(method.result.dump(answer))
        if method.path != "identifiers":  # what checks a value stays in the engine's process
            assert again == answer
            assert kinds_in(again) == kinds_in(answer)
        return answer

    return cast("EngineView", _mirror(EngineView, "", call, view.subscribe))


@pytest.fixture(scope="module", params=["fake", "fake from afar", "engine", "engine from afar"])
def view(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineView]:
    folder: Path = tmp_path_factory.mktemp("contract")
    kind: str = request.param
    if kind.startswith("fake"):
        fake = cast("EngineView", busy())
        if kind == "fake":
            yield checked(fake)
        else:
            with attached(fake, folder / "control.sock") as far:
                yield checked(far)
    else:
        with engine_at_work(folder / "data") as engine:
            if kind == "engine":
                yield checked(engine)
            else:
                with attached(engine, folder / "control.sock") as far:
                    yield checked(far)


def first_receiver(view: EngineView) -> Receiver:
    return view.snapshot().receivers[0].receiver


def receivers(view: EngineView) -> dict[int, Receiver]:
    return {status.receiver.id: status.receiver for status in view.snapshot().receivers}


def receiving(view: EngineView) -> Session:
    query = SessionQuery()
    page = view.sessions.list(query)
    return next(s for s in page.sessions if s.status is SessionStatus.RECEIVING)


def stored(view: EngineView) -> ObjectReference:
    session = receiving(view).id
    scan = view.sessions.detail(session).scans[0].id
    return ObjectReference(session, view.sessions.objects(session, scan).objects[0].file)


def refused(kind: type[EngineError], ask: Callable[..., object], *arguments: Any) -> EngineError:
    """Expect a refusal in words."""
    with pytest.raises(kind) as caught:
        ask(*arguments)
    assert caught.value.detail
    return caught.value


@promise("snapshot")
def a_snapshot_has_each_receiver_once(view: EngineView) -> None:
    snapshot = view.snapshot()
    assert len(receivers(view)) == len(snapshot.receivers) > 0
    assert snapshot.started_at <= snapshot.taken_at


@promise("save_receiver", "delete_receiver")
def a_saved_receiver_is_shown_until_it_is_deleted(view: EngineView) -> None:
    new = make_receiver(0, "CONTRACT", free_port(), enabled=False)
    saved = view.save_receiver(new, WHO)
    assert saved == replace(new, id=saved.id)
    assert receivers(view)[saved.id] == saved
    changed = view.save_receiver(replace(saved, direct_archive=True), WHO, replacing=saved)
    assert receivers(view)[saved.id] == changed
    stale = replace(saved, anonymization=False)
    with pytest.raises(ChangedMeanwhile):
        view.save_receiver(stale, WHO, replacing=saved)
    assert receivers(view)[saved.id] == changed
    view.delete_receiver(saved.id, WHO)
    assert saved.id not in receivers(view)
    refused(NotFound, view.delete_receiver, saved.id, WHO)
    with pytest.raises(NotFound):
        view.save_receiver(changed, WHO, replacing=changed)


@promise("set_enabled")
def a_receiver_is_enabled_and_disabled(view: EngineView) -> None:
    known = view.save_receiver(make_receiver(0, "SWITCHED", free_port(), enabled=False), WHO)
    for enabled in (True, False):
        assert view.set_enabled(known.id, enabled, WHO) == replace(known, enabled=enabled)
        assert receivers(view)[known.id].enabled is enabled
    view.delete_receiver(known.id, WHO)
    refused(NotFound, view.set_enabled, UNKNOWN, True, WHO)


@promise("receiver_notes")
def only_a_receiver_that_is_there_has_notes(view: EngineView) -> None:
    assert view.receiver_notes(first_receiver(view).id) == ()
    refused(NotFound, view.receiver_notes, UNKNOWN)


@promise("retry_receiver", "echo", "port_status")
def a_receiver_is_called_by_its_id(view: EngineView) -> None:
    known = first_receiver(view)
    view.retry_receiver(known.id, WHO)
    assert view.echo(known.id, WHO).address
    assert view.port_status(known.port).detail
    refused(NotFound, view.retry_receiver, UNKNOWN, WHO)
    refused(NotFound, view.echo, UNKNOWN, WHO)


@promise("save_project", "delete_project", "projects")
def a_saved_project_is_listed_until_it_is_deleted(view: EngineView) -> None:
    saved = view.save_project(Project("CONTRACT"), WHO)
    assert saved in view.projects()
    changed = view.save_project(replace(saved, title="A title"), WHO, replacing=saved)
    assert [one for one in view.projects() if one.id == "CONTRACT"] == [changed]
    with pytest.raises(ChangedMeanwhile):
        view.save_project(replace(saved, title="Another"), WHO, replacing=saved)
    view.delete_project("CONTRACT", WHO)
    assert "CONTRACT" not in {one.id for one in view.projects()}
    refused(NotFound, view.delete_project, "CONTRACT", WHO)


@promise("site", "set_site")
def site_settings_are_replaced_by_whoever_saw_them_last(view: EngineView) -> None:
    before = view.site()
    changed = replace(before, allow_low_ports=not before.allow_low_ports)
    view.set_site(changed, WHO, replacing=before)
    assert view.site() == changed
    with pytest.raises(ChangedMeanwhile):
        view.set_site(before, WHO, replacing=before)
    view.set_site(before, WHO)
    assert view.site() == before


@promise("history/receiver_times")
def a_receiver_is_changed_no_earlier_than_it_was_added(view: EngineView) -> None:
    ids = {status.receiver.id for status in view.snapshot().receivers}
    for times in view.history.receiver_times():
        assert times.receiver_id in ids
        assert times.added_at is not None
        assert times.changed_at is not None
        assert times.added_at <= times.changed_at


@promise("history/revisions", "history/diff", "history/restore", "undo")
def each_change_is_a_revision_and_an_old_one_comes_back_as_a_new_one(view: EngineView) -> None:
    history = view.history
    newest = history.revisions().revisions[0].number
    restored = history.restore(newest - 1, WHO)
    assert restored == newest + 1
    page = history.revisions(limit=2)
    assert [one.number for one in page.revisions] == [restored, newest]
    assert page.in_force == view.snapshot().revision == restored
    assert page.more
    assert page.revisions[0].changed_by.endswith(WHO)
    older = history.revisions(before=newest)
    assert [one.number for one in older.revisions] == sorted(
        (one.number for one in older.revisions if one.number < newest), reverse=True
    )
    assert history.diff(newest, newest) == ()
    with pytest.raises(ChangedMeanwhile):
        history.restore(newest, WHO, replacing=newest)
    refused(NotFound, history.diff, UNKNOWN)
    refused(NotFound, history.restore, UNKNOWN, WHO)
    view.undo(WHO)
    assert history.revisions().revisions[0].number == view.snapshot().revision == restored + 1


@promise("events_since")
def events_come_in_pages_in_order_and_each_once(view: EngineView) -> None:
    everything = view.events_since(0)
    numbers = [event.sequence for event in everything.events]
    assert numbers == sorted(set(numbers))
    seen: list[RecordedEvent] = []
    following = 0
    while (page := view.events_since(following, 3)).events:
        assert len(page.events) <= 3
        seen += page.events
        following = page.next_sequence
    assert tuple(seen[: len(numbers)]) == everything.events
    assert view.events_since(following + 1_000).events == ()


@promise()
def a_subscription_may_be_ended_twice(view: EngineView) -> None:
    heard: list[RecordedEvent] = []
    end = view.subscribe(heard.append)
    end()
    end()


@promise("identifiers", "file_namers")
def the_default_identifier_comes_first(view: EngineView) -> None:
    assert view.identifiers()[0].id == "dicomObjectIdentifier"
    assert len({one.id for one in view.identifiers()}) == len(view.identifiers())
    assert len({one.id for one in view.file_namers()}) == len(view.file_namers())


@promise("preview_routing", "shown_routing")
def a_preview_of_routes_is_of_the_same_objects_masked_or_shown(view: EngineView) -> None:
    known = first_receiver(view)
    masked, shown = view.preview_routing(known), view.shown_routing(known, WHO)
    uids = [one.sop_instance_uid for one in masked]
    assert uids == [one.sop_instance_uid for one in shown]
    assert [one.masked().saved for one in shown] == [one.saved for one in masked]


@promise("associations/contexts", "associations/abort")
def an_association_that_has_ended_can_be_asked_and_not_aborted(view: EngineView) -> None:
    ended = view.snapshot().ended_associations[0].id
    view.associations.contexts(ended)
    refused(NotFound, view.associations.abort, ended, WHO)
    refused(NotFound, view.associations.contexts, "A-999999")
    refused(NotFound, view.associations.abort, "A-999999", WHO)


@promise("forwarding/destinations", "forwarding/failed", "forwarding/retry", "forwarding/drop")
def only_a_destination_that_is_there_is_tried_or_dropped(view: EngineView) -> None:
    forwarding = view.forwarding
    known = {one.id for one in forwarding.destinations()}
    assert {one.destination for one in forwarding.failed()} <= known
    assert forwarding.failed(limit=0) == ()
    refused(NotFound, forwarding.retry, UNKNOWN, WHO)
    refused(NotFound, forwarding.drop, UNKNOWN, WHO)


@promise("monitoring/counters", "monitoring/health", "monitoring/metrics", "monitoring/try_alert")
def metrics_and_health_tell_of_the_same_engine(view: EngineView) -> None:
    health = view.monitoring.health()
    enabled = [status for status in view.snapshot().receivers if status.receiver.enabled]
    assert health.enabled == len(enabled)
    assert health.listening <= health.enabled
    assert b"dicomdock_engine_start_time_seconds" in view.monitoring.metrics()
    view.monitoring.counters()
    refused(ConfigurationError, view.monitoring.try_alert, AlertTarget("none"), WHO)


@promise("monitoring/note_secrets_shown")
def the_journal_keeps_who_was_shown_secrets(view: EngineView) -> None:
    view.monitoring.note_secrets_shown("config show", WHO)
    shown = [one.event for one in all_events(view) if isinstance(one.event, SecretsShown)]
    assert shown[-1].what == "config show"
    assert shown[-1].by.endswith(WHO)


@promise("monitoring/note_import")
def the_journal_keeps_who_imported_files(view: EngineView) -> None:
    view.monitoring.note_import("XNAT:8104", "IMPORT", WHO, None)
    view.monitoring.note_import("XNAT:8104", "IMPORT", WHO, ImportCounts(3, 2, 1, 0))
    imports = [e.event for e in all_events(view) if e.event.topic == "import"]
    begun, ended = imports[-2:]
    assert isinstance(begun, ImportBegun)
    assert isinstance(ended, ImportEnded)
    assert (ended.receiver, ended.stored, ended.duplicates) == ("XNAT:8104", 3, 2)
    assert ended.by.endswith(WHO)


@promise("audited")
def the_audit_log_has_what_people_did_and_nothing_else(view: EngineView) -> None:
    view.monitoring.note_secrets_shown("config diff", WHO)
    done = view.audited()
    assert [one.at for one in done] == sorted(one.at for one in done)
    assert "config diff" in done[-1].event.sentence()
    assert view.audited(1) == done[-1:]
    assert view.audited(0) == ()
    known = {(one.sequence, one.at) for one in all_events(view) if one.event.is_audited()}
    assert {(one.sequence, one.at) for one in done} <= known


def all_events(view: EngineView) -> list[RecordedEvent]:
    """Read the journal to its end."""
    found: list[RecordedEvent] = []
    following = 0
    while (page := view.events_since(following)).events:
        found += page.events
        following = page.next_sequence
    return found


@promise("objects/recent", "objects/trail", "objects/thumbnail")
def objects_are_found_and_others_are_not(view: EngineView) -> None:
    recent = view.objects.recent()
    assert [one.at for one in recent] == sorted((one.at for one in recent), reverse=True)
    assert view.objects.recent(limit=2) == recent[:2]
    caller = recent[0].calling_ae_title
    of_caller = view.objects.recent(calling_ae_title=caller)
    assert {one.calling_ae_title for one in of_caller} == {caller}
    assert view.objects.recent(receiver="NONE:1") == ()
    assert view.objects.trail(stored(view)).steps
    image = view.objects.thumbnail(stored(view), width=32, height=24)
    assert image.width <= 32
    assert image.height <= 24
    refused(NotFound, view.objects.trail, NO_OBJECT)
    refused(NotFound, view.objects.thumbnail, NO_OBJECT)


@promise("objects/header", "objects/compare", "objects/why", "objects/shown",
         "objects/shown_comparison", "objects/shown_why")  # fmt: skip
def identifying_values_are_masked_until_somebody_asks_to_see_them(view: EngineView) -> None:
    reference = stored(view)
    masked, shown = view.objects.header(reference), view.objects.shown(reference, WHO)
    assert [row.path for row in masked.elements] == [row.path for row in shown.elements]
    telling = [row for row in masked.elements if row.masked]
    assert telling
    assert {row.value for row in telling} == {MASK}
    assert not any(row.first_bytes for row in telling)
    assert not any(row.masked for row in shown.elements)
    compared = view.objects.compare(reference).rows
    revealed = view.objects.shown_comparison(reference, WHO).rows
    assert [row.change for row in compared] == [row.change for row in revealed]
    assert not any(row.stored.masked for row in revealed if row.stored)
    why, shown_why = view.objects.why(reference), view.objects.shown_why(reference, WHO)
    assert (why.arrival, why.agrees) == (shown_why.arrival, shown_why.agrees)
    for ask in (view.objects.header, view.objects.compare, view.objects.why):
        refused(NotFound, ask, NO_OBJECT)
    for show in (view.objects.shown, view.objects.shown_comparison, view.objects.shown_why):
        refused(NotFound, show, NO_OBJECT, WHO)


@promise("processors/classes", "processors/list", "processors/save", "processors/set_enabled",
         "processors/delete")  # fmt: skip
def a_saved_processor_is_listed_until_it_is_deleted(view: EngineView) -> None:
    processors = view.processors
    script = (("script", SCRIPT),)
    saved = processors.save(Processor(0, "Contract", "setElements", parameters=script), WHO)
    assert saved.id
    assert listed(view)[saved.id] == saved
    off = processors.set_enabled(saved.id, False, WHO)
    assert off == replace(saved, enabled=False)
    assert listed(view)[saved.id] == off
    with pytest.raises(ChangedMeanwhile):
        processors.save(replace(saved, label="Late"), WHO, replacing=saved)
    ids = [one.id for one in processors.classes()]
    assert len(ids) == len(set(ids))
    processors.delete(saved.id, WHO)
    assert saved.id not in listed(view)
    refused(NotFound, processors.delete, saved.id, WHO)
    refused(NotFound, processors.set_enabled, saved.id, True, WHO)
    refused(NotFound, processors.save, off, WHO)


def listed(view: EngineView) -> dict[int, Processor]:
    return {status.processor.id: status.processor for status in view.processors.list()}


@promise("processors/test", "processors/shown_test")
def a_processor_is_tried_masked_or_shown(view: EngineView) -> None:
    tried = Processor(0, "Try", "setElements", parameters=(("script", SCRIPT),))
    masked = view.processors.test(tried)
    shown = view.processors.shown_test(tried, WHO)
    assert masked.masked() == masked
    assert len(masked.steps) == len(shown.steps)


@promise("scripts/check", "scripts/default_script", "scripts/left", "scripts/preview",
         "scripts/shown_preview")  # fmt: skip
def a_script_is_checked_and_tried(view: EngineView) -> None:
    assert view.scripts.check(view.scripts.default_script()) == ()
    assert view.scripts.left(" ") == ()
    view.scripts.left(SCRIPT)
    trial, reference = ScriptTrial(ScriptScope.SITE, text=SCRIPT), stored(view)
    masked = view.scripts.preview(trial, reference)
    shown = view.scripts.shown_preview(trial, reference, WHO)
    assert [row.path for row in masked.rows] == [row.path for row in shown.rows]


@promise("senders/list", "senders/detail")
def senders_are_listed_in_order_and_found(view: EngineView) -> None:
    everybody = view.senders.list()
    assert everybody.total >= len(everybody.senders) > 0
    ordered = view.senders.list(order=SenderOrder.OBJECTS, descending=False).senders
    assert [one.objects for one in ordered] == sorted(one.objects for one in ordered)
    first = everybody.senders[0]
    assert view.senders.list(text=first.calling_ae_title.lower()).total >= 1
    assert view.senders.list(text="no such sender").senders == ()
    assert view.senders.list(offset=1, limit=1).senders == everybody.senders[1:2]
    found = view.senders.detail(first.calling_ae_title, first.address)
    assert found.sender.calling_ae_title == first.calling_ae_title
    refused(NotFound, view.senders.detail, "NOBODY", "192.0.2.7")


@promise("sessions/list", "sessions/detail", "sessions/objects", "sessions/settled",
         "sessions/find", "sessions/by_project")  # fmt: skip
def sessions_are_listed_and_told(view: EngineView) -> None:
    everything = view.sessions.list(SessionQuery())
    for project, number in view.sessions.by_project().items():
        assert view.sessions.list(SessionQuery(project=project)).total.sessions == number > 0
    assert everything.total.sessions >= len(everything.sessions) > 0
    assert view.sessions.list(SessionQuery(), limit=1).sessions == everything.sessions[:1]
    session = receiving(view)
    detail = view.sessions.detail(session.id)
    assert detail.session.id == session.id
    scan = detail.scans[0]
    page = view.sessions.objects(session.id, scan.id, limit=1)
    assert (len(page.objects), page.total) == (1, scan.objects)
    view.sessions.settled(UNKNOWN, wait_seconds=0)
    assert session.id in {one.session.id for one in view.sessions.find(session.label).sessions}
    assert view.sessions.find(" ").sessions == ()
    refused(NotFound, view.sessions.detail, UNKNOWN)
    refused(NotFound, view.sessions.objects, UNKNOWN, "1")


@promise("sessions/preview_archive", "sessions/archive", "sessions/move", "sessions/delete",
         "sessions/rebuild", "sessions/restore", "sessions/cancel", "sessions/edit",
         "sessions/preview_edit", "sessions/remove_scans", "sessions/undo",
         "sessions/past_actions")  # fmt: skip
def what_is_impossible_for_a_session_is_refused_and_changes_nothing(view: EngineView) -> None:
    sessions, before = view.sessions, receiving(view)
    refused(SessionError, sessions.preview_archive, before.id)
    refused(SessionError, sessions.archive, before.id, WHO)
    refused(SessionError, sessions.restore, before.id, WHO)
    refused(SessionError, sessions.cancel, before.id, WHO)
    assert view.sessions.detail(before.id).session == before
    refused(NotFound, sessions.preview_archive, UNKNOWN)
    for ask in (sessions.archive, sessions.delete, sessions.rebuild, sessions.restore,
                sessions.cancel):  # fmt: skip
        refused(NotFound, ask, UNKNOWN, WHO)
    refused(NotFound, sessions.move, UNKNOWN, "NEURO-01", WHO)
    refused(EngineError, sessions.move, before.id, "NO-SUCH-PROJECT", WHO)
    refused(SessionError, sessions.remove_scans, before.id, ("1",), WHO)
    for label in ("E2", "no label"):
        refused(SessionError, partial(sessions.preview_edit, label=label), before.id)
        refused(SessionError, partial(sessions.edit, label=label), before.id, WHO)
    refused(NotFound, partial(sessions.edit, label="E2"), UNKNOWN, WHO)
    refused(NotFound, sessions.remove_scans, UNKNOWN, ("1",), WHO)
    assert sessions.past_actions() == ()
    refused(NotFound, sessions.undo, UNKNOWN, WHO)


@promise("study_routes/list", "study_routes/save", "study_routes/delete")
def a_study_route_is_listed_until_it_is_deleted(view: EngineView) -> None:
    routes, project = view.study_routes, view.save_project(Project("ROUTED"), WHO).id
    saved = routes.save(StudyRoute("1.2.840.7", project), WHO)
    assert saved in routes.list().routes
    assert saved.added_by.endswith(WHO)
    changed = routes.save(replace(saved, subject="S1"), WHO, replacing=saved)
    assert routes.list().total == len(routes.list().routes)
    assert [one for one in routes.list().routes if one.study_instance_uid == "1.2.840.7"] == [
        changed
    ]
    with pytest.raises(ChangedMeanwhile):
        routes.save(replace(saved, subject="S2"), WHO, replacing=saved)
    routes.delete("1.2.840.7", WHO)
    assert changed not in routes.list().routes
    refused(NotFound, routes.delete, "1.2.840.7", WHO)
    view.delete_project(project, WHO)


@promise("peers/list", "peers/save", "peers/delete", "peers/echo")
def a_peer_is_called_by_its_name_and_changed_only_as_it_was_seen(view: EngineView) -> None:
    peers, before = view.peers, view.peers.list()
    saved = peers.save(KnownPeer(AETitle("CT_9"), "127.0.0.1", free_port()), WHO)
    assert peers.list() == (*before, saved)
    refused(ConfigurationError, peers.save, saved, WHO)
    refused(ConfigurationError, peers.save, KnownPeer(AETitle("CT_8"), "a b", 104), WHO)
    answer = peers.echo("CT_9", WHO)
    assert (answer.ok, answer.address) == (False, f"127.0.0.1:{saved.port}")
    assert answer.detail
    renamed = peers.save(replace(saved, ae_title=AETitle("CT_10")), WHO, replacing=saved)
    assert peers.list() == (*before, renamed)
    for name in (NotFound, ChangedMeanwhile):
        seen = saved if name is NotFound else replace(renamed, port=1)
        with pytest.raises(name):
            peers.save(replace(renamed, host="pacs"), WHO, replacing=seen)
    refused(NotFound, peers.echo, "CT_9", WHO)
    peers.delete("CT_10", WHO)
    assert peers.list() == before
    refused(NotFound, peers.delete, "CT_10", WHO)


@promise("commitments/list", "commitments/show", "commitments/retry")
def a_request_for_commitment_is_listed_and_answered_again(view: EngineView) -> None:
    (status,) = view.commitments.list()
    assert view.commitments.list(0) == ()
    shown = view.commitments.show(status.id)
    assert (shown.status.transaction_uid, len(shown.objects)) == (status.transaction_uid, 1)
    again = view.commitments.retry(status.id, WHO)
    assert (again.id, again.objects) == (status.id, 1)
    refused(NotFound, view.commitments.show, UNKNOWN)
    refused(NotFound, view.commitments.retry, UNKNOWN, WHO)


@pytest.mark.parametrize("kept", PROMISES, ids=lambda kept: kept.__name__)
def test_a_promise_is_kept(kept: Promise, view: EngineView) -> None:
    kept(view)


def test_there_is_a_promise_about_every_method() -> None:
    assert KEPT_BY.keys() == methods().keys()
