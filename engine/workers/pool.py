"""A pool of processes that run one function; one that hangs or crashes is killed and replaced.

Each call has a process for itself, so that no other call is lost with it. Processes are started
when they are first needed, one of them ahead on request. They end with their parent, also if that
is killed.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import select
import signal
import socket
import threading
from contextlib import contextmanager, suppress
from multiprocessing.connection import Pipe, wait
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from engine.errors import ProcessingFailed
from engine.storage.incoming import out_of_resources
from engine.workers.start import Start, detach_from_terminal, end_process, start_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection


J = TypeVar("J")
R = TypeVar("R")

MOST_PROCESSES: Final = 4
CPU_SECONDS: Final = 20.0
WALL_SECONDS: Final = 600.0
"""For a process that hangs. Work is limited by CPU time, so that a slow disk fails no object."""
MEMORY_BYTES: Final = 4 * 1024**3
"""Address space of one process.

An image of a gigabyte is decoded and encoded again within it. A script that needs more is at fault,
and must not take the memory of the engine.
"""
# A process may have died for reasons of its own, such as the system's lack of memory. If it dies
# again under the same job, the job is at fault.
_TRIES: Final = 2
_READY: Final = True
"""Sent by a process that was started ahead, before its first result."""
_FIRST_FILE: Final = 100
"""The descriptor that the first file of a job has in a process; libraries have lower ones."""
_MOST_FILES: Final = 2


def received_path(index: int) -> str:
    """Return the path by which a job names a file that its process is given open."""
    return f"/proc/self/fd/{_FIRST_FILE + index}"


class WorkerTimeout(Exception):
    """The function took too long, and its process was killed."""


class WorkerLost(Exception):
    """The process died during the call, also at the second try."""


class WorkersClosed(Exception):
    """The pool is closed and starts no more processes."""


class JobFailed(Exception):
    """The function raised an error; names its type only, for the text may quote the object."""


class WorkerOutOfMemory(JobFailed):
    """The function needed more than `memory_bytes`."""


class Workers(Generic[J, R]):
    """A few processes for one function; for all threads."""

    def __init__(
        self,
        function: Callable[[J], R],
        *,
        processes: int | None = None,
        cpu_seconds: float = CPU_SECONDS,
        wall_seconds: float = WALL_SECONDS,
        memory_bytes: int = MEMORY_BYTES,
        start: Start = Start.ANEW,
    ) -> None:
        """Use an importable function; no process is started yet."""
        most = processes or min(os.cpu_count() or 1, MOST_PROCESSES)
        self._function = function
        self._cpu_seconds = cpu_seconds
        self._wall_seconds = wall_seconds
        self._memory_bytes = memory_bytes
        self._start = start
        self._places = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        """Guards the lists. Not held while a process starts, which may take a while."""
        self._idle: list[_Worker[J, R]] = []
        self._busy: set[_Worker[J, R]] = set()
        self._closed = False

    def run(self, job: J, files: Sequence[int] = ()) -> R:
        """Call the function in a process; waits for a free one, and retries once if it dies.

        Args:
            job: what the function is called with.
            files: descriptors of at most two files that the process is given: what has no path is
                read there, and nobody puts another file in its place. The job names them by
                `received_path`.

        Raises:
            WorkerTimeout: if it took too long.
            WorkerLost: if the process died each time.
            JobFailed: if the function raised an error; `WorkerOutOfMemory` if memory was short.
            WorkersClosed: after `close`.
            OSError: if no process can be started.
        """
        with self._places:
            for _ in range(_TRIES):
                try:
                    return self._call(job, files)
                except (EOFError, ConnectionError):
                    continue
        raise WorkerLost

    def start_ahead(self, get_ready: Callable[[], object]) -> None:
        """Start a process if there is none, so that the first call need not wait for it.

        Args:
            get_ready: an importable function that the process calls before its first job, for
                example for slow imports; this does not wait for its end.

        Raises:
            OSError: if no process can be started.
        """
        with self._lock:
            if not (self._closed or self._idle or self._busy):
                self._idle.append(self._new_worker(get_ready))

    @property
    def processes(self) -> int:
        """How many processes there are now."""
        with self._lock:
            return len(self._idle) + len(self._busy)

    def rest(self) -> None:
        """End idle processes; later calls start new ones."""
        with self._lock:
            idle = self._idle.copy()
            self._idle.clear()
        for worker in idle:
            worker.end()

    def close(self) -> None:
        """Kill all processes; calls that wait for one end at once."""
        with self._lock:
            self._closed = True
            # Killed, not asked: the thread that waits gets the end of the pipe at once.
            for worker in self._busy:
                worker.process.kill()
        self.rest()

    def _call(self, job: J, files: Sequence[int]) -> R:
        worker = self._take()
        try:
            result = worker.call(job, files, self._wall_seconds)
        except BaseException as error:
            # Never given back after an error: an answer that comes later would be taken for the
            # next job's.
            code = self._end(worker)
            if isinstance(error, (EOFError, ConnectionError)):
                if self._closed:
                    raise WorkersClosed from error
                # The timer of processor time ends a process by this signal; any other end is a
                # crash.
                if code == -signal.SIGPROF and not isinstance(error, _NeverReady):
                    raise WorkerTimeout from error
            raise
        if not isinstance(result, _Raised):
            self._give_back(worker)
            return result
        if result.kind == MemoryError.__name__:
            # The next job would find the rest of the memory fragmented.
            self._end(worker)
            raise WorkerOutOfMemory(result.kind)
        self._give_back(worker)
        raise JobFailed(result.kind)

    def _take(self) -> _Worker[J, R]:
        with self._lock:
            worker = self._idle_one()
        # Outside the lock: a start may take a while.
        worker = worker or self._new_worker()
        with self._lock:
            self._busy.add(worker)
            # Asked again: `close` may have run during the start, and has not seen this process.
            if not self._closed:
                return worker
        self._end(worker)
        raise WorkersClosed

    def _idle_one(self) -> _Worker[J, R] | None:
        if self._closed:
            raise WorkersClosed
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            worker.end()
        return None

    def _new_worker(self, get_ready: Callable[[], object] | None = None) -> _Worker[J, R]:
        limits = (self._cpu_seconds, self._memory_bytes)
        return _Worker(self._start, self._function, limits, get_ready)

    def _give_back(self, worker: _Worker[J, R]) -> None:
        with self._lock:
            if not self._closed:
                self._busy.remove(worker)
                self._idle.append(worker)
                return
        self._end(worker)

    def _end(self, worker: _Worker[J, R]) -> int | None:
        with self._lock:
            self._busy.discard(worker)
        return worker.end()


class _NeverReady(EOFError):
    """A process that was started ahead died before its first job."""


class _Raised:
    """Sent in place of a result when the function raised an error."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Worker(Generic[J, R]):
    """One process and the pipe to it; used by one thread at a time."""

    def __init__(
        self,
        start: Start,
        function: Callable[[J], R],
        limits: tuple[float, int],
        get_ready: Callable[[], object] | None = None,
    ) -> None:
        self._pipe, theirs = Pipe()
        self._socket = _socket_of(self._pipe)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        self._gets_ready = get_ready is not None
        arguments = (theirs, function, *limits, get_ready)
        try:
            self.process = start_process(start, _serve, arguments)
        except BaseException:
            self._close()
            raise
        finally:
            # The child has its own copy. With ours open, the end of the child would be no end of
            # the pipe.
            theirs.close()

    def call(self, job: J, files: Sequence[int], seconds: float) -> R | _Raised:
        """Return what the function makes of a job; raises EOFError if the process dies."""
        if self._gets_ready:
            self._wait_until_ready(seconds)
        self._pipe.send((job, len(files)))
        if files:
            socket.send_fds(self._socket, [b"f"], [*files])
        return self._receive(seconds)

    def _wait_until_ready(self, seconds: float) -> None:
        try:
            self._receive(seconds)
        except (EOFError, ConnectionError) as error:
            raise _NeverReady from error
        self._gets_ready = False

    def _receive(self, seconds: float) -> R | _Raised:
        # Not `Connection.poll`, which makes a selector for each call (40 µs).
        if not self._poll.poll(1000 * seconds):
            raise WorkerTimeout
        result: R | _Raised = self._pipe.recv()
        return result

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return not wait([self.process.sentinel], 0)

    def end(self) -> int | None:
        """Kill the process, if it is still there, and return its exit code."""
        self._close()
        return end_process(self.process)

    def _close(self) -> None:
        self._socket.close()
        self._pipe.close()


