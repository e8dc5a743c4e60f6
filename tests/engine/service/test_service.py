"""The engine as a whole, in this process: its commands, its state and its stop."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import forkserver
from typing import TYPE_CHECKING, Any, NoReturn

import psutil
import pytest
from cryptography import x509

from engine.api import AssociationEnd, PortState, ReceiverState
from engine.app.demo.sender import CT_SCANNER, study
from engine.app.status import read_status
from engine.config.store import ConfigurationStore
from engine.errors import (
    AlreadyRunning,
    ConfigurationError,
    CorruptConfiguration,
    InvalidReceiver,
    InvalidSite,
    NotDelivered,
    NotFound,
    ReadOnlyConfiguration,
    StorageUnusable,
)
from engine.events import ConfigurationApplied, ConfigurationRefused, OptionNotApplied
from engine.host.clock import SystemClock
from engine.index.store import SessionIndex
from engine.model.alerts import AlertTarget
from engine.model.anonymization import SiteScript
from engine.model.known_peer import KnownPeer
from engine.model.peer import AETitle
from engine.model.project import Project
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.caller import SERVER_NAME, Caller, call
from tests.certificates import Authority, party
from tests.guarded import guarded
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, calls_of, configure, free_port, make_receiver, stored_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.api import ReceiverStatus
    from engine.events import Event, RecordedEvent

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)


class NotingEngine(Engine):
    """An engine whose looks at the configuration file can be waited for."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._looked = threading.Condition()
        self._looks = 0

    def _reload(self) -> None:
        super()._reload()
        with self._looked:
            self._looks += 1
            self._looked.notify_all()

    def wait_until(self, what: str) -> None:
        """Wait for the look after which an expression about `self` holds."""
        with self._looked:
            assert self._looked.wait_for(lambda: eval(what, {"self": self}), timeout=20)

    def told(self, kind: type[Event]) -> list[Event]:
        page = self.events_since(0, 1000)
        return [r.event for r in page.events if isinstance(r.event, kind)]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def settings(tmp_path: Path, port: int) -> EngineSettings:
    data = tmp_path / "data"
    configure(data, make_receiver("XNAT", port), projects=(Project("NEURO-01"),))
    return EngineSettings(data, durability=Durability.NONE)


@pytest.fixture
def engine(settings: EngineSettings) -> Iterator[NotingEngine]:
    engine = NotingEngine(settings)
    engine.start()
    yield engine
    engine.stop(drain_seconds=0)


def send(port: int, objects: int) -> list[int | None]:
    to = Destination(LOOPBACK, port, "XNAT", "CT_SCANNER_1")
    with SendingAssociation(to, [CT_SCANNER.sop_class_uid]) as peer:
        images = study(CT_SCANNER, 1, "NEURO-01", NOW)
        return [peer.send(ds) for ds, _ in zip(images, range(objects), strict=False)]


def test_what_is_sent_shows_in_the_snapshot_and_on_disk(
    engine: NotingEngine, settings: EngineSettings, port: int
) -> None:
    assert send(port, 5) == [0] * 5
    snapshot = engine.snapshot()
    (status,) = snapshot.receivers
    assert (status.state, status.objects_today) == (ReceiverState.LISTENING, 5)
    assert status.last_object_at is not None
    assert (snapshot.totals.received, snapshot.totals.stored) == (5, 5)
    assert (snapshot.sessions_receiving, snapshot.sessions_waiting) == (1, 0)
    assert snapshot.latency.p50_ms is not None
    files = stored_files(settings.data_dir)
    folders = {file.relative_to(settings.prearchive_dir).parts[0] for file in files}
    assert folders == {"NEURO-01"}


def test_the_configuration_is_changed_and_read_again_under_one_lock(engine: NotingEngine) -> None:
    with guarded(engine, "_store", by=engine._lock):
        engine.save_project(Project("THORAX-02"), "anna")
    with guarded(engine, "_source", by=engine._lock):
        engine._reload()


