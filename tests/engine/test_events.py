"""Events say what happened in sentences, without markup, repetition or patient data."""

from __future__ import annotations

import json
from dataclasses import fields
from string import Formatter

import pytest

from engine import events
from engine.events import Event, counted
from engine.events.delivery import StateLost
from engine.events.sessions import (
    RowsThinned,
    ScansRemoved,
    SessionArchived,
    SessionRelabelled,
    SessionUndone,
)
from engine.index.operations import AUTO_ARCHIVE
from engine.sessions.builder import DIRECT_ARCHIVE, PET_MR_RULE

EXAMPLES: list[tuple[Event, str]] = [
    (
        RowsThinned(rows=1_200, before="2024-11-30"),
        "1,200 rows of objects in no session removed from the index, from before 2024-11-30",
    ),
    (
        RowsThinned(rows=0, before="2024-11-30", archived_rows=2_000, archived_sessions=3),
        "2,000 rows of 3 archived sessions removed from the index, from before 2024-11-30",
    ),
    (
        RowsThinned(rows=1, before="2024-11-30", archived_rows=2, archived_sessions=1),
        "1 row of objects in no session and 2 rows of 1 archived session removed from the index,"
        " from before 2024-11-30",
    ),
    (
        StateLost(),
        "state.sqlite is missing, but was there once: UIDs that scripts put in the place of others,"
        " study routes and queues are lost; stop the engine, and restore it from a backup",
    ),
    (
        events.EngineStarted(version="1.0", listening=2, enabled=3),
        "engine 1.0 started: 2 of 3 listening",
    ),
    (
        events.IdentifyingValuesShown(by="anna", object="0123456789abcdef", session=7),
        "identifying values of object 0123456789ab of session 7 were shown to anna",
    ),
    (
        events.SecretsShown(by="anna", what="alerts list"),
        "secrets of the configuration were shown to anna by: alerts list",
    ),
    (events.ImportBegun(by="anna"), "import begun by anna"),
    (
        events.ImportEnded(by="anna", stored=1_200, duplicates=3, filtered=2, failed=1),
        "import by anna ended: 1,200 stored, 3 here already, 2 filtered, 1 failed",
    ),
    (events.ControlUsed(by="anna"), "control API used by anna"),
    (
        events.EventsSummed(of="ObjectsStored", times=1200, objects=2400, seconds=60),
        "ObjectsStored 1,200 times more, with 2,400 objects in 60 seconds; the log has the sum "
        "only",
    ),
    (
        events.EventsSummed(of="AssociationRejected", times=12, callers=9, seconds=1),
        "AssociationRejected 12 times more by 9 other callers in 1 second; the log has the sum "
        "only",
    ),
    (
        events.ControlRefused(address="192.0.2.7", why="a bearer token is required"),
        "control request from 192.0.2.7 refused: a bearer token is required",
    ),
    (
        events.ControlRefused(address="2001:db8::/64", why="no token", times=1000, left_out=1),
        "control request from 2001:db8::/64 refused, 1,000 times by now: no token; "
        "1 such report left out before",
    ),
    (events.AssociationAbortAsked(by="anna"), "anna asked to abort the association"),
    (events.StudyRouteChanged(by="anna", project="P1"), "anna saved a study route to P1"),
    (events.ReceiverRetryAsked(by="anna"), "anna asked to listen again"),
    (events.EchoAsked(by="anna"), "anna sent the receiver a C-ECHO"),
    (events.PeerEchoAsked(by="anna", peer="PACS"), "anna sent peer PACS a C-ECHO"),
    (
        events.ConfigurationSaved(revision=7, by="anna"),
        "configuration revision 7 saved by anna; no engine runs",
    ),
    (events.StudyRouteChanged(by="anna"), "anna deleted a study route"),
    (
        events.StudyRouteChanged(by="anna", project="P1", routes=2),
        "anna saved 2 study routes to P1",
    ),
    (events.EngineStopping(open_associations=1), "engine stops: 1 open association may finish"),
    (
        events.ConfigurationApplied(revision=4, receivers=5, enabled=4, by="anna"),
        "configuration revision 4 applied, changed by anna: 5 receivers, 4 enabled",
    ),
    (
        events.AnonymizationFailed(
            revision=7, why="site script line 3: the variable x has no value", times=1000
        ),
        "an object is not stored, 1,000 times by now: "
        "site script line 3: the variable x has no value (script of revision 7)",
    ),
    (
        events.EditedOnDisk(why="site script names pixel data"),
        "objects are on the disk as they came until they are edited: site script names pixel data",
    ),
    (
        events.ConfigurationRefused(reason="line 3: expected a comma"),
        "configuration file refused, the last good settings stay in force: "
        "line 3: expected a comma",
    ),
    (
        events.AnonymizationNotApplied(receivers=("A:104", "B:104")),
        "anonymization is on at 2 receivers, but no script is in force: "
        "objects are stored as received",
    ),
    (
        events.AnonymizationOutOfForce(receivers=("A:104",)),
        "no anonymization script is in force any more: "
        "objects of 1 receiver are stored as received from now on",
    ),
    (
        events.OptionNotApplied(option="direct archive", instead="objects wait"),
        "direct archive is on but not applied: objects wait",
    ),
    (events.ReceiverListening(address="[::]:8104"), "listening on [::]:8104"),
    (events.ReceiverStopped(), "stopped"),
    (
        events.ReceiverFailed(reason="address in use", remedy="choose another port"),
        "can't listen: address in use; choose another port",
    ),
    (
        events.SocketUnused(name="dicom", why="it does not listen"),
        "inherited socket dicom is closed unused: it does not listen",
    ),
    (
        events.CertificateReplaced(subject="CN=dock", expires="2027-01-31 12:00 UTC"),
        "new handshakes use the changed TLS files; the certificate CN=dock is valid to "
        "2027-01-31 12:00 UTC",
    ),
    (
        events.CertificateRefused(reason="tls_key: does not exist"),
        "changed TLS files refused, the certificate before stays in force: tls_key: does not exist",
    ),
    (
        events.CertificateExpiring(subject="CN=dock", expires="2026-09-01", days_left=1),
        "the certificate CN=dock expires in 1 day, at 2026-09-01",
    ),
    (
        events.CertificateExpired(subject="CN=dock", expires="2026-01-01"),
        "the certificate CN=dock expired at 2026-01-01; callers will refuse it",
    ),
    (
        events.RevocationListExpiring(issuer="CN=ca", expires="2026-01-01"),
        "the revocation list of CN=ca expires at 2026-01-01; from then on callers with its "
        "certificates are rejected",
    ),
    (
        events.RevocationListExpired(issuer="CN=ca", expires="2026-01-01"),
        "the revocation list of CN=ca expired at 2026-01-01: callers with its certificates are "
        "rejected; replace the file in tls_crl",
    ),
    (
        events.AssociationEstablished(
            address="10.4.7.21:50112", contexts_accepted=12, contexts_proposed=14
        ),
        "association established from 10.4.7.21:50112, 12 of 14 contexts accepted",
    ),
    (
        events.CalledFromNewAddress(address="10.4.9.9", before="10.4.7.21"),
        "calls from a new address, 10.4.9.9; until now from 10.4.7.21",
    ),
    (
        events.AssociationReleased(objects=1204, bytes=1, seconds=41.04),
        "association released after 1,204 objects, 41.0 s",
    ),
    (
        events.AssociationAborted(objects=1, bytes=1, seconds=0.5),
        "association aborted after 1 object, 0.5 s by the caller",
    ),
    (
        events.AssociationAborted(objects=2, bytes=1, seconds=9, why="it drained too long"),
        "association aborted after 2 objects, 9.0 s: it drained too long",
    ),
    (
        events.ObjectsStored(objects=118, duplicates=2, bytes=61_800_000),
        "stored 118 objects (61.8 MB), 2 already here",
    ),
    (
        events.ObjectsStored(objects=1, duplicates=0, bytes=33_400),
        "stored 1 object (33 kB)",
    ),
    (
        events.ObjectsStored(objects=0, duplicates=0, bytes=0, filtered=3),
        "3 objects filtered (0.0 MB)",
    ),
    (
        events.ObjectRefused(status=0xA700, why="disk full"),
        "object refused with status 0xA700: disk full",
    ),
    (
        events.ConnectionDropped(address="10.4.7.21", port=104, why="nothing came for 10 s"),
        "connection from 10.4.7.21 to port 104 ended without an association: nothing came for 10 s",
    ),
    (
        events.ConnectionDropped(address="::1", port=104, why="it left", times=1000),
        "connection from ::1 to port 104 ended without an association, 1,000 times by now: it left",
    ),
    (
        events.ContextsRefused(contexts=("CT Image Storage, no common transfer syntax",)),
        "1 context refused: CT Image Storage, no common transfer syntax",
    ),
    (
        events.IdentifierSlow(identifier="acme", seconds=1.26),
        "identifier acme took 1.3 s for one object",
    ),
    (
        events.PluginBroken(plugin="acme of example 2.5", error="ImportError: no module"),
        "plugin acme of example 2.5 can't be used: ImportError: no module",
    ),
    (
        events.ProcessorFailed(processor="Relabel", why="it took too long", times=10),
        "an object is not stored, 10 times by now: processor Relabel: it took too long",
    ),
    (
        events.ProcessorProblem(processor="Relabel", problem="line 3 of the table: no key"),
        "processor Relabel: line 3 of the table: no key",
    ),
    (
        events.RuleFailed(
            attribute="project",
            rule="site rule in line 2, (0010,4000)",
            reason="it took longer than 10 ms",
            times=5,
            suspended=True,
        ),
        "the project decision failed at the site rule in line 2, (0010,4000), 5 times by now: "
        "it took longer than 10 ms; the rule is suspended until the configuration changes",
    ),
    (events.SessionOpened(session=12, project="NEURO-01"), "session 12 opened in NEURO-01"),
    (
        SessionRelabelled(session=12, project="NEURO-01", by="anna"),
        "session 12 in NEURO-01 relabelled by anna",
    ),
    (
        ScansRemoved(session=12, project="NEURO-01", by="anna", scans=2, removed=15),
        "session 12 in NEURO-01: 2 scans moved to the trash by anna, as session 15",
    ),
    (
        SessionUndone(session=12, project="NEURO-01", by="anna", action=3),
        "session 12 in NEURO-01: action 3 undone by anna",
    ),
    (events.LeftoversSwept(files=2), "2 half-received objects of an earlier run removed"),
    (
        events.ObjectsAdopted(objects=1, sessions=1),
        "1 stored object in 1 session added to the index after a crash",
    ),
    (
        events.ReceivingProcessEnded(
            number=2, how="was ended by SIGKILL", associations=1, sessions=3
        ),
        "receiving process 2 was ended by SIGKILL and was replaced: 1 association aborted,"
        " 3 sessions looked through",
    ),
]


