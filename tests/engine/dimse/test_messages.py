"""Messages of one association: their size, their duration, and who gets them."""

from __future__ import annotations

from contextlib import nullcontext
from struct import pack
from typing import TYPE_CHECKING, Any

import pytest

from engine.dimse.fragments import ProtocolViolation
from engine.dimse.messages import Messages
from engine.intake.pipeline import Outcome
from engine.model.limits import Limits
from engine.model.session import ObjectState

if TYPE_CHECKING:
    from collections.abc import Sequence

LIMITS = Limits(data_set_bytes=1000, message_seconds=30)
TOO_LONG = "a data set is longer than 1,000 bytes"
TOO_SLOW = "a message takes longer than 30 s"


def element(number: int, value: bytes) -> bytes:
    return pack("<HHI", 0, number, len(value)) + value


STORE = (
    element(0x0002, b"1.2.840.10008.5.1.4.1.1.2\0")
    + element(0x0100, b"\x01\x00")
    + element(0x0110, b"\x07\x00")
    + element(0x0800, b"\x01\x00")
    + element(0x1000, b"1.2.3\0")
)
ECHO = (
    element(0x0002, b"1.2.840.10008.1.1\0")
    + element(0x0100, b"\x30\x00")
    + element(0x0110, b"\x01\x00")
    + element(0x0800, b"\x01\x01")
)


class Object:
    """An object on its way in."""

    def __init__(self) -> None:
        self.content = b""
        self.size_bytes = 0
        self.fate = "open"

    def write(self, segments: Sequence[memoryview], size_bytes: int) -> None:
        assert size_bytes == sum(map(len, segments))
        self.content += b"".join(segments)
        self.size_bytes += size_bytes

    def finish(self) -> Outcome:
        self.fate = "finished"
        return Outcome(ObjectState.STORED, 0)

    def settle(self, _outcome: Outcome) -> None:
        assert self.fate == "finished"
        self.fate = "settled"

    def abandon(self) -> None:
        self.fate = "abandoned"


class Association:
    """What messages need of their association, its port and its connection."""

    limits = LIMITS

    def __init__(self) -> None:
        self.port = self
        self.objects: list[Object] = []
        self.answers = b""
        self.is_old = False
        self.fates_at_answers: list[str] = []
        self.is_broken = False

    def check_age(self) -> None:
        if self.is_old:
            raise ProtocolViolation("open for too long")

    def accepts(self, context_id: int) -> bool:
        return context_id == 1

    def begin(self, *_: Any) -> Object:
        self.objects.append(Object())
        return self.objects[-1]

    def answer(self, answer: bytes) -> None:
        self.answers += answer
        self.fates_at_answers += [o.fate for o in self.objects[-1:]]
        if self.is_broken:
            raise BrokenPipeError


class SettableTime:
    """Stands for the `time` module."""

    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> SettableTime:
    time = SettableTime()
    monkeypatch.setattr("engine.dimse.messages.time", time)
    return time


@pytest.fixture
def association() -> Association:
    return Association()


@pytest.fixture
def messages(association: Association) -> Messages:
    return Messages(association, association)  # type: ignore[arg-type]


def part(size: int) -> list[memoryview]:
    return [memoryview(bytes(size))]


@pytest.mark.parametrize("sizes", [[1000], [500, 500], [1] * 1000, [0, 0, 0], []])
def test_a_data_set_may_have_as_many_bytes_as_the_limit_says(
    messages: Messages, association: Association, sizes: list[int]
) -> None:
    for _ in range(3):
        assert messages.command(1, STORE)
        for size in sizes:
            messages.data(part(size))
        messages.data_end()
    assert [(len(o.content), o.fate) for o in association.objects] == [(sum(sizes), "settled")] * 3
    assert association.answers.startswith(b"\x04\x00")


@pytest.mark.parametrize("broken", [False, True])
def test_an_object_is_stored_before_its_answer_and_accounted_for_after_it(
    messages: Messages, association: Association, broken: bool
) -> None:
    association.is_broken = broken
    messages.command(1, STORE)
    with pytest.raises(BrokenPipeError) if broken else nullcontext():
        messages.data_end()
    assert association.fates_at_answers == ["finished"]
    assert association.objects[0].fate == "settled"


@pytest.mark.parametrize("sizes", [[1001], [500, 501], [1] * 1001])
def test_a_data_set_beyond_the_limit_is_cut_off_and_not_kept(
    messages: Messages, association: Association, sizes: list[int]
) -> None:
    messages.command(1, STORE)
    for size in sizes[:-1]:
        messages.data(part(size))
    with pytest.raises(ProtocolViolation, match=TOO_LONG):
        messages.data(part(sizes[-1]))
    messages.abandon()
    assert [o.fate for o in association.objects] == ["abandoned"]
    assert association.answers == b""


def test_a_message_may_take_exactly_as_long_as_the_limit_says(
    messages: Messages, time: SettableTime
) -> None:
    messages.check_duration(inside_message=True)
    time.seconds += 30
    messages.check_duration(inside_message=True)
    time.seconds += 0.001
    with pytest.raises(ProtocolViolation, match=TOO_SLOW):
        messages.check_duration(inside_message=True)


def test_the_time_of_the_next_message_begins_with_itself_even_right_behind_the_last(
    messages: Messages, time: SettableTime
) -> None:
    for _ in range(10):
        messages.command(1, STORE)
        messages.check_duration(inside_message=True)
        time.seconds += 25
        messages.data_end()
        messages.check_duration(inside_message=True)
        time.seconds += 25
        messages.command(1, ECHO)


def test_an_association_that_gets_too_old_over_an_object_ends_after_it(
    messages: Messages, association: Association
) -> None:
    messages.command(1, STORE)
    association.is_old = True
    messages.data(part(10))
    messages.data_end()
    assert association.objects[0].fate == "settled"
    with pytest.raises(ProtocolViolation, match="open for too long"):
        messages.command(1, STORE)
    assert len(association.objects) == 1


def test_an_echo_is_answered_and_opens_no_object(
    messages: Messages, association: Association
) -> None:
    assert messages.command(1, ECHO) is False
    assert (association.answers[:1], association.objects) == (b"\x04", [])


@pytest.mark.parametrize(
    ("context", "command", "why"),
    [
        (3, STORE, "presentation context 3, not accepted"),
        (1, STORE[:-8] + b"\0" * 8, "lacks SOP class or instance UID"),
        (1, b"\xff" * 40, "malformed"),
        (1, b"", "says no command"),
    ],
)
def test_a_command_that_makes_no_sense_ends_the_association(
    messages: Messages, association: Association, context: int, command: bytes, why: str
) -> None:
    with pytest.raises(ProtocolViolation, match=why):
        messages.command(context, command)
    assert association.objects == []
