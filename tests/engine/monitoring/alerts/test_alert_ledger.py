"""What is told of the events: conditions begin and end, and the same is told once in a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.events import (
    AnonymizationFailed,
    CertificateExpired,
    ConfigurationRefused,
    EngineStarted,
    PluginBroken,
    ReceiverFailed,
    ReceiverListening,
    RecordedEvent,
    RuleFailed,
)
from engine.events.delivery import (
    ForwardingHalted,
    ForwardingResumed,
    ObjectsNotForwarded,
    ProgramFailed,
)
from engine.events.monitoring import (
    SenderHeard,
    SenderSilent,
    StorageLow,
    StorageRefuses,
    StorageSuffices,
)
from engine.model.alerts import AlertKind
from engine.monitoring.alerts.throttle import (
    ALERTS_PER_HOUR,
    CONDITIONS_KEPT,
    Alert,
    AlertThrottle,
    concerns,
    condition_of,
)
from tests.fakes import NOW

if TYPE_CHECKING:
    from engine.events import Event

FAILED = ReceiverFailed(receiver="CT1:8105", reason="port in use", remedy="stop it")
LISTENING = ReceiverListening(receiver="CT1:8105", address="[::]:8105")
LOW = StorageLow(free_bytes=1, full_in_seconds=None)
HOUR = 3600.0


def judge(ledger: AlertThrottle, event: Event, at: float = 0.0) -> Alert | None:
    return ledger.judge(RecordedEvent(1, NOW, event), at, HOUR)


@pytest.mark.parametrize(
    ("event", "kind", "subject"),
    [
        (FAILED, AlertKind.RECEIVER, "CT1:8105"),
        (LOW, AlertKind.STORAGE, ""),
        (
            AnonymizationFailed(receiver="A:1", revision=1, why="x", times=1),
            AlertKind.SCRIPT,
            "A:1",
        ),
        (
            RuleFailed(attribute="project", rule="line 2", reason="x", times=1, suspended=False),
            AlertKind.SCRIPT,
            "line 2",
        ),
        (
            ProgramFailed(processor="Notify", session=3, reason="exit 1", output_file="logs/x.txt"),
            AlertKind.SCRIPT,
            "Notify",
        ),
        (
            ObjectsNotForwarded(destination="PACS", objects=3, reason="refused"),
            AlertKind.FORWARDING,
            "PACS",
        ),
        (SenderSilent(calling_ae_title="CT1", since="x", hours=2), AlertKind.SILENCE, "CT1"),
        (
            CertificateExpired(receiver="A:1", subject="x", expires="x"),
            AlertKind.CERTIFICATE,
            "A:1",
        ),
        (ConfigurationRefused(reason="x"), AlertKind.CONFIGURATION, ""),
        (PluginBroken(plugin="p 1.0", error="x"), AlertKind.CONFIGURATION, "p 1.0"),
    ],
)
def test_a_condition_has_a_kind_and_a_subject(event: Event, kind: AlertKind, subject: str) -> None:
    condition = condition_of(event)
    assert condition is not None
    assert (condition.kind, condition.subject, condition.begins) == (kind, subject, True)
    alert = judge(AlertThrottle(), event)
    assert alert is not None


def test_what_is_usual_is_no_condition() -> None:
    event = EngineStarted(version="1", listening=1, enabled=1)
    assert not concerns(event)
    assert judge(AlertThrottle(), event) is None


def test_a_failure_and_its_end_are_told_once_each() -> None:
    ledger = AlertThrottle()
    began = judge(ledger, FAILED)
    assert began is not None
    assert began.message == "CT1:8105 can't listen: port in use; stop it"
    assert (began.resolved, began.severity) == (False, "ERROR")
    assert judge(ledger, FAILED, 10) is None
    ended = judge(ledger, LISTENING, 20)
    assert ended is not None
    assert ended.resolved
    assert judge(ledger, LISTENING, 30) is None
    assert judge(ledger, FAILED, 40) is not None


def test_a_condition_that_goes_on_is_told_again_with_a_count() -> None:
    ledger = AlertThrottle()
    judge(ledger, FAILED)
    assert judge(ledger, FAILED, 1) is None
    assert judge(ledger, FAILED, 2) is None
    again = judge(ledger, FAILED, HOUR)
    assert again is not None
    assert again.suppressed == 2


def test_a_storage_that_refuses_is_told_after_one_that_ran_low_and_one_end_ends_both() -> None:
    ledger = AlertThrottle()
    assert judge(ledger, LOW) is not None
    assert judge(ledger, StorageRefuses(reason="full"), 1) is not None
    assert judge(ledger, StorageSuffices(free_bytes=9), 2) is not None
    assert judge(ledger, LOW, 3) is not None


def test_the_end_of_another_matter_ends_nothing() -> None:
    ledger = AlertThrottle()
    judge(ledger, FAILED)
    assert judge(ledger, SenderHeard(calling_ae_title="CT1:8105"), 1) is None
    assert judge(ledger, FAILED, 2) is None


def test_a_queue_that_works_again_is_another_matter_than_its_peer() -> None:
    ledger = AlertThrottle()
    assert judge(ledger, ForwardingHalted(destination="PACS", reason="full")) is not None
    assert judge(ledger, ObjectsNotForwarded(destination="PACS", objects=3, reason="no"), 1)
    ended = judge(ledger, ForwardingResumed(destination="PACS"), 2)
    assert ended is not None
    assert (ended.resolved, ended.message) == (True, "objects are forwarded to PACS again")
    assert judge(ledger, ObjectsNotForwarded(destination="PACS", objects=3, reason="no"), 3) is None


def test_a_message_says_whom_it_is_about_once() -> None:
    alerts = [
        judge(AlertThrottle(), event)
        for event in (
            ObjectsNotForwarded(destination="PACS", objects=3, reason="no"),
            SenderSilent(calling_ae_title="CT1", since="Monday", hours=2),
            FAILED,
        )
    ]
    messages = [alert.message for alert in alerts if alert is not None]
    assert messages[0] == "PACS: 3 objects not forwarded: no"
    assert messages[1].startswith("CT1 ")
    assert messages[1].count("CT1") == messages[2].count("CT1:8105") == 1


def test_nobody_is_told_more_than_so_much_in_an_hour() -> None:
    ledger = AlertThrottle()
    told = [
        judge(ledger, ReceiverFailed(receiver=f"R:{n}", reason="", remedy=""), n / 100)
        for n in range(ALERTS_PER_HOUR + 20)
    ]
    assert sum(alert is not None for alert in told) == ALERTS_PER_HOUR
    assert judge(ledger, FAILED, HOUR + 1) is not None


def test_the_oldest_of_too_many_conditions_is_forgotten() -> None:
    ledger = AlertThrottle()
    for n in range(CONDITIONS_KEPT + 5):
        event = ReceiverFailed(receiver=f"R:{n}", reason="", remedy="")
        assert judge(ledger, event, n * HOUR) is not None
    assert len(ledger._told) == CONDITIONS_KEPT
