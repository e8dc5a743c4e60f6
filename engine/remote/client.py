"""`RemoteEngine`: the `EngineView` of an engine in another process."""

from __future__ import annotations

import logging
import socket
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import ValidationError as Refused

from engine.api import EngineView
from engine.remote.channel import HttpChannel
from engine.remote.failures import EngineSilent
from engine.remote.protocol import NEWS, Method, event_of, groups, methods, served_methods
from engine.remote.snapshot_changes import ChangesLost, FollowedSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import httpcore

    from engine.api import EngineSnapshot
    from engine.events import Listener

    Ask = Callable[[str, bytes], bytes]
    """Sends a request: path and arguments to answer."""


POLL_WAIT_SECONDS = 0.3
"""How long the first poll waits for its answer."""


class BackgroundPoller:
    """Polls on a thread of its own, so that a late answer does not block the caller.

    `poll` is for one thread.
    """

    def __init__(
        self, ask: Callable[[str, bytes], bytes], patience_seconds: float = POLL_WAIT_SECONDS
    ) -> None:
        """Take the function that sends a request: path and arguments to answer."""
        self._ask = ask
        self._patience_seconds = patience_seconds
        self._questions: SimpleQueue[tuple[str, bytes, Future[bytes]] | None] = SimpleQueue()
        self._asked: dict[str, tuple[bytes, Future[bytes]]] = {}
        self._thread: threading.Thread | None = None

    def poll(self, path: str, arguments: bytes) -> bytes:
        """Return an answer, maybe that of an earlier poll which came late.

        Raises:
            EngineSilent: if there is none yet; the next poll returns it.
        """
        asked, future = self._asked.get(path, (None, None))
        patience = 0.0
        if future is None or asked != arguments:
            # Only a new question is waited for; that of an earlier poll had its time.
            future, patience = self._put(path, arguments), self._patience_seconds
        try:
            return future.result(patience)
        except TimeoutError:
            raise EngineSilent("it has not answered yet", "it is asked on") from None
        finally:
            if future.done():
                del self._asked[path]

    def close(self) -> None:
        """End the thread after its present request, which ends with its connection."""
        if self._thread is not None:
            self._questions.put(None)

    def _put(self, path: str, arguments: bytes) -> Future[bytes]:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="looks", daemon=True)
            self._thread.start()
        future: Future[bytes] = Future()
        # In place of an earlier question with other arguments, whose answer is dropped.
        self._asked[path] = arguments, future
        self._questions.put((path, arguments, future))
        return future

    def _run(self) -> None:
        while (question := self._questions.get()) is not None:
            path, arguments, future = question
            try:
                future.set_result(self._ask(path, arguments))
            except Exception as error:  # raised by the `poll` that waits for it
                future.set_exception(error)


FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
JOIN_SECONDS = 2.0
MAX_LINE_BYTES = 1024 * 1024

_logger = logging.getLogger(__name__)