def test_what_changes_nothing_is_not_reported_as_applied(engine: NotingEngine) -> None:
    saved = engine.save_receiver(make_receiver("NEW", free_port()), "anna")
    site, project = engine.site(), engine.save_project(Project("THORAX-02"), "anna")
    before = len(engine.told(ConfigurationApplied))
    engine.save_receiver(saved, "berta", replacing=saved)
    engine.set_enabled(saved.id, enabled=True, actor="berta")
    engine.save_project(project, "berta", replacing=project)
    engine.set_site(site, "berta")
    assert len(engine.told(ConfigurationApplied)) == before
    engine.set_enabled(saved.id, enabled=False, actor="berta")
    assert len(engine.told(ConfigurationApplied)) == before + 1


def test_a_saved_receiver_answers_when_the_call_returns(engine: NotingEngine) -> None:
    saved = engine.save_receiver(make_receiver("NEW", free_port()), "anna")
    assert saved.id > 0
    assert engine.echo(saved.id, "anna").ok
    listening = engine.snapshot().receivers[-1]
    assert listening.state is ReceiverState.LISTENING
    # Nothing has changed: nothing is made anew, and a console sees so at once.
    assert engine.snapshot().receivers[-1] is listening


def test_who_retries_a_receiver_or_sends_it_an_echo_is_audited(
    engine: NotingEngine, settings: EngineSettings
) -> None:
    (receiver_id,) = [status.receiver.id for status in engine.snapshot().receivers]
    receiver = engine.snapshot().receivers[0].receiver
    engine.peers.save(KnownPeer(receiver.ae_title, "127.0.0.1", receiver.port), "anna")
    answer = engine.peers.echo(receiver.ae_title, "carl")
    assert answer.ok, answer.detail
    engine.retry_receiver(receiver_id, "anna")
    engine.echo(receiver_id, "berta")
    lines = [json.loads(line) for line in settings.audit_log.read_text().splitlines()]
    told = [(line["kind"], line["by"], line["receiver"]) for line in lines[-2:]]
    assert told == [
        ("ReceiverRetryAsked", "anna", receiver.label),
        ("EchoAsked", "berta", receiver.label),
    ]
    assert (lines[-3]["kind"], lines[-3]["by"]) == ("PeerEchoAsked", "carl")


def test_a_peer_whose_files_or_name_are_wrong_is_not_saved(engine: NotingEngine) -> None:
    broken = KnownPeer(AETitle("PACS"), "pacs", 104, tls_enabled=True, tls_ca="/nowhere.pem")
    with pytest.raises(ConfigurationError, match=r"/nowhere\.pem"):
        engine.peers.save(broken, "anna")
    assert engine.peers.list() == ()
    with pytest.raises(ConfigurationError, match="calling"):
        engine.peers.echo("PACS", "anna", calling="A\\B")


def test_a_disabled_receiver_refuses_and_an_enabled_one_answers_again(
    engine: NotingEngine,
) -> None:
    (receiver_id,) = [status.receiver.id for status in engine.snapshot().receivers]
    engine.set_enabled(receiver_id, False, "anna")
    assert engine.snapshot().receivers[0].state is ReceiverState.DISABLED
    assert not engine.echo(receiver_id, "anna").ok
    engine.set_enabled(receiver_id, True, "anna")
    assert engine.echo(receiver_id, "anna").ok


def test_a_deleted_receiver_is_gone_and_its_port_is_free(engine: NotingEngine, port: int) -> None:
    (receiver_id,) = [status.receiver.id for status in engine.snapshot().receivers]
    assert engine.port_status(port).state is PortState.OURS
    engine.delete_receiver(receiver_id, "anna")
    assert engine.snapshot().receivers == ()
    assert engine.port_status(port).state is PortState.FREE
    with pytest.raises(NotFound):
        engine.echo(receiver_id, "anna")


