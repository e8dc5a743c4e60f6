"""Settings for sessions: every wrong member is named."""

from __future__ import annotations

import pytest

from engine.errors import InvalidSite
from engine.model.site import DuplicatePolicy, SessionSettings


def test_settings_read_back_as_they_were_written() -> None:
    settings = SessionSettings(60, 7, DuplicatePolicy.REJECT)
    assert SessionSettings.parse(settings.to_record()) == settings
    assert SessionSettings.parse(None) == SessionSettings.parse({}) == SessionSettings()
    assert SessionSettings.parse({"idle_seconds": None}) == SessionSettings()


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ([], "sessions"),
        ({"idle_seconds": 0}, "sessions.idle_seconds"),
        ({"idle_seconds": "60"}, "sessions.idle_seconds"),
        ({"idle_seconds": True}, "sessions.idle_seconds"),
        ({"trash_days": 100_000}, "sessions.trash_days"),
        ({"nonsense": 1}, "sessions.nonsense"),
        ({"duplicates": "keep all"}, "sessions.duplicates"),
        ({"duplicates": ["keep"]}, "sessions.duplicates"),
    ],
)
def test_a_wrong_member_is_named(raw: object, field: str) -> None:
    with pytest.raises(InvalidSite) as caught:
        SessionSettings.parse(raw)
    assert [problem.field for problem in caught.value.problems] == [field]
