"""Commands of other users: the engine runs them as its own user, whose files they need.

Who may connect to the control socket has full control of the engine already: `commands.sock` has
the same mode. The caller's standard input, output and folder go along as descriptors (unix(7),
SCM_RIGHTS), so that pipes and questions work as ever.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from engine.errors import AlreadyRunning, NotTheOwner
from engine.host import terminal
from engine.host.owner import ON_BEHALF, owner_of, peer_process, user
from engine.remote.sockets import listen_at, reachable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

AT_ONCE: Final = 16
"""Commands that run at a time; further callers are told to try again."""
_REQUEST_SECONDS = 5.0
_LONGEST_REQUEST_BYTES = 4 * 1024 * 1024
_END_SECONDS = 3.0
"""How long a command may take to end when its caller has gone."""
_DESCRIPTORS = 4
_PASSED_ON = ("TERM", "COLUMNS", "LINES", "NO_COLOR", "LANG", "LC_ALL", "LC_CTYPE", "TZ",
              "SSH_CONNECTION")  # fmt: skip
"""Variables of the caller that the command sees; all others are the engine's."""
_OF_SERVICE = ("LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_", "SUDO_", *_PASSED_ON)
"""Beginnings of variables of the engine that are nothing for a command."""


def hand_over(socket_file: Path, arguments: Sequence[str]) -> int:
    """Let the running engine run a command, and return its exit code.

    Args:
        socket_file: `commands.sock` of the data directory.
        arguments: of the command line, with an absolute data directory.

    Raises:
        NotTheOwner: if no engine runs there, or this user is no member of its group.
        AlreadyRunning: if the engine does not answer.
    """
    directory = socket_file.parent
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    request = json.dumps({"arguments": [*arguments], "environment": environment})
    with ExitStack() as opened:
        connected = opened.enter_context(socket.socket(socket.AF_UNIX))
        try:
            with reachable(socket_file) as short:
                connected.connect(short)
        except PermissionError as error:
            raise _no_member(directory) from error
        except OSError as error:
            raise _not_running(directory) from error
        here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, here)
        try:
            socket.send_fds(connected, [b"\n"], [0, 1, 2, here])
            connected.sendall(f"{request}\n".encode())
            answer = json.loads(_line_of(connected))
        except (OSError, ValueError) as error:
            raise AlreadyRunning(
                f"the engine on {directory} did not finish the command",
                f"it runs {AT_ONCE} at a time; try again, or see whether it was stopped",
            ) from error
    if answer["code"] and not answer["entered"]:
        terminal.say(
            f"{owner_of(directory)}, who ran the command, can't enter this folder: give files by "
            "absolute names that this user may read, or by - and a pipe"
        )
    return int(answer["code"])


def _no_member(directory: Path) -> NotTheOwner:
    owner, caller = owner_of(directory), user(os.geteuid())
    return NotTheOwner(
        f"{directory} belongs to {owner}, and the user {caller} may not use it",
        f"give the command with sudo; or let root do `usermod -aG {owner.group} {caller}`, log in "
        "anew, and give it while the engine runs",
    )


def _not_running(directory: Path) -> NotTheOwner:
    owner, caller = owner_of(directory), user(os.geteuid())
    return NotTheOwner(
        f"{directory} belongs to {owner}, and no engine runs there that could act for {caller}",
        "start it (sudo systemctl start dicomdock), or give the command with sudo",
    )


def _line_of(connected: socket.socket) -> bytes:
    """Return what is received up to a line break, or up to the end.

    Raises:
        OSError: if the line is too long, or does not come in time.
    """
    received = bytearray()
    while not received.endswith(b"\n"):
        part = connected.recv(65536)
        if not part:
            break
        received += part
        if len(received) > _LONGEST_REQUEST_BYTES:
            raise OSError("the request is too long")
    return bytes(received)


