"""Studies with PET and MR: one session of its own type, a PET session, or two sessions."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from engine.events.sessions import SessionMoved, SessionSeparated
from engine.model.configuration import Configuration
from engine.model.project import AutoArchive, PetMr, Project, ProjectRegistry
from engine.model.session import SessionStatus
from engine.model.site import SessionSettings, SiteSettings
from engine.sessions import ledger, runner
from engine.sessions.folders import transfer
from tests.engine.index.depot import Depot, depot_in, open_depot
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
STEPS = {
    "files": (transfer, "move_file"),
    "rest": (transfer, "_remove_rest"),
    "transfer": (runner, "carry_out"),
    "begin": (ledger.SessionRepository, "begin"),
    "rows": (ledger.SessionRepository, "note_merge"),
    "finish": (ledger.SessionRepository, "finish"),
}


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


def receive_study(depot: Depot, **values: Any) -> int:
    depot.receive(SeriesNumber="1", SeriesInstanceUID="1.1", Modality="PT", **values)
    depot.receive(SeriesNumber="1", SeriesInstanceUID="1.1", Modality="PT", **values)
    return depot.receive(SeriesNumber="2", SeriesInstanceUID="1.2", Modality="MR", **values)


def told_of(depot: Depot) -> dict[str, tuple[str, str, list[str]]]:
    """Return status, modality and files of all sessions by their label, which match the disk."""
    found = {}
    for session in depot.index.sessions():
        folder, files = depot.areas.folder(session), depot.ledger.stored_files(session.id)
        assert {folder / file for file in files} == set(folder.rglob("*.dcm"))
        assert session.objects == len(files)
        scans = sorted(file.split("/")[1] for file in files)
        found[session.label] = str(session.status), session.modality, scans
    return found


@pytest.mark.parametrize(("wish", "modality"), [(PetMr.PETMR, "PT/MR"), (PetMr.PET, "PT")])
def test_pet_and_mr_stay_one_session_unless_the_site_separates_them(
    depot: Depot, wish: PetMr, modality: str
) -> None:
    depot.pet_mr = wish
    receive_study(depot)
    depot.fall_silent()
    assert told_of(depot) == {"E1": ("READY", modality, ["1", "1", "2"])}


def test_a_separated_study_is_two_sessions_which_are_archived_as_any_other(depot: Depot) -> None:
    depot.pet_mr, depot.codes["NEURO-01"] = PetMr.SEPARATE, AutoArchive.ARCHIVE
    session = receive_study(depot)
    depot.fall_silent()
    assert told_of(depot) == {
        "E1": ("ARCHIVED", "MR", ["2"]),
        "E1_PET": ("ARCHIVED", "PT", ["1", "1"]),
    }
    assert depot.objects() == [
        *("NEURO-01/arc001/E1/SCANS/2/DICOM/3.dcm",),
        *(f"NEURO-01/arc001/E1_PET/SCANS/1/DICOM/{n}.dcm" for n in (1, 2)),
    ]
    assert depot.told(SessionSeparated) == [
        f"session {session} in NEURO-01: its PET scans are session {session + 1} now"
    ]


def test_the_second_session_never_gets_the_number_of_a_removed_one(depot: Depot) -> None:
    depot.pet_mr = PetMr.SEPARATE
    session = receive_study(depot)
    removed = depot.receive(label="E9", StudyInstanceUID="1.9")
    depot.index.flush()
    depot.ledger.forget(removed)
    depot.fall_silent()
    assert sorted(s.id for s in depot.index.sessions()) == [session, removed + 1]


def test_late_objects_of_a_separated_study_find_their_session_again(depot: Depot) -> None:
    depot.pet_mr = PetMr.SEPARATE
    session = receive_study(depot, project=None)
    depot.fall_silent()
    depot.receive(None, SeriesNumber="3", SeriesInstanceUID="1.3", Modality="MR")
    depot.receive(None, SeriesNumber="4", SeriesInstanceUID="1.4", Modality="PT")
    depot.fall_silent()
    labels = [(s.label, s.status, s.objects) for s in depot.index.sessions()]
    assert sorted(labels) == [("E1", S.READY, 2), ("E1_PET", S.READY, 1), ("E1_PET", S.READY, 2)]
    assert depot.session(session).modality == "MR"


@pytest.mark.parametrize("modality", ["PT", "MR", "CT"])
def test_a_study_without_both_is_left_as_it_is(depot: Depot, modality: str) -> None:
    depot.pet_mr = PetMr.SEPARATE
    depot.receive(Modality=modality)
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5", Modality="CT")
    depot.fall_silent()
    assert [s.label for s in depot.index.sessions()] == ["E1"]


def test_a_direct_archive_is_separated_in_the_prearchive(depot: Depot) -> None:
    depot.pet_mr = PetMr.SEPARATE
    session = receive_study(depot, direct=True)
    depot.fall_silent()
    assert depot.objects() == []
    assert told_of(depot) == {"E1": ("READY", "MR", ["2"]), "E1_PET": ("READY", "PT", ["1", "1"])}
    assert depot.told(SessionMoved) == [
        f"session {session} moved to NEURO-01 by the PET/MR setting"
    ]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_while_a_study_is_separated_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    owner, name = STEPS[step]
    real = getattr(owner, name)

    def crash(*arguments: Any, **options: Any) -> None:
        if after:
            real(*arguments, **options)
        raise KeyboardInterrupt

    depot = open_depot(tmp_path, FixedClock())
    depot.pet_mr = PetMr.SEPARATE
    receive_study(depot)
    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(owner, name, crash)
        depot.fall_silent()
    again = depot.restarted()
    try:
        again.pet_mr = PetMr.SEPARATE
        again.lifecycle.recover()
        again.fall_silent()
        assert told_of(again) == {
            "E1": ("READY", "MR", ["2"]),
            "E1_PET": ("READY", "PT", ["1", "1"]),
        }
        assert again.ledger.operations() == ()
    finally:
        again.index.close()


@pytest.mark.parametrize(
    ("project", "becomes"), [("A", PetMr.PET), ("B", PetMr.SEPARATE), (None, PetMr.SEPARATE)]
)
def test_a_project_may_want_something_else_than_the_site(
    project: str | None, becomes: PetMr
) -> None:
    site = SiteSettings(sessions=SessionSettings.parse({"pet_mr": "separate"}))
    projects = ProjectRegistry((Project.parse({"id": "A", "pet_mr": "pet"}), Project("B")))
    assert Configuration(site=site, projects=projects).pet_mr(project) is becomes