def test_a_conflict_with_another_receiver_is_refused_and_changes_nothing(
    engine: NotingEngine, port: int
) -> None:
    with pytest.raises(InvalidReceiver, match=f"receiver XNAT:{port} exists already"):
        engine.save_receiver(make_receiver("XNAT", port), "anna")
    assert len(engine.snapshot().receivers) == 1


def test_a_draining_receiver_says_so_until_its_association_ends(
    engine: NotingEngine, port: int
) -> None:
    (receiver_id,) = [status.receiver.id for status in engine.snapshot().receivers]
    to = Destination(LOOPBACK, port, "XNAT", "CT_SCANNER_1")
    with SendingAssociation(to, [CT_SCANNER.sop_class_uid]) as peer:
        engine.set_enabled(receiver_id, False, "anna")
        (status,) = engine.snapshot().receivers
        assert (status.state, status.open_associations) == (ReceiverState.DRAINING, 1)
        assert peer.send(next(study(CT_SCANNER, 1, "NEURO-01", NOW))) == 0
    assert engine._associations.wait_until_none(10)
    assert engine.snapshot().receivers[0].state is ReceiverState.DISABLED


def test_a_live_association_shows_its_contexts_and_can_be_aborted(
    engine: NotingEngine, port: int
) -> None:
    to = Destination(LOOPBACK, port, "XNAT", "CT_SCANNER")
    with SendingAssociation(to, [CT_SCANNER.sop_class_uid]) as peer:
        for data_set in study(
            CT_SCANNER, 2, "NEURO-01", NOW
        ):  # the second is begun after the first is counted
            assert peer.send(data_set) == 0
        (live,) = engine.snapshot().associations
        (context,) = engine.associations.contexts(live.id)
        assert context.sop_class == "CT Image Storage"
        engine.associations.abort(live.id, "anna")
        assert engine._associations.wait_until_none(10)
    (ended,) = engine.snapshot().ended_associations
    assert (ended.end, ended.why) == (AssociationEnd.ABORTED, "aborted by anna")
    assert ended.objects >= 1


def test_options_that_do_nothing_yet_are_said_to(engine: NotingEngine) -> None:
    engine.save_receiver(
        make_receiver("NEW", free_port(), direct_archive=True, custom_processing=True), "anna"
    )
    told = [event.sentence() for event in engine.told(OptionNotApplied)]
    assert not any(sentence.startswith("direct archive is on") for sentence in told)
    assert any(sentence.startswith("custom processing is on") for sentence in told)


def test_what_a_script_needs_is_loaded_when_it_comes_into_force_before_the_first_object(
    engine: NotingEngine,
) -> None:
    seed: Any = forkserver._forkserver
    seed._stop()
    script = SiteScript(enabled=True, text='version "6.1"\n')
    engine.set_site(replace(engine.site(), script=script), "anna")
    assert psutil.pid_exists(seed._forkserver_pid)


def test_a_second_engine_on_the_directory_is_refused_naming_the_first(
    engine: NotingEngine, settings: EngineSettings
) -> None:
    with pytest.raises(AlreadyRunning, match="pid "):
        Engine(settings).start()
    assert engine.snapshot().receivers[0].state is ReceiverState.LISTENING


def test_a_change_by_another_process_is_applied(
    engine: NotingEngine, settings: EngineSettings
) -> None:
    other = ConfigurationStore(settings.config_file, clock=SystemClock())
    other.save_receiver(make_receiver("NEW", free_port()), "command line")
    engine.wait_until("len(self.snapshot().receivers) == 2")
    assert engine.snapshot().receivers[1].state is ReceiverState.LISTENING