@pytest.mark.parametrize(("event", "sentence"), EXAMPLES)
def test_every_event_makes_a_sentence(event: Event, sentence: str) -> None:
    assert event.sentence() == sentence


def test_every_kind_of_event_has_an_example() -> None:
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type)}
    told = {kind for kind in kinds if issubclass(kind, Event) and kind is not Event}
    assert told - {type(event) for event, _ in EXAMPLES} == {events.AssociationRejected}


@pytest.mark.parametrize(("event", "sentence"), EXAMPLES)
def test_every_event_becomes_json_with_kind_severity_and_message(
    event: Event, sentence: str
) -> None:
    record = json.loads(json.dumps(event.to_record()))
    assert record["kind"] == type(event).__name__
    assert record["message"] == sentence
    assert record["severity"] in {"INFO", "WARN", "ERROR"}


def test_only_what_needs_a_person_at_once_is_urgent() -> None:
    urgent = {type(event) for event, _ in EXAMPLES if event.urgent}
    assert urgent == {
        events.AnonymizationFailed,
        events.ProcessorFailed,
        events.ReceiverFailed,
        events.ConfigurationRefused,
        events.RuleFailed,
        events.CertificateRefused,
        events.CertificateExpired,
        events.RevocationListExpired,
        StateLost,
    }


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 objects"), (1, "1 object"), (12_345, "12,345 objects")]
)
def test_numbers_and_nouns_agree(number: int, text: str) -> None:
    assert counted(number, "object") == text