def _socket_of(pipe: Connection) -> socket.socket:
    """Return the socket that a pipe of two directions is, for what a pipe can't do."""
    return socket.socket(fileno=os.dup(pipe.fileno()))


def _serve(
    pipe: Connection[R | _Raised | bool, tuple[J, int]],
    function: Callable[[J], R],
    cpu_seconds: float,
    memory_bytes: int,
    get_ready: Callable[[], object] | None,
) -> None:
    """Call the function for each job until the parent is gone; runs in the worker process."""
    detach_from_terminal()
    _limit_memory(memory_bytes)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if get_ready is not None:
        # A job will meet the same error, and report it.
        with _cpu_limited(cpu_seconds), suppress(Exception):
            get_ready()
        pipe.send(_READY)
    with _socket_of(pipe) as files:
        while True:
            try:
                job, count = pipe.recv()
            except EOFError:
                return
            given = _received(files, count) if count else ()
            with _cpu_limited(cpu_seconds):
                result = _run_job(function, job)
            for descriptor in given:
                os.close(descriptor)
            pipe.send(result)


def _received(files: socket.socket, count: int) -> list[int]:
    """Take the files of a job, and give them the descriptors that the job names them by."""
    _, received, _, _ = socket.recv_fds(files, 1, _MOST_FILES)
    if len(received) != count:
        raise EOFError
    given = [_FIRST_FILE + index for index in range(count)]
    for descriptor, wanted in zip(received, given, strict=True):
        os.dup2(descriptor, wanted, inheritable=False)
        os.close(descriptor)
    return given