def test_a_broken_configuration_file_keeps_the_last_good_settings_and_says_so(
    engine: NotingEngine, settings: EngineSettings
) -> None:
    urgent: list[RecordedEvent] = []
    engine.subscribe(urgent.append)
    good = settings.config_file.read_text()
    settings.config_file.write_text(good.replace('"port"', '"prot"'))
    engine.wait_until("self.snapshot().configuration_problem")
    assert "is not a receiver's field" in engine.snapshot().configuration_problem
    assert [type(recorded.event) for recorded in urgent] == [ConfigurationRefused]
    (status,) = engine.snapshot().receivers
    assert engine.echo(status.receiver.id, "anna").ok
    with pytest.raises(ConfigurationError):
        engine.set_enabled(status.receiver.id, False, "anna")
    in_force = engine.history.revisions().in_force
    with pytest.raises(NotFound, match="can't be restored"):
        engine.history.restore(99, "anna")
    assert engine.history.restore(in_force, "anna") == in_force
    assert not engine.snapshot().configuration_problem
    assert settings.config_file.read_text() == good
    (kept,) = settings.config_file.parent.glob("config.json.damaged")
    assert '"prot"' in kept.read_text()
    engine.set_enabled(status.receiver.id, False, "anna")


def test_a_deleted_configuration_file_keeps_the_last_good_settings(
    engine: NotingEngine, settings: EngineSettings
) -> None:
    settings.config_file.unlink()
    engine.wait_until("self.snapshot().configuration_problem")
    assert len(engine.snapshot().receivers) == 1
    with pytest.raises(CorruptConfiguration, match="is missing, but"):
        engine.save_receiver(make_receiver("NEW", free_port()), "anna")
    assert not settings.config_file.exists()


def recover(settings: EngineSettings) -> None:
    store = ConfigurationStore(settings.config_file, clock=SystemClock())
    store.recover(next(store.recoverable()), "anna")


def test_a_start_without_the_configuration_of_before_changes_nothing(
    engine: NotingEngine, settings: EngineSettings, port: int
) -> None:
    engine.stop(drain_seconds=0)
    settings.config_file.unlink()
    files = sorted(settings.data_dir.rglob("*"))
    with pytest.raises(CorruptConfiguration, match="config recover"):
        Engine(settings).start()
    assert sorted(settings.data_dir.rglob("*")) == files
    recover(settings)
    again = Engine(settings)
    again.start()
    assert [(s.state, s.receiver.port) for s in again.snapshot().receivers] == [
        (ReceiverState.LISTENING, port)
    ]
    again.stop(drain_seconds=0)


def test_a_running_engine_says_what_restores_a_deleted_file_and_goes_on_after_that(
    engine: NotingEngine, settings: EngineSettings
) -> None:
    settings.config_file.unlink()
    engine.wait_until("'config recover' in self.snapshot().configuration_problem")
    recover(settings)
    engine.wait_until("not self.snapshot().configuration_problem")
    assert len(engine.told(ConfigurationApplied)) == 1


def test_an_unreadable_configuration_refuses_the_start_and_leaves_nothing_running(
    settings: EngineSettings,
) -> None:
    settings.config_file.write_text("")
    with pytest.raises(CorruptConfiguration):
        Engine(settings).start()
    settings.config_file.unlink()
    engine = Engine(settings)
    with pytest.raises(CorruptConfiguration):
        settings.config_file.write_text("{")
        engine.start()


def test_a_data_directory_that_is_a_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StorageUnusable, match="can't be created"):
        Engine(EngineSettings(tmp_path / "data")).start()


def test_a_stop_aborts_what_is_open_after_its_deadline(settings: EngineSettings, port: int) -> None:
    engine = Engine(settings)
    engine.start()
    to = Destination(LOOPBACK, port, "XNAT", "CT_SCANNER_1")
    with SendingAssociation(to, [CT_SCANNER.sop_class_uid], timeout_seconds=3) as peer:
        engine.stop(drain_seconds=0)
        assert peer.send(next(study(CT_SCANNER, 1, "NEURO-01", NOW))) is None


