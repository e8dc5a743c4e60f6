"""Whatever happens to sessions in whatever order: no object is lost, doubled or misplaced."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.errors import NotFound, SessionError
from engine.index.operations import OperationKind, Request
from engine.model.project import AutoArchive
from engine.model.session import SessionStatus
from tests.engine.index.depot import depot_in

SESSIONS = st.integers(1, 6)
PROJECTS = st.sampled_from(["AUTO", "OVER", "MANUAL", None])
MR, PRIVATE = "1.2.840.10008.5.1.4.1.1.4", "1.2.3.4.5"


class Sessions(RuleBasedStateMachine):
    """One data directory, and everything that can be done to it."""

    def __init__(self) -> None:
        super().__init__()
        self._opened = ExitStack()
        self._opened.enter_context(patch.object(os, "fsync", lambda _fd: None))
        self._opened.enter_context(patch("engine.index.writer.BATCH_SECONDS", 0))
        root = Path(self._opened.enter_context(tempfile.TemporaryDirectory()))
        self.depot = self._opened.enter_context(depot_in(root))
        self.depot.codes |= {"AUTO": AutoArchive.ARCHIVE, "OVER": AutoArchive.OVERWRITE}

    def teardown(self) -> None:
        self._opened.close()

    @rule(
        project=PROJECTS,
        study=st.sampled_from(["1.1", "1.2"]),
        series=st.sampled_from([("4", "1.4"), ("4", "1.5"), ("7", "1.7")]),
        sop_class=st.sampled_from([MR, PRIVATE]),
        again=st.booleans(),
        auto_archive=st.sampled_from([None, True, False]),
    )
    def receive(
        self,
        project: str | None,
        study: str,
        series: tuple[str, str],
        sop_class: str,
        again: bool,
        auto_archive: bool | None,
    ) -> None:
        number, uid = series
        elements: dict[str, Any] = {
            "SeriesNumber": number,
            "SeriesInstanceUID": uid,
            "StudyInstanceUID": study,
            "SOPClassUID": sop_class,
            "Modality": "MR",
            "InstanceNumber": str(self.depot._received),  # identical data sets are stored once
        }
        if again:
            elements["SOPInstanceUID"] = "1.2.3.999"
        self.depot.receive(project, auto_archive=auto_archive, **elements)

    @rule()
    def fall_silent(self) -> None:
        self.depot.fall_silent()

    @rule(session=SESSIONS, merge=st.booleans(), overwrite=st.booleans())
    def archive(self, session: int, merge: bool, overwrite: bool) -> None:
        self._ask(session, OperationKind.ARCHIVE, merge=merge, overwrite=overwrite)

    @rule(session=SESSIONS, project=st.sampled_from(["AUTO", "MANUAL"]))
    def move(self, session: int, project: str) -> None:
        self._ask(session, OperationKind.MOVE, project=project)

    @rule(session=SESSIONS)
    def delete(self, session: int) -> None:
        self._ask(session, OperationKind.DELETE)

    @rule(session=SESSIONS)
    def rebuild(self, session: int) -> None:
        with suppress(SessionError, NotFound):
            self.depot.ledger.request_build(session, "admin")

    @rule(session=SESSIONS)
    def cancel(self, session: int) -> None:
        with suppress(SessionError, NotFound):
            self.depot.ledger.cancel(session)

    @rule()
    def run_requests(self) -> None:
        self.depot.index.flush()
        self.depot.lifecycle.run_requests()

    def _ask(self, session: int, kind: OperationKind, **changes: Any) -> None:
        with suppress(SessionError, NotFound):
            self.depot.ledger.ask(session, Request(kind, "test", **changes))

    @invariant()
    def every_object_is_where_its_row_says(self) -> None:
        self.depot.index.flush()
        placed = [
            self.depot.areas.folder(session) / file
            for session in self.depot.index.sessions()
            for file in self.depot.ledger.stored_files(session.id)
        ]
        on_disk = self.depot.all_objects()
        assert sorted(placed) == [path for path in on_disk if "replaced" not in path.parts]
        assert len(on_disk) == self.depot._received

    @invariant()
    def every_session_counts_its_objects(self) -> None:
        for session in self.depot.index.sessions():
            assert session.objects == len(self.depot.ledger.stored_files(session.id))
            assert session.status is not SessionStatus.ERROR or "Empty" in session.reason


Sessions.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestAnyOrder = Sessions.TestCase
