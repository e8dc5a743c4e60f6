"""What an engine does while the calls are recorded, in short days of one kind of work each."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.config.store import ConfigurationStore
from engine.errors import InvalidStudyRoute
from engine.host.clock import SystemClock
from engine.identification.installed import infos_of, load_identifiers
from engine.index.arrivals import Finished
from engine.model.anonymization import SiteScript
from engine.model.limits import Limits
from engine.model.peer import AETitle
from engine.model.processor import Location, Processor
from engine.model.project import AutoArchive, Project
from engine.model.receiver import Receiver
from engine.model.session import SessionStatus
from engine.model.site import DuplicatePolicy, SiteSettings
from engine.model.study_route import StudyRoute
from engine.processing.command.queue import RunQueue
from engine.processing.forward.queue import ForwardingQueue
from engine.state.outbox import Position
from engine.state.studies import LabelKey, StudyLabels
from engine.state.uid_maps import SqliteUidMaps
from tests.crash.dock import A_DAY, BEFORE_ARCHIVE, ON_RECEIPT, make
from tests.crash.verdict import in_state
from tests.engine.state.earlier_files import FILES, LABELS, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.crash.dock import Dock, Sent

SCRIPT = 'version "6.1"\n(0010,0010) := "Nobody"\n'
SITE = SiteSettings(
    bind_address="127.0.0.1",
    script=SiteScript(True, SCRIPT),
    limits=Limits(reserve_bytes=0),
    direct_archive_append=True,
)
PROJECTS = (
    Project("NEURO", auto_archive=AutoArchive.MANUAL),
    Project("CARDIO", auto_archive=AutoArchive.OVERWRITE),
    Project(
        "SCRUBBED",
        auto_archive=AutoArchive.ARCHIVE,
        anonymization_script=SCRIPT,
        anonymization_script_enabled=True,
    ),
)
RECEIVERS: dict[str, dict[str, Any]] = {
    "RAW": {"anonymization": False},
    "SITE": {},
    "DIRECT": {"anonymization": False, "direct_archive": True, "direct_archive_append": True},
    "LATEST": {"anonymization": False, "duplicates": DuplicatePolicy.REPLACE},
}


def configure(data: Path) -> None:
    """Write the configuration of all scenarios."""
    data.mkdir(mode=0o750, exist_ok=True)
    store = ConfigurationStore(
        data / "config.json", clock=SystemClock(), identifiers=infos_of(load_identifiers())
    )
    store.set_site(SITE, "test")
    for project in PROJECTS:
        store.save_project(project, "test")
    receivers = tuple(
        Receiver(0, AETitle(name), 8104, enabled=False, **changes)
        for name, changes in RECEIVERS.items()
    )
    seen = store.load()
    store.save_plan(replace(seen, receivers=receivers), seen, "test")


def store_all(dock: Dock, *objects: Sent) -> None:
    for sent in objects:
        assert dock.store(sent).status == 0, sent.receiver


def reception(dock: Dock) -> None:
    """New sessions and series, duplicates, other content of an instance, replaced and refused."""
    first = make(1)
    store_all(dock, first, make(2), make(3, SeriesNumber="5", SeriesInstanceUID="1.5"))
    store_all(dock, first, make(1, content=1), make(4, PatientID="E2", StudyInstanceUID="1.2"))
    store_all(dock, make(5, "DIRECT", PatientID="D1", StudyInstanceUID="1.3"))
    store_all(dock, make(5, "DIRECT", PatientID="D1", StudyInstanceUID="1.3"))
    store_all(dock, make(6, StudyDescription="nowhere", StudyInstanceUID="1.4"))
    latest = make(7, "LATEST", PatientID="E3", StudyInstanceUID="1.6")
    store_all(dock, latest)
    values: dict[str, Any] = {"PatientID": "E3", "StudyInstanceUID": "1.6"}
    assert dock.replace(latest, make(7, "LATEST", content=1, **values)).status == 0
    refused = make(8)
    assert dock.store(replace(refused, sop_instance_uid="1.2.3.9")).status != 0
    store_all(dock, make(9), make(10))


def building(dock: Dock) -> None:
    """Sessions that are built, and built again with late objects; forgotten, and moved."""
    report: dict[str, Any] = {"sr": True, "Modality": "SR"}
    store_all(dock, make(1), make(2), make(3, **report))
    store_all(dock, make(4, SeriesInstanceUID="1.44"))  # another series of that number
    store_all(dock, make(5, StudyDescription="nowhere", PatientID="E5", StudyInstanceUID="1.5"))
    dock.fall_silent()
    store_all(dock, make(6), make(7, SeriesNumber="9", SeriesInstanceUID="1.9"))
    dock.fall_silent()
    dock.engine.sessions.rebuild(dock.session("E1").id, "test")
    dock.look()
    store_all(dock, make(1), make(3, **report), make(4, SeriesInstanceUID="1.44"))  # once more
    dock.fall_silent()
    dock.engine.sessions.move(dock.session("E5").id, "NEURO", "test")
    dock.look()
    store_all(dock, make(8, PatientID="E5", StudyInstanceUID="1.5"))
    dock.fall_silent()


def archiving(dock: Dock) -> None:
    """Sessions that are archived, directly or not, and merged; objects replaced and skipped."""
    study: dict[str, Any] = {"StudyDescription": "CARDIO", "PatientID": "C1"}
    store_all(dock, make(1, **study), make(2, **study), make(3, sr=True, **study))
    direct: dict[str, Any] = {"PatientID": "D1", "StudyInstanceUID": "1.3"}
    store_all(dock, make(11, "DIRECT", **direct), make(12, "DIRECT", sr=True, **direct))
    dock.fall_silent()
    store_all(dock, make(4, **study), make(2, content=1, **study))
    store_all(dock, make(11, "DIRECT", content=1, **direct), make(13, "DIRECT", **direct))
    dock.fall_silent()
    assert len(list(dock.data.glob("trash/*/skipped/**/*.dcm"))) == 1
    store_all(dock, make(5, SeriesNumber="8", SeriesInstanceUID="1.8", **study))
    dock.fall_silent()
    store_all(dock, make(6), make(7))
    dock.fall_silent()
    dock.engine.sessions.archive(dock.session("E1").id, "test")
    dock.look()


def trash(dock: Dock) -> None:
    """Sessions that are deleted, restored, deleted again, and purged."""
    objects = [make(1), make(2, sr=True), make(3, SeriesNumber="7", SeriesInstanceUID="1.7")]
    store_all(dock, *objects)
    kept = make(9, PatientID="E9", StudyInstanceUID="1.9")
    store_all(dock, kept)
    dock.fall_silent()
    for label in ("E1", "E9"):
        dock.engine.sessions.delete(dock.session(label).id, "test")
    dock.look()
    dock.engine.sessions.restore(dock.session("E1").id, "test")
    dock.look()
    dock.fall_silent()
    dock.engine.sessions.archive(dock.session("E1").id, "test")
    dock.look()
    dock.engine.sessions.delete(dock.session("E1").id, "test")
    dock.engine.sessions.restore(dock.session("E9").id, "test")
    dock.look()
    for sent in objects:
        dock.note(f"may-go {sent.token.hex()}")
    for _ in range(3):  # it is purged once it was seen to be old for long enough
        dock.pass_time(40 * A_DAY)
        dock.look()
    assert [s.label for s in dock.engine._index.sessions()] == ["E9"]


def anonymizing(dock: Dock) -> None:
    """Objects that the site's script changes on receipt, and a project's before the archive."""
    site: dict[str, Any] = {"PatientName": ON_RECEIPT, "PatientID": "A1"}
    store_all(dock, make(1, "SITE", **site), make(2, "SITE", **site), make(1, "SITE", **site))
    project: dict[str, Any] = {"StudyDescription": "SCRUBBED", "PatientName": BEFORE_ARCHIVE}
    for number in (3, 4):
        store_all(
            dock, make(number, "SITE", PatientID="S1", **project | {"StudyInstanceUID": "1.3"})
        )
    dock.fall_silent()
    store_all(dock, make(5, "SITE", PatientID="S1", **project | {"StudyInstanceUID": "1.3"}))
    dock.fall_silent()


def configuration(dock: Dock) -> None:
    """Changes of the configuration, one taken back, and objects between them."""
    dock.announce()
    engine = dock.engine
    for number in range(3):
        engine.save_project(Project(f"P{number}", title="x" * 200), "anna")
        dock.announce()
    store_all(dock, make(1))
    receiver = engine._configuration.receivers[0]
    engine.save_receiver(replace(receiver, port=8105), "berta", replacing=receiver)
    dock.announce()
    engine.undo("anna")
    dock.announce()
    engine.set_site(replace(SITE, sessions=replace(SITE.sessions, trash_days=31)), "berta")
    dock.announce()
    file = dock.data / "config.json"
    edit(file, '"trash_days": 31', '"trash_days": 32')
    engine.reload()
    dock.announce()
    engine.delete_project("P1", "anna")
    dock.announce()


def edit(file: Path, before: str, after: str) -> None:
    """Change a file as a careful editor does."""
    beside = file.with_name("edited")
    with beside.open("w") as stream:
        stream.write(file.read_text().replace(before, after))
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)


def nothing(_dock: Dock) -> None:
    """Do nothing."""


def processors(dock: Dock) -> None:
    """Let there be a destination and a program, which wait: nothing is sent or run."""
    engine: Any = dock.engine
    peer = (("ae_title", "PACS"), ("host", "127.0.0.1"), ("port", "1"))
    program = (("program", "/bin/true"),)
    for name, kind, where, told in (
        ("copies", "forwardCopy", Location.AFTER_STORED, peer),
        ("program", "command", Location.AFTER_SESSION_COMPLETE, program),
    ):
        processor = Processor(0, name, kind, location=where, parameters=told, enabled=False)
        engine.processors.save(processor, "test")


def full_state(dock: Dock) -> None:
    """Have rows of every kind, and UIDs on many pages."""
    processors(dock)
    state(dock, range(1, 4))
    with closing(SqliteUidMaps(dock.data / "state.sqlite")) as maps:
        for number in range(300):
            maps.uid_for("many", f"{number:060}", lambda: "9.9")


def damage_state(data: Path) -> frozenset[str]:
    """Destroy a page of UIDs; return what is not on it."""
    file = data / "state.sqlite"
    content = bytearray(file.read_bytes())
    at = content.index(f"{150:060}".encode()) // 4096 * 4096
    content[at : at + 4096] = b"\xff" * 4096
    before = in_state(data)
    file.write_bytes(content)
    return frozenset(what for what in before if not what.startswith("uid 0"))


def state(dock: Dock, numbers: Iterable[int] = range(20, 25)) -> None:
    """Rows of the state database, of which some may be made again and others not."""
    file, index = dock.data / "state.sqlite", dock.data / "index.sqlite"
    copies, program = (p.id for p in dock.engine._configuration.processors)
    with (
        closing(SqliteUidMaps(file)) as maps,
        closing(StudyLabels(file, index)) as labels,
        ForwardingQueue(file) as queue,
        RunQueue(file) as runs,
    ):
        for number in numbers:
            uid = f"1.2.{number}"
            with suppress(InvalidStudyRoute):  # it was done before
                dock.engine.study_routes.save(StudyRoute(uid, "NEURO"), "anna")
            dock.note(f"kept route {uid} NEURO")
            queue.put([(copies, number, uid)], Position(number, "then"), [copies], "2026-01-01")
            label = labels.label(LabelKey("NEURO", "S1", uid), "MR")
            dock.note(f"kept label {uid} {label}")
            queue.put([(copies, -number, uid)], Position(number, "then"), [copies], "2026-01-01")
            new = maps.uid_for("a", uid, lambda uid=uid: f"9.{uid}")  # type: ignore[misc]
            dock.note(f"kept uid {uid} {new}")
            runs.put([(program, Finished(number, 1, SessionStatus.READY, "2026-01-01"), uid)])
            dock.note(f"kept command {program} {number}")
        (target,) = (item.id for item in queue.items()[-1:])
        queue.sent(copies, [target], 100, dock.clock.now())


def make_earlier(data: Path) -> tuple[str, ...]:
    """Make of a data directory one of a version before the state database; say what is in it."""
    (data / "state.sqlite").unlink()
    for name, script in FILES.items():
        write(data / name, script, leave_log=True)
    write(data / "index.sqlite", LABELS)
    write(data / "forwarding.sqlite", "UPDATE items SET destination = 1", leave_log=True)
    write(data / "commands.sqlite", "UPDATE runs SET processor = 2", leave_log=True)
    return (
        "route 1.2.3 P",
        "label 1.2.3 S1_MR1",
        "uid 1.2 9.1",
        "forward 1 1.2.11",
        "command 2 21",
    )


class Scenario(NamedTuple):
    """A kind of work, and whether an engine has used the data directory before."""

    work: Callable[[Dock], None]
    is_first_start: bool = False
    prepare: Callable[[Dock], None] = nothing
    """What the engine before it does."""
    between: Callable[[Path], Iterable[str]] = lambda _: ()
    """What becomes of the data directory then; says what its state database has to keep."""


SCENARIOS = {
    "first start": Scenario(reception, is_first_start=True),
    "reception": Scenario(reception),
    "building": Scenario(building),
    "archiving": Scenario(archiving),
    "trash": Scenario(trash),
    "anonymizing": Scenario(anonymizing),
    "configuration": Scenario(configuration),
    "state": Scenario(state, prepare=processors),
    "upgrade": Scenario(state, prepare=processors, between=make_earlier),
    "repair": Scenario(state, prepare=full_state, between=damage_state),
}
