"""Objects that arrive again after a build or the archive has put them elsewhere."""

from __future__ import annotations

import errno
import os
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from engine.index.operations import OperationKind, Request
from engine.model.project import AutoArchive, Project
from engine.model.session import ObjectState, SessionStatus
from engine.model.site import DuplicatePolicy
from engine.sessions import builder
from engine.sessions.context import SessionPolicy
from engine.sessions.folders import building
from engine.sessions.ledger import SessionRepository
from engine.sessions.worker import Lifecycle
from engine.workers.pool import Workers
from engine.workers.scripts import ScriptJob, ScriptResult, run_script
from tests import dicom
from tests.engine.intake.test_pipeline import NEURO_01, RECEIVER, Bench, open_bench
from tests.fakes import make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.index.store import Copy, SessionKey
    from engine.intake.pipeline import ObjectOutcome

IDLE_SECONDS = 300
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
DIRECT = make_receiver(1, direct_archive=True)
S = SessionStatus


class Site(Bench):
    """A pipeline with what becomes of its sessions, and a study of three objects.

    The build moves two: the report to `secondary`, and the second series of number 4 to ``4-CT1``.
    """

    def arrive(self, number: int, comment: str = "", **arriving: Any) -> ObjectOutcome:
        """Receive one object of the study."""
        uid = f"1.2.3.{number}"
        sop_class = BASIC_TEXT_SR if number == 2 else dicom.CT_IMAGE_STORAGE
        values: dict[str, Any] = {
            "SOPClassUID": sop_class,
            "SOPInstanceUID": uid,
            "StudyInstanceUID": "1.2.3",
            "SeriesInstanceUID": f"1.2.3.9.{number}",
            "SeriesNumber": "99" if number == 2 else "4",
            "Modality": "SR" if number == 2 else "CT",
            "ImageComments": comment,
            "PatientComments": "Project:NEURO-01 Subject:S1 Session:E1",
        }
        requested = {"sop_class_uid": sop_class, "sop_instance_uid": uid}
        return self.receive(dicom.image(**values), **requested, **arriving)

    def study(self, **arriving: Any) -> list[str]:
        return [str(self.arrive(number, **arriving).state) for number in (1, 2, 3)]

    def live(self, code: AutoArchive = AutoArchive.MANUAL) -> SessionStatus:
        """Let what is due happen, and return the status of the only session."""
        self.index.flush()
        self.clock.advance(IDLE_SECONDS)
        policy = SessionPolicy(IDLE_SECONDS, 30, lambda _: code)
        Lifecycle(self.session_context(), lambda: policy).run_due()
        (session,) = self.index.sessions()
        return session.status

    def ask(self, kind: OperationKind, session: int = 1) -> None:
        SessionRepository(self.index, self.clock).ask(session, Request(kind, "admin"))

    def objects(self) -> list[str]:
        return sorted(
            "/".join(path.parts[-4:]) for path in self.root.rglob("*.dcm") if path.is_file()
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "trash").mkdir()
    with open_bench(tmp_path) as bench:
        yield Site(**{name: getattr(bench, name) for name in bench.__dataclass_fields__})


@dataclass
class Counted:
    """Worker processes, and how many objects they were given."""

    workers: Workers[ScriptJob, ScriptResult]
    jobs: int = 0

    def run(self, job: ScriptJob, files: Sequence[int]) -> ScriptResult:
        self.jobs += 1
        return self.workers.run(job, files)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers[ScriptJob, ScriptResult]]:
    with closing(Workers(run_script, processes=1)) as workers:
        yield workers


@pytest.fixture
def counted(workers: Workers[ScriptJob, ScriptResult]) -> Counted:
    return Counted(workers)


@pytest.fixture
def scripted(tmp_path: Path, counted: Counted) -> Iterator[Site]:
    """A site whose project has a script."""
    (tmp_path / "trash").mkdir()
    with open_bench(tmp_path, workers=counted) as bench:  # type: ignore[arg-type]
        site = Site(**{name: getattr(bench, name) for name in bench.__dataclass_fields__})
        site.configure(with_script('(0010,0010) := "P"'))
        yield site


def with_script(statement: str) -> Project:
    return Project(
        "NEURO-01",
        anonymization_script=f'version "6.1"\n{statement}\n',
        anonymization_script_revision=3,
        anonymization_script_enabled=True,
    )


def test_what_a_build_has_moved_is_not_stored_twice(site: Site) -> None:
    assert site.study() == ["stored"] * 3
    assert site.live() is S.READY
    built = site.objects()
    assert [file.split("/")[:3] for file in built] == [
        ["SCANS", "4-CT1", "DICOM"],
        ["SCANS", "4", "DICOM"],
        ["SCANS", "99", "secondary"],
    ]
    assert site.study() == ["duplicate"] * 3
    assert site.objects() == built
    site.ask(OperationKind.ARCHIVE)
    assert site.live() is S.ARCHIVED


def test_a_resend_into_a_session_that_is_received_again_is_found_where_the_build_put_it(
    site: Site,
) -> None:
    site.study()
    site.live()
    assert site.arrive(4).state is ObjectState.STORED
    assert site.study() == ["duplicate"] * 3
    assert site.live() is S.READY
    assert len(site.objects()) == 4


@pytest.mark.parametrize("receiver", [RECEIVER, DIRECT])
@pytest.mark.parametrize("first", [RECEIVER, DIRECT])
def test_a_resend_of_an_archived_study_ends_quietly_as_duplicates(
    site: Site, first: object, receiver: object
) -> None:
    site.study(receiver=first)
    assert site.live(AutoArchive.ARCHIVE) is S.ARCHIVED
    archived = site.objects()
    assert site.study(receiver=receiver) == ["duplicate"] * 3
    assert site.live(AutoArchive.ARCHIVE) is S.ARCHIVED  # and no other session is there
    assert site.objects() == archived
    rows = site.rows()[:3]
    assert {(row.session, row.status, row.reason) for row in rows} == {(1, 0, "already here")}
    assert {row.file for row in rows} == {row.file for row in site.rows()[3:]}


