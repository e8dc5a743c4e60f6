"""Calls between the engine and one of its own processes, over a pair of sockets.

A message is a list of calls: the name of what is called, its arguments, and the number of the
answer that is waited for. It is sent as a pickle behind its length. Both ends are the same program
and the same user; nothing from outside comes here.
"""

from __future__ import annotations

import logging
import pickle
import socket
import struct
import threading
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError, OutOfResources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    _Call = tuple[str, tuple[Any, ...], int]
    Answered = Callable[[Any], object]
    """Gets the answer, or the error in its place."""

LONGEST_BYTES = 256 * 1024**2
"""A longer message is a defect: the longest ones are a configuration, or the latest headers."""
_HEAD = struct.Struct("!Q")
_ANSWER = ""

_logger = logging.getLogger(__name__)


class LinkClosed(OutOfResources):
    """The other process has ended."""

    def __init__(self) -> None:
        super().__init__("a process of the engine has ended")


class Link:
    """One end. Any thread may call; one thread receives, and must never wait for a `flush`."""

    def __init__(self, connected: socket.socket) -> None:
        """Use a blocking stream socket."""
        self._socket = connected
        self._sending = threading.RLock()
        """Held while a message is taken and sent: messages keep their order.

        Reentrant: a call that can't be sent is logged, and what is logged may be sent.
        """
        self._lock = threading.Lock()
        """Guards what is below."""
        self._waiting: list[_Call] = []
        self._questions: dict[int, Answered] = {}
        self._numbers = count(1)
        self._is_closed = False

    def put(self, name: str, *arguments: Any) -> None:
        """Queue a call for the next `flush`."""
        with self._lock:
            self._waiting.append((name, arguments, 0))

    def tell(self, name: str, *arguments: Any) -> None:
        """Make a call now, after those that were queued before; waits for no answer."""
        self.put(name, *arguments)
        self.flush()

    def ask(self, answered: Answered, name: str, *arguments: Any) -> None:
        """Make a call now; `answered` is called on the receiving thread, and must not wait."""
        with self._lock:
            if not self._is_closed:
                number = next(self._numbers)
                self._questions[number] = answered
                self._waiting.append((name, arguments, number))
                answered = _ignore
        answered(LinkClosed())
        self.flush()

    def call(
        self,
        name: str,
        *arguments: Any,
        seconds: float | None = None,
        first: Answered | None = None,
    ) -> Any:
        """Make a call and wait for its answer; not on the receiving thread.

        Args:
            name: what is called.
            arguments: its arguments.
            seconds: the longest wait.
            first: gets the answer on the receiving thread, before the next message is read.

        Raises:
            LinkClosed: if the other process ends before, or does not answer within `seconds`.
            EngineError: what the call raised there.
        """
        done, answers = threading.Event(), list[Any]()

        def take(answer: Any) -> None:
            if first is not None:
                first(answer)
            answers.append(answer)
            done.set()

        self.ask(take, name, *arguments)
        if not done.wait(seconds):
            raise LinkClosed
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    def answer(self, question: int, answer: Any) -> None:
        """Answer a question of the other side; an error is raised there."""
        if isinstance(answer, Exception) and not isinstance(answer, EngineError):
            answer = OutOfResources(f"internal error ({type(answer).__name__})")
        self.tell(_ANSWER, question, answer)

    def flush(self) -> None:
        """Send what is queued; waits while the other side does not read. Its end is no error."""
        with self._sending:
            with self._lock:
                calls, self._waiting = self._waiting, []
            if not calls:
                return
            body = _pickled(calls)
            # The receiving thread notices the end, and says so to whoever waits for an answer.
            with suppress(OSError):
                self._socket.sendall(_HEAD.pack(len(body)) + body)

    def receive(self) -> Iterator[_Call]:
        """Yield the calls of the other side until it ends: name, arguments, question or 0."""
        try:
            while body := self._next_message():
                for name, arguments, question in pickle.loads(body):
                    if name == _ANSWER:
                        self._answered(*arguments)
                    else:
                        yield name, arguments, question
        finally:
            self._end()

    def _next_message(self) -> bytes | bytearray:
        """Return the next message; empty at the end."""
        head = self._read(_HEAD.size)
        (size,) = _HEAD.unpack(head) if head else (0,)
        return self._read(size) if size <= LONGEST_BYTES else b""

    def _read(self, size: int) -> bytes | bytearray:
        """Return that many bytes; none at the end."""
        data = bytearray(size)
        with memoryview(data) as view:
            received = 0
            while received < size:
                try:
                    count = self._socket.recv_into(view[received:])
                except OSError:
                    return b""
                if not count:
                    return b""
                received += count
        return data

    def _answered(self, question: int, answer: Any) -> None:
        with self._lock:
            answered = self._questions.pop(question, _ignore)
        answered(answer)

    def _end(self) -> None:
        """Answer all questions: nobody else will."""
        with self._lock:
            self._is_closed = True
            left, self._questions = list(self._questions.values()), {}
        for answered in left:
            answered(LinkClosed())

    def close(self) -> None:
        """End both directions; the other side and our own receiving thread notice at once."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _pickled(calls: list[_Call]) -> bytes:
    try:
        return pickle.dumps(calls, pickle.HIGHEST_PROTOCOL)
    except Exception:
        # A defect of ours in one call must not cost the others: rows may be among them.
        return pickle.dumps([call for call in calls if _can_be_sent(call)], pickle.HIGHEST_PROTOCOL)


def _can_be_sent(call: _Call) -> bool:
    try:
        pickle.dumps(call, pickle.HIGHEST_PROTOCOL)
    except Exception:
        _logger.exception("the call %r can't be sent to another process", call[0])
        return False
    return True


def _ignore(_: Any) -> None:
    """Take an answer that nobody waits for."""
