"""Single changes of a running engine's configuration, however made, and what is in force then."""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.api import ReceiverState
from engine.config.store import ConfigurationStore
from engine.errors import AlreadyRunning, CorruptConfiguration
from engine.events import ConfigurationApplied
from engine.host.clock import SystemClock
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.caller import Caller, call
from tests.engine.service.test_service import NotingEngine
from tests.running import LOOPBACK, configure, engine_process, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import Path


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def own(tmp_path: Path, port: int) -> EngineSettings:
    configure(tmp_path / "data", make_receiver("XNAT", port))
    return EngineSettings(tmp_path / "data", durability=Durability.NONE)


@pytest.fixture
def engine(own: EngineSettings) -> Iterator[NotingEngine]:
    engine = NotingEngine(own)
    engine.start()
    yield engine
    engine.stop(drain_seconds=0)


def states(engine: Engine) -> dict[str, ReceiverState]:
    return {str(s.receiver.ae_title): s.state for s in engine.snapshot().receivers}


class SlowlyStartingEngine(Engine):
    """An engine whose configuration is changed between its reading and its watching."""

    def _build(self, opened: ExitStack) -> None:
        super()._build(opened)
        other = ConfigurationStore(self._settings.config_file, clock=SystemClock())
        other.save_receiver(make_receiver("EARLY", free_port()), "bert")


def test_a_change_during_the_start_is_not_missed(own: EngineSettings) -> None:
    engine = SlowlyStartingEngine(own)
    engine.start()
    assert states(engine) == dict.fromkeys(("XNAT", "EARLY"), ReceiverState.LISTENING)
    engine.stop(drain_seconds=0)


class NeverLookingEngine(Engine):
    """An engine that has not noticed yet what happened to its file."""

    def _reload(self) -> None:
        pass


@pytest.mark.parametrize("change", ["save", "site"])
def test_a_change_right_after_the_file_was_deleted_does_not_begin_with_an_empty_one(
    own: EngineSettings, port: int, change: str
) -> None:
    engine = NeverLookingEngine(own)
    engine.start()
    own.config_file.unlink()
    with pytest.raises(CorruptConfiguration, match="is missing, but"):
        if change == "save":
            engine.save_receiver(make_receiver("NEW", free_port()), "anna")
        else:
            engine.set_site(replace(engine.site(), receivers_allowed=False), "anna")
    assert not own.config_file.exists()
    assert call(port, "XNAT") == "answered"
    engine.stop(drain_seconds=0)


def test_what_the_engine_writes_itself_is_not_applied_again(engine: NotingEngine) -> None:
    (status,) = engine.snapshot().receivers
    before = engine._looks
    engine.save_receiver(replace(status.receiver, anonymization=False), "anna")
    engine.wait_until(f"self._looks > {before}")
    assert len(engine.told(ConfigurationApplied)) == 2


def test_an_undo_is_in_force_when_the_call_returns(engine: NotingEngine, port: int) -> None:
    (status,) = engine.snapshot().receivers
    engine.delete_receiver(status.receiver.id, "anna")
    assert call(port, "XNAT") == "closed"
    engine.undo("anna")
    assert call(port, "XNAT") == "answered"
    engine.undo("anna")
    assert call(port, "XNAT") == "closed"


def write_by_hand(settings: EngineSettings, *records: dict[str, object]) -> None:
    """Add receivers to the configuration file."""
    tables = json.loads(settings.config_file.read_text())
    for number, record in enumerate(records, start=100):
        tables["receivers"][str(number)] = record
    settings.config_file.write_text(json.dumps(tables))


def test_a_pair_written_twice_by_hand_is_refused_as_a_whole_naming_the_place(
    engine: NotingEngine, own: EngineSettings, port: int
) -> None:
    other = free_port()
    good = own.config_file.read_text()
    write_by_hand(own, {"ae_title": "FINE", "port": other}, {"ae_title": "XNAT", "port": port})
    engine.wait_until("self.snapshot().configuration_problem")
    assert f"receivers[XNAT:{port}].ae_title" in engine.snapshot().configuration_problem
    assert states(engine) == {"XNAT": ReceiverState.LISTENING}
    assert call(other, "FINE") == "closed"
    assert call(port, "XNAT") == "answered"
    own.config_file.write_text(good)
    engine.wait_until("not self.snapshot().configuration_problem")


def test_titles_that_differ_in_case_only_are_two_receivers(engine: Engine, port: int) -> None:
    engine.save_receiver(make_receiver("Xnat", port), "anna")
    answers = [call(port, title) for title in ("XNAT", "Xnat", "xnat")]
    assert answers == ["answered", "answered", "1/1/7"]


def test_all_addresses_beside_one_of_them_written_by_hand_leave_the_running_socket_alone(
    engine: NotingEngine, own: EngineSettings, port: int
) -> None:
    with Caller(port) as caller:
        assert caller.associate("XNAT") is None
        write_by_hand(own, {"ae_title": "WIDE", "port": port, "bind_address": "0.0.0.0"})
        engine.wait_until("len(self.snapshot().receivers) == 2 or self._configuration_problem")
        assert states(engine).get("WIDE", ReceiverState.FAILED) is ReceiverState.FAILED
        assert call(port, "XNAT") == "answered"
        caller.echo()


def test_a_busy_port_at_the_start_keeps_no_other_receiver_from_listening(
    own: EngineSettings, port: int
) -> None:
    other = free_port()
    configure(own.data_dir, make_receiver("OTHER", other))
    engine = NotingEngine(own)
    with socket.create_server((LOOPBACK, port)):
        engine.start()
        assert states(engine) == {"XNAT": ReceiverState.FAILED, "OTHER": ReceiverState.LISTENING}
        assert call(other, "OTHER") == "answered"
    (failed, _) = engine.snapshot().receivers
    engine.retry_receiver(failed.receiver.id, "anna")
    assert call(port, "XNAT") == "answered"
    engine.stop(drain_seconds=0)


def test_an_engine_starts_at_once_after_the_one_before_it_was_killed(
    own: EngineSettings, port: int
) -> None:
    with engine_process(own.data_dir, 1) as first:
        with pytest.raises(AlreadyRunning, match=f"pid {first.process.pid}"):
            Engine(own).start()
        first.kill()
    engine = Engine(own)
    engine.start()
    assert call(port, "XNAT") == "answered"
    engine.stop(drain_seconds=0)


def test_changes_from_many_threads_at_once_end_as_the_file_says(engine: NotingEngine) -> None:
    numbers = [free_port() for _ in range(4)]

    def change(port: int) -> None:
        saved = engine.save_receiver(make_receiver("BUSY", port), "anna")
        for enabled in (False, True, False, True):
            engine.set_enabled(saved.id, enabled, "anna")
        if port == numbers[0]:
            engine.delete_receiver(saved.id, "anna")

    threads = [threading.Thread(target=change, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [call(number, "BUSY") for number in numbers] == ["closed"] + ["answered"] * 3
    on_disk = ConfigurationStore(engine._settings.config_file, clock=SystemClock()).load()
    assert on_disk.receivers == tuple(s.receiver for s in engine.snapshot().receivers)
    assert engine.snapshot().revision == on_disk.revision
