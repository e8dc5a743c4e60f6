"""Links that are planted while a session is worked on: nothing is written or removed elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.index.operations import OperationKind
from engine.model.session import SessionArea, SessionStatus
from engine.sessions import builder, reconcile, runner
from engine.sessions.folders import building, staging, transfer
from engine.storage import files
from engine.storage.files import is_there, remove_empty_folders, write_atomically
from tests.engine.sessions.folders.test_project_scripts import DROPPED, InThisProcess, scripted
from tests.engine.sessions.test_archive import archived, ask, ready
from tests.engine.storage.test_links import replace_by_link

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.engine.index.depot import Depot

pytestmark = pytest.mark.usefixtures("quick")
S = SessionStatus
ARCHIVE = OperationKind.ARCHIVE


class Planted:
    """Plants a link just before a step, once, and keeps what was outside then."""

    def __init__(self, folder: Path, outside: Path) -> None:
        self._folder = folder
        self._outside = outside
        self.before: dict[str, object] = {}

    def at(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def plant_and_go_on(*arguments: Any, **options: Any) -> Any:
            if not self.before:
                replace_by_link(self._folder, self._outside)
                (self._outside / "moved/empty").mkdir()
                self.before = contents(self._outside)
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, plant_and_go_on)


def contents(folder: Path) -> dict[str, object]:
    """Return everything below a folder: what files hold, and which file it is."""
    return {
        path.relative_to(folder).as_posix(): (
            path.lstat().st_ino,
            path.is_file() and path.read_bytes(),
        )
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("link", ["SCANS/4/DICOM", "SCANS", "", ".."])
def test_no_document_of_a_session_is_written_through_a_planted_link(
    depot: Depot, outside: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    session = depot.receive()
    folder = depot.areas.folder(depot.session(session))
    planted = Planted(folder.parent if link == ".." else folder / link, outside)
    planted.at(monkeypatch, building, "write_atomically")
    depot.fall_silent()
    assert contents(outside) == planted.before
    row = depot.session(session)
    assert (row.status, row.reason) == (S.ERROR, "the storage failed: Not a directory")


@pytest.mark.parametrize("name", ["remove_parts", "_remove_catalogs", "make_folder", "move_file"])
def test_nothing_is_sorted_or_cleared_away_through_a_planted_link(
    depot: Depot, outside: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    session = ready(depot)
    depot.receive(SOPClassUID="1.2.3.4.5")  # which goes into another resource
    folder = depot.areas.folder(depot.session(session))
    (folder / "SCANS/9/DICOM").mkdir(parents=True)
    for left in (".scan_9_catalog.xml.part", "scan_9_catalog.xml"):
        (folder / "SCANS/9/DICOM" / left).touch()
    planted = Planted(folder.parent, outside)
    planted.at(monkeypatch, building, name)
    depot.fall_silent()
    assert contents(outside) == planted.before
    assert depot.session(session).status is S.ERROR


@pytest.mark.parametrize("name", ["replace_file", "remove_file"])
@pytest.mark.parametrize("link", ["SCANS/4/DICOM", "SCANS/4", ".."])
def test_no_anonymized_copy_goes_to_its_place_through_a_planted_link(
    depot: Depot, outside: Path, monkeypatch: pytest.MonkeyPatch, name: str, link: str
) -> None:
    scripted(depot, InThisProcess())
    depot.receive(SeriesDescription=DROPPED)
    session = ready(depot)
    folder = depot.areas.folder(depot.session(session))
    planted = Planted(folder.parent if link == ".." else folder / link, outside)
    with monkeypatch.context() as patched:
        if name == "remove_file":
            patched.setattr(staging, "replace_file", lambda *_, **__: None)
        planted.at(patched, runner, "put_in_place")
        ask(depot, session, ARCHIVE)
    assert contents(outside) == planted.before
    assert depot.session(session).area is SessionArea.PREARCHIVE


def test_no_copy_is_made_through_a_planted_link(
    depot: Depot, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(depot, InThisProcess())
    session = ready(depot)
    folder = depot.areas.folder(depot.session(session))
    planted = Planted(folder.parent, outside)
    planted.at(monkeypatch, staging, "make_folder")
    ask(depot, session, ARCHIVE)
    assert contents(outside) == planted.before
    assert depot.session(session).status is S.ERROR


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (transfer, "remove_empty_folders"),
        (transfer, "remove_staging"),
        (transfer, "remove_empty_folder"),
        (files, "rename_new"),
    ],
)
@pytest.mark.parametrize("merges", [False, True], ids=["whole", "merged"])
def test_no_folder_is_removed_through_a_planted_link(
    depot: Depot, outside: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str,
    merges: bool,
) -> None:  # fmt: skip
    if merges:
        archived(depot)
    session = ready(depot)
    folder = depot.areas.folder(depot.session(session))
    staged = staging.staging_of(folder)
    staged.mkdir()
    planted = Planted(folder.parent, outside)
    planted.at(monkeypatch, owner, name)
    ask(depot, session, ARCHIVE, merge=merges)
    assert contents(outside) == planted.before


def second_name(depot: Depot, session: int) -> None:
    folder = depot.areas.folder(depot.session(session)) / "SCANS/4/DICOM"
    (folder / "again.dcm").hardlink_to(folder / "1.dcm")


def same_object(depot: Depot, _session: int) -> None:
    depot.receive(SOPInstanceUID="1.2.3.1", name="again.dcm")


@pytest.mark.parametrize(("owner", "prepare"), [(reconcile, second_name), (builder, same_object)])
def test_no_second_file_of_an_object_is_removed_through_a_planted_link(
    depot: Depot,
    outside: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    prepare: Callable[[Depot, int], None],
) -> None:
    session = depot.receive()
    prepare(depot, session)
    planted = Planted(depot.areas.folder(depot.session(session)).parent, outside)
    planted.at(monkeypatch, owner, "remove_file")
    depot.fall_silent()
    assert contents(outside) == planted.before
    assert depot.session(session).status is S.ERROR


def test_a_link_at_the_end_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "a.xml").symlink_to("mine")
    write_atomically(tmp_path / "a.xml", b"content", roots=(tmp_path,))
    assert (tmp_path / "mine").read_bytes() == b"mine"
    assert (tmp_path / "a.xml").read_bytes() == b"content"


def test_a_link_that_leads_nowhere_is_there_too(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    assert is_there(tmp_path / "link", roots=(tmp_path,))
    assert not is_there(tmp_path / "other", roots=(tmp_path,))
    assert not is_there(tmp_path / "other/a", roots=(tmp_path,))


def test_the_root_of_folders_may_be_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "real/a/empty").mkdir(parents=True)
    root = tmp_path / "root"
    root.symlink_to("real")
    write_atomically(root / "a.xml", b"content", roots=(root,))
    remove_empty_folders(root / "a", itself=True, roots=(root,))
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["a.xml"]