def test_what_people_did_is_audited_and_what_other_machines_did_is_not() -> None:
    audited = {type(event) for event, _ in EXAMPLES if event.is_audited()}
    assert audited == {
        events.AssociationAbortAsked,
        events.ConfigurationApplied,
        events.ConfigurationRefused,
        events.ConfigurationSaved,
        events.ControlRefused,
        events.ControlUsed,
        events.EchoAsked,
        events.EngineStarted,
        events.EngineStopping,
        events.IdentifyingValuesShown,
        events.ImportBegun,
        events.ImportEnded,
        events.PeerEchoAsked,
        events.ReceiverRetryAsked,
        events.SecretsShown,
        events.StudyRouteChanged,
        ScansRemoved,
        SessionRelabelled,
        SessionUndone,
    }


@pytest.mark.parametrize(
    ("by", "audited"),
    [("anna", True), *((by, False) for by in (DIRECT_ARCHIVE, PET_MR_RULE, AUTO_ARCHIVE))],
)
def test_what_a_setting_did_is_not_audited(by: str, audited: bool) -> None:
    assert SessionArchived(session=1, project="P1", by=by).is_audited() is audited


def kinds(of: type[Event]) -> list[type[Event]]:
    return [kind for sub in of.__subclasses__() for kind in (sub, *kinds(sub))]


def test_a_template_names_only_what_its_event_has() -> None:
    with_template = [kind for kind in kinds(Event) if "template" in vars(kind)]
    for kind in with_template:
        named = {name for _, name, _, _ in Formatter().parse(kind.template) if name is not None}
        assert named <= {f"self.{field.name}" for field in fields(kind)}, kind
    assert with_template


def test_an_event_without_words_is_a_fault() -> None:
    with pytest.raises(AttributeError, match="template"):
        Event().sentence()


def test_what_is_not_given_is_as_in_the_base() -> None:
    assert (SessionArchived.topic, SessionArchived.urgent) == ("session", False)
