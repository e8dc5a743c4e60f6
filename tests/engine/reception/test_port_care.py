"""The care for ports survives what goes wrong with one of them, and goes on with the others."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from engine.api import ReceiverState
from engine.events import AssociationAborted, CertificateRefused
from engine.reception import receivers as receivers_module
from engine.reception.listener import _bound
from engine.reception.receivers import CERTIFICATE_CHECK_SECONDS, RETRY_SECONDS
from tests.caller import Caller, call
from tests.certificates import Authority, half_readable
from tests.fakes import FixedClock
from tests.running import LOOPBACK, Dock, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def dock() -> Iterator[Dock]:
    with Dock(FixedClock()) as dock:
        yield dock


def test_a_socket_that_can_not_be_bound_is_closed_though_the_reason_is_kept() -> None:
    with (
        socket.create_server((LOOPBACK, 0)) as other,
        pytest.raises(OSError, match="in use") as kept,
    ):
        _bound(*other.getsockname())
    assert kept.traceback[-1].locals["listening"].fileno() == -1


def later(dock: Dock, seconds: float) -> None:
    assert isinstance(dock.clock, FixedClock)
    dock.clock.advance(seconds)
    dock.wake()


def test_authorities_that_openssl_refuses_stop_their_receiver_only(
    dock: Dock, authority: Authority
) -> None:
    authority.ca_file.write_bytes(half_readable(authority.folder))
    safe = make_receiver("SAFE", free_port(), **authority.settings())
    plain = make_receiver("PLAIN", free_port())
    dock.apply(safe, plain)
    failure = dock.receivers.state_of(safe).failure
    assert failure is not None
    assert "tls_ca" in failure.reason
    assert call(plain.port, "PLAIN") == "answered"


def test_authorities_that_openssl_refuses_leave_the_ones_before_in_force(
    dock: Dock, authority: Authority
) -> None:
    receiver = make_receiver("SAFE", free_port(), **authority.settings())
    dock.apply(receiver)
    client = authority.client("ct1.hospital.example")
    authority.ca_file.write_bytes(half_readable(authority.folder))
    later(dock, CERTIFICATE_CHECK_SECONDS)
    dock.wait_until(lambda: bool(dock.told(CertificateRefused)))
    assert dock.receivers.dead() == ()
    assert call(receiver.port, "SAFE", tls=client) == "answered"
    assert "tls_ca" in dock.receivers.state_of(receiver).certificate_problem


class FailingOnce:
    """Stands before a method, whose next call fails; every call can be waited for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        self._real = getattr(owner, name)
        self._calls = threading.Semaphore(0)
        self._has_failed = False
        monkeypatch.setattr(owner, name, self)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self._calls.release()
        if not self._has_failed:
            self._has_failed = True
            raise RuntimeError("something nobody thought of")
        return self._real(*arguments, **named)

    def wait_for_a_call(self) -> None:
        assert self._calls.acquire(timeout=20)


@pytest.mark.parametrize("name", ["refresh", "warn"])
def test_the_next_look_at_certificates_comes_whatever_happens_at_one(
    monkeypatch: pytest.MonkeyPatch, dock: Dock, authority: Authority, name: str
) -> None:
    dock.apply(make_receiver("SAFE", free_port(), **authority.settings()))
    tls = next(iter(dock.receivers._ports.values())).listener.tls
    looks = FailingOnce(monkeypatch, tls, name)
    for _ in range(2):
        later(dock, CERTIFICATE_CHECK_SECONDS)
        looks.wait_for_a_call()
    assert dock.receivers.dead() == ()


@pytest.mark.parametrize("where", ["start", "find_holder", "record", "on_change"])
def test_a_failed_port_comes_back_whatever_happens_at_one_attempt(
    monkeypatch: pytest.MonkeyPatch, dock: Dock, where: str
) -> None:
    port = free_port()
    receiver = make_receiver("LATE", port)
    with socket.create_server((LOOPBACK, port)) as taken:
        dock.apply(receiver)
        assert dock.receivers.state_of(receiver).state is ReceiverState.FAILED
        if where == "record":
            taken.close()
        owner = {
            "start": next(iter(dock.receivers._ports.values())).listener,
            "find_holder": receivers_module,
            "record": dock.journal,
            "on_change": dock.receivers,
        }[where]
        attempt = FailingOnce(monkeypatch, owner, "_on_change" if where == "on_change" else where)
        later(dock, RETRY_SECONDS[-1])
        attempt.wait_for_a_call()
    later(dock, RETRY_SECONDS[-1])
    with dock.receivers._lock:  # the attempt has ended
        assert dock.receivers.dead() == ()
    dock.receivers.retry(port)
    assert call(port, "LATE") == "answered"
    assert dock.receivers.state_of(receiver).state is ReceiverState.LISTENING


@pytest.mark.parametrize("name", ["live", "abort"])
def test_every_association_that_drained_for_too_long_is_aborted_whatever_happens_at_one(
    monkeypatch: pytest.MonkeyPatch, dock: Dock, name: str
) -> None:
    ports = [free_port(), free_port()]
    dock.apply(*(make_receiver("OFF", port) for port in ports))
    with Caller(ports[0]) as first, Caller(ports[1]) as second:
        assert first.associate("OFF") is None
        assert second.associate("OFF") is None
        dock.apply()
        fault = FailingOnce(monkeypatch, dock.associations, name)
        later(dock, dock.site.limits.drain_seconds)
        fault.wait_for_a_call()
        later(dock, RETRY_SECONDS[-1])
        dock.wait_until(lambda: bool(dock.told(AssociationAborted)))
    assert dock.receivers.dead() == ()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_has_died_is_told_and_the_ports_can_still_be_freed(dock: Dock) -> None:
    port = free_port()
    dock.apply(make_receiver("XNAT", port))
    assert dock.receivers.dead() == ()

    def die() -> None:
        raise SystemExit

    assert dock.reactor.call_and_wait(die, 20)
    dock.reactor._thread.join(20)
    assert dock.receivers.dead() == ("the loop that serves all associations",)
    dock.apply()
    assert call(port, "XNAT") == "closed"
