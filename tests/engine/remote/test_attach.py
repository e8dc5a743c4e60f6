"""Finding the engine of a data directory, and what two of its consoles can do to each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import AlreadyRunning, ChangedMeanwhile, InvalidReceiver
from engine.host.clock import SystemClock
from engine.host.lock import EngineLock
from engine.model.peer import AETitle
from engine.remote.attach import find_engine
from engine.remote.host import serve
from engine.remote.status import current_status
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.running import configure, free_port, make_receiver
from tests.serving import remote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    return EngineSettings(tmp_path / "data", Durability.NONE)


@pytest.fixture
def running(settings: EngineSettings) -> Iterator[Engine]:
    configure(settings.data_dir, make_receiver("ONE", free_port()))
    engine = Engine(settings)
    engine.start()
    end = serve(engine, settings)
    yield engine
    end()
    engine.stop()


def test_a_directory_without_an_engine_has_none_to_attach_to(settings: EngineSettings) -> None:
    assert find_engine(settings) is None
    settings.data_dir.mkdir()
    settings.control_file.write_text("left behind")
    assert find_engine(settings) is None
    assert current_status(settings).running is None


def test_an_engine_that_does_not_answer_is_named_with_the_reason(settings: EngineSettings) -> None:
    settings.data_dir.mkdir()
    lock = EngineLock.acquire(settings.lock_file, SystemClock())
    with pytest.raises(AlreadyRunning, match=r"in use by pid \d+ on .*control.sock is not there"):
        find_engine(settings, wait_seconds=0)
    assert current_status(settings).running is not None
    lock.release()


def test_the_status_is_what_the_engine_says_of_itself(
    running: Engine, settings: EngineSettings
) -> None:
    settings.index_file.with_name("config.json").touch()
    status = current_status(settings)
    assert status.running is not None
    assert [(r.state, r.enabled) for r in status.receivers] == [("listening", True)]
    assert status.receivers[0].since == running.snapshot().receivers[0].since
    assert status.revision == running.snapshot().revision


def test_of_two_consoles_that_change_a_receiver_the_second_is_told_and_overwrites_nothing(
    running: Engine, settings: EngineSettings
) -> None:
    with remote(settings.control_file) as anna, remote(settings.control_file) as bob:
        seen = anna.view.snapshot().receivers[0].receiver
        assert bob.view.snapshot().receivers[0].receiver == seen
        changed = replace(seen, direct_archive=True)
        anna.view.save_receiver(changed, "anna", replacing=seen)
        with pytest.raises(ChangedMeanwhile, match=r"says: anna") as caught:
            bob.view.save_receiver(replace(seen, anonymization=False), "bob", replacing=seen)
        assert caught.value.exit_code == 6
        assert bob.view.snapshot().receivers[0].receiver == changed
        again = replace(changed, anonymization=False)
        assert bob.view.save_receiver(again, "bob", replacing=changed) == again
        assert [r.changed_by.rpartition(" ")[2] for r in bob.view.history.revisions().revisions][
            :2
        ] == ["bob", "anna"]


@pytest.mark.parametrize("title", ["A\\B", "", "x" * 17, "\x1b[2J"])
def test_what_a_client_sends_is_checked_as_whatever_is_typed(
    running: Engine, settings: EngineSettings, title: str
) -> None:
    wrong: Any = make_receiver("TWO", free_port())
    with remote(settings.control_file) as console, pytest.raises(InvalidReceiver) as caught:
        console.view.save_receiver(replace(wrong, ae_title=AETitle(title)), "anna")
    assert caught.value.problems[0].field == "ae_title"
    assert len(running.snapshot().receivers) == 1
