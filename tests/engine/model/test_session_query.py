"""Words by which sessions are looked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engine.model.queries import InvalidQuery, SessionQuery, parse_query
from engine.model.session import SessionStatus

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)


def test_words_make_one_query() -> None:
    words = ["project:NEURO-01", "status:ready,CONFLICT", "since:2h", "modality:mr"]
    assert parse_query([*words, "receiver:XNAT:8104", "caller:CT 1"], NOW) == SessionQuery(
        project="NEURO-01",
        statuses=(SessionStatus.READY, SessionStatus.CONFLICT),
        since=NOW - timedelta(hours=2),
        modality="MR",
        receiver="XNAT:8104",
        caller="CT 1",
    )
    assert parse_query([], NOW) == SessionQuery()
    assert parse_query(["project:unassigned"], NOW).project == "Unassigned"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-08-24T12:00+02:00", datetime(2026, 8, 24, 10, tzinfo=UTC)),
        ("2026-08-24", datetime(2026, 8, 24, tzinfo=UTC)),
    ],
)
@pytest.mark.usefixtures("in_utc")
def test_a_time_is_an_age_or_a_moment(text: str, moment: datetime) -> None:
    assert parse_query([f"since:{text}"], NOW).since == moment


@pytest.mark.parametrize(
    "word",
    [
        "",
        "NEURO",
        "nonsense:x",
        "status:DONE",
        "since:yesterday",
        "since:999999d",
        "project:",
        "area:x",
    ],
)
def test_a_word_that_is_no_filter_is_refused_with_what_would_be(word: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse_query(["status:READY", word], NOW)
    (problem,) = caught.value.problems
    assert problem.remedy.startswith("use ")