class EventSubscription:
    """One subscription; the listener is called from its thread."""

    def __init__(self, channel: HttpChannel, listener: Listener) -> None:
        """Start the thread."""
        self._channel = channel
        self._listener = listener
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._connected: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="news", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the subscription and its thread."""
        self._ended.set()
        with self._lock, suppress(OSError):
            # A close would not wake the thread that reads.
            if self._connected is not None:
                self._connected.shutdown(socket.SHUT_RDWR)
        self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._ended.is_set():
            try:
                with self._channel.stream("news") as response:
                    pause = FIRST_PAUSE_SECONDS
                    self._read_events(response)
            except EngineSilent:
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            self._ended.wait(pause)

    def _read_events(self, response: httpcore.Response) -> None:
        with self._lock:
            self._connected = response.extensions["network_stream"].get_extra_info("socket")
        try:
            for line in _lines_of(response):
                if self._ended.is_set():
                    return
                self._report(line)
        finally:
            with self._lock:
                self._connected = None

    def _report(self, line: bytes) -> None:
        data = event_of(line)
        if data is None:
            return
        try:
            self._listener(NEWS.load(data))
        except Refused:
            _logger.debug("an event of an unknown class", exc_info=True)


def _lines_of(response: httpcore.Response) -> Iterator[bytes]:
    begun = b""
    for part in response.iter_stream():
        *lines, begun = (begun + part).split(b"\n")
        yield from lines
        if len(begun) > MAX_LINE_BYTES:  # a line without end must not fill the memory
            return


_SNAPSHOT = "snapshot"
_EVENTS = "events_since"
_CHANGES = "snapshot_changes"


class RemoteEngine:
    """An engine that is reached over its control socket; `view` is what a console works with."""

    def __init__(self, socket_file: Path, *, patience_seconds: float = POLL_WAIT_SECONDS) -> None:
        """Take the engine's control socket; nothing is sent yet.

        Args:
            socket_file: where the engine listens.
            patience_seconds: how long a poll waits before the engine counts as silent.
        """
        self.channel = HttpChannel(socket_file)
        self._poller = BackgroundPoller(self._ask_with_deadline, patience_seconds)
        self._following = threading.Lock()
        self._followed = FollowedSnapshot()
        self.view = cast("EngineView", _mirror(EngineView, "", self._call, self._subscribe))

    def meet(self) -> None:
        """Ask for one snapshot, and wait for the answer without the deadline of a poll.

        Raises:
            EngineSilent: if there is no answer, or it can't be read.
        """
        self._snapshot(self.channel.ask)

    def close(self) -> None:
        """End every connection; the engine goes on."""
        self._poller.close()
        self.channel.close()

    def _call(self, method: Method, arguments: dict[str, Any]) -> Any:
        if method.changes:
            self.channel.require_same_protocol()
        if method.path == _SNAPSHOT:
            return self._snapshot(self._poller.poll)
        # A console asks for events several times a second, too.
        ask = self._poller.poll if method.path == _EVENTS else self.channel.ask
        return self._answer(ask, method, arguments)

    def _snapshot(self, ask: Ask) -> EngineSnapshot:
        """Return the snapshot; an engine of the same version sends only what has changed."""
        with self._following:
            snapshot: EngineSnapshot
            if self.channel.counterpart.mismatch:
                snapshot = self._answer(ask, served_methods()[_SNAPSHOT], {})
            else:
                since = {"since": self._followed.version}
                changes = self._answer(ask, served_methods()[_CHANGES], since)
                try:
                    snapshot = self._followed.apply(changes)
                except ChangesLost:
                    why = "its answer does not belong to the one before"
                    raise EngineSilent(why, "it is asked anew") from None
        # As of this answer: the engine may have been started anew as another version.
        mismatch = self.channel.counterpart.mismatch
        return replace(snapshot, read_only=mismatch) if mismatch else snapshot

    def _answer(self, ask: Ask, method: Method, arguments: dict[str, Any]) -> Any:
        return self._read(method, ask(method.path, method.arguments.dump(arguments)))

    def _ask_with_deadline(self, path: str, arguments: bytes) -> bytes:
        return self.channel.ask(path, arguments, patient=False)

    def _read(self, method: Method, answer: bytes) -> Any:
        try:
            return method.result.load(answer)
        except Refused as refused:
            reason = self.channel.counterpart.mismatch or "it can't be read"
            raise EngineSilent(
                f"its answer to {method.path} is not understood: {reason}",
                "use the console of the engine's version",
            ) from refused

    def _subscribe(self, listener: Listener) -> Callable[[], None]:
        return EventSubscription(self.channel, listener).end


def _mirror(
    protocol: type,
    prefix: str,
    call: Callable[[Method, dict[str, Any]], Any],
    subscribe: Callable[[Listener], Callable[[], None]] | None = None,
) -> object:
    """Return an object with the methods and groups of a protocol, each of which is a call."""
    members: dict[str, object] = {"__slots__": (), "__doc__": protocol.__doc__}
    for path, method in methods().items():
        parent, _, name = path.rpartition("/")
        if parent == prefix.rstrip("/"):
            members[name] = _caller(method, call)
    for name, group in groups(protocol).items():
        members[name] = _mirror(group, f"{prefix}{name}/", call)
    if subscribe is not None:
        members["subscribe"] = staticmethod(subscribe)
    return type(f"Remote{protocol.__name__}", (), members)()


def _caller(method: Method, call: Callable[[Method, dict[str, Any]], Any]) -> object:
    def called(*arguments: Any, **named: Any) -> Any:
        return call(method, method.signature.bind(*arguments, **named).arguments)

    called.__name__ = method.function.__name__
    called.__doc__ = method.function.__doc__
    called.__signature__ = method.signature  # type: ignore[attr-defined]
    return staticmethod(called)