def test_status_can_be_read_without_the_engine(
    engine: NotingEngine, settings: EngineSettings, port: int
) -> None:
    send(port, 2)
    engine._index.flush()
    status = read_status(settings)
    assert status.running is not None
    (receiver,) = status.receivers
    assert (receiver.label, receiver.state) == (f"XNAT:{port}", "listening")
    assert (status.objects_today, status.sessions_receiving) == (2, 1)


def test_status_of_a_stopped_engine_claims_nothing(settings: EngineSettings) -> None:
    engine = Engine(settings)
    engine.start()
    engine.stop()
    status = read_status(settings)
    assert status.running is None
    assert [receiver.state for receiver in status.receivers] == ["not running"]


def test_todays_counters_go_on_after_a_restart(settings: EngineSettings, port: int) -> None:
    engine = Engine(settings)
    engine.start()
    send(port, 3)
    engine.stop()
    engine = Engine(settings)
    engine.start()
    assert engine.snapshot().receivers[0].objects_today == 3
    engine.stop()


def test_the_data_directory_is_closed_to_others(settings: EngineSettings, port: int) -> None:
    engine = Engine(settings)
    engine.start()
    send(port, 1)
    engine.stop()
    kept = [settings.data_dir, settings.config_file, settings.index_file, settings.lock_file]
    kept += [settings.prearchive_dir, *stored_files(settings.data_dir)]
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in kept}
    assert modes.pop(settings.data_dir.name) == "0o750"
    assert modes.pop("prearchive") == "0o750"
    assert {modes.pop(n) for n in ("config.json", "index.sqlite", "engine.lock")} == {"0o600"}
    assert list(modes.values()) == ["0o640"]


def test_an_engine_whose_storage_is_not_mounted_does_not_start(settings: EngineSettings) -> None:
    marked = replace(settings, marker="mounted")
    with pytest.raises(StorageUnusable, match="has no file mounted"):
        Engine(marked).start()
    (settings.data_dir / "mounted").touch()
    engine = Engine(marked)
    engine.start()
    engine.stop()


def test_the_snapshot_shows_the_certificate_in_force_and_why_a_changed_one_is_not(
    engine: NotingEngine, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "pki")
    receiver = make_receiver("SAFE", free_port(), **authority.settings())
    engine.save_receiver(receiver, "anna")

    def shown() -> ReceiverStatus:
        return engine.snapshot().receivers[-1]

    first = shown().certificate
    assert first is not None
    assert first.identity.names == {SERVER_NAME}
    (authority.folder / "server.key").write_text("no key")
    assert call(receiver.port, "SAFE", tls=authority.client("ct1.example")) == "answered"
    assert shown().certificate == first
    assert "holds no private key" in shown().certificate_problem
    authority.settings()
    assert call(receiver.port, "SAFE", tls=authority.client("ct1.example")) == "answered"
    assert shown().certificate != first
    assert shown().certificate_problem == ""
    assert engine.snapshot().receivers[0].certificate is None


def test_a_devices_certificate_among_the_authorities_is_noted(
    engine: NotingEngine, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "pki")
    saved = engine.save_receiver(
        make_receiver("SAFE", free_port(), enabled=False, **authority.settings()), "anna"
    )
    assert engine.receiver_notes(saved.id) == ()
    device = party("ct1", x509.DNSName("ct1.example"), is_authority=True)
    with authority.ca_file.open("ab") as trusted:
        trusted.write(device.write(authority.folder / "device")[0].read_bytes())
    said = "tls_ca: CN=ct1 is one device's certificate; what it signs is not accepted"
    assert engine.receiver_notes(saved.id) == (said,)


def test_a_receiver_with_files_that_do_not_fit_is_refused_and_nothing_changes(
    engine: NotingEngine, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "pki")
    tls = authority.settings() | {"tls_key": str(authority.issue("other.example")[1])}
    before = engine.snapshot().revision
    with pytest.raises(InvalidReceiver, match="does not belong to the certificate"):
        engine.save_receiver(make_receiver("SAFE", free_port(), **tls), "anna")
    assert engine.snapshot().revision == before


