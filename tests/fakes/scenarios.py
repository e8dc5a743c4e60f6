"""What a fake engine shows on several days: quiet, busy, with something wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.api import (
    AssociationEnd,
    AssociationStatus,
    ListenFailure,
    PortHolder,
    ReceiverState,
    ReceiverStatus,
    RefusedContext,
    StorageStatus,
)
from engine.api.status import AcceptedContext
from engine.events import (
    AssociationEstablished,
    AssociationRejected,
    AssociationReleased,
    ConfigurationApplied,
    ConfigurationRefused,
    EngineStarted,
    Event,
    ObjectRefused,
    ObjectsStored,
    ReceiverFailed,
    ReceiverListening,
)
from engine.metrics import Latency, Throughput, Totals
from tests.fakes.engine import FakeEngine
from tests.fakes.senders import hostile_senders
from tests.fakes.sessions import hostile_sessions
from tests.fakes.values import (
    GIB,
    NOW,
    make_association,
    make_receiver,
    make_snapshot,
    make_status,
    make_throughput,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def empty() -> FakeEngine:
    """A fresh installation."""
    engine = FakeEngine(make_snapshot(revision=0))
    engine.sessions.known, engine.senders.known, engine.history.known = [], [], []
    engine.objects.known = ()
    engine.record(EngineStarted(version="0.1.0", listening=0, enabled=0))
    return engine


def idle() -> FakeEngine:
    """Receivers that listen while nobody sends."""
    statuses = tuple(
        replace(s, open_associations=0, throughput=Throughput())
        for s in _statuses()
        if s.state is ReceiverState.LISTENING
    )
    engine = FakeEngine(make_snapshot(receivers=statuses, totals=Totals(59392, 59392)))
    engine.record(
        EngineStarted(version="0.1.0", listening=3, enabled=3),
        *(ReceiverListening(receiver=s.receiver.label, address=s.address) for s in statuses),
        step_seconds=2,
    )
    return engine


def busy() -> FakeEngine:
    """A normal afternoon: traffic on two receivers, one stopped, one failed, one stranger."""
    engine = FakeEngine(
        make_snapshot(
            receivers=_statuses(),
            associations=_live(),
            ended_associations=_ended(),
            throughput=make_throughput(38.2, 142),
            totals=Totals(59_398, 59_311, 81, 4, 2, 17_900_000_000),
            latency=Latency(8, 31),
            sessions_receiving=2,
        )
    )
    engine.insert(*_events())
    engine.contexts["A-0412"] = _ACCEPTED_CONTEXTS
    return engine


def port_in_use() -> FakeEngine:
    """Another program holds the port of PET_STAGING; the only receiver that fails comes first."""
    engine = busy()
    failed = [s for s in engine.current.receivers if s.failure]
    others = [s for s in engine.current.receivers if not s.failure]
    engine.current = replace(engine.current, receivers=(*failed, *others))
    return engine


def shared_port_in_use() -> FakeEngine:
    """Another program holds a port that two receivers share."""
    engine = port_in_use()
    first = engine.current.receivers[0]
    twin = replace(first, receiver=make_receiver(6, "PET_RESEARCH", first.receiver.port))
    engine.current = replace(engine.current, receivers=(first, twin, *engine.current.receivers[1:]))
    return engine


def barred() -> FakeEngine:
    """The site allows no receivers; two associations go on until they end."""
    engine = busy()
    engine.set_site(replace(engine.site_settings, receivers_allowed=False), "anna")
    engine.calls.clear()
    engine.current = replace(
        engine.current, associations=engine.current.associations[:2], throughput=Throughput()
    )
    return engine


def disk_full() -> FakeEngine:
    """Objects are refused because the disk is below its reserve."""
    engine = busy()
    why = "only 157 MB free on the storage, 268 MB required"
    storage = StorageStatus("/var/lib/dicomdock", 4_600 * GIB, 150 * 1024**2, why, 256 * 1024**2)
    engine.current = replace(engine.current, storage=storage)
    engine.record(
        ObjectRefused(
            receiver="XNAT:8104",
            calling_ae_title="CT_SCANNER_1",
            association="A-0412",
            status=0xA700,
            why="157 MB free is below the reserve of 268 MB; free space on /var/lib/dicomdock",
        )
    )
    return engine


def whitelist_rejections() -> FakeEngine:
    """A workstation that is on no whitelist line keeps trying."""
    engine = busy()
    first, *others = (
        _rejected(425 - i, caller, "CT_INTAKE", f"10.4.2.{77 + i}:4100{i}", 3 + 29 * i, why)
        for i, (caller, why) in enumerate(_REJECTIONS)
    )
    since = NOW - timedelta(minutes=4)
    rejected = (replace(first, since=since, repeats=25), *others, _UNKNOWN_RECEIVER)
    engine.current = replace(engine.current, ended_associations=(*rejected, *_ended()))
    engine.insert(*((3 + 29 * i, _rejection(r)) for i, r in enumerate(rejected)))
    return engine


def hundred_associations() -> FakeEngine:
    """A morning when everybody sends."""
    engine = busy()
    callers = ("CT_SCANNER_1", "MR_PRISMA", "PACS_PUSH", "ER_CT", "US_ROOM3")
    live = tuple(
        make_association(
            500 + i,
            callers[i % len(callers)],
            address=f"10.4.{i // 50}.{i % 50 + 1}:{40_000 + i}",
            since=NOW - timedelta(seconds=300 - i),
            objects=13 * i,
            bytes=13 * i * 524_288,
            bytes_rate=1e5 * (i % 17),
        )
        for i in range(100)
    )
    engine.current = replace(engine.current, associations=live)
    return engine


HOSTILE_NAMES = (
    "[/x]",
    "[red]CT[/red]",
    "[@click=app.bell]",
    "[link=x]A[/link]",
    "A\x1b]52;c;QQ==\x07",
    "\x1b[2J\r\nEVIL",
    "abc\u202edcba",
    "zero\u200bwidth",
    "\udce9tude",
)


def hostile_names(names: tuple[str, ...] = HOSTILE_NAMES) -> FakeEngine:
    """Names that are markup, escape sequences or tricks with the direction of text."""
    engine = busy()
    statuses = tuple(
        make_status(
            make_receiver(i, name, 8104 + i, identifier=name), throughput=make_throughput(1.0, 4)
        )
        for i, name in enumerate(names, start=1)
    )
    live = tuple(
        make_association(100 + i, name, name, address=f"{name}:1", implementation=name)
        for i, name in enumerate(names)
    )
    rejected = tuple(
        _rejected(200 + i, name, name, "10.4.2.77:41000", i, f"calling AE title {name} is unknown")
        for i, name in enumerate(names)
    )
    engine.current = replace(
        engine.current, receivers=statuses, associations=live, ended_associations=rejected
    )
    engine.record(*(_rejection(association) for association in rejected))
    engine.sessions.known = hostile_sessions()
    engine.senders.known = hostile_senders(names)
    return engine


def config_problem() -> FakeEngine:
    """The configuration file was edited and is not acceptable."""
    engine = busy()
    reason = (
        "config.json line 14: receiver CT_INTAKE: port 'eighty' is not a port number; "
        "use a port from 1024 to 49151"
    )
    engine.current = replace(engine.current, configuration_problem=reason)
    engine.record(ConfigurationRefused(reason=reason))
    return engine


_REJECTIONS = (
    (
        "OLD_WS",
        "calling AE title OLD_WS from 10.4.2.77 is on no whitelist line of CT_INTAKE; "
        "nearest: OLD_WS1",
    ),
    (
        "CT_SCANNER_9",
        "calling AE title CT_SCANNER_9 from 10.4.2.78 is on no whitelist line of CT_INTAKE; "
        "nearest: CT_SCANNER_1@10.4.7.0/24",
    ),
    ("STORESCU", "calling AE title STORESCU from 10.4.2.79 is on no whitelist line of CT_INTAKE"),
)


_REFUSED_CONTEXTS = (
    RefusedContext(
        "Encapsulated PDF Storage",
        ("Deflated Explicit VR Little Endian",),
        "no common transfer syntax",
    ),
    RefusedContext(
        "Modality Performed Procedure Step",
        ("Implicit VR Little Endian", "Explicit VR Little Endian"),
        "not a storage class",
    ),
)


_ACCEPTED_CONTEXTS = (
    AcceptedContext(1, "CT Image Storage", "JPEG-LS Lossless Image Compression"),
    AcceptedContext(3, "CT Image Storage", "Explicit VR Little Endian"),
    AcceptedContext(5, "Enhanced CT Image Storage", "Explicit VR Little Endian"),
    AcceptedContext(7, "X-Ray Radiation Dose SR Storage", "Explicit VR Little Endian"),
    AcceptedContext(11, "1.3.46.670589.11.0.0.12.2", "Implicit VR Little Endian"),
    AcceptedContext(15, "Verification SOP Class", "Implicit VR Little Endian"),
)


def _statuses() -> tuple[ReceiverStatus, ...]:
    return (
        make_status(
            make_receiver(1, "XNAT", 8104),
            open_associations=3,
            objects_today=48_211,
            bytes_today=13_400_000_000,
            last_object_at=NOW,
            throughput=make_throughput(31.6, 118),
        ),
        make_status(
            make_receiver(
                2,
                "CT_INTAKE",
                8104,
                direct_archive=True,
                whitelist_enabled=True,
                whitelist=("CT_SCANNER_1@10.4.7.0/24", "ER_CT", "OLD_WS1"),
            ),
            open_associations=1,
            objects_today=9_804,
            bytes_today=3_900_000_000,
            failed_today=2,
            last_object_at=NOW - timedelta(seconds=1),
            throughput=make_throughput(6.6, 24, 7),
        ),
        make_status(
            make_receiver(
                3,
                "MR_RESEARCH",
                11112,
                whitelist_enabled=True,
                whitelist=("MR_PRISMA", "10.4.1.9"),
                routing_enabled=True,
                project_routing="(0008,1030):([A-Z]+-\\d+).*:1",
            ),
            objects_today=1_377,
            bytes_today=610_000_000,
            last_object_at=NOW - timedelta(minutes=4, seconds=42),
        ),
        make_status(
            make_receiver(4, "LEGACY_US", 8105, enabled=False, anonymization=False),
            ReceiverState.DISABLED,
            since=NOW - timedelta(days=2),
            last_object_at=NOW - timedelta(days=2),
        ),
        _pet_staging(),
    )


def _pet_staging() -> ReceiverStatus:
    since = NOW - timedelta(hours=1, seconds=24)
    return make_status(
        make_receiver(5, "PET_STAGING", 8106, routing_enabled=True),
        ReceiverState.FAILED,
        since=since,
        failure=ListenFailure(
            "address in use: port 8106 is held by storescp (pid 4127, user dicom)",
            "stop that program or choose another port",
            since,
            14,
            PortHolder(4127, "storescp", "dicom", NOW.replace(day=23, hour=9, minute=12)),
            NOW + timedelta(seconds=24),
        ),
    )


def _live() -> tuple[AssociationStatus, ...]:
    rows = (
        (412, "CT_SCANNER_1", "XNAT", "10.4.7.21:50112", 41, 1_204, 612.0, 22.1, 12, 14),
        (413, "MR_PRISMA", "XNAT", "10.4.7.33:41880", 20, 388, 88.2, 7.4, 14, 14),
        (414, "PACS_PUSH", "XNAT", "10.4.1.9:55710", 7, 41, 12.6, 2.1, 120, 138),
        (416, "ER_CT", "CT_INTAKE", "10.4.9.2:60122", 2, 57, 13.1, 6.6, 4, 4),
    )
    return tuple(
        make_association(
            number,
            caller,
            called,
            address=address,
            since=NOW - timedelta(seconds=seconds),
            objects=objects,
            bytes=int(megabytes * 1e6),
            bytes_rate=rate * 1e6,
            contexts_accepted=accepted,
            contexts_proposed=proposed,
            contexts_refused=_REFUSED_CONTEXTS if number == 412 else (),
        )
        for (
            number,
            caller,
            called,
            address,
            seconds,
            objects,
            megabytes,
            rate,
            accepted,
            proposed,
        ) in rows
    )


def _ended() -> tuple[AssociationStatus, ...]:
    return (
        make_association(
            411,
            "US_ROOM3",
            address="10.4.8.14:50201",
            since=NOW - timedelta(seconds=70),
            ended_at=NOW - timedelta(seconds=61),
            end=AssociationEnd.RELEASED,
            objects=64,
            bytes=21_000_000,
        ),
        make_association(
            410,
            "MR_PRISMA",
            "MR_RESEARCH",
            address="10.4.7.33:41802",
            since=NOW - timedelta(seconds=92),
            ended_at=NOW - timedelta(seconds=48),
            end=AssociationEnd.ABORTED,
            objects=320,
            bytes=98_000_000,
        ),
        _rejected(409, "OLD_WS", "CT_INTAKE", "10.4.2.77:41077", 110, _REJECTIONS[0][1]),
    )


def _rejected(
    number: int, caller: str, called: str, address: str, seconds_ago: float, why: str
) -> AssociationStatus:
    at = NOW - timedelta(seconds=seconds_ago)
    association: AssociationStatus = make_association(
        number,
        caller,
        called,
        address=address,
        since=at,
        ended_at=at,
        end=AssociationEnd.REJECTED,
        why=why,
        implementation="",
        contexts_accepted=0,
        contexts_proposed=0,
    )
    return association


_UNKNOWN_RECEIVER = _rejected(
    422,
    "MR_SKYRA",
    "XNAT_OLD",
    "10.4.7.35:40212",
    95,
    "called AE title XNAT_OLD is not an enabled receiver on port 8104; enabled there: "
    "CT_INTAKE, XNAT",
)


def _rejection(association: AssociationStatus) -> AssociationRejected:
    return AssociationRejected(
        receiver=association.receiver,
        calling_ae_title=association.calling_ae_title,
        called_ae_title=association.called_ae_title,
        address=association.address,
        port=8104,
        result=1,
        source=1,
        reason=3,
        why=association.why,
    )


def _established(receiver: str, caller: str, address: str, accepted: int, proposed: int) -> Event:
    return AssociationEstablished(
        receiver=receiver,
        calling_ae_title=caller,
        address=address,
        contexts_accepted=accepted,
        contexts_proposed=proposed,
    )


def _events() -> list[tuple[float, Event]]:
    """Return events with how many seconds ago they happened."""
    xnat = "XNAT:8104"
    failed = ReceiverFailed(
        receiver="PET_STAGING:8106",
        reason="address in use: port 8106 is held by storescp (pid 4127, user dicom)",
        remedy="stop that program or choose another port",
    )
    released = AssociationReleased(
        receiver=xnat, calling_ae_title="US_ROOM3", objects=64, bytes=21_000_000, seconds=9.1
    )
    stored = ObjectsStored(
        receiver=xnat, calling_ae_title="CT_SCANNER_1", objects=118, duplicates=3, bytes=61_800_000
    )
    return [
        (110, _rejection(_ended()[2])),
        (61, released),
        (41, _established(xnat, "CT_SCANNER_1", "10.4.7.21", 12, 14)),
        (25, ConfigurationApplied(revision=12, receivers=5, enabled=4, by="anna")),
        (24, failed),
        (20, _established(xnat, "MR_PRISMA", "10.4.7.33", 14, 14)),
        (7, _established(xnat, "PACS_PUSH", "10.4.1.9", 120, 138)),
        (2, _established("CT_INTAKE:8104", "ER_CT", "10.4.9.2", 4, 4)),
        (0, stored),
    ]


SCENARIOS: dict[str, Callable[[], FakeEngine]] = {
    scenario.__name__: scenario
    for scenario in (
        empty,
        idle,
        busy,
        port_in_use,
        shared_port_in_use,
        barred,
        disk_full,
        whitelist_rejections,
        hundred_associations,
        hostile_names,
        config_problem,
    )
}
