"""One run of a program: what it gets, and that it can't hang, flood or leave anything behind."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from engine.processing.command.runner import KEPT_BYTES, RunResult, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.processing.command.runner.GRACE_SECONDS", 0.2)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def shell(
    script: str, pipe: tuple[int, int], *, seconds: float = 20, told: bytes = b""
) -> RunResult:
    return run_program(("/bin/sh", "-c", script), told, seconds, pipe[0])


def test_it_reads_what_it_is_told_and_sees_a_bare_environment(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "hush")
    ran = shell("cat; echo; pwd; env", pipe, told=b'{"session": 1}')
    assert ran.is_good
    first, folder, *environment = ran.output.splitlines()
    assert (first, folder) == ('{"session": 1}', "/")
    assert {line.partition("=")[0] for line in environment} <= {"PATH", "LANG", "PWD", "_"}


def test_a_program_that_reads_nothing_is_as_good(pipe: tuple[int, int]) -> None:
    assert shell("exec <&-; exit 0", pipe, told=b"x" * 4096).is_good


def test_arguments_are_no_shell_s(pipe: tuple[int, int]) -> None:
    ran = run_program(("/bin/echo", "$(id)", "a b", ";ls"), b"", 20, pipe[0])
    assert ran.output == "$(id) a b ;ls"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "exit code 3"),
        ("kill -SEGV $$", "killed by SIGSEGV"),
        ("echo no >&2; exit 1", "exit code 1"),
    ],
)
def test_how_it_failed_is_said(pipe: tuple[int, int], script: str, words: str) -> None:
    ran = shell(script, pipe)
    assert not ran.is_good
    assert ran.in_words() == words


def test_what_can_t_be_run_is_said(pipe: tuple[int, int], tmp_path: Path) -> None:
    ran = run_program((str(tmp_path / "none"),), b"", 20, pipe[0])
    assert ran.in_words() == "can't be run: no such file or directory"
    assert "null byte" in run_program(("a\0b",), b"", 20, pipe[0]).in_words()


def test_one_that_nobody_can_watch_does_not_go_on(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_descriptor(_pid: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("os.pidfd_open", no_descriptor)
    ran = shell("sleep 60", pipe)
    assert (ran.exit_code, ran.failure) == (None, "can't be watched: too many open files")


def test_one_that_hangs_is_killed_with_all_that_it_started(
    pipe: tuple[int, int], tmp_path: Path
) -> None:
    mark = tmp_path / "alive"
    os.mkfifo(mark)
    reader = os.open(mark, os.O_RDONLY | os.O_NONBLOCK)
    ran = shell(f"trap '' TERM; exec 3>{mark}; sleep 60 & sleep 60", pipe, seconds=0.2)
    assert ran.in_words() == "killed after its time limit of 0.2 s"
    assert (ran.exit_code, ran.was_stopped) == (None, False)
    # The end of the file comes when nobody has the FIFO open for writing any more.
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_one_that_leaves_others_behind_is_over_when_it_is(pipe: tuple[int, int]) -> None:
    ran = shell("sleep 60 & echo done", pipe)
    assert ran.is_good
    assert ran.output == "done"
    assert ran.seconds < 15


def test_of_a_flood_only_the_end_is_kept(pipe: tuple[int, int]) -> None:
    ran = shell("head -c 3000000 /dev/zero | tr '\\0' x; sleep 0.1; echo the end; exit 1", pipe)
    assert len(ran.output) <= KEPT_BYTES
    assert ran.output.endswith("the end")


def test_one_that_floods_for_ever_is_killed_in_time(pipe: tuple[int, int]) -> None:
    assert "time limit" in shell("exec yes", pipe, seconds=0.2).in_words()


def test_a_stop_ends_it_gently(pipe: tuple[int, int]) -> None:
    threading.Timer(0.1, os.write, (pipe[1], b"!")).start()
    ran = shell("trap 'echo bye; exit 0' TERM; sleep 60 & wait", pipe)
    assert ran.was_stopped
    assert ran.output == "bye"
    assert ran.in_words() == "ended because the engine stops"