def test_metrics_and_health_say_what_was_received(engine: NotingEngine, port: int) -> None:
    assert send(port, 3) == [0] * 3
    assert call(port, "NOBODY") == "1/1/7"
    text = engine.monitoring.metrics().decode()
    for sample in (
        f'dicomdock_objects_total{{receiver="XNAT:{port}",state="stored"}} 3.0',
        'dicomdock_sender_objects_total{calling_ae_title="CT_SCANNER_1"} 3.0',
        f'dicomdock_associations_accepted_total{{receiver="XNAT:{port}"}} 1.0',
        'dicomdock_sessions{status="RECEIVING"} 1.0',
        'code="1/1/7",reason="called AE title not recognized"} 1.0',
    ):
        assert sample in text
    # A new directory is closed to others, and a fresh engine has only what its defaults leave open.
    health, data = engine.monitoring.health(), engine._settings.data_dir
    assert health.ok
    said = {advice.about: advice.what for advice in health.advice}
    assert "permissions" not in said
    assert said["backup"] == "there never was a backup"
    data.chmod(0o755)
    (data / "trace.key").chmod(0o644)
    (permissions,) = [a for a in engine.monitoring.health().advice if a.about == "permissions"]
    assert permissions.remedy == f"chmod o-rwx {data} {data}/trace.key"
    assert engine.monitoring.is_alive()


def test_a_test_alert_arrives_or_says_why_and_the_log_keeps_who_sent_it(
    engine: NotingEngine, tmp_path: Path
) -> None:
    mail = AlertTarget("mail", ("/bin/sh", "-c", f"cat > {tmp_path}/told"))
    engine.monitoring.try_alert(mail, "anna")
    assert json.loads((tmp_path / "told").read_text())["message"].startswith("this is a test")
    with pytest.raises(NotDelivered, match="exit code 3"):
        engine.monitoring.try_alert(AlertTarget("pager", ("/bin/sh", "-c", "exit 3")), "bert")
    with pytest.raises(InvalidSite, match="is no absolute path"):
        engine.monitoring.try_alert(AlertTarget("pager", ("reboot",)), "bert")
    told = [e.event.sentence() for e in engine.events_since(0).events]
    assert "a test alert of anna to mail was delivered" in told
    assert (
        "a test alert of bert to pager did not arrive: the command ended with exit code 3" in told
    )


def test_a_part_that_has_died_is_no_sign_of_life(engine: NotingEngine) -> None:
    reactor = engine._receivers._reactor
    reactor._stopping = True
    reactor._wake()
    reactor._thread.join()
    reactor._stopping = False  # nobody has asked it to
    assert not engine.monitoring.is_alive()
    problems = engine.monitoring.health().problems
    assert problems == ("the loop that serves all associations does not run",)


def test_what_must_outlive_the_drain_ends_before_the_parts_that_it_asks(
    settings: EngineSettings,
) -> None:
    engine = NotingEngine(settings)
    engine.start()
    asked: list[bytes] = []
    engine.before_closing(lambda: asked.append(engine.monitoring.metrics()))
    engine.stop(drain_seconds=0)
    assert b"dicomdock_sessions" in asked[0]


def test_a_stop_answers_those_who_have_connected_already(engine: NotingEngine, port: int) -> None:
    receivers = engine._receivers
    with (
        calls_of(receivers._pending, "add") as connected,
        calls_of(receivers, "stop_accepting") as closed,
        Caller(port) as caller,
    ):
        assert connected.acquire(timeout=20)
        stopping = threading.Thread(target=engine.stop, args=(20,))
        stopping.start()
        assert closed.acquire(timeout=20)
        caller.ask("XNAT")
        caller.await_acceptance()
        caller.echo()
        caller.release()
        stopping.join()


