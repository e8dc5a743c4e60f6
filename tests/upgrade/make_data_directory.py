"""Makes and packs a data directory with everything that an engine keeps, and says what is in it.

Run it with the code of the version that later ones are to be tested against, and never change what
it made: `python -m tests.upgrade.make_data_directory NAME` writes `NAME.tar.xz` and `NAME.json`
beside this file.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import tarfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from engine.config.store import ConfigurationStore
from engine.host.clock import SystemClock
from engine.identification.installed import infos_of, load_identifiers
from engine.model.anonymization import SiteScript
from engine.model.limits import Limits
from engine.model.peer import AETitle
from engine.model.processor import Location, Processor
from engine.model.project import AutoArchive, Project
from engine.model.receiver import Receiver
from engine.model.site import DuplicatePolicy, SiteSettings
from engine.model.study_route import StudyRoute
from tests.crash.dock import make, running
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from tests.crash.dock import Dock, Sent

HERE = Path(__file__).parent
SITE_SCRIPT = (
    'version "6.1"\n(0010,0010) := "Nobody"\n(0020,0052) := mapUID[(0020,0052), "1.2.3"]\n'
)
PROJECT_SCRIPT = 'version "6.1"\n(0008,0080) := "a hospital"\n'
PROJECTS = (
    Project("NEURO", title="Neurology", auto_archive=AutoArchive.MANUAL),
    Project("CARDIO", aliases=("HEART",), auto_archive=AutoArchive.OVERWRITE),
    Project(
        "SCRUBBED",
        auto_archive=AutoArchive.ARCHIVE,
        anonymization_script=PROJECT_SCRIPT,
        anonymization_script_enabled=True,
        archive_folder="arc002",
    ),
)
RECEIVERS: dict[str, dict[str, Any]] = {
    "RAW": {"anonymization": False, "whitelist_enabled": True, "whitelist": "CT@192.0.2.0/24"},
    "SITE": {},
    "DIRECT": {"anonymization": False, "direct_archive": True},
    "LATEST": {"anonymization": False, "duplicates": DuplicatePolicy.REPLACE},
    "COPIED": {"anonymization": False, "custom_processing": True},
    "FIXED": {
        "anonymization": False,
        "identifier": "fixedProjectSubject",
        "identifier_settings": (("project", "NEURO"), ("subject", "S9")),
    },
}
UNREACHABLE = (("ae_title", "PACS"), ("host", "127.0.0.1"), ("port", "1"))
ENDLESS = (("program", "/bin/sleep"), ("arguments", "1000"))
FAILING = (("program", "/bin/ls"), ("arguments", "/nowhere"))


def configure(data: Path) -> None:
    data.mkdir(mode=0o750)
    store = ConfigurationStore(
        data / "config.json", clock=SystemClock(), identifiers=infos_of(load_identifiers())
    )
    script = SiteScript(True, SITE_SCRIPT)
    site = SiteSettings(bind_address="127.0.0.1", script=script, limits=Limits(reserve_bytes=0))
    store.set_site(site, "anna")
    for project in PROJECTS:
        store.save_project(project, "anna")
    for name, settings in RECEIVERS.items():
        values = {"whitelist": (settings["whitelist"],)} if "whitelist" in settings else {}
        store.save_receiver(
            Receiver(0, AETitle(name), 8104, enabled=False, **settings | values), "berta"
        )


def live(dock: Dock) -> None:
    """Leave sessions in every state of rest, one that is received, and one that is asked for."""
    engine: Any = dock.engine
    for name, kind, where, told in (
        ("copies", "forwardCopy", Location.AFTER_STORED, UNREACHABLE),
        ("failing", "command", Location.AFTER_SESSION_COMPLETE, FAILING),
        ("endless", "command", Location.AFTER_SESSION_COMPLETE, ENDLESS),
    ):
        engine.processors.save(Processor(0, name, kind, location=where, parameters=told), "anna")
    engine.study_routes.save(StudyRoute("1.77", "NEURO", "S7", "E7"), "anna")
    store(dock, make(1), make(2, sr=True), make(1, content=1), make(1))
    store(dock, make(3, **study("CARDIO", "C1")), make(4, sr=True, **study("CARDIO", "C1")))
    store(dock, make(5, "SITE", FrameOfReferenceUID="1.5.5", **study("SCRUBBED", "S1")))
    store(dock, make(6, "DIRECT", **study("NEURO", "D1")), make(7, **study("nowhere", "U1")))
    latest = study("NEURO", "L1")
    store(dock, make(8, "LATEST", **latest))
    dock.replace(make(8, "LATEST", **latest), make(8, "LATEST", content=1, **latest))
    store(dock, make(9, "COPIED", **study("NEURO", "F1")), make(10, "FIXED", **study("", "X")))
    store(dock, make(11, **study("NEURO", "T1")), make(12, **study("NEURO", "Q1")))
    dock.store(replace(make(13), sop_instance_uid="1.2.3.14"))  # goes into quarantine
    dock.fall_silent()
    wait_for(dock.data / "logs/commands")
    store(dock, make(3, content=1, **study("CARDIO", "C1")))  # the old one goes to the trash
    store(dock, make(15, "LATEST", **study("SCRUBBED", "K1")))
    dock.fall_silent()
    store(dock, make(15, content=2, **study("SCRUBBED", "K1")))  # a conflict in the archive
    dock.fall_silent()
    engine.sessions.delete(dock.session("T1").id, "anna")
    dock.look()
    store(dock, make(16, **study("NEURO", "R1")))
    engine.sessions.archive(dock.session("Q1").id, "anna")
    engine.save_project(Project("LATER", title="added last"), "berta")
    engine.undo("anna")
    engine._watching._watch.check()
    engine._index.flush(10)


def study(project: str, label: str) -> dict[str, Any]:
    uid = "1.2.826.0.1.3680043.8.498." + str(int.from_bytes(label.encode()))
    return {"StudyDescription": project, "PatientID": label, "StudyInstanceUID": uid}


def store(dock: Dock, *objects: Sent) -> None:
    for sent in objects:
        assert dock.store(sent).status == 0, sent


def wait_for(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while not (folder.is_dir() and any(folder.iterdir())):
        assert time.monotonic() < deadline, folder
        time.sleep(0.05)


def said_by(data: Path) -> dict[str, object]:
    """Return what is in a data directory on which no engine runs."""
    return {
        "sessions": rows(
            data / "index.sqlite",
            "SELECT project, label, subject, status, reason, area, folder, objects, modality"
            " FROM sessions ORDER BY folder",
        ),
        "objects": rows(
            data / "index.sqlite",
            "SELECT o.sop_instance_uid, o.state, o.reason, o.file, o.project_script, s.folder"
            " FROM objects o LEFT JOIN sessions s ON o.session = s.id ORDER BY o.sequence",
        ),
        "requests": rows(
            data / "index.sqlite", "SELECT kind, asked_by FROM operations ORDER BY session"
        ),
        "study labels": rows(
            state(data, "index.sqlite"), "SELECT project, label FROM study_labels"
        ),
        "traces": rows(data / "index.sqlite", "SELECT COUNT(*) FROM traces"),
        "forwarding": waiting_copies(data),
        "commands": waiting_runs(data),
        "routes": rows(
            state(data, "study-routes.sqlite"), "SELECT study_instance_uid FROM study_routes"
        ),
        "uids": rows(state(data, "uid-maps.sqlite"), "SELECT * FROM uid_maps ORDER BY 1, 2, 3"),
        "configuration": json.loads((data / "config.json").read_text()),
        "revisions": sorted(path.name for path in (data / "config.history").iterdir()),
        "files": {
            path.relative_to(data).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for area in ("prearchive", "archive", "trash", "quarantine", "logs/commands")
            for path in sorted((data / area).rglob("*"))
            if path.is_file()
        },
    }


def waiting_copies(data: Path) -> list[list[Any]]:
    state = data / "state.sqlite"
    if state.exists():
        return rows(state, "SELECT target, what, failed FROM outbox WHERE kind = 'forward'")
    earlier = data / "forwarding.sqlite"
    return rows(earlier, "SELECT destination, sop_instance_uid, failed FROM items")


def waiting_runs(data: Path) -> list[list[Any]]:
    state = data / "state.sqlite"
    if state.exists():
        found = rows(state, "SELECT target, what FROM outbox WHERE kind = 'command'")
        whats = [(target, json.loads(what)) for target, what in found]
        return sorted([target, str(what["session"]), what["study"]] for target, what in whats)
    earlier = data / "commands.sqlite"
    return rows(earlier, "SELECT processor, session, study FROM runs ORDER BY 1, 2")


def state(data: Path, earlier: str) -> Path:
    """Return the state database, or where a version before it kept the same."""
    file = data / "state.sqlite"
    return file if file.exists() else data / earlier


def rows(file: Path, query: str) -> list[list[Any]]:
    with closing(sqlite3.connect(file)) as connection:
        return [[str(value) for value in row] for row in connection.execute(query)]


def main(name: str) -> None:
    with TemporaryDirectory() as top:
        data = Path(top, "data")
        clock = FixedClock()
        configure(data)
        with running(data, clock, lambda _: None) as dock:
            live(dock)
        said = said_by(data) | {"at": clock.now().isoformat()}
        (HERE / f"{name}.json").write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
        with tarfile.open(HERE / f"{name}.tar.xz", "w:xz", preset=9) as archive:
            archive.add(data, "data", filter=plain)


def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what is no file or folder, and who made it."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member if member.isfile() or member.isdir() else None


if __name__ == "__main__":
    main(sys.argv[1])
