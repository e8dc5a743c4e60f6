"""From finished sessions to programs: which run, how often, and what is told about them."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import StorageUnusable
from engine.events.delivery import CommandsResumed, ProgramEnded, ProgramFailed, RunsDropped
from engine.index.arrivals import Finished, FinishedSessions
from engine.index.operations import OperationKind, Request
from engine.model.configuration import Configuration
from engine.model.processing import TEST_ROOT
from engine.model.processor import Location, Processor
from engine.model.project import AutoArchive
from engine.model.session import SessionStatus
from engine.processing.command.commands import Programs, runs_for_session
from engine.processing.command.processor import CLASS_ID, Command
from engine.processing.command.queue import QueuedRun, RunQueue, highest_session
from engine.processing.command.runner import Outputs
from engine.processing.contract import Settings
from engine.settings import EngineSettings
from engine.state.outbox import NewItem
from tests.engine.index.depot import open_depot
from tests.engine.processing.forward.yard import RECEIVER
from tests.fakes import FixedClock
from tests.running import WatchedJournal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.events import Event
    from tests.engine.index.depot import Depot


def command(number: int = 1, script: str = "cat", **changes: Any) -> Processor:
    told = {"program": "/bin/sh", "arguments": f"-c\n{script}"} | changes.pop("told", {})
    return Processor(
        number,
        f"command {number}",
        CLASS_ID,
        location=Location.AFTER_SESSION_COMPLETE,
        parameters=tuple(told.items()),
        **changes,
    )


class AtWork:
    """Programs beside a depot."""

    def __init__(self, depot: Depot, journal: WatchedJournal, *processors: Processor) -> None:
        self.depot = depot
        self._journal = journal
        self.configuration = Configuration(receivers=(RECEIVER,), processors=processors)
        self.programs = Programs(
            EngineSettings(depot.root),
            depot.index,
            depot.ledger,
            depot.areas,
            journal,
            lambda: self.configuration,
        )

    def configure(self, *processors: Processor) -> None:
        self.configuration = replace(self.configuration, processors=processors)
        self.programs.notify()

    def wait_until_told(self, kind: type[Event], times: int = 1) -> list[str]:
        with self._journal.changed:
            assert self._journal.changed.wait_for(lambda: len(self.told(kind)) >= times, 20)
        return self.told(kind)

    def told(self, kind: type[Event]) -> list[str]:
        page = self._journal.events_since(0, 1000)
        return [r.event.sentence() for r in page.events if isinstance(r.event, kind)]


@contextmanager
def at_work(root: Path, *processors: Processor) -> Iterator[AtWork]:
    clock = FixedClock()
    depot, journal = open_depot(root, clock), WatchedJournal(clock)
    try:
        working = AtWork(depot, journal, *processors)
        working.programs.start()
        try:
            yield working
        finally:
            working.programs.stop()
            working.programs.close()
    finally:
        depot.index.close()


def test_a_program_runs_once_for_a_session_that_is_ready_and_is_told_all_about_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "told"
    with at_work(tmp_path, command(script=f"cat >>{file}")) as working:
        working.depot.receive()
        number = working.depot.receive()
        working.depot.fall_silent()
        (ended,) = working.wait_until_told(ProgramEnded)
        assert ended.startswith(f"command 1 ran for session {number}, ")
        session = working.depot.session(number)
    told = json.loads(file.read_text())
    assert (told["version"], told["processor"], told["event"]) == (1, "command 1", "ready")
    assert told["repeated"] is False
    described = told["session"]
    assert described["path"] == str(tmp_path / "prearchive" / session.folder)
    wanted = {"id": number, "project": "NEURO-01", "subject": "S1", "label": "E1", "objects": 2}
    assert {name: described[name] for name in wanted} == wanted


def test_more_objects_make_a_session_ready_again_and_the_program_run_again(tmp_path: Path) -> None:
    with at_work(tmp_path, command()) as working:
        working.depot.receive()
        working.depot.fall_silent()
        working.wait_until_told(ProgramEnded)
        working.depot.receive()
        working.depot.fall_silent()
        working.wait_until_told(ProgramEnded, 2)


def test_a_cancelled_request_makes_no_session_ready_again(tmp_path: Path) -> None:
    with at_work(tmp_path, command()) as working:
        number = working.depot.receive()
        working.depot.fall_silent()
        working.wait_until_told(ProgramEnded)
        working.depot.ledger.ask(number, Request(OperationKind.DELETE, "admin"))
        working.depot.ledger.cancel(number)
        assert FinishedSessions(working.depot.index.changing).all() == ()


@pytest.mark.parametrize("direct", [False, True])
def test_a_program_may_wait_for_the_archive(tmp_path: Path, direct: bool) -> None:
    ready, archived = command(1), command(2, told={"when": "archived"})
    with at_work(tmp_path, ready, archived) as working:
        working.depot.codes["NEURO-01"] = AutoArchive.ARCHIVE
        number = working.depot.receive(direct=direct)
        working.depot.fall_silent()
        told = working.wait_until_told(ProgramEnded, 1 if direct else 2)
    assert any(s.startswith(f"command 2 ran for session {number},") for s in told)
    assert any("command 1" in sentence for sentence in told) is not direct


def test_a_merge_is_told_of_the_session_that_was_merged_into(tmp_path: Path) -> None:
    with at_work(tmp_path, command(told={"when": "archived"})) as working:
        working.depot.codes["NEURO-01"] = AutoArchive.OVERWRITE
        first = working.depot.receive()
        working.depot.fall_silent()
        working.wait_until_told(ProgramEnded)
        working.depot.receive(SeriesNumber="5", SeriesInstanceUID="1.2.9")
        working.depot.fall_silent()
        _, merged = working.wait_until_told(ProgramEnded, 2)
    assert merged.startswith(f"command 1 ran for session {first},")


def test_a_failure_is_told_without_what_it_wrote_which_is_in_a_file_for_its_owner(
    tmp_path: Path,
) -> None:
    script = "printf 'Doe^Jane\\ntwo\\033[2J'; exit 7"
    with at_work(tmp_path, command(script=script)) as working:
        number = working.depot.receive()
        working.depot.fall_silent()
        (told,) = working.wait_until_told(ProgramFailed)
    (file,) = (tmp_path / "logs" / "commands").iterdir()
    assert told == (
        f"command 1 failed for session {number}: exit code 7; it wrote 16 bytes, "
        f"see logs/commands/{file.name}"
    )
    assert file.read_text() == "Doe^Jane\ntwo�[2J\n"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_only_the_newest_outputs_are_kept_and_a_storage_that_fails_costs_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.processing.command.runner.KEPT_FILES", 2)
    outputs = Outputs(tmp_path / "logs" / "commands")
    runs = [QueuedRun(number, 1, "2026-01-01", 3, SessionStatus.READY, 0) for number in range(4)]
    (tmp_path / "logs").touch()
    assert outputs.keep(runs[0], "text") == ""
    (tmp_path / "logs").unlink()
    kept = [outputs.keep(run, "text") for run in runs]
    assert outputs.keep(runs[0], "") == ""
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.txt"))
    assert files == kept[2:]


def test_an_output_is_never_written_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever puts a link there just after the old file was removed."""
    folder, victim = tmp_path / "logs" / "commands", tmp_path / "victim"
    outputs = Outputs(folder)
    run = QueuedRun(1, 1, "2026-01-01", 3, SessionStatus.READY, 0)
    kept = tmp_path / outputs.keep(run, "text")
    kept.unlink()
    kept.symlink_to(victim)
    monkeypatch.setattr(type(kept), "unlink", lambda *_, **__: None)
    assert outputs.keep(run, "text") == ""
    assert not victim.exists()


