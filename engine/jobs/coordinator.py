"""Gives the files of a job to an executor, a few chunks ahead, and yields what became of them.

If a process dies, all chunks that were begun are done again. If one dies once more, their files are
done one by one, so that the file that ends a process is found and named.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from engine.jobs.file import FileOutcome, FileResult, JobStopped, Task, TaskResult, chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from engine.jobs.file import JobFile
    from engine.jobs.uids import UidBook

_MOST_ROUNDS = 20
"""A UID may be mapped by the result of another mapping; nobody nests them deeper than this."""
_MOST_DEATHS = 5
"""After so many files in a row that each end their process, it is not the files."""
_LOOK_SECONDS = 5.0
_ALONE = 2
"""Tasks with so many tries have one file, and nothing else runs beside them."""


class Executor(Protocol):
    """Runs tasks somewhere else; used by one thread."""

    deaths: tuple[type[BaseException], ...]
    """The errors of a task whose process ended."""
    repeats: bool
    """Whether it has done a task again by itself before it raises such an error."""

    @property
    def at_once(self) -> int:
        """How many tasks to have begun; 1 or more."""
        ...

    def submit(self, task: Task) -> Future[TaskResult]:
        """Begin a task; raises one of `deaths` if that is impossible."""
        ...

    def renew(self) -> None:
        """Replace the processes after a death; no task is begun then."""
        ...

    def check(self) -> None:
        """Raise `JobStopped` if no task can end any more."""
        ...

    def fault(self, error: Exception) -> Exception:
        """Return what to raise for a task that ended with another error."""
        ...

    def close(self) -> None:
        """Drop what is not begun, and wait for the rest."""
        ...


def run(
    files: Iterable[JobFile], executor: Executor, uids: UidBook
) -> Iterator[Sequence[FileResult]]:
    """Work on all files, and yield the results as they come, in no order.

    Args:
        files: taken one by one, on the caller's thread, a few chunks ahead.
        executor: closed by the caller.
        uids: where all mapped UIDs are from.

    Raises:
        JobStopped: if nothing more can be written, after all results that there are; if the
            executor is lost; or if process after process dies.
    """
    yield from _Run(chunks(files), executor, uids).results()


@dataclass(slots=True)
class _Run:
    fresh: Iterator[tuple[JobFile, ...]]
    executor: Executor
    uids: UidBook
    again: deque[Task] = field(default_factory=deque)
    suspects: deque[Task] = field(default_factory=deque)
    """Tasks of one file each, of which one ends its process; they run alone."""
    running: dict[Future[TaskResult], Task] = field(default_factory=dict)
    stopped: str = ""
    deaths: int = 0
    """Files in a row that ended their process alone."""

    def results(self) -> Iterator[Sequence[FileResult]]:
        while self._begin():
            done, _ = wait(self.running, _LOOK_SECONDS, FIRST_COMPLETED)
            if not done:
                self.executor.check()
            dead: list[Task] = []
            for future in done:
                yield from self._ended(future, dead)
            if dead:
                # All tasks of a pool end with it; on a cluster the others go on, and are awaited.
                for future in list(self.running):
                    yield from self._ended(future, dead)
                yield from self._after_deaths(dead)
        if self.stopped:
            remedy = "free space, then go on with --resume"
            raise JobStopped(self.stopped, remedy)

    def _begin(self) -> bool:
        """Begin as many tasks as may run; return whether any runs."""
        while len(self.running) < self.executor.at_once and (task := self._next()):
            try:
                self.running[self.executor.submit(task)] = task
            except self.executor.deaths:
                # The tasks that run are about to tell the same; without any, this one died.
                self._put(task)
                if not self.running:
                    self.executor.renew()
                break
        return bool(self.running or ((self.again or self.suspects) and not self.stopped))

    def _next(self) -> Task | None:
        if self.stopped or any(task.tries >= _ALONE for task in self.running.values()):
            return None
        if self.again:
            return self.again.popleft()
        if self.suspects:
            return None if self.running else self.suspects.popleft()
        files = next(self.fresh, None)
        return None if files is None else Task(files)

    def _ended(
        self, future: Future[TaskResult], dead: list[Task]
    ) -> Iterator[Sequence[FileResult]]:
        task = self.running.pop(future)
        try:
            result = future.result()
        except self.executor.deaths:
            dead.append(task)
            return
        except Exception as error:
            raise self.executor.fault(error) from error
        if result.results:
            self.deaths = 0
            yield result.results
        self.stopped = self.stopped or result.stopped
        if result.waiting and task.rounds < _MOST_ROUNDS:
            found = {**task.uids, **self.uids.settle(result.wanted)}
            self._put(Task(result.waiting, found, task.tries, task.rounds + 1))
        elif result.waiting:
            why = "it maps UIDs of mapped UIDs without an end"
            yield [FileResult(file, FileOutcome.FAILED, why) for file in result.waiting]

    def _after_deaths(self, dead: Sequence[Task]) -> Iterator[Sequence[FileResult]]:
        self.executor.renew()
        for task in dead:
            tries = task.tries + 1
            if tries == 1 and not self.executor.repeats:
                self.again.append(replace(task, tries=tries))
            elif task.tries < _ALONE:
                self.suspects += [Task((file,), task.uids, _ALONE) for file in task.files]
            else:
                why, remedy = "the process that works on it dies", "leave it out, and report it"
                yield [FileResult(task.files[0], FileOutcome.FAILED, why, remedy)]
                self.deaths += 1
        if self.deaths >= _MOST_DEATHS:
            why = f"the processes of {self.deaths} files in a row died"
            raise JobStopped(why, "see whether memory is short, then go on with --resume")

    def _put(self, task: Task) -> None:
        (self.again if task.tries < _ALONE else self.suspects).append(task)
