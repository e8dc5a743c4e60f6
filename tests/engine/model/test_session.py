"""States of a session: what may follow what, and what a late object does."""

from __future__ import annotations

import pytest

from engine.errors import TransitionNotAllowed
from engine.model.session import (
    QUEUED,
    TRANSITIONS,
    SessionStatus,
    requestable,
    require_request,
    require_transition,
    status_on_arrival,
)

S = SessionStatus


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (S.RECEIVING, {"DELETING", "BUILDING"}),
        (S.READY, {"ARCHIVING", "MOVING", "DELETING", "BUILDING"}),
        (S.CONFLICT, {"ARCHIVING", "MOVING", "DELETING", "BUILDING"}),
        (S.ERROR, {"MOVING", "DELETING", "BUILDING"}),
        (S.ARCHIVED, {"DELETING", "MOVING"}),
        (S.BUILDING, set()),
        (S.ARCHIVING, set()),
        (S.MOVING, set()),
        (S.SEPARATING, set()),
        (S.DELETING, set()),
        (S.DELETED, {"MOVING"}),
        *((status, set()) for status in sorted(QUEUED)),
    ],
)
def test_what_a_person_may_ask_for_depends_on_the_state(
    status: SessionStatus, asked: set[str]
) -> None:
    assert {str(s).removeprefix("QUEUED_") for s in requestable(status)} == asked


@pytest.mark.parametrize(
    ("status", "becomes"),
    [
        (S.RECEIVING, S.RECEIVING),
        (S.RECEIVING_INTERRUPT, S.RECEIVING_INTERRUPT),
        (S.BUILDING, S.RECEIVING_INTERRUPT),
        (S.QUEUED_BUILDING, S.RECEIVING),
        (S.READY, S.RECEIVING),
        (S.ERROR, S.RECEIVING),
        (S.CONFLICT, S.RECEIVING),
    ],
)
def test_an_object_brings_its_session_back_to_receiving(
    status: SessionStatus, becomes: SessionStatus
) -> None:
    assert status_on_arrival(status) is becomes


@pytest.mark.parametrize(
    "status",
    [
        *(S.QUEUED_ARCHIVING, S.ARCHIVING, S.ARCHIVED, S.QUEUED_MOVING, S.MOVING),
        *(S.QUEUED_DELETING, S.DELETING, S.DELETED, S.SEPARATING),
    ],
)
def test_an_object_for_a_session_on_its_way_out_opens_a_new_one(status: SessionStatus) -> None:
    assert status_on_arrival(status) is None


@pytest.mark.parametrize("status", SessionStatus)
def test_what_an_object_does_is_a_transition(status: SessionStatus) -> None:
    becomes = status_on_arrival(status)
    assert becomes in {None, status} or becomes in TRANSITIONS[status]


def test_every_queued_request_can_be_cancelled_and_every_state_can_be_left() -> None:
    assert set(TRANSITIONS) == set(SessionStatus)
    assert all(TRANSITIONS.values())
    assert TRANSITIONS[S.DELETED] == {S.QUEUED_MOVING}  # out of the trash, and nowhere else
    for status in QUEUED:
        assert S.READY in TRANSITIONS[status]


def test_another_change_is_refused_and_the_error_says_what_is_possible() -> None:
    require_transition(S.READY, S.QUEUED_ARCHIVING)
    with pytest.raises(TransitionNotAllowed):
        require_transition(S.READY, S.ARCHIVED)
    require_request(S.READY, S.QUEUED_ARCHIVING)
    with pytest.raises(TransitionNotAllowed) as caught:
        require_request(S.RECEIVING, S.QUEUED_ARCHIVING)
    assert caught.value.detail == "a session that is RECEIVING can't become QUEUED_ARCHIVING"
    assert caught.value.remedy == "possible now: QUEUED_BUILDING, QUEUED_DELETING"