def test_a_reload_reads_the_file_and_tries_failed_ports_again(
    engine: NotingEngine, settings: EngineSettings
) -> None:
    with socket.create_server((LOOPBACK, 0)) as other:
        taken = other.getsockname()[1]
        saved = engine.save_receiver(make_receiver("NEW", taken), "anna")
        assert engine.snapshot().receivers[-1].state is ReceiverState.FAILED
    engine.reload()
    assert engine.echo(saved.id, "anna").ok


def test_a_configuration_is_in_force_as_a_whole_though_the_index_can_not_be_written(
    engine: NotingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise StorageUnusable("the session index can't be used: database or disk is full")

    other = make_receiver("OTHER", free_port())
    with monkeypatch.context() as patched:
        patched.setattr(SessionIndex, "observe", full)
        saved = engine.save_receiver(other, "anna")
    assert engine.snapshot().receivers[1].state is ReceiverState.LISTENING
    *_, applied = engine.told(ConfigurationApplied)
    assert applied.sentence().endswith("changed by anna: 2 receivers, 2 enabled")
    engine.set_enabled(saved.id, False, "anna")


def test_an_engine_that_can_not_note_its_start_says_so_and_leaves_nothing_open(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql.startswith("DELETE FROM engine"):
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *values)

    with monkeypatch.context() as patched:
        connect = partial(sqlite3.connect, factory=Full)
        patched.setattr("engine.index.schema.sqlite3.connect", connect)
        with pytest.raises(StorageUnusable, match="index can't be used: database or disk is full"):
            Engine(settings).start()
    again = Engine(settings)
    again.start()
    again.stop(drain_seconds=0)


class SteppedClock(SystemClock):
    """The machine's clock, wrong by some time."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


def test_a_clock_that_is_set_while_an_engine_runs_is_in_its_log(settings: EngineSettings) -> None:
    clock = SteppedClock()
    engine = Engine(settings, clock=clock)
    engine.start()
    clock.ahead = timedelta(hours=-5)
    engine.stop(0)
    logged = [json.loads(line) for line in settings.event_log.read_text().splitlines()]
    (told,) = (record for record in logged if record["kind"] == "ClockStepped")
    assert (told["severity"], told["topic"]) == ("WARN", "clock")
    assert told["message"] == "the system clock went back by 5:00:00"
    assert settings.clock_file.stat().st_mode & 0o777 == 0o600
    assert settings.metrics_file.stat().st_mode & 0o777 == 0o640


def test_a_document_alone_changes_the_configuration_that_it_declares(
    settings: EngineSettings, tmp_path: Path
) -> None:
    document, other = tmp_path / "dicomdock.toml", free_port()
    declared = (
        f'[site]\nbind_address = "{LOOPBACK}"\n[[receivers]]\nae_title = "CT1"\nport = {other}'
    )
    document.write_text(declared)
    engine = NotingEngine(replace(settings, config_source=document))
    engine.start()
    try:
        assert engine.snapshot().declared_by == str(document)
        (receiver,) = engine.snapshot().receivers
        assert (receiver.receiver.label, receiver.state) == (
            f"CT1:{other}",
            ReceiverState.LISTENING,
        )
        with pytest.raises(ReadOnlyConfiguration, match=r"dicomdock\.toml"):
            engine.set_enabled(receiver.receiver.id, False, "anna")

        document.write_text("[[receivers")
        engine.wait_until("self.snapshot().configuration_problem")
        assert "dicomdock.toml" in engine.snapshot().configuration_problem
        assert engine.monitoring.health().problems
        assert engine.told(ConfigurationRefused)

        document.write_text(declared.replace("CT1", "CT2"))
        engine.wait_until("not self.snapshot().configuration_problem")
        assert [one.receiver.label for one in engine.snapshot().receivers] == [f"CT2:{other}"]
    finally:
        engine.stop(0)
