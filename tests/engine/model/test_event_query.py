"""Which events a query wants, and moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.events import Severity
from engine.model.queries import InvalidEventQuery, parse_event_query
from engine.model.text import parse_moment
from tests.fakes import NOW

RECORD: dict[str, object] = {
    "at": NOW.isoformat(),
    "kind": "AssociationRejected",
    "severity": "WARN",
    "topic": "associate",
    "receiver": "XNAT:8104",
    "calling_ae_title": "CT_1",
    "address": "10.4.7.21:50112",
    "message": "association rejected (1/1/7): nobody listens",
}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", True),
        ("receiver:xnat", True),
        ("receiver:XNAT:8104", True),
        ("receiver:XNAT:8105", False),
        ("kind:Assoc*", True),
        ("kind:ReceiverFailed,AssociationRejected", True),
        ("caller:ct_*", True),
        ("calling_ae_title:ct_*", True),
        ("address:10.4.7.21", True),
        ("level:warning", True),
        ("level:WARN", True),
        ("severity:error,warn", True),
        ("level:error", False),
        ("level:loud", False),
        ("Rejected listens", True),
        ("rejected elsewhere", False),
        ("session:3", False),
    ],
)
def test_all_words_must_match(words: str, wanted: bool) -> None:
    assert parse_event_query(words.split()).matches(RECORD) is wanted


def test_time_and_severity_are_lower_bounds() -> None:
    assert parse_event_query([], NOW, Severity.WARNING).matches(RECORD)
    assert not parse_event_query([], NOW + timedelta(seconds=1)).matches(RECORD)
    assert not parse_event_query([], None, Severity.ERROR).matches(RECORD)


@pytest.mark.parametrize("at", [None, "x", "2026-08-24T14:03:22"])
def test_a_line_without_a_usable_time_is_not_recent(at: str | None) -> None:
    assert not parse_event_query([], NOW).matches(RECORD | {"at": at})


def test_words_that_are_no_filter_are_refused_together() -> None:
    with pytest.raises(InvalidEventQuery) as caught:
        parse_event_query(["colour:red", "kind:", "fine"])
    assert [problem.field for problem in caught.value.problems] == ["colour", "kind"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-01-31T12:00+01:00", datetime(2026, 1, 31, 11, tzinfo=UTC)),
    ],
)
def test_a_moment_is_an_age_or_a_time(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "5y", "999999d"])
def test_other_words_are_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        parse_moment(text, NOW)