class CommandServer:
    """Takes commands of other users, and runs each in a process of its own."""

    def __init__(self, socket_file: Path) -> None:
        """Listen.

        Raises:
            OSError: if the socket can't be made.
        """
        self._file = socket_file
        self._listening = listen_at(socket_file)
        self._free = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._connected: set[socket.socket] = set()
        self._callers: dict[int, int] = {}
        self._thread = threading.Thread(target=self._accept, name="commands", daemon=True)

    def start(self) -> None:
        """Begin to take commands."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more commands, and interrupt those that run."""
        with suppress(OSError):
            self._file.unlink()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()
        with self._lock:
            for connected in self._connected:
                with suppress(OSError):
                    connected.shutdown(socket.SHUT_RDWR)
        for _ in range(AT_ONCE):
            self._free.acquire()

    def uid_behind(self, pid: int) -> int | None:
        """Return the user whose command runs in a process; None if it is none of ours."""
        return self._callers.get(pid)

    def _accept(self) -> None:
        while True:
            try:
                connected, _address = self._listening.accept()
            except OSError:
                return  # closed by `stop`
            if not self._free.acquire(blocking=False):
                connected.close()
                continue
            with self._lock:
                self._connected.add(connected)
            threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        try:
            with suppress(OSError, ValueError, TypeError, KeyError):
                self._run(connected)
        finally:
            with self._lock:
                self._connected.discard(connected)
                connected.close()
            self._free.release()

    def _run(self, connected: socket.socket) -> None:
        connected.settimeout(_REQUEST_SECONDS)
        with ExitStack() as opened:
            _, descriptors, _flags, _ = socket.recv_fds(connected, 1, _DESCRIPTORS)
            for descriptor in descriptors:
                opened.callback(os.close, descriptor)
            if len(descriptors) != _DESCRIPTORS:
                return
            request = json.loads(_line_of(connected))
            _pid, caller = peer_process(connected)
            child, entered = _started(request, caller, descriptors)
        with child:
            self._callers[child.pid] = caller
            try:
                _await(child, connected)
            finally:
                # Before the process is reaped: then another may get its number.
                del self._callers[child.pid]
            code = child.wait()
        answer = {"code": 128 - code if code < 0 else code, "entered": entered}
        connected.sendall(f"{json.dumps(answer)}\n".encode())


def _started(
    request: dict[str, object], caller: int, descriptors: Sequence[int]
) -> tuple[subprocess.Popen[bytes], bool]:
    """Start a command; return it, and whether the engine's user can enter the caller's folder.

    Raises:
        OSError: if it can't be started.
        ValueError, TypeError, KeyError: if the request is malformed.
    """
    arguments, theirs = request["arguments"], request["environment"]
    if not isinstance(arguments, list) or not isinstance(theirs, dict):
        raise TypeError("no command")
    ours = {n: v for n, v in os.environ.items() if not n.startswith(_OF_SERVICE)}
    passed = {name: str(theirs[name]) for name in _PASSED_ON if name in theirs}
    stdin, stdout, stderr, folder = descriptors
    place = f"/proc/self/fd/{folder}"
    entered = os.access(place, os.X_OK)
    child = subprocess.Popen(
        # -P: no code of the present directory.
        [sys.executable, "-P", "-m", "engine", *map(str, arguments)],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=place if entered else "/",
        env=ours | passed | {ON_BEHALF: str(caller)},
        # No signals of our terminal.
        start_new_session=True,
    )
    return child, entered


def _await(child: subprocess.Popen[bytes], connected: socket.socket) -> None:
    """Return when a process has ended; interrupt it if its caller goes."""
    ended = os.pidfd_open(child.pid)
    try:
        waiting = select.poll()
        waiting.register(ended, select.POLLIN)
        waiting.register(connected, select.POLLIN | select.POLLRDHUP)
        if any(ready == ended for ready, _event in waiting.poll()):
            return
        child.send_signal(signal.SIGINT)
        waiting.unregister(connected)
        if not waiting.poll(_END_SECONDS * 1000):
            child.kill()
            waiting.poll()
    finally:
        os.close(ended)