def test_a_long_output_is_cut_at_its_beginning(tmp_path: Path) -> None:
    with at_work(tmp_path, command(script="seq 1 1000; exit 1")) as working:
        working.depot.receive()
        working.depot.fall_silent()
        (told,) = working.wait_until_told(ProgramFailed)
    (file,) = (tmp_path / "logs" / "commands").iterdir()
    assert "; it wrote 3,893 bytes, see logs/" in told
    assert file.read_text().endswith("\n999\n1000\n")


def test_a_stop_ends_what_runs_and_it_runs_again_at_the_next_start(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = f"cat >{fifo}; exec sleep 60"
    with at_work(tmp_path, command(script=script)) as working:
        working.depot.receive()
        working.depot.fall_silent()
        assert json.loads(fifo.read_text())["repeated"] is False
    with at_work(tmp_path, command(script=f"cat >{fifo}")) as working:
        assert json.loads(fifo.read_text())["repeated"] is True
        working.wait_until_told(ProgramEnded)


def test_programs_run_beside_each_other_up_to_their_number(tmp_path: Path) -> None:
    # Each of the two waits for the other one: alone, none would ever end.
    script = (
        f"id=$(cat | tr -dc a-z0-9 | cksum | tr -dc 0-9); touch {tmp_path}/$id.run;"
        f" until [ $(ls {tmp_path}/*.run | wc -l) = 2 ]; do sleep 0.02; done"
    )
    told = {"at_once": "2", "timeout_seconds": "15"}
    with at_work(tmp_path, command(script=script, told=told)) as working:
        working.depot.receive(label="E1", StudyInstanceUID="1.2.1")
        working.depot.receive(label="E2", StudyInstanceUID="1.2.2")
        working.depot.fall_silent()
        working.wait_until_told(ProgramEnded, 2)


def test_a_session_that_was_deleted_before_its_program_ran_is_told(tmp_path: Path) -> None:
    with at_work(tmp_path, command(script="exit 0", enabled=False)) as working:
        working.configure(command(script="exit 0"))
        number = working.depot.receive()
        working.depot.index.flush()
        working.depot.ledger.ask(number, Request(OperationKind.DELETE, "admin"))
        working.depot.lifecycle.run_requests()
        with RunQueue(tmp_path / "state.sqlite") as queue:
            queue.put([(1, Finished(99, number, SessionStatus.READY, "2026-01-01"), "")])
            queue.put([(1, Finished(98, 4711, SessionStatus.READY, "2026-01-01"), "")])
        working.programs.notify()
        told = working.wait_until_told(ProgramFailed, 2)
    assert told[0].endswith("its session was deleted before it could run")
    assert told[1].endswith("its session was merged into another or removed before it could run")


def test_a_run_whose_number_means_another_session_by_now_is_told_and_runs_for_neither(
    tmp_path: Path,
) -> None:
    with at_work(tmp_path, command()) as working:
        number = working.depot.receive()
        working.depot.index.flush()
        with RunQueue(tmp_path / "state.sqlite") as queue:
            finished = Finished(99, number, SessionStatus.READY, "2026-01-01")
            queue.put([(1, finished, "1.2.99")])
        working.programs.notify()
        (told,) = working.wait_until_told(ProgramFailed)
        assert told.endswith("the session index was replaced, and its number is another's now")
        assert working.told(ProgramEnded) == []


def test_a_run_that_damage_has_changed_is_told_and_holds_up_no_other(tmp_path: Path) -> None:
    with RunQueue(tmp_path / "state.sqlite") as queue:
        for number, what in enumerate(("{", "[]", '{"session": 1, "status": "odd"}')):
            queue.add([NewItem(1, number, "then", what, "2026-01-01")])
    with at_work(tmp_path, command()) as working:
        told = working.wait_until_told(ProgramFailed, 3)
        assert all(sentence.endswith("removed before it could run") for sentence in told)
        working.depot.receive()
        working.depot.fall_silent()
        working.wait_until_told(ProgramEnded)


def test_the_highest_number_that_waits_is_known(tmp_path: Path) -> None:
    file = tmp_path / "state.sqlite"
    assert highest_session(file) == 0
    with RunQueue(file) as queue:
        assert highest_session(file) == 0
        for session in (7, 9, 8):
            finished = Finished(session, session, SessionStatus.READY, "2026-01-01")
            queue.put([(1, finished, "1.2.3")])
    assert highest_session(file) == 9


def test_queues_that_fail_for_a_while_are_told_and_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.processing.command.commands.RETRY_SECONDS", 0.02)
    monkeypatch.setattr("engine.processing.command.runner.RETRY_SECONDS", 0.02)
    faults: list[Exception] = [StorageUnusable("the disk is full"), ValueError()] * 2
    good_all, good_begin = FinishedSessions.all, RunQueue.begin

    def all_(finished: FinishedSessions) -> tuple[Finished, ...]:
        if len(faults) > 2:
            raise faults.pop()
        return good_all(finished)

    def begin(queue: RunQueue, *values: Any) -> QueuedRun | None:
        if len(faults) in {1, 2}:
            raise faults.pop()
        return good_begin(queue, *values)

    monkeypatch.setattr(FinishedSessions, "all", all_)
    monkeypatch.setattr(RunQueue, "begin", begin)
    with at_work(tmp_path, command()) as working:
        working.depot.receive()
        working.depot.fall_silent()
        working.wait_until_told(ProgramEnded)
        assert sorted(working.told(ProgramFailed)) == [
            "command 1 failed: internal error (ValueError)",
            "command 1 failed: the disk is full",
            "commands failed: internal error (ValueError)",
            "commands failed: the disk is full",
        ]


def test_what_a_removed_command_had_to_do_is_dropped(tmp_path: Path) -> None:
    with at_work(tmp_path, command(1)) as working:
        working.depot.receive()
        with RunQueue(tmp_path / "state.sqlite") as queue:
            queue.put([(2, Finished(99, 1, SessionStatus.READY, "2026-01-01"), "")])
        working.configure()
        assert working.wait_until_told(RunsDropped) == [
            "a command was removed; 1 run of it dropped"
        ]


@pytest.mark.parametrize(
    ("processor", "changes", "wanted"),
    [
        (command(), {}, True),
        (command(enabled=False), {}, False),
        (command(receivers_denied=("XNAT:8104",)), {}, False),
        (command(projects=("OTHER",)), {}, False),
        (command(), {"receiver": "GONE:8104"}, False),
        (command(), {"study_instance_uid": f"{TEST_ROOT}7.2"}, False),
    ],
)
def test_for_which_sessions_a_program_runs(
    tmp_path: Path, processor: Processor, changes: dict[str, Any], wanted: bool
) -> None:
    depot = open_depot(tmp_path, FixedClock())
    session = replace(depot.session(depot.receive()), **changes)
    depot.index.close()
    configuration = Configuration(receivers=(RECEIVER,))
    assert runs_for_session(processor, session, configuration) is wanted
    silent = replace(RECEIVER, custom_processing=False)
    assert not runs_for_session(processor, session, Configuration(receivers=(silent,)))


def test_a_program_that_can_t_be_run_is_refused_when_it_is_saved(tmp_path: Path) -> None:
    def problems(program: Path) -> list[str]:
        settings = Settings((("program", str(program)),))
        return [problem.message for problem in Command().check(settings)]

    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o644)
    assert problems(tmp_path / "none") == ["does not exist"]
    assert problems(tmp_path) == ["is no file"]
    assert problems(tmp_path / "text") == ["may not be run by this user"]
    assert problems(tmp_path / "text" / "below") == ["can't be looked at (not a directory)"]
    assert list(Command().check(Settings((("program", "/bin/sh"),)))) == []


