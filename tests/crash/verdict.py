"""Recovery on what a power cut has left, and whether every promise was kept."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pydicom

from engine.config.store import ConfigurationStore
from engine.errors import EngineError
from engine.host.data_directory import prepare
from engine.model.session import UNFINISHED, SessionStatus
from engine.sessions.audit import audit
from engine.sessions.service import SessionService, sessions_without_engine
from engine.settings import EngineSettings
from engine.storage.areas import document_of
from tests.crash.dock import BEFORE_ARCHIVE, ON_RECEIPT, TOKEN_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.crash.dock import Sent
    from tests.crash.states import Told
    from tests.fakes import FixedClock

FINAL = ("prearchive", "archive", "trash")
_INODES = b'"edited": {"'


def correct_inodes(data: Path, inodes: Mapping[int, int]) -> None:
    """Let plans that know files by their numbers know them by those that they have here."""
    file = data / "index.sqlite"
    log = data / "index.sqlite-wal"
    if not any(path.exists() and _INODES in path.read_bytes() for path in (file, log)):
        return
    with closing(sqlite3.connect(file)) as index, index:
        plans = index.execute("SELECT session, plan FROM operations WHERE plan IS NOT NULL")
        for session, text in plans.fetchall():
            plan = json.loads(text)
            for name in ("edited", "rejected"):
                plan[name] = {f: inodes.get(inode, 1) for f, inode in plan[name].items()}
            index.execute(
                "UPDATE operations SET plan = ? WHERE session = ?", (json.dumps(plan), session)
            )


def faults_after(
    data: Path,
    clock: FixedClock,
    told: Told,
    sent: Mapping[bytes, Sent],
    *,
    killed: bool = True,
    storage_failed: bool = False,
) -> list[str]:
    """Recover a data directory and return every promise that was not kept, in words.

    Args:
        data: the data directory as a power cut has left it.
        clock: the time of the next start.
        told: what was answered.
        sent: every object that was ever sent, by its token.
        killed: whether the engine was cut off, so that the start must find what has no row.
        storage_failed: whether that was so before, so that a revision may not be kept.
    """
    faults = list(_faults_of_configuration(data, clock, told, storage_failed=storage_failed))
    if faults:
        return faults
    try:
        prepare(EngineSettings(data))
        with sessions_without_engine(EngineSettings(data), clock) as session_service:
            found = faults_of_index(session_service, live=not killed)
            faults += [f"after the start, {fault}" for fault in found]
            clock.advance(301)
            lifecycle: Any = session_service._lifecycle
            for _ in range(3):
                lifecycle.run_due()
            faults += [f"later, {fault}" for fault in faults_of_index(session_service, live=False)]
            faults += _restless(session_service)
            faults += _undocumented(session_service)
    except (EngineError, OSError, sqlite3.Error) as error:
        return [f"the start fails: {type(error).__name__}: {error}"]
    lost = told.kept - in_state(data)
    faults += [f"the state database has lost: {what}" for what in sorted(lost)]
    return faults + list(faults_of_objects(data, told, sent)) + list(_faults_of_documents(data))


_KEPT = (
    "SELECT 'route ' || study_instance_uid || ' ' || project FROM study_routes",
    "SELECT 'label ' || study_instance_uid || ' ' || label FROM study_labels",
    "SELECT 'uid ' || value || ' ' || uid FROM uid_maps",
    # Another index has other rows for the same objects.
    "SELECT kind || ' ' || target || ' ' || CASE kind WHEN 'forward' THEN what ELSE row END"
    " FROM outbox",
)


def in_state(data: Path) -> frozenset[str]:
    """Return what is in the state database, a few words for each row."""
    with closing(sqlite3.connect(data / "state.sqlite")) as state:
        return frozenset(word for query in _KEPT for (word,) in state.execute(query))


def _faults_of_configuration(
    data: Path, clock: FixedClock, told: Told, *, storage_failed: bool
) -> Iterator[str]:
    file = data / "config.json"
    if not file.exists():
        if told.revision:
            yield "the configuration is missing"
        return
    try:
        store = ConfigurationStore(file, clock=clock)
        revision = store.load().revision
    except EngineError as error:
        yield f"the configuration can't be read: {error}"
        return
    if revision < told.revision:
        yield f"revision {told.revision} was answered, and {revision} is in force"
    if storage_failed:  # the change is in force all the same, though it can't be undone
        return
    for number in filter(None, {told.revision, *store.history.numbers()}):
        try:
            store.revision(number)
        except EngineError as error:
            yield f"a revision can't be brought back: {error}"


def faults_of_index(session_service: SessionService, *, live: bool) -> Iterator[str]:
    """Compare index and disk as `dicomdock check` does, beside an engine that runs or without.

    A session that is being received may have a file whose flush failed: its build gives it a row.
    """
    at = session_service._session_context
    found = audit(at.index, at.ledger, at.areas, live=live)
    if not found.agrees:
        yield f"the check says {found.sessions} {found.unknown_folders}"


def _restless(session_service: SessionService) -> list[str]:
    ledger: Any = session_service.ledger
    restless = [
        f"session {s.label} stays {s.status}: {s.reason}"
        for s in session_service._session_context.index.sessions()
        if s.status in UNFINISHED | {SessionStatus.ERROR, SessionStatus.RECEIVING}
    ]
    return restless + [f"an operation is left: {op}" for op in ledger.operations()]


def _undocumented(session_service: SessionService) -> Iterator[str]:
    """Look for the document and the catalogs of every session that is built."""
    at = session_service._session_context
    for session in at.index.sessions():
        if session.status not in {SessionStatus.READY, SessionStatus.ARCHIVED}:
            continue
        folder = at.areas.folder(session)
        if not document_of(folder).exists():
            yield f"session {session.label} has no document"
        for resource in {(folder / row.file).parent for row in at.ledger.stored_rows(session.id)}:
            if not list(resource.glob("scan_*_catalog.xml")):
                yield f"session {session.label} has no catalog in {resource.relative_to(folder)}"


def faults_of_objects(data: Path, told: Told, sent: Mapping[bytes, Sent]) -> Iterator[str]:
    """Compare the objects that are there with those that were answered."""
    found: Counter[bytes] = Counter()
    for path in object_paths(data):
        content = path.read_bytes()
        name = path.relative_to(data)
        token = _token_of_whole(content, sent)
        if token is None:
            yield f"{name} is half an object ({len(content)} bytes)"
            continue
        found[token] += 1
        if ON_RECEIPT.encode() in content:
            yield f"{name} is not anonymized"
        if BEFORE_ARCHIVE.encode() in content and name.parts[0] == "archive":
            yield f"{name} is archived without the project's script"
    for token in told.stored - told.may_go:
        if found[token] != 1:
            yield f"object {_short(token)} was answered with success, is there {found[token]} times"
    for token, times in found.items():
        if times > 1 and token not in told.stored:
            yield f"object {_short(token)} is there {times} times"


def _faults_of_documents(data: Path) -> Iterator[str]:
    """Read every catalog and session document."""
    for path in (path for area in FINAL for path in (data / area).rglob("*.xml")):
        try:
            ElementTree.parse(path)
        except ElementTree.ParseError as error:
            yield f"{path.relative_to(data)} can't be read: {error}"


def _short(token: bytes) -> str:
    return token.hex()[:8]


def _token_of_whole(content: bytes, sent: Mapping[bytes, Sent]) -> bytes | None:
    """Return the token of a file that holds all of an object, as it was sent or anonymized."""
    token = content[-TOKEN_BYTES:]
    if token not in sent:
        return None
    if content[128:132] == b"DICM" and content.endswith(sent[token].data_set):
        return token
    try:
        ds = pydicom.dcmread(io.BytesIO(content))
        return token if ds.PatientName == "Nobody" and bytes(ds.PixelData) == token else None
    except Exception:
        return None


def object_paths(data: Path) -> Iterator[Path]:
    """Yield the files of all objects under final names."""
    for area in FINAL:
        for folder, _, names in os.walk(data / area):
            if ".anonymized" not in folder:
                yield from (Path(folder, name) for name in names if name.endswith(".dcm"))
