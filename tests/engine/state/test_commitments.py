"""Requests for storage commitment, from their first row to the end of their time."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from engine.api.commitments import CommitmentState
from engine.state import commitments, schema
from engine.state.commitments import (
    TARGET,
    Commitments,
    NewCommitment,
    TooManyCommitments,
)
from engine.state.database import PrivateFile

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
ASKED = NewCommitment("1.2.9", "CT_1", "XNAT", "XNAT:104", "A-1", (("1.2", "1.2.3"), ("1.2", "4")))


def numbers(table: Commitments) -> list[int]:
    return [item.commitment for item in table.due(TARGET, LATER, 10, LATER)]


def test_a_request_waits_until_it_is_delivered(tmp_path: Path) -> None:
    with Commitments(tmp_path / "state.sqlite") as table:
        first = table.put(ASKED, NOW)
        # The same again, as after a lost answer, and the same by somebody else.
        assert table.put(ASKED._replace(association="A-2"), NOW) == first
        other = table.put(ASKED._replace(calling_ae_title="CT_2"), NOW)
        assert numbers(table) == [first, other]
        table.note_result(first, {1: 0x0112}, NOW)
        found = table.get(first)
        assert found is not None
        assert (found.state, found.failures, found.association) == ("waiting", {1: 0x0112}, "A-2")
        assert found.references == ASKED.references
        assert (table.waiting(), table.waiting_of("CT_1", "XNAT:104")) == (2, (first,))
        table.delivered(first, NOW)
        assert (numbers(table), table.waiting()) == ([other], 1)
        assert table.callers() == {("CT_2", "XNAT:104")}
        rows = table.newest(10)
        assert [(row.id, row.state, row.failed) for row in rows] == [
            (other, CommitmentState.ASKED, 0),
            (first, CommitmentState.DELIVERED, 1),
        ]
        # Asked for once more, it is looked up anew.
        table.ask_again(first, NOW)
        assert numbers(table) == [other, first]
        row = table.row(first)
        assert row is not None
        assert (row.state, row.failed) == (CommitmentState.ASKED, 0)


def test_another_request_with_the_same_transaction_uid_fails_as_a_whole(tmp_path: Path) -> None:
    with Commitments(tmp_path / "state.sqlite") as table:
        table.put(ASKED, NOW)
        other = table.put(ASKED._replace(references=ASKED.references[:1]), NOW)
        found = table.get(other)
        assert found is not None
        assert (found.state, found.failures) == ("waiting", {0: 0x0131})


def test_only_so_many_requests_wait_and_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitments, "MOST_OBJECTS", 5)
    with Commitments(tmp_path / "state.sqlite") as table:
        made = [table.put(ASKED._replace(transaction_uid=f"1.{n}"), NOW) for n in range(2)]
        with pytest.raises(TooManyCommitments, match="2 requests for storage commitment wait"):
            table.put(ASKED, NOW)
        (item,) = [one for one in table.items() if one.commitment == made[0]]
        table.give_up(item, "too old", NOW)
        table.delivered(made[1], NOW)
        third = table.put(ASKED, NOW)
        table.delivered(third, NOW)
        # Six objects are one too many; the oldest go, those given up too.
        table.forget_done(NOW - timedelta(days=1))
        assert [row.id for row in table.newest(10)] == [third, made[1]]
        assert table.failed(TARGET, 10) == ()
        table.forget_done(LATER)
        assert table.newest(10) == ()


def test_a_file_of_the_first_version_gets_the_table(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    earlier = PrivateFile("it", schema._SCHEMA, 1, "")
    with closing(earlier.open(path)) as connection, connection:
        connection.execute("INSERT INTO study_routes VALUES ('1.2', 'P', '', '', 'anna', '')")
    with Commitments(path) as table:
        table.put(ASKED, NOW)
        assert table.waiting() == 1
    assert path.with_name("state.sqlite.schema-1").exists()
    with closing(schema.STATE.open(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM study_routes").fetchone() == (1,)
