"""Separations and merges that are cancelled after they have begun, also beside planted links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import SessionError
from engine.events.sessions import SessionFailed, SessionSeparated
from engine.index.operations import OperationKind
from engine.model.project import PetMr
from engine.model.session import SessionAction, SessionStatus, possible_actions
from engine.sessions import ledger
from engine.sessions.folders import transfer
from engine.sessions.runner import NOT_SEPARATED
from tests.engine.index.test_merge import FULL, failing
from tests.engine.sessions.test_archive import archived, ask, ready
from tests.engine.sessions.test_separation import receive_study, told_of
from tests.engine.storage.test_links import replace_by_link

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.index.depot import Depot

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
ARCHIVE = OperationKind.ARCHIVE


@pytest.fixture
def depot(depot: Depot) -> Depot:
    depot.pet_mr = PetMr.SEPARATE
    return depot


def half_separated(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, owner: Any = transfer, step: str = "make_folder"
) -> tuple[int, int]:
    """Leave a separation unfinished, by default before its first step; return both sessions."""
    session = receive_study(depot)
    with monkeypatch.context() as patched:
        patched.setattr(owner, step, failing(FULL))
        depot.fall_silent()
    assert depot.session(session).status is depot.session(session + 1).status is S.SEPARATING
    return session, session + 1


@pytest.mark.parametrize("which", [0, 1], ids=["session", "PET session"])
@pytest.mark.parametrize("step", ["make_folder", "_remove_rest"], ids=["before", "after"])
def test_a_separation_that_does_not_end_is_cancelled_on_either_session(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, step: str, which: int
) -> None:
    both = half_separated(depot, monkeypatch, step=step)
    for number in both:
        assert possible_actions(depot.session(number)) == (SessionAction.CANCEL,)
        assert depot.session(number).reason.endswith("it will be tried again")
    depot.ledger.cancel(both[which])
    depot.lifecycle.run_due()
    assert told_of(depot) == {"E1": ("ERROR", "PT/MR", ["1", "1", "2"])}
    assert depot.session(both[0]).reason == NOT_SEPARATED
    assert depot.ledger.operations() == ()
    assert len(list((depot.areas.prearchive / "NEURO-01").iterdir())) == 1
    depot.ledger.request_build(both[0], "admin")
    depot.lifecycle.run_requests()
    assert told_of(depot) == {"E1": ("READY", "MR", ["2"]), "E1_PET": ("READY", "PT", ["1", "1"])}


def test_a_cancelled_separation_is_undone_after_a_crash_too(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = half_separated(depot, monkeypatch, step="_remove_rest")
    depot.ledger.cancel(session)
    again = depot.restarted()
    again.lifecycle.recover()
    assert told_of(again) == {"E1": ("ERROR", "PT/MR", ["1", "1", "2"])}
    again.index.close()


def test_a_late_object_lets_a_session_be_separated_that_was_cancelled(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = half_separated(depot, monkeypatch)
    depot.ledger.cancel(session)
    depot.lifecycle.run_due()
    assert depot.receive(SeriesNumber="2", SeriesInstanceUID="1.2", Modality="MR") == session
    depot.fall_silent()
    assert told_of(depot)["E1"] == ("READY", "MR", ["2", "2"])


def test_a_separation_whose_rows_are_given_away_is_completed(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = receive_study(depot)
    with monkeypatch.context() as patched:
        patched.setattr(ledger.SessionRepository, "finish", failing(FULL))
        with pytest.raises(OSError, match="No space"):
            depot.lifecycle._operator.carry_out(*begun(depot, session))
    for number in (session, session + 1):
        with pytest.raises(SessionError, match="separated already"):
            depot.ledger.cancel(number)
    depot.lifecycle.run_due()
    assert depot.told(SessionSeparated) != []


def begun(depot: Depot, session: int) -> Any:
    """Begin to separate a session and return what is to be carried out."""
    depot.index.flush()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(depot.lifecycle._builder, "_operator", Idle())
        depot.fall_silent()
    (operation,) = depot.ledger.operations()
    return depot.session(session), operation.request, operation.plan


class Idle:
    """Carries nothing out."""

    def carry_out(self, *_: object) -> None:
        pass


def test_a_separation_before_a_link_names_it_and_can_be_cancelled(
    depot: Depot, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, pet = half_separated(depot, monkeypatch)
    folder = depot.areas.folder(depot.session(pet))
    folder.symlink_to(outside)
    depot.lifecycle.run_due()
    link = f"prearchive/{depot.session(pet).folder}"
    for number in (session, pet):
        assert depot.session(number).reason == (
            f"a link stands where a folder of the prearchive belongs; remove the link {link} and"
            " put the folder in its place; it will be tried again"
        )
    assert link not in "".join(depot.told(SessionFailed))
    depot.ledger.cancel(pet)
    depot.lifecycle.run_due()
    assert told_of(depot) == {"E1": ("ERROR", "PT/MR", ["1", "1", "2"])}
    assert depot.session(session).reason == NOT_SEPARATED
    assert folder.is_symlink()
    assert list(outside.iterdir()) == []
    depot.ledger.request_build(session, "admin")
    depot.lifecycle.run_requests()
    assert told_of(depot) == {"E1": ("READY", "MR", ["2"]), "E1_PET": ("READY", "PT", ["1", "1"])}


def half_merged(depot: Depot, monkeypatch: pytest.MonkeyPatch, step: str) -> int:
    archived(depot)
    depot.receive(SeriesNumber="5", SeriesInstanceUID="1.5")
    second = ready(depot)
    with monkeypatch.context() as patched:
        patched.setattr(transfer, step, failing(FULL))
        ask(depot, second, ARCHIVE, merge=True)
    return second


@pytest.mark.parametrize("link", ["SCANS/4/DICOM", "SCANS/4", "SCANS", ""])
def test_a_merge_of_which_nothing_has_moved_is_undone_beside_a_link(
    depot: Depot, outside: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    second = half_merged(depot, monkeypatch, "make_folder")
    replace_by_link(depot.areas.archive / "NEURO-01/arc001/E1" / link, outside)
    before = sorted(outside.rglob("*"))
    depot.ledger.cancel(second)
    depot.lifecycle.run_due()
    row = depot.session(second)
    assert (row.status, row.reason, row.objects) == (S.READY, "", 2)
    assert sorted(outside.rglob("*")) == before


@pytest.mark.parametrize("link", ["SCANS/4/DICOM", "SCANS/4", "SCANS", ""])
def test_a_merge_that_must_come_back_through_a_link_names_it_until_it_is_removed(
    depot: Depot, outside: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    second = half_merged(depot, monkeypatch, "_remove_rest")
    place = depot.areas.archive / "NEURO-01/arc001/E1" / link
    replace_by_link(place, outside)
    before = sorted(outside.rglob("*"))
    depot.ledger.cancel(second)
    depot.lifecycle.run_due()
    path = f"archive/NEURO-01/arc001/E1/{link}".rstrip("/")
    assert f"; remove the link {path} and put" in depot.session(second).reason
    assert sorted(outside.rglob("*")) == before
    place.unlink()
    (outside / "moved").rename(place)
    depot.lifecycle.run_due()
    row = depot.session(second)
    assert (row.status, row.reason, row.objects) == (S.READY, "", 2)
    assert len(depot.objects()) == 1