def test_a_resend_with_one_more_object_archives_only_that_one(site: Site) -> None:
    site.study()
    site.live(AutoArchive.ARCHIVE)
    assert site.arrive(4).state is ObjectState.STORED
    assert site.study() == ["duplicate"] * 3
    assert site.live(AutoArchive.ARCHIVE) is S.ARCHIVED
    assert len(site.objects()) == 4


def test_other_content_of_an_archived_object_waits_for_a_person_as_before(site: Site) -> None:
    site.study()
    site.live(AutoArchive.ARCHIVE)
    assert site.arrive(1, "other").state is ObjectState.STORED
    site.index.flush()
    assert len(site.index.sessions()) == 2


@pytest.mark.parametrize(
    ("policy", "state", "contents"),
    [
        (DuplicatePolicy.KEEP, ObjectState.STORED, 2),
        (DuplicatePolicy.REPLACE, ObjectState.STORED, 1),
        (DuplicatePolicy.REJECT, ObjectState.REJECTED, 1),
    ],
)
def test_the_policy_for_duplicates_is_about_the_file_that_the_build_has_moved(
    site: Site, policy: DuplicatePolicy, state: ObjectState, contents: int
) -> None:
    site.configure(duplicates=policy)
    site.study()
    site.live()
    assert site.arrive(2, "other").state is state
    assert site.arrive(2, "other").state is (
        ObjectState.REJECTED if policy is DuplicatePolicy.REJECT else ObjectState.DUPLICATE
    )
    of_report = [file for file in site.objects() if "/99/" in f"/{file}"]
    assert len(of_report) == contents
    assert all(file.startswith("SCANS/99/secondary/") for file in of_report)


def test_what_is_to_be_deleted_is_stored_again(site: Site) -> None:
    site.study()
    site.live(AutoArchive.ARCHIVE)
    site.ask(OperationKind.DELETE)
    assert site.study() == ["stored"] * 3


def test_an_archived_file_that_somebody_has_removed_is_stored_again(site: Site) -> None:
    site.study()
    site.live(AutoArchive.ARCHIVE)
    for path in (site.root / "archive").rglob("*.dcm"):
        path.unlink()
    assert site.arrive(1).state is ObjectState.STORED
    (site.root / "archive" / "NEURO-01").rename(site.root / "elsewhere")
    assert site.arrive(2).state is ObjectState.STORED
    assert not (site.root / "archive" / "NEURO-01").exists()


def test_a_duplicate_of_an_archived_object_is_flushed_before_it_is_answered(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.study()
    site.live(AutoArchive.ARCHIVE)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        assert site.arrive(1).status == 0xA700
    assert site.arrive(1).state is ObjectState.DUPLICATE


def test_another_project_has_its_own_copy(site: Site) -> None:
    site.study()
    site.live(AutoArchive.ARCHIVE)
    site.configure(Project("NEURO-02", aliases=("NEURO-01",)))
    assert site.study() == ["stored"] * 3


def test_objects_of_a_new_session_are_not_looked_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    copies = site.index.copies

    def noted(key: SessionKey, sop_instance_uid: str) -> tuple[Copy, ...]:
        asked.append(sop_instance_uid)
        return copies(key, sop_instance_uid)

    monkeypatch.setattr(site.index, "copies", noted)
    assert site.study() == ["stored"] * 3
    assert site.study() == ["duplicate"] * 3
    assert asked == ["1.2.3.1"]  # before there was a session


def test_a_resend_is_compared_as_the_projects_script_makes_it(
    scripted: Site, counted: Counted
) -> None:
    assert scripted.study(receiver=DIRECT) == ["stored"] * 3
    assert scripted.live() is S.ARCHIVED
    archived = scripted.objects()
    assert scripted.study() == ["duplicate"] * 3
    assert scripted.objects() == archived
    assert counted.jobs == 6


@pytest.mark.parametrize("now", ["(0010,0010) := nobody", "reject[]", ""])
def test_a_script_that_fails_on_a_resend_or_drops_it_or_is_gone_leaves_that_to_the_archive(
    scripted: Site, now: str
) -> None:
    scripted.study(receiver=DIRECT)
    scripted.live()
    scripted.configure(with_script(now) if now else NEURO_01)
    outcome = scripted.arrive(1)
    assert (outcome.state, outcome.status) == (ObjectState.STORED, 0)
    assert len(scripted.objects()) == 4


def test_no_script_runs_to_compare_an_object_with_one_as_it_came(
    scripted: Site, counted: Counted
) -> None:
    scripted.study()
    scripted.live()
    assert scripted.arrive(1, "other").state is ObjectState.STORED
    assert counted.jobs == 0


def test_no_script_runs_twice_on_an_object_that_goes_directly_into_the_archive(
    scripted: Site, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: Any) -> Any:
        scripted.arrive(3, receiver=DIRECT)
        return building.build(*arguments)

    scripted.arrive(1, receiver=DIRECT)
    with monkeypatch.context() as patched:
        patched.setattr(builder, "build", interrupted)
        assert scripted.live() is S.RECEIVING
    assert counted.jobs == 2
    assert scripted.arrive(1, "other", receiver=DIRECT).state is ObjectState.STORED
    assert counted.jobs == 3
    assert scripted.live() is S.ARCHIVED
