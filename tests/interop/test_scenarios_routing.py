"""Routing rules that go wrong, and rules that are tried, with a real sender and a real engine.

XNAT's own routing scenarios are in `test_xnat_scenarios`.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import generate_uid

from engine.events import RuleFailed
from engine.model.peer import AETitle
from engine.model.queries import SessionQuery
from engine.service.engine import Engine
from engine.settings import EngineSettings
from tests.interop.routing_dock import CONSTANT, RULES, Dock, image, routed_image, running_dock
from tests.running import make_receiver, object_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with running_dock(tmp_path / "data") as dock:
        yield dock


CATASTROPHIC = r"(0010,4000):((a|aa)+)!"


def hostile_image() -> Dataset:
    return image(PatientComments="a" * 60, StudyInstanceUID=generate_uid())


def test_a_catastrophic_rule_ends_in_time_and_harms_no_other_association(dock: Dock) -> None:
    dock.save(routing_enabled=True, session_routing=CATASTROPHIC)
    dock.save(make_receiver("GOOD", dock.port))
    good: list[int | None] = []
    sender = threading.Thread(
        target=lambda: good.extend(dock.send(*(image() for _ in range(30)), called="GOOD"))
    )
    sender.start()
    statuses = dock.send(*(hostile_image() for _ in range(8)))
    sender.join(30)
    assert statuses == [0xC000] * 8
    assert good == [0] * 30
    told = [event.sentence() for event in dock.engine.told(RuleFailed)]
    assert len(told) == 5
    assert told[-1].endswith("the rule is suspended until the configuration changes")
    assert dock.send(image(PatientComments="a!")) == [0xC000]  # not asked, but not "no match"
    dock.save(session_routing="")
    assert dock.labels_of(hostile_image())[2] == "Sample_ID"


def test_a_project_rule_that_fails_is_told_in_the_journal_of_objects(dock: Dock) -> None:
    dock.save(routing_enabled=True, project_routing=f"{CATASTROPHIC}\n{CONSTANT.format('P')}")
    assert dock.labels_of(hostile_image())[0] == "Unassigned"
    dock.engine._index.flush()
    (row,) = object_rows(dock.data)
    assert row.reason.startswith(
        "a project rule failed: receiver rule in line 1, (0010,4000): the rule"
    )
    assert dock.labels_of(image(StudyInstanceUID=generate_uid()))[0] == "P"


def test_what_arrived_can_be_tried_with_other_rules(dock: Dock) -> None:
    assert dock.labels_of(routed_image()) == ("P", "subj", "sess")
    receiver = dock.engine.snapshot().receivers[0].receiver
    draft = replace(receiver, routing_enabled=True, subject_routing=RULES["subject_routing"])
    (preview,) = dock.engine.shown_routing(draft, "anna")
    assert preview.changes
    assert preview.saved.outcome == ("P", "subj", "sess", None)
    assert preview.draft.outcome == ("P", "subj_rtd", "sess", None)
    assert dock.engine.preview_routing(receiver)[0].changes is False


def test_after_a_restart_rules_are_tried_on_one_stored_object_of_each_session(
    tmp_path: Path,
) -> None:
    with running_dock(tmp_path / "data") as dock:
        dock.labels_of(routed_image())
        dock.labels_of(routed_image())
        other = image(StudyInstanceUID=generate_uid(), PatientID="MRN-OTHER")
        dock.labels_of(other)
        dock.engine.stop(drain_seconds=0)
    engine = Engine(EngineSettings(tmp_path / "data"))
    engine.start()
    try:
        receiver = engine.snapshot().receivers[0].receiver
        draft = replace(receiver, routing_enabled=True, subject_routing=RULES["subject_routing"])
        newest, oldest = engine.shown_routing(draft, "anna")
        assert newest.as_stored
        assert newest.sop_instance_uid == other.SOPInstanceUID
        assert (oldest.receiver, oldest.calling_ae_title) == (receiver.label, "SCANNER")
        assert (newest.changes, oldest.changes) == (False, True)
        assert oldest.draft.outcome == ("P", "subj_rtd", "sess", None)
        masked, new = engine.preview_routing(draft), replace(draft, id=0, ae_title=AETitle("NEW"))
        assert "MRN-OTHER" in repr(newest)
        assert "MRN-OTHER" not in repr(masked)
        assert len(engine.preview_routing(new)) == 2
        folder = engine._session_service.folder(engine.sessions.list(SessionQuery()).sessions[0])
        folder.rename(tmp_path / "elsewhere")
        assert len(engine.preview_routing(draft)) == 1
    finally:
        engine.stop(drain_seconds=0)
