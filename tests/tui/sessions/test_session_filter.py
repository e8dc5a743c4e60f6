"""What is typed above the sessions, finished or not."""

from datetime import timedelta

import pytest

from engine.model.queries import SessionQuery
from engine.model.session import SessionArea, SessionStatus
from tests.fakes import NOW
from tui.sessions.list import session_filter

S = SessionStatus


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", {}),
        ("project: status:", {}),
        ("project:NEURO* Doe", {"project": "NEURO*", "words": ("Doe",)}),
        ("two words", {"words": ("two", "words")}),
        ('"two words" !doe', {"words": ("two words",), "without": ("doe",)}),
        ("text:doe jo", {"words": ("doe", "jo")}),
        ("status:ready,error", {"statuses": (S.READY, S.ERROR)}),
        ("status:receiving_i", {"statuses": (S.RECEIVING_INTERRUPT,)}),
        ("status:rea,", {"statuses": (S.READY,)}),
        ("since:24h", {"since": NOW - timedelta(hours=24)}),
        ("Modality:c receiver:XNAT:8104", {"modality": "*C*", "receiver": "*XNAT:8104*"}),
        ('rec:="CT 1:8104"', {"receiver": "CT 1:8104"}),
        ("since:", {}),
        ("XNAT:8104", {"words": ("XNAT:8104",)}),
        ("project:unassigned", {"project": "Unassigned"}),
    ],
)
def test_a_line_means(line: str, expected: dict[str, object]) -> None:
    found = session_filter(line, SessionArea.ARCHIVE, NOW)
    assert found.query == SessionQuery(area=SessionArea.ARCHIVE, **expected)  # type: ignore[arg-type]
    assert found.problem == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("status:lost", "is no status of a session"),
        ("since:yesterday", "use such as 30m"),
        ("!project:neuro", "can't be excluded"),
    ],
)
def test_what_it_cannot_mean_is_said_with_what_to_write_instead(line: str, said: str) -> None:
    assert said in session_filter(line, SessionArea.PREARCHIVE, NOW).problem