def _limit_memory(size_bytes: int) -> None:
    """Limit the address space of this process, for good (setrlimit(2))."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = size_bytes if hard == resource.RLIM_INFINITY else min(size_bytes, hard)
    # The hard limit too, so that a script can not raise it again.
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


@contextmanager
def _cpu_limited(cpu_seconds: float) -> Iterator[None]:
    """Let the kernel kill this process after some CPU time; the process can't delay that."""
    # Processor time, not time of day: a slow disk or a busy machine must not fail an object.
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)


def _run_job(function: Callable[[J], R], job: J) -> R | _Raised:
    try:
        return function(job)
    except Exception as error:
        # Only the type: an error's text may quote values of the patient.
        return _Raised(type(error).__name__)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    # Also if the engine was killed: no process of ours outlives it.
    wait([parent.sentinel])
    os._exit(1)


@contextmanager
def worker_faults(who: str = "") -> Iterator[None]:
    """Turn errors of `Workers.run` into those of intake, with a text for the object's row.

    Args:
        who: the script or processor at fault, which the text begins with; empty for none.

    Raises:
        ProcessingFailed: if the process hung, died or failed, or if the engine stops.
        OutOfResources: if no process can be started.
    """
    at_fault = f"{who}: " if who else ""
    try:
        yield
    except WorkerTimeout as error:
        raise ProcessingFailed(f"{at_fault}it took too long and was killed") from error
    except WorkerLost as error:
        raise ProcessingFailed(f"{at_fault}its process died twice") from error
    except WorkersClosed as error:
        raise ProcessingFailed(f"{at_fault}the engine stops") from error
    except WorkerOutOfMemory as error:
        raise ProcessingFailed(
            f"{at_fault}it needed more memory than a process may have"
        ) from error
    except JobFailed as error:
        raise ProcessingFailed(f"{at_fault}internal error ({error})") from error
    except OSError as error:
        raise out_of_resources(error) from error
