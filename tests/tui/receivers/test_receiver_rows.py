"""Rows of the receivers' table: made anew only if something of them has changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.fakes import busy
from tui.receivers.table import ReceiverRows


def test_only_the_row_of_a_changed_status_is_made_anew() -> None:
    snapshot, rows = busy().current, ReceiverRows()
    first = rows.of(snapshot)
    changed = replace(snapshot.receivers[1], objects_today=77_777)
    later = replace(
        snapshot,
        taken_at=snapshot.taken_at + timedelta(seconds=1),
        receivers=(snapshot.receivers[0], changed, *snapshot.receivers[2:]),
    )
    second = rows.of(later)
    assert second == ReceiverRows().of(later)
    made = [row.key for row, before in zip(second, first, strict=True) if row is not before]
    assert made == [str(changed.receiver.id)]


def test_on_another_day_all_rows_are_made_anew_as_are_those_that_came_back() -> None:
    snapshot, rows = busy().current, ReceiverRows()
    first = rows.of(snapshot)
    tomorrow = replace(snapshot, taken_at=snapshot.taken_at + timedelta(days=1))
    assert rows.of(tomorrow) == ReceiverRows().of(tomorrow) != first
    assert rows.of(replace(snapshot, receivers=())) == []
    assert rows.of(snapshot) == first
