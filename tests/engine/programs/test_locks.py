"""What the threads of programs share is changed by one of them at a time."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.model.session import SessionStatus
from engine.programs.output import Outputs
from engine.programs.queue import Run
from engine.programs.runner import Runner
from tests.taken_lock import require_wait

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.programs.run import Ran

RUN = Run(1, 1, "2026-01-01", 3, SessionStatus.READY, 0)


def test_an_output_is_kept_by_one_thread_at_a_time(tmp_path: Path) -> None:
    outputs = Outputs(tmp_path / "commands")
    require_wait(outputs, lambda: outputs.keep(RUN, "Doe^Jane"))


@pytest.mark.parametrize(
    ("call", "entries"),
    [
        (lambda runner: runner._note(""), 0),
        (lambda runner: runner._run_next(), 0),
        (lambda runner: runner._run_next(), 1),
    ],
)
def test_a_run_is_begun_and_ended_by_one_thread_at_a_time(
    monkeypatch: pytest.MonkeyPatch, call: Callable[[Runner], object], entries: int
) -> None:
    bench: Any = SimpleNamespace(
        lock=threading.Lock(),
        running=set(),
        queue=SimpleNamespace(begin=lambda *_: RUN, end=lambda _: None),
    )
    program: Any = SimpleNamespace(id=1, at_once=0)
    runner = Runner(program, bench)
    monkeypatch.setattr(runner, "_run", lambda _: cast("Ran", SimpleNamespace(was_stopped=True)))
    require_wait(bench, lambda: call(runner), "lock", entries=entries)
