"""What a session holds, by its rows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from engine.api.objects import ObjectReference
from engine.api.sessions import SessionWarning, StateAmount
from engine.errors import NotFound
from engine.index import contents
from engine.index.reader import IndexReader
from engine.index.writer import ObjectRow
from engine.state.database import stamp
from tests.dicom import CT_IMAGE_STORAGE
from tests.engine.index.depot import depot_in
from tests.fakes import NOW

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from engine.index.store import SessionIndex

BESIDE = "another SOP instance has the same file name, kept beside it"


def _row(number: int, file: str, state: str = "stored", **changes: Any) -> ObjectRow:
    row = ObjectRow(
        at=stamp(NOW + timedelta(seconds=number)),
        receiver="XNAT:8104",
        calling_ae_title="CT",
        address=f"10.4.7.21:{50_000 + number}",
        association="A-0001",
        sop_class_uid=CT_IMAGE_STORAGE,
        sop_instance_uid=f"1.2.{number}",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        state=state,
        status=0,
        reason="",
        session=1,
        file=file,
        bytes=100,
    )
    return row._replace(**changes)


ROWS = (
    _row(1, "SCANS/10/DICOM/a.dcm"),
    _row(2, "SCANS/2/DICOM/a.dcm", reason=BESIDE),
    _row(3, "SCANS/2/DICOM/b.dcm", reason=BESIDE),
    _row(4, "SCANS/2/secondary/c.dcm"),
    _row(5, "SCANS/2/DICOM/a.dcm", "duplicate", reason="already here"),
    _row(6, "SCANS/2/DICOM/b.dcm", bytes=150, sop_instance_uid="1.2.3"),  # replaced
    _row(7, "", "failed", reason="the data set ends inside an element"),
    _row(8, "SCANS/2/DICOM/d.dcm", calling_ae_title="MR", address="[::1]:50000"),
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with depot_in(tmp_path) as depot:
        depot.receive("NEURO-01")
        depot.index.flush()
        with depot.index.changing() as changing:
            changing.execute("DELETE FROM objects")
        _write(depot.index)
        reader = IndexReader(tmp_path / "index.sqlite")
        with reader.reading() as connection:
            yield connection
        reader.close()


def _write(index: SessionIndex) -> None:
    for row in ROWS:
        index.record(row)
    index.flush()


def test_a_session_is_told_by_scans_states_senders_and_warnings(
    connection: sqlite3.Connection,
) -> None:
    scans = contents.scan_rows(connection, 1)
    assert [(s.id, s.objects, s.bytes) for s in scans] == [("2", 4, 450), ("10", 1, 100)]
    assert scans[0].first_file == "SCANS/2/DICOM/a.dcm"
    assert contents.state_amounts(connection, 1) == (
        *(StateAmount("duplicate", 1, 100), StateAmount("failed", 1, 100)),
        StateAmount("stored", 6, 650),
    )
    sources = contents.sources(connection, 1)
    assert [(s.calling_ae_title, s.address, s.objects) for s in sources] == [
        *(("MR", "::1", 1), ("CT", "10.4.7.21", 7))
    ]
    assert sources[1].last_at - sources[1].first_at == timedelta(seconds=6)
    assert contents.warnings(connection, 1) == (SessionWarning(BESIDE, 2),)


def test_the_objects_of_a_scan_come_in_pages_and_a_replaced_one_once(
    connection: sqlite3.Connection,
) -> None:
    page = contents.scan_objects(connection, 1, "2", 0, 2)
    assert ([o.file[-5:] for o in page.objects], page.total) == (["a.dcm", "c.dcm"], 4)
    rest = contents.scan_objects(connection, 1, "2", 2, 100)
    assert [(o.file[-5:], o.bytes) for o in rest.objects] == [("b.dcm", 150), ("d.dcm", 100)]
    assert rest.objects[0].sop_class == "CT Image Storage"
    assert contents.scan_objects(connection, 1, "2' OR 1=1", 0, 9).total == 0


def test_what_the_index_does_not_know_is_not_found(connection: sqlite3.Connection) -> None:
    with pytest.raises(NotFound, match="no session 9"):
        contents.session_row(connection, 9)
    for file in ("", "../../etc/passwd", "SCANS/2/DICOM/z.dcm"):
        with pytest.raises(NotFound, match="no such object"):
            contents.instance_of(connection, ObjectReference(1, file))


def test_the_newest_objects_are_those_of_one_sender_or_of_all(
    connection: sqlite3.Connection,
) -> None:
    newest = contents.newest(connection, "", "", 3)
    assert [row.sop_instance_uid for row in newest] == ["1.2.8", "1.2.7", "1.2.3"]
    assert (newest[0].project, newest[0].label) == ("NEURO-01", "E1")
    assert len(contents.newest(connection, "XNAT:8104", "CT", 100)) == 7
    assert contents.newest(connection, "OTHER:1", "", 100) == ()
