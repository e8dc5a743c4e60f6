"""Few threads that read for all associations whose objects are not large and quickly filed.

The interpreter runs one thread at a time. If each of many associations read on a thread of its own,
nearly every system call would hand the interpreter over to another one and back, which costs more
than a short object itself. So one thread reads all short objects, and two others the longer ones
of many associations: the system copies for one of them while the interpreter works for the other.
Whatever takes longer still, or is unusual, goes back to the association's own thread: a large
object, a peer that stops halfway, a script, a flush, a PDU that is no P-DATA-TF.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from contextlib import contextmanager
from enum import Enum, auto
from typing import TYPE_CHECKING

from engine.dimse.transport import BUFFER_BYTES, Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

PATIENCE_SECONDS = 1.0
"""How long a peer may stop inside a message before its own thread waits for it instead."""

LONG_READERS = 2
FEW_ASSOCIATIONS = 4
"""So many with long objects read them faster on their own threads than here."""
SHORT_MEMORY_BYTES = 256 * 1024
"""So much at most is read of a connection with short objects before it is another's turn."""

_logger = logging.getLogger(__name__)


class Served(Enum):
    """What is to be done with a connection next."""

    WAIT = auto()
    """Read it again when there is more."""
    WAIT_INSIDE = auto()
    """The same, but not for long: a message has begun."""
    GIVE_BACK = auto()
    """Its own thread must go on."""


class _Loan:
    """A connection that is read here for now."""

    def __init__(self, serve: Callable[[Memory], Served], give_back: Callable[[], None]) -> None:
        self.serve = serve
        self.give_back = give_back
        self.lock = threading.Lock()
        """Held while it is served, and to end it."""
        self.is_over = False
        self.waits_until = 0.0
        """When a message that has begun must have gone on; 0 while none has."""


class SharedReader:
    """Reads the connections that are lent to it; `lending` may be used on any thread."""

    def __init__(self) -> None:
        self._short = _Reader("shared-reader", SHORT_MEMORY_BYTES)
        self._long = [
            _Reader(f"shared-reader-long-{number}", BUFFER_BYTES)
            for number in range(1, LONG_READERS + 1)
        ]
        self._with_long_objects: set[int] = set()
        """Descriptors, of those that are not lent as well."""

    def stop(self) -> None:
        """Give back whatever is lent, and end; again has no effect."""
        for reader in (self._short, *self._long):
            reader.stop()

    def is_ready(self) -> bool:
        """Tell whether it reads what is lent to it."""
        return self._short.is_ready() and all(reader.is_ready() for reader in self._long)

    def is_dead(self) -> bool:
        """Tell whether a thread of its should run and does not."""
        return any(reader.is_dead() for reader in (self._short, *self._long))

    def is_for_long(self, fd: int) -> bool:
        """Tell whether a connection whose objects are long is better read here than by its owner.

        It counts as one of those until `forget` is called.
        """
        self._with_long_objects.add(fd)
        return len(self._with_long_objects) > FEW_ASSOCIATIONS

    def forget(self, fd: int) -> None:
        """Note that no long objects are expected of a connection any more."""
        self._with_long_objects.discard(fd)

    def lending(
        self,
        fd: int,
        serve: Callable[[Memory], Served],
        give_back: Callable[[], None],
        *,
        is_long: bool = False,
    ) -> AbstractContextManager[None]:
        """Let a connection be read here within the block; afterwards nothing here touches it.

        Args:
            fd: the connection's descriptor.
            serve: is called on a reader's thread whenever there is something to read; it must
                neither wait nor raise. The memory is its for that time.
            give_back: is called on that thread once the loan has ended from here.
            is_long: whether its objects are long, and must not hold up the short ones.
        """
        reader = min(self._long, key=_Reader.busyness) if is_long else self._short
        return reader.lending(fd, serve, give_back)


class _Reader:
    """One of the threads, and what it reads."""

    def __init__(self, name: str, memory_bytes: int) -> None:
        self._memory = Memory(memory_bytes)
        """What is read of all connections goes through it: so it stays in the processor's cache."""
        self._epoll = select.epoll()
        self._stop_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._epoll.register(self._stop_fd, select.EPOLLIN)
        self._loans: dict[int, _Loan] = {}
        self._next_look = 0.0
        """When to look for messages that have not gone on; 0 if none has begun."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._stopping:
            return
        self._stopping = True
        os.eventfd_write(self._stop_fd, 1)
        self._thread.join()
        os.close(self._stop_fd)

    def is_ready(self) -> bool:
        return not self._stopping and self._thread.is_alive()

    def is_dead(self) -> bool:
        return not self._stopping and not self._thread.is_alive()

    def busyness(self) -> int:
        return len(self._loans)

    @contextmanager
    def lending(
        self, fd: int, serve: Callable[[Memory], Served], give_back: Callable[[], None]
    ) -> Iterator[None]:
        loan = _Loan(serve, give_back)
        self._loans[fd] = loan
        self._epoll.register(fd, select.EPOLLIN)
        try:
            if not self.is_ready():
                give_back()
            yield
        finally:
            self._end(fd, loan)

    def _run(self) -> None:
        while not self._stopping:
            seconds = max(0.0, self._next_look - time.monotonic()) if self._next_look else None
            for fd, _ in self._epoll.poll(seconds):
                loan = self._loans.get(fd)
                if loan is not None:
                    self._serve(fd, loan)
            if self._next_look and time.monotonic() >= self._next_look:
                self._give_back_the_halting()
        for fd, loan in self._loans.copy().items():
            self._give_back(fd, loan)

    def _serve(self, fd: int, loan: _Loan) -> None:
        with loan.lock:
            if loan.is_over:
                return
            try:
                served = loan.serve(self._memory)
            except Exception:
                # The border: one association must not end the thread that serves them all.
                _logger.exception("an association could not be read")
                served = Served.GIVE_BACK
        if served is Served.WAIT:
            loan.waits_until = 0.0
        elif served is Served.GIVE_BACK:
            self._give_back(fd, loan)
        elif not loan.waits_until:
            loan.waits_until = time.monotonic() + PATIENCE_SECONDS
            self._next_look = self._next_look or loan.waits_until

    def _give_back_the_halting(self) -> None:
        now = time.monotonic()
        begun = [(fd, loan) for fd, loan in self._loans.copy().items() if loan.waits_until]
        overdue = [(fd, loan) for fd, loan in begun if loan.waits_until <= now]
        for fd, loan in overdue:
            self._give_back(fd, loan)
        self._next_look = now + PATIENCE_SECONDS if len(begun) > len(overdue) else 0.0

    def _give_back(self, fd: int, loan: _Loan) -> None:
        if self._end(fd, loan):
            loan.give_back()

    def _end(self, fd: int, loan: _Loan) -> bool:
        """End a loan, unless it has ended; tell whether it was this call that ended it."""
        with loan.lock:
            if loan.is_over:
                return False
            loan.is_over = True
            self._epoll.unregister(fd)
            del self._loans[fd]
        return True
