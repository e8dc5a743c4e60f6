"""Senders are added up by association and hour, and their number is bounded."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from engine.api.senders import HOURS_KEPT, SenderOrder
from engine.errors import NotFound
from engine.index import senders
from engine.index.senders import contexts_in_words, hour_of, sender_note
from engine.index.store import SessionIndex
from tests.fakes import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from engine.api.senders import Sender, SenderDetail

CT = ("CT_SCANNER_1", "10.4.7.21")


@pytest.fixture
def index(tmp_path: Path, quick: None) -> Iterator[SessionIndex]:
    index = SessionIndex(tmp_path / "index.sqlite", durable=False)
    yield index
    index.close()


def add(index: SessionIndex, *whens: tuple[tuple[str, str], datetime, dict[str, Any]]) -> None:
    for who, at, what in whens:
        index.record(sender_note(who, at, "XNAT:8104", what))
    index.flush()


def listed(index: SessionIndex, order: SenderOrder = SenderOrder.LAST_SEEN) -> list[Sender]:
    with index.changing() as connection:
        found, _ = senders.sender_page(connection, "", order, descending=True, offset=0, limit=99)
    return list(found)


def detail(index: SessionIndex, who: tuple[str, str] = CT) -> SenderDetail:
    with index.changing() as connection:
        return senders.sender_detail(connection, *who, NOW)


def test_a_sender_is_added_up_and_its_last_troubles_are_kept(index: SessionIndex) -> None:
    contexts = contexts_in_words(["CT Image Storage, not a storage class"])
    begun = {"implementation": "DCM4CHE", "implementation_class_uid": "1.2"}
    refused = {"contexts_proposed": 3, "contexts_refused": 1, "refused_contexts": contexts}
    sent = {"associations": 1, "objects": 5, "bytes": 500, "failed": 1, "hour": hour_of(NOW)}
    before = NOW - timedelta(minutes=2)
    add(
        index,
        (CT, before, begun | refused),
        (CT, before, {"rejected": 1, "rejection": "not on the whitelist"}),
        (CT, NOW, sent | {"error": "the disk is full"}),
        (CT, NOW, sent | {"aborted": 1}),
    )
    (sender,) = listed(index)
    assert (sender.first_seen, sender.last_seen) == (before, NOW)
    assert (sender.associations, sender.aborted, sender.rejected) == (2, 1, 1)
    assert (sender.objects, sender.bytes, sender.failed) == (10, 1000, 2)
    assert (sender.last_rejection, sender.last_rejection_at) == ("not on the whitelist", before)
    assert (sender.last_error, sender.last_error_at) == ("the disk is full", NOW)
    assert (sender.implementation, sender.implementation_class_uid) == ("DCM4CHE", "1.2")
    assert (sender.contexts_proposed, sender.contexts_refused) == (3, 1)
    assert sender.refused_contexts == ("CT Image Storage, not a storage class",)


def test_a_week_is_shown_hour_by_hour_without_gaps(index: SessionIndex) -> None:
    for hours, objects in ((0, 1), (5, 2), (HOURS_KEPT - 1, 3), (HOURS_KEPT + 5, 4)):
        at = NOW - timedelta(hours=hours)
        add(index, (CT, at, {"objects": objects, "bytes": 10, "hour": hour_of(at)}))
    volumes = detail(index).hours
    assert len(volumes) == HOURS_KEPT
    assert volumes[-1].begins_at == NOW.replace(minute=0, second=0)
    assert [(i, v.objects) for i, v in enumerate(volumes) if v.objects] == [
        *((0, 3), (HOURS_KEPT - 6, 2), (HOURS_KEPT - 1, 1))
    ]
    with index.changing() as connection:
        (day,) = senders.day_volumes(connection, NOW).values()
    assert [(i, size) for i, size in enumerate(day) if size] == [(18, 10), (23, 10)]
    add(index, (CT, NOW, {"associations": 1}))
    with index.changing() as connection:
        kept = connection.execute("SELECT COUNT(*) FROM sender_hours").fetchone()[0]
    assert kept == 3


def test_senders_that_never_sent_make_room_first_then_the_oldest(
    index: SessionIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senders, "MOST_SENDERS", 3)
    old = NOW - timedelta(days=300)
    sent = {"objects": 1, "hour": hour_of(NOW)}
    add(index, (CT, old, sent), (("MR", "10.1.1.1"), NOW, sent))
    guesses = [((f"GUESS{i}", "10.9.9.9"), NOW, {"rejected": 1}) for i in range(20)]
    for guess in guesses:
        add(index, guess)
    names = {sender.calling_ae_title for sender in listed(index)}
    assert len(names) == 3
    assert {"CT_SCANNER_1", "MR"} < names
    add(index, *(((f"NEW{i}", "10.1.1.2"), NOW, sent) for i in range(3)))
    assert {sender.calling_ae_title for sender in listed(index)} == {"NEW0", "NEW1", "NEW2"}
    with index.changing() as connection:
        hours = connection.execute("SELECT DISTINCT calling_ae_title FROM sender_hours").fetchall()
    assert len(hours) == 3


def test_hostile_titles_are_values_and_nothing_else(index: SessionIndex) -> None:
    for name in ("'; DROP TABLE senders; --", "\udce9tude", "x" * 5_000, "\x1b[2J", ""):
        add(index, ((name, "10.1.1.1"), NOW, {"rejected": 1, "rejection": name or "empty"}))
    found = listed(index)
    assert len(found) == 5
    assert max(len(sender.calling_ae_title) for sender in found) == 300
    assert detail(index, ("\udce9tude", "10.1.1.1")).sender.rejected == 1
    with pytest.raises(NotFound, match="is known"):
        detail(index, ("NOBODY", "10.1.1.1"))


def test_senders_are_looked_for_sorted_and_paged(index: SessionIndex) -> None:
    for i, name in enumerate(("b", "A", "c")):
        add(index, ((name, f"10.1.1.{i}"), NOW - timedelta(days=i), {"bytes": i}))
    assert [s.calling_ae_title for s in listed(index)] == ["b", "A", "c"]
    assert [s.calling_ae_title for s in listed(index, SenderOrder.BYTES)] == ["c", "A", "b"]
    assert [s.calling_ae_title for s in listed(index, SenderOrder.CALLING_AE_TITLE)] == [
        *("c", "b", "A")
    ]
    with index.changing() as connection:
        found, total = senders.sender_page(
            connection, "10.1.1.", SenderOrder.ADDRESS, descending=False, offset=1, limit=1
        )
        none = senders.sender_page(
            connection, "%", SenderOrder.ADDRESS, descending=False, offset=0, limit=9
        )
    assert ([s.calling_ae_title for s in found], total) == (["A"], 3)
    assert none == ((), 0)


def test_who_had_an_association_is_known_and_who_was_only_refused_is_not(
    index: SessionIndex,
) -> None:
    other = ("MR_PRISMA", "10.4.7.33")
    add(index, (other, NOW, {"associations": 1}), (("OLD_WS", "10.4.2.77"), NOW, {"rejected": 1}))
    add(index, (CT, NOW + timedelta(hours=1), {"associations": 1}))
    assert index.known_callers() == (other, CT)
