"""Sessions in words: facts, questions before an action, and what came of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from engine.api.sessions import ArchivePreview, SessionOrder, SessionOutcome
from engine.model.project import Project
from engine.model.session import SessionAction, SessionArea, SessionStatus
from tests.fakes import NOW, FakeEngine
from tests.fakes.sessions import make_session
from tui.sessions.tables import session_rows
from tui.sessions.words import (
    action_title,
    archive_question,
    delete_question,
    done_words,
    failure,
    history_lines,
    matching_projects,
    session_facts,
    session_summary,
)

ONE, TWO = make_session(1, objects=10, bytes=2_000_000), make_session(2, label="[b]x\x1b")
IN_CONFLICT = ArchivePreview(("another subject", "files are there: 3"), ONE)


def facts_of(session_id: int) -> dict[str, str]:
    return dict(session_facts(FakeEngine().sessions.detail(session_id), NOW))


def test_facts_begin_with_what_needs_somebody() -> None:
    detail = FakeEngine().sessions.detail(418)
    assert session_facts(detail, NOW)[0][0] == "why"
    assert facts_of(416)["anonymized"] == "yes, script 12"
    assert "ready" not in facts_of(416)
    receiving = replace(detail, session=ONE, ready_at=NOW + timedelta(seconds=252))
    words = "in 4 min 12 s if no further object comes; r builds it now"
    assert session_facts(receiving, NOW)[0] == ("ready", words)
    assert session_summary(receiving, NOW)[0] == ("ready", words)
    unassigned = replace(detail, session=replace(ONE, project=None))
    assert dict(session_facts(unassigned, NOW))["project"] == "Unassigned; W says why"
    assert facts_of(424)["anonymized"] == "no script has run"
    assert facts_of(416)["by"] == "XNAT:8104 ← CT_SCANNER_1 10.4.7.21"
    assert facts_of(420)["waits"] == "archive, asked by anna at 14:03:22, waits; c takes it back"
    assert facts_of(200)["restorable"] == "until 2026-09-13 14:03, then it is gone"


def test_an_archiving_that_can_not_go_on_says_why_and_that_it_can_be_taken_back() -> None:
    waiting = FakeEngine().sessions.detail(420)
    assert waiting.request is not None
    why = "no space left on device; it will be tried again"
    session = replace(waiting.session, status=SessionStatus.ARCHIVING, reason=why)
    begun = replace(waiting, session=session, request=replace(waiting.request, begun=True))
    assert session_summary(begun, NOW)[0] == ("why", why)
    facts = dict(session_facts(begun, NOW))
    assert facts["why"] == why
    assert facts["waits"].endswith(", has begun; c takes it back")
    building = replace(begun, session=replace(session, status=SessionStatus.BUILDING))
    assert dict(session_facts(building, NOW))["waits"].endswith(", has begun")


def test_the_summary_of_a_session_that_a_link_blocks_shows_the_whole_path() -> None:
    detail = FakeEngine().sessions.detail(412)
    link = "prearchive/NEURO-02/20261201_121017000/P-1000_MR_03/SCANS"
    why = (
        f"a link stands where a folder of the prearchive belongs; remove the link {link} and put"
        " the folder in its place"
    )
    session = replace(detail.session, status=SessionStatus.ERROR, reason=why)
    summary = session_summary(replace(detail, session=session), NOW)
    assert [name for name, _ in summary] == ["why", "", "", "by"]
    assert link in " ".join(value for _, value in summary)
    assert all(len(value) <= 62 for _, value in summary)
    session = replace(session, reason=f"{why} {why}")
    summary = session_summary(replace(detail, session=session), NOW)
    assert len(summary) == 4
    assert summary[2][1].endswith("…")


@pytest.mark.parametrize(
    ("status", "reason", "look"),
    [
        (SessionStatus.ARCHIVING, "", "◐ archiving"),
        (SessionStatus.ARCHIVING, "no room; it will be tried again", "▲ archiving"),
        (SessionStatus.RECEIVING, "no room; it will be tried again", "▲ receiving"),
        (SessionStatus.QUEUED_ARCHIVING, "in conflict before", "… to archive"),
        (SessionStatus.ERROR, "it can't be read", "✗ error"),
    ],
)
def test_a_session_that_does_not_go_on_is_seen_in_the_list(
    status: SessionStatus, reason: str, look: str
) -> None:
    (row,) = session_rows([replace(ONE, status=status, reason=reason)], NOW)
    assert row.cells[SessionOrder.STATUS].text == look


@pytest.mark.parametrize("session_id", [412, 418, 420, 200])
def test_the_summary_has_four_short_lines(session_id: int) -> None:
    summary = session_summary(FakeEngine().sessions.detail(session_id), NOW)
    assert len(summary) == 4
    assert all(len(value) <= 62 for _, value in summary)


def test_history_says_the_day_unless_it_is_today() -> None:
    sessions = FakeEngine().sessions
    assert history_lines(sessions.detail(416), NOW)[0] == ("13:48:22", "first object received")
    assert history_lines(sessions.detail(200), NOW)[0][0] == "08-14 13:03"


@pytest.mark.parametrize(
    ("previews", "said", "not_said"),
    [
        (
            (ArchivePreview((), None, 10),),
            ("10 objects come into the archive as a new session.",),
            "can't",
        ),
        (
            (IN_CONFLICT, IN_CONFLICT, ArchivePreview((), ONE, 10, 1)),
            (
                "It can't be archived as it is",
                "▲ another subject",
                "▲ files are there: 3",
                "Merge: not possible",
                "Overwrite: 10 objects come into the archived session S0001_CT_01; 1 object there",
            ),
            "new session",
        ),
    ],
)
def test_before_archiving_every_reason_and_every_way_is_said(
    previews: tuple[ArchivePreview, ...], said: tuple[str, ...], not_said: str
) -> None:
    question = archive_question(ONE, previews)
    assert all(words in question for words in said)
    assert not_said not in question


def test_before_deleting_it_is_said_until_when_that_can_be_taken_back() -> None:
    both = (ONE, replace(ONE, area=SessionArea.ARCHIVE))
    question = delete_question(both, 30, NOW + timedelta(days=30))
    assert "They go from the archive and prearchive to the trash with 20 objects" in question
    assert "can be restored until 2026-09-23 14:03 (30 days)" in question


@pytest.mark.parametrize(
    ("action", "sessions", "title", "done"),
    [
        (SessionAction.ARCHIVE, (ONE,), "Archive S0001_CT_01", "S0001_CT_01 archived"),
        (SessionAction.DELETE, (ONE, TWO), "Delete 2 sessions", "2 sessions in the trash"),
        (SessionAction.MOVE, (TWO,), "Move [b]x␛", "[b]x␛ moved"),
    ],
)
def test_titles_and_outcomes_name_the_session_or_count_them(
    action: SessionAction, sessions: tuple[object, ...], title: str, done: str
) -> None:
    assert action_title(action, sessions) == title  # type: ignore[arg-type]
    assert done_words(action, len(sessions), sessions) == done  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        (SessionAction.ARCHIVE, SessionStatus.CONFLICT, "conflict: why"),
        (SessionAction.REBUILD, SessionStatus.ERROR, "conflict: why"),
        (SessionAction.CANCEL, SessionStatus.CONFLICT, ""),
        (SessionAction.ARCHIVE, SessionStatus.ARCHIVED, ""),
    ],
)
def test_what_ends_in_a_conflict_or_error_failed(
    action: SessionAction, status: SessionStatus, expected: str
) -> None:
    outcome = SessionOutcome(make_session(1, status), settled=True, text="conflict: why")
    assert failure(action, outcome) == expected
    assert failure(action, SessionOutcome(None, settled=True, text="merged")) == ""


def test_a_session_that_waits_for_room_is_not_said_to_be_built() -> None:
    waiting = make_session(1, SessionStatus.RECEIVING, reason="no room; it will be tried again")
    outcome = SessionOutcome(waiting, settled=True, text="receiving: no room")
    assert failure(SessionAction.REBUILD, outcome) == "receiving: no room"
    received = SessionOutcome(make_session(1, SessionStatus.RECEIVING), settled=True, text="x")
    assert failure(SessionAction.REBUILD, received) == ""


def test_projects_are_found_by_id_and_title_those_that_begin_so_first() -> None:
    projects = [Project("LAB-NEURO"), Project("NEURO-01"), Project("X", title="Neurology")]
    assert [p.id for p in matching_projects(projects, " neuro")] == ["NEURO-01", "LAB-NEURO", "X"]
    assert matching_projects(projects, "none") == []
