"""Worker processes: killed at their limit, replaced, alone in that, gone with their parent."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing import forkserver
from typing import TYPE_CHECKING

import psutil
import pytest

from engine.workers.pool import (
    MEMORY_BYTES,
    JobFailed,
    WorkerLost,
    WorkerOutOfMemory,
    Workers,
    WorkersClosed,
    WorkerTimeout,
)
from engine.workers.start import Start, load_ahead
from tests.engine.workers import scripted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(params=Start, ids=str)
def start(request: pytest.FixtureRequest) -> Start:
    """Return how processes are started."""
    chosen: Start = request.param
    return chosen


def test_a_process_is_started_when_needed_and_used_again(start: Start) -> None:
    before = set(psutil.Process().children(recursive=True))
    with closing(Workers(scripted.pid, processes=2, start=start)) as workers:
        assert set(psutil.Process().children(recursive=True)) <= before
        first = workers.run(1)
        assert first != os.getpid()
        assert workers.run(2) == first
    assert not psutil.pid_exists(first)


def test_a_forked_process_has_everything_loaded_and_can_say_nothing(
    capfd: pytest.CaptureFixture[str],
) -> None:
    load_ahead()
    with closing(Workers(scripted.loaded, processes=1, start=Start.FORKED)) as workers:
        assert {"pydicom", "lark", "engine.state.uid_maps"} <= workers.run(1)
        assert "engine.service.engine" not in workers.run(1)
    assert capfd.readouterr() == ("", "")


def test_where_none_can_be_forked_one_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.EROFS, "read-only file system")

    monkeypatch.setattr(forkserver, "ensure_running", fail)
    with closing(Workers(scripted.loaded, processes=1, start=Start.FORKED)) as workers:
        assert "lark" not in workers.run(1)


def test_one_process_is_started_ahead_gets_ready_and_takes_the_first_job(tmp_path: Path) -> None:
    mark = tmp_path / "ready"
    with closing(Workers(scripted.pid, processes=2)) as workers:
        for _ in range(2):
            workers.start_ahead(partial(scripted.leave, str(mark)))
        assert workers.processes == 1
        workers.run(1)
        assert (workers.processes, mark.exists()) == (1, True)
    workers.start_ahead(partial(scripted.leave, str(mark)))
    assert workers.processes == 0


@pytest.mark.parametrize("get_ready", [scripted.fail, scripted.spin, scripted.die])
def test_one_that_can_not_get_ready_costs_no_job(get_ready: Callable[[int], object]) -> None:
    with closing(Workers(scripted.pid, processes=1, cpu_seconds=0.2)) as workers:
        workers.start_ahead(partial(get_ready, 1))
        assert workers.run(1) > 0


def test_processes_start_behind_a_console_whose_standard_error_has_no_descriptor() -> None:
    program = (
        "import sys; from engine.workers.pool import Workers\n"
        "class Captured:\n    fileno = staticmethod(lambda: -1)\n"
        "sys.stderr = Captured(); workers = Workers(abs); print(workers.run(-3)); workers.close()"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert run.stdout == "3\n"


def test_at_its_limit_only_the_hanging_one_is_killed(start: Start) -> None:
    with (
        closing(
            Workers(scripted.double_or_spin, processes=2, cpu_seconds=0.3, start=start)
        ) as workers,
        ThreadPoolExecutor(1) as pool,
    ):
        assert workers.run(1) == 2
        hanging = pool.submit(workers.run, 0)
        assert [workers.run(n) for n in range(1, 20)] == [2 * n for n in range(1, 20)]
        with pytest.raises(WorkerTimeout):
            hanging.result(20)
        assert workers.run(3) == 6


def test_one_that_stands_still_is_killed_as_well(start: Start) -> None:
    with (
        closing(Workers(scripted.stop, processes=1, wall_seconds=1.0, start=start)) as workers,
        pytest.raises(WorkerTimeout),
    ):
        workers.run(1)


def test_one_that_wants_too_much_memory_is_ended(start: Start) -> None:
    with closing(Workers(scripted.take, processes=1, memory_bytes=1024**3, start=start)) as workers:
        first = workers.run(1)
        with pytest.raises(WorkerOutOfMemory):
            workers.run(2 * 1024**3)
        assert workers.run(1) != first
        assert not psutil.pid_exists(first)


def test_a_process_has_a_limit_of_memory_and_ends_before_the_engine_does(start: Start) -> None:
    with closing(Workers(scripted.limits, processes=1, start=start)) as workers:
        assert workers.run(1) == (MEMORY_BYTES, MEMORY_BYTES, "1", 500)


def test_a_process_that_died_is_tried_again_once(start: Start, tmp_path: Path) -> None:
    with closing(Workers(scripted.die_once, processes=1, start=start)) as workers:
        assert workers.run(str(tmp_path / "mark")) > 0
    with (
        closing(Workers(scripted.die, processes=1, start=start)) as deadly,
        pytest.raises(WorkerLost),
    ):
        deadly.run(1)


def test_one_that_is_killed_while_idle_is_not_missed(start: Start) -> None:
    with closing(Workers(scripted.pid, processes=1, start=start)) as workers:
        first = workers.run(1)
        os.kill(first, signal.SIGKILL)
        assert workers.run(1) != first


def test_of_an_error_only_the_type_is_told() -> None:
    with closing(Workers(scripted.fail, processes=1)) as workers:
        with pytest.raises(JobFailed) as raised:
            workers.run("DOE^JANE")
        assert str(raised.value) == "ValueError"


def test_what_is_printed_there_comes_nowhere(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    with closing(Workers(scripted.say, processes=1, start=start)) as workers:
        assert workers.run("DOE^JANE") == "DOE^JANE"
    assert capfd.readouterr() == ("", "")


def test_closing_ends_those_at_work_and_starts_no_more(start: Start, tmp_path: Path) -> None:
    pipe = tmp_path / "pid"
    os.mkfifo(pipe)
    workers = Workers(scripted.spin_after_saying_pid, processes=1, start=start)
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(workers.run, str(pipe))
        child = psutil.Process(int(pipe.read_text("ascii")))
        workers.close()
        with pytest.raises(WorkersClosed):
            hanging.result(20)
    assert not child.is_running()
    with pytest.raises(WorkersClosed):
        workers.run(str(pipe))


@pytest.mark.parametrize("spins", [False, True])
def test_they_end_when_their_parent_is_killed(spins: bool, start: Start, tmp_path: Path) -> None:
    pipe = tmp_path / "pid"
    os.mkfifo(pipe)
    program = (
        "import sys\n"
        "from tests.engine.workers import scripted\n"
        "from engine.workers.pool import Workers\n"
        "from engine.workers.start import Start\n"
        f"idle = Workers(scripted.pid, start=Start.{start.name})\n"
        f"hanging = Workers(scripted.spin_after_saying_pid, start=Start.{start.name})\n"
        "print(idle.run(1), flush=True)\n"
        f"{f'hanging.run({str(pipe)!r})' if spins else ''}\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline())]
        if spins:
            pids.append(int(pipe.read_text("ascii")))
        children = [psutil.Process(pid) for pid in pids]
        parent.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