def test_a_queue_that_can_t_be_used_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = threading.Semaphore(0)

    def broken(_queue: RunQueue, _processors: object) -> int:
        tries.release()
        raise StorageUnusable("the disk is full", "make room")

    monkeypatch.setattr("engine.processing.command.commands.RETRY_SECONDS", 0.01)
    monkeypatch.setattr(RunQueue, "keep_only", broken)
    with at_work(tmp_path) as working:
        for _ in range(3):
            assert tries.acquire(timeout=20)
        assert working.told(ProgramFailed) == ["commands failed: the disk is full"]


def test_a_program_does_not_run_again_for_a_session_that_the_index_can_not_forget_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queue has the run already; on a full disk the index may keep its note for hours."""
    monkeypatch.setattr("engine.processing.command.commands.RETRY_SECONDS", 0.01)
    good_remove, tries = FinishedSessions.remove, threading.Semaphore(0)
    is_full = threading.Event()
    is_full.set()

    def remove(finished: FinishedSessions, up_to: int) -> None:
        tries.release()
        if is_full.is_set():
            raise StorageUnusable("the disk is full")
        good_remove(finished, up_to)

    monkeypatch.setattr(FinishedSessions, "remove", remove)
    with at_work(tmp_path, command(script=f"echo run >>{tmp_path}/runs")) as working:
        working.depot.receive()
        working.depot.fall_silent()
        working.wait_until_told(ProgramEnded)
        for _ in range(4):
            assert tries.acquire(timeout=20)
        is_full.clear()
        working.depot.receive(label="E2", StudyInstanceUID="1.9")
        working.depot.fall_silent()
        working.wait_until_told(ProgramEnded, 2)
        assert working.told(ProgramFailed) == ["commands failed: the disk is full"]
    assert (tmp_path / "runs").read_text() == "run\n" * 2


def test_an_index_that_can_not_be_used_is_told_in_words() -> None:
    index = sqlite3.connect(":memory:")
    index.close()
    finished = FinishedSessions(lambda: nullcontext(index))
    for ask in (finished.all, lambda: finished.remove(1)):
        with pytest.raises(
            StorageUnusable, match="the session index can't be used: Cannot operate"
        ):
            ask()


def test_a_runner_whose_queue_fails_tells_it_once_and_again_when_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.processing.command.runner.RETRY_SECONDS", 0.01)
    tries, mended = threading.Semaphore(0), threading.Event()
    begin = RunQueue.begin

    def broken(queue: RunQueue, *values: Any) -> QueuedRun | None:
        tries.release()
        if mended.is_set():
            return begin(queue, *values)
        raise StorageUnusable("the disk is full", "make room")

    monkeypatch.setattr(RunQueue, "begin", broken)
    with at_work(tmp_path, command()) as working:
        for _ in range(6):
            assert tries.acquire(timeout=20)
        assert working.told(ProgramFailed) == ["command 1 failed: the disk is full"]
        mended.set()
        assert working.wait_until_told(CommandsResumed) == ["command 1: the queue works again"]
        working.depot.receive()
        working.depot.fall_silent()
        working.wait_until_told(ProgramEnded)
        assert len(working.told(CommandsResumed)) == 1


def test_a_queue_of_a_later_version_is_refused(tmp_path: Path) -> None:
    with RunQueue(tmp_path / "state.sqlite") as queue:
        queue._connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StorageUnusable, match="schema 99"):
        RunQueue(tmp_path / "state.sqlite")
