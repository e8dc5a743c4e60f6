"""Calls between two ends of a pair of sockets: their order, their answers, and the end of one."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import OutOfResources
from engine.reception.processes.link import Link, LinkClosed

if TYPE_CHECKING:
    from collections.abc import Iterator

SOON_SECONDS = 20.0


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    ours, theirs = map(Link, socket.socketpair())
    with closing(ours), closing(theirs):
        yield ours, theirs


def serve(link: Link, **calls: Any) -> threading.Thread:
    """Answer the calls of the other end, on a thread."""

    def run() -> None:
        for name, arguments, question in link.receive():
            try:
                answer = calls[name](*arguments)
            except Exception as error:
                answer = error
            if question:
                link.answer(question, answer)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_queued_calls_come_before_the_one_that_sends_them(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    came: list[int] = []
    serve(theirs, note=came.append, ask=lambda: list(came))
    serve(ours)
    ours.put("note", 1)
    ours.put("note", 2)
    assert ours.call("ask", seconds=SOON_SECONDS) == [1, 2]


def test_an_error_of_the_engine_is_raised_where_the_call_was_made(
    ends: tuple[Link, Link],
) -> None:
    ours, theirs = ends

    def fail() -> None:
        raise OutOfResources("no space")

    serve(theirs, fail=fail, divide=lambda: 1 // 0)
    serve(ours)
    with pytest.raises(OutOfResources, match="no space"):
        ours.call("fail", seconds=SOON_SECONDS)
    with pytest.raises(OutOfResources, match=r"internal error \(ZeroDivisionError\)"):
        ours.call("divide", seconds=SOON_SECONDS)


def test_the_end_of_the_other_side_answers_all_questions(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    answers: list[Any] = []
    receiving = serve(ours)
    ours.ask(answers.append, "wait")
    theirs.close()
    receiving.join(SOON_SECONDS)
    assert [type(answer) for answer in answers] == [LinkClosed]
    with pytest.raises(LinkClosed):
        ours.call("wait", seconds=SOON_SECONDS)


def test_a_call_that_can_not_be_sent_costs_no_other_one(ends: tuple[Link, Link]) -> None:
    ours, theirs = ends
    came: list[int] = []
    serve(theirs, note=came.append, ask=lambda: list(came))
    serve(ours)
    ours.put("note", 1)
    ours.put("note", lambda: None)  # a function of a test has no name elsewhere
    ours.put("note", 2)
    assert ours.call("ask", seconds=SOON_SECONDS) == [1, 2]


def test_an_answer_may_be_looked_at_before_the_next_call_is_taken(
    ends: tuple[Link, Link],
) -> None:
    ours, theirs = ends
    came: list[str] = []

    def grant() -> str:
        return "granted"

    def run() -> None:
        for _, _, question in theirs.receive():
            theirs.answer(question, grant())
            theirs.tell("take_back")

    threading.Thread(target=run, daemon=True).start()
    taken = threading.Event()

    def take_back() -> None:
        came.append("taken back")
        taken.set()

    serve(ours, take_back=take_back)
    assert ours.call("grant", seconds=SOON_SECONDS, first=came.append) == "granted"
    assert taken.wait(SOON_SECONDS)
    assert came == ["granted", "taken back"]
