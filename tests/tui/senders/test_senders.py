"""Senders in words: their states, live ones, filter, order, rejections, and the chart's lines."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from engine.api import AssociationEnd, RefusedContext
from engine.api.senders import HourVolume, SenderDetail, SenderState
from engine.api.status import AcceptedContext
from tests.fakes import NOW, make_association, make_receiver, make_snapshot, make_status
from tests.fakes.senders import FakeSenders, make_sender
from tui.associations.allow import allow_form
from tui.senders.chart import bars, chart_lines, head, meaning, strip
from tui.senders.screen import words_for
from tui.senders.senders import (
    FIELDS,
    SendersTable,
    in_order,
    newest_association,
    rejected_association,
    sender_facts,
    sender_rows,
    sort_value,
    wanted_senders,
    with_live,
)
from tui.widgets.filter import parse_filter, term, typed

SNAPSHOT = make_snapshot()
STRANGER = make_sender(
    *("OLD_WS", "10.4.2.77"),
    associations=0,
    objects=0,
    bytes=0,
    rejected=25,
    receiver="CT_INTAKE:8104",
    last_rejection="calling AE title OLD_WS from 10.4.2.77 is on no whitelist line of CT_INTAKE",
    last_rejection_at=NOW - timedelta(minutes=2),
)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"open_associations": 1, "objects": 0}, SenderState.SENDING),
        ({}, SenderState.QUIET),
        ({"objects": 0}, SenderState.NEVER_SENT),
        ({"objects": 0, "associations": 0, "rejected": 3}, SenderState.ONLY_REJECTED),
        ({"objects": 0, "associations": 1, "rejected": 3}, SenderState.NEVER_SENT),
    ],
)
def test_a_sender_has_one_state(changes: dict[str, Any], state: SenderState) -> None:
    assert make_sender("CT", **changes).state is state


def test_who_calls_now_is_seen_before_the_engine_has_counted_it() -> None:
    refused = (RefusedContext("Encapsulated PDF Storage", (), "not a storage class"),)
    snapshot = make_snapshot(
        associations=(
            make_association(1, "CT", address="10.4.7.21:1"),
            make_association(2, "CT", address="10.4.7.21:2"),
            make_association(3, "NEW", address="[2001:db8::1]:3", contexts_refused=refused),
        )
    )
    known = (make_sender("CT"), make_sender("CT", "10.4.7.22", open_associations=4))
    new, here, gone = with_live(known, snapshot)
    assert (new.calling_ae_title, new.address, new.open_associations) == ("NEW", "2001:db8::1", 1)
    assert dict(sender_facts(new, snapshot))["objects"] == "counted when its association ends"
    assert new.refused_contexts == ("Encapsulated PDF Storage, not a storage class",)
    assert (here.open_associations, gone.open_associations) == (2, 0)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("state:reject", ["OLD_WS"]),
        ("state:never", []),
        ("caller:old address:10.4.2", ["OLD_WS"]),
        ("why:whitelist", ["OLD_WS"]),
        ("implementation:siemens", ["MR_PRISMA"]),
        ("!modality !10.4", []),
    ],
)
def test_a_filter_looks_in_every_field(words: str, found: list[str]) -> None:
    wanted = parse_filter(words, FIELDS)
    names = [s.calling_ae_title for s in wanted_senders(FakeSenders().known, wanted)]
    assert names == found


def test_every_column_sorts_as_it_reads() -> None:
    few, many = (
        make_sender("b", "1", objects=1, last_seen=NOW, failed=0, day=(1,)),
        make_sender("A", "2", objects=2, last_seen=NOW + timedelta(1), failed=9, day=(2,)),
    )
    for column in SendersTable.COLUMNS:
        ordered = in_order((many, few), column.key, descending=False)
        values = [sort_value(sender, column.key) for sender in ordered]
        assert values == sorted(values), column.key
    assert in_order((few, many), "caller", descending=False) == [many, few]
    assert in_order((few, many), "last", descending=True) == [many, few]
    assert in_order((few, many), None, descending=True) == [few, many]


def test_a_row_has_a_cell_for_each_column() -> None:
    (row,) = sender_rows([STRANGER], NOW)
    assert set(row.cells) == {column.key for column in SendersTable.COLUMNS}
    assert [row.cells[c].text for c in ("state", "rejected", "failed")] == ["✗ rejected", "25", "–"]


def test_a_rejection_from_before_the_engine_started_can_still_be_allowed() -> None:
    receiver = make_receiver(1, "CT_INTAKE", whitelist_enabled=True, whitelist=("OTHER",))
    snapshot = make_snapshot(receivers=(make_status(receiver),))
    for sender in (STRANGER, replace(STRANGER, address="2001:db8::7")):
        association = rejected_association(sender, snapshot)
        assert association is not None
        form = allow_form(association, snapshot)
        assert form is not None
        assert any(sender.address in proposal.line for proposal in form.proposals)
        assert dict(sender_facts(sender, snapshot))["what to do"].startswith("w on its row")


@pytest.mark.parametrize(
    "changes",
    [
        {"last_rejection": "", "last_rejection_at": None},
        {"open_associations": 1},
        {"associations": 4},
    ],
)
def test_who_was_let_in_since_is_no_rejected_caller(changes: dict[str, object]) -> None:
    assert rejected_association(replace(STRANGER, **changes), SNAPSHOT) is None  # type: ignore[arg-type]


def test_the_engines_own_rejection_is_taken_where_it_is_still_known() -> None:
    rejected, released = (
        make_association(n, "OLD_WS", address="10.4.2.77:9", end=end, ended_at=NOW)
        for n, end in ((7, AssociationEnd.REJECTED), (6, AssociationEnd.RELEASED))
    )
    snapshot = make_snapshot(ended_associations=(rejected, released))
    assert rejected_association(STRANGER, snapshot) == rejected
    assert newest_association(STRANGER, snapshot) == released


def test_facts_name_what_went_wrong_and_every_context() -> None:
    sender = make_sender(
        *("CT",),
        failed=2,
        aborted=1,
        rejected=3,
        last_error="the disk is full",
        last_error_at=NOW,
        contexts_refused=5,
    )
    snapshot = make_snapshot(associations=(make_association(1, "CT", "MR", address="10.4.7.21:1"),))
    detail = SenderDetail(sender, (), ("XNAT:8104", "OLD:8105"))
    accepted = (AcceptedContext(1, "CT Image Storage", "JPEG-LS Lossless"),)
    facts = sender_facts(sender, snapshot, detail, accepted)
    named = dict(facts)
    assert named["last error"] == "14:03:22  the disk is full"
    assert named["receivers"] == "XNAT:8104, MR:8104, OLD:8105"
    assert named["objects"] == "48,211 in 13.4 GB, 2 refused"
    assert named["associations"] == "412 ended, 1 aborted, 3 rejected"
    assert named["contexts"] == "9 of 14 accepted in its last association"
    assert [value for name, value in facts if name == "✗ refused"] == [
        "Encapsulated PDF Storage, no common transfer syntax",
        "Modality Performed Procedure Step, not a storage class",
        "… and 3 more",
    ]
    assert named["✓ accepted"] == "CT Image Storage, JPEG-LS Lossless"


# Ways to other screens


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("CT1", "caller:CT1 address:10.4.7.21"),
        ("CT 1", 'caller:"CT 1" address:10.4.7.21'),
        ("!CT", 'caller:"!CT" address:10.4.7.21'),
        ("\x1b[2J", "caller:[2J address:10.4.7.21"),
        ('a"bc\x00', "caller:bc address:10.4.7.21"),
        ("\u202e", "address:10.4.7.21"),
    ],
)
def test_a_filter_for_a_sender_can_be_typed_and_finds_it(title: str, words: str) -> None:
    assert words_for("associations", (title, "10.4.7.21")) == words
    wanted = parse_filter(words, ("caller", "address"))
    assert wanted.matches({"caller": title.casefold(), "address": "10.4.7.21:104"})


def test_other_screens_get_what_they_understand() -> None:
    assert words_for("log", ("CT 1", "10.4.7.21")) == 'caller:"CT 1"'
    assert words_for("sessions", ("CT ROOM1", "10.4.7.21")) == 'caller:"CT ROOM1"'
    assert words_for("sessions", ("\x1b", "10.4.7.21")) == ""
    assert (typed("\x00"), term("caller", "")) == ("", "")


# The chart


def hours(count: int, size: int = 0, last: int = 0) -> tuple[HourVolume, ...]:
    begin = NOW.replace(minute=0, second=0) - timedelta(hours=count - 1)
    values = [*([size] * (count - 1)), last]
    return tuple(
        HourVolume(begin + timedelta(hours=n), value // 10, value) for n, value in enumerate(values)
    )


@pytest.mark.parametrize(
    ("count", "room", "per_bar", "cells"),
    [(168, 400, 1, 2), (168, 168, 1, 1), (168, 100, 2, 1), (168, 50, 4, 1), (24, 50, 1, 2)],
)
def test_bars_are_as_fine_as_there_is_room(count: int, room: int, per_bar: int, cells: int) -> None:
    drawn = bars(hours(count, 1, 1), room)
    assert (drawn.per_bar, drawn.cells) == (per_bar, cells)
    assert drawn.width <= room
    assert sum(drawn.values) == count


def test_a_chart_has_a_scale_and_local_times() -> None:
    lines = chart_lines(hours(24, 500_000, 1_000_000), 60, 6)
    assert lines[0] == "1,250,000 objects in 12.5 MB   most at Mon 14:00: 1.0 MB"
    assert lines[1].startswith("  1.0 MB ┤")
    assert lines[1].endswith("██")
    assert lines[4].startswith("       0 ┤█")
    assert lines[5].split() == ["18:00", "00:00", "06:00", "12:00"]
    column = lines[5].index("00:00") - 10
    assert column == 2 * [h.begins_at.hour for h in hours(24)].index(0)


@pytest.mark.parametrize(
    ("width", "labels"),
    [
        (56, "Tue Wed Thu Fri Sat Sun Mon"),
        (130, "Tue 18 Wed 19 Thu 20 Fri 21 Sat 22 Sun 23 Mon 24"),
    ],
)
def test_days_are_named_where_they_begin(width: int, labels: str) -> None:
    lines = chart_lines(hours(168, 10, 10), width, 5)
    assert " ".join(lines[-1].split()) == labels
    assert all(len(line) <= width for line in lines)


def test_where_nothing_came_or_there_is_no_room_words_are_enough() -> None:
    assert chart_lines(hours(168), 60, 10) == ["nothing came in the last 7 days"]
    assert chart_lines(hours(24, 10, 10), 60, 2) == [head(hours(24, 10, 10))]
    assert chart_lines((), 60, 0) == []
    failed = (replace(hours(1)[0], failed=3),)
    assert head(failed).startswith("0 objects in 0 B, 3 refused")
    assert meaning(hours(168), 60) == "7 days, a bar is 4 hours"
    assert (meaning(hours(24), 60), meaning((), 60)) == ("24 hours, a bar is 1 hour", "")


def test_a_strip_has_its_best_hour_highest() -> None:
    day = (*([0] * 20), 1, 0, 40, 80)
    assert strip(day, 24).strip() == "▁ ▄▇"
    assert strip(day, 8).strip() == "▁▇"
    assert (strip((), 24), strip((0,) * 24, 24)) == ("", "")
