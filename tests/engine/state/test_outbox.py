"""The outbox: items of several kinds side by side, each with its waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from engine.state.outbox import (
    NewItem,
    Outbox,
    OutboxItem,
    OutboxKind,
    Position,
    RetryRule,
    delay_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 8, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
AT = "2026-08-24T12:00:00.000000+00:00"


def item_of(item: OutboxItem) -> OutboxItem:
    return item


def opened(path: Path, kind: OutboxKind) -> Outbox[OutboxItem]:
    return Outbox(path, kind, item_of)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite"


@pytest.fixture
def commands(file: Path) -> Iterator[Outbox[OutboxItem]]:
    with opened(file, OutboxKind.COMMAND) as outbox:
        yield outbox


def test_kinds_do_not_see_each_other(file: Path, commands: Outbox[OutboxItem]) -> None:
    commands.add([NewItem(1, 7, "then", "a", AT)])
    with opened(file, OutboxKind.FORWARD) as forwards:
        forwards.set_targets([1], [1], Position(0, ""))
        forwards.add([NewItem(1, 7, "", "b", AT)], Position(7, "x"), [1])
        assert [item.what for item in forwards.items()] == ["b"]
        assert [item.what for item in commands.items()] == ["a"]
        assert commands.targets() == {}
        assert forwards.keep_only([]) == 1
        assert forwards.set_targets([], [], Position(9, "")) == 0
        assert forwards.retry(1, (), NOW) == 0
        forwards.forget_waits()
    assert [item.what for item in commands.items()] == ["a"]


def test_what_one_row_asks_for_is_queued_once_and_what_none_asks_for_each_time(
    commands: Outbox[OutboxItem],
) -> None:
    for _ in range(2):
        commands.add([NewItem(1, 7, "then", "row", AT), NewItem(1, None, "", "no row", AT)])
    commands.add([NewItem(1, 7, "later", "row of another index", AT)])
    found = [item.what for item in commands.items()]
    assert found == ["row", "no row", "no row", "row of another index"]


def test_an_item_that_fails_waits_longer_each_time_until_it_is_given_up(
    commands: Outbox[OutboxItem],
) -> None:
    commands.add([NewItem(1, 7, "", "it", AT)])
    (item,) = commands.items()
    rule = RetryRule(longest_seconds=3, most_attempts=4)
    waits = []
    for attempts in range(1, 4):
        assert not commands.try_again(item.id, attempts, "busy", NOW, rule, 1.0)
        due = commands.next_due(1)
        assert due is not None
        waits.append((due - NOW).total_seconds())
        assert commands.due(1, NOW, 9, NOW + DAY) == ()
    assert waits == [2, 3, 3]
    assert commands.try_again(item.id, 4, "busy again", NOW, rule, 1.0)
    (failed,) = commands.failed(None, 9)
    assert (failed.attempts, failed.reason) == (4, "busy again")
    assert commands.next_due(1) is None
    assert commands.begin(1, ()) is None
    assert commands.drop(1, waiting=True) == 0
    assert commands.drop(1) == 1


def test_without_a_limit_only_the_age_counts(commands: Outbox[OutboxItem]) -> None:
    commands.add([NewItem(1, 7, "", "it", AT)])
    (item,) = commands.items()
    assert not commands.try_again(item.id, 10**6, "busy", NOW, RetryRule(60), 0.0)
    assert commands.next_due(1) == NOW + timedelta(seconds=30)
    assert commands.expire(1, NOW, "too old", NOW) == 0
    assert commands.expire(1, NOW + DAY, "too old", NOW + DAY) == 1
    assert commands.failed(1, 9)[0].reason == "too old: busy"


def test_an_item_that_was_begun_says_so_the_next_time(commands: Outbox[OutboxItem]) -> None:
    commands.add([NewItem(1, number, "", f"{number}", AT) for number in (1, 2)])
    first = commands.begin(1, ())
    assert first is not None
    assert (first.what, first.begun) == ("1", 0)
    second = commands.begin(1, [first.id])
    assert second is not None
    assert second.what == "2"
    again = commands.begin(1, [second.id])
    assert again is not None
    assert (again.what, again.begun) == ("1", 1)
    commands.end(first.id, second.id)
    assert commands.items() == ()


def test_nobody_who_reads_waits_for_who_writes(file: Path, commands: Outbox[OutboxItem]) -> None:
    commands.add([NewItem(1, 7, "", "it", AT)])
    with opened(file, OutboxKind.COMMAND) as other, other._changing() as connection:
        connection.execute("DELETE FROM outbox")
        assert [item.what for item in commands.items()] == ["it"]
        assert commands.next_due(1) is None
        assert commands.marks() == {}


def test_waits_double_up_to_the_longest_and_are_uneven() -> None:
    assert [delay_seconds(n, 600, 1.0) for n in (1, 2, 3, 4)] == [2, 4, 8, 16]
    assert delay_seconds(10**6, 600, 1.0) == 600
    assert delay_seconds(3, 600, 0.0) == 4
