"""Ports and addresses: what can't be listened on and why, and how a listener comes back."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.api import PortHolder, PortState, ReceiverState
from engine.errors import (
    AddressNotLocal,
    InvalidReceiver,
    ListenError,
    PortInUse,
    PortNotPermitted,
)
from engine.events import AssociationAborted, ReceiverFailed, ReceiverListening, ReceiverStopped
from engine.model.site import SiteSettings
from engine.net.ports import find_holder, listen_error, listening_address, probe
from engine.reception.receivers import RETRY_SECONDS
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.caller import Caller, call
from tests.fakes import FixedClock
from tests.running import LOOPBACK, Dock, configure, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.api import ListenFailure
    from engine.model.receiver import Receiver

SECOND_LOOPBACK = "127.0.0.2"
IPV6_LOOPBACK = "::1"
EVERYWHERE = SiteSettings()
UNPRIVILEGED_START = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


class WatchedDock(Dock):
    """A dock whose own changes, made by its timer, can be waited for."""

    def __init__(self, clock: FixedClock) -> None:
        self.changed = threading.Semaphore(0)
        super().__init__(clock)

    def on_change(self) -> None:
        self.changed.release()

    def failure(self, receiver: Receiver) -> ListenFailure:
        failure = self.receivers.state_of(receiver).failure
        assert failure is not None
        return failure

    def state(self, receiver: Receiver) -> ReceiverState:
        return self.receivers.state_of(receiver).state


@pytest.fixture
def dock(clock: FixedClock) -> Iterator[WatchedDock]:
    with WatchedDock(clock) as dock:
        yield dock


class Squatter:
    """A second process that listens on a port until it is killed."""

    CODE = (
        "import socket, sys\n"
        "listening = socket.create_server((sys.argv[1], int(sys.argv[2])))\n"
        "print('listening', flush=True)\n"
        "sys.stdin.read()\n"
    )

    def __init__(self, port: int, address: str = LOOPBACK) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.CODE, address, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"listening\n"

    def __enter__(self) -> Squatter:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.mark.parametrize(
    ("code", "kind", "detail", "remedy"),
    [
        (errno.EADDRINUSE, PortInUse, "address in use: port 104 is held by", "stop that program"),
        (errno.EACCES, PortNotPermitted, "no permission for port 104", "CAP_NET_BIND_SERVICE"),
        (errno.EPERM, PortNotPermitted, "no permission for port 104", "from 1024 on"),
        (
            errno.EADDRNOTAVAIL,
            AddressNotLocal,
            "192.0.2.1 is not an address of this host",
            "change the bind address",
        ),
        (
            errno.EAFNOSUPPORT,
            AddressNotLocal,
            "192.0.2.1 is not an address of this host",
            "change the bind address",
        ),
        (errno.EMFILE, ListenError, "Too many open files", "retry"),
        (None, ListenError, "something else", "retry"),
    ],
)
def test_what_bind_says_becomes_a_reason_and_a_remedy(
    code: int | None, kind: type[ListenError], detail: str, remedy: str
) -> None:
    raised = OSError("something else") if code is None else OSError(code, os.strerror(code))
    error = listen_error(raised, "192.0.2.1", 104)
    assert type(error) is kind
    assert error.detail.startswith(detail)
    assert remedy in error.remedy
    assert (error.address, error.port) == ("192.0.2.1", 104)


def test_the_process_that_holds_a_port_is_found_by_name_and_number(port: int) -> None:
    with Squatter(port) as squatter:
        holder = find_holder(port)
        assert holder.pid == squatter.process.pid
        assert holder.program.startswith("python")
        assert holder.since is not None
        assert str(holder).startswith(f"{holder.program} (pid {holder.pid}, user ")


def test_a_port_that_nobody_holds_has_an_unknown_holder(port: int) -> None:
    assert find_holder(port) == PortHolder()
    assert str(find_holder(port)) == "another process"


def test_a_process_on_the_same_port_of_another_address_is_not_blamed(port: int) -> None:
    with Squatter(port, SECOND_LOOPBACK) as squatter, socket.socket() as ours:
        ours.bind((LOOPBACK, port))
        ours.listen()
        assert find_holder(port, LOOPBACK).pid == os.getpid()
        assert find_holder(port, SECOND_LOOPBACK).pid == squatter.process.pid
        assert find_holder(port, "127.0.0.3") == PortHolder()
        assert find_holder(port, "0.0.0.0").pid in {os.getpid(), squatter.process.pid}


def test_a_port_that_was_taken_listens_on_request_once_its_holder_is_dead(
    dock: WatchedDock, port: int
) -> None:
    xnat = make_receiver("XNAT", port)
    with Squatter(port) as squatter:
        dock.apply(xnat)
        holder = dock.failure(xnat).holder
        assert holder is not None
        assert holder.pid == squatter.process.pid
        assert f"(pid {holder.pid}, user " in dock.failure(xnat).reason
        squatter.kill()
        assert dock.state(xnat) is ReceiverState.FAILED
        dock.receivers.retry(port)
    assert dock.state(xnat) is ReceiverState.LISTENING
    assert call(port, "XNAT") == "answered"
    assert dock.told(ReceiverListening) == [f"XNAT:{port} listening on {LOOPBACK}:{port}"]


def test_a_port_that_was_taken_listens_by_itself_once_its_holder_is_dead(
    dock: WatchedDock, clock: FixedClock, port: int
) -> None:
    xnat = make_receiver("XNAT", port)
    with Squatter(port):
        dock.apply(xnat)
        clock.advance(RETRY_SECONDS[0])
        dock.wake()
        assert dock.changed.acquire(timeout=20)
        assert dock.failure(xnat).attempts == 2
    clock.advance(RETRY_SECONDS[1])
    dock.wake()
    assert dock.changed.acquire(timeout=20)
    assert dock.state(xnat) is ReceiverState.LISTENING
    assert call(port, "XNAT") == "answered"


def test_the_pauses_between_attempts_grow_to_ten_minutes_and_the_failure_is_told_once(
    dock: WatchedDock, clock: FixedClock, port: int
) -> None:
    xnat = make_receiver("XNAT", port)
    with socket.create_server((LOOPBACK, port)):
        dock.apply(xnat)
        began = clock.now()
        for attempt, pause in enumerate((*RETRY_SECONDS, RETRY_SECONDS[-1]), start=1):
            failure = dock.failure(xnat)
            assert (failure.attempts, failure.since) == (attempt, began)
            assert failure.retry_at is not None
            assert (failure.retry_at - clock.now()).total_seconds() == pause
            clock.advance(pause)
            dock.wake()
            assert dock.changed.acquire(timeout=20)
    assert len(dock.told(ReceiverFailed)) == 1


def test_a_port_that_is_taken_while_its_receiver_is_off_fails_and_comes_back(
    dock: WatchedDock, port: int
) -> None:
    xnat = make_receiver("XNAT", port)
    dock.apply(xnat)
    dock.apply(replace(xnat, enabled=False))
    with socket.create_server((LOOPBACK, port)):
        dock.apply(xnat)
        assert dock.state(xnat) is ReceiverState.FAILED
        assert dock.receivers.listening_on(port) == ()
        dock.apply(replace(xnat, enabled=False))
        assert dock.state(xnat) is ReceiverState.DISABLED
    dock.apply(xnat)
    assert call(port, "XNAT") == "answered"


def test_a_receiver_that_joins_a_failed_port_is_told_to_have_failed_too(
    dock: WatchedDock, port: int
) -> None:
    xnat, other = make_receiver("XNAT", port), make_receiver("OTHER", port)
    with socket.create_server((LOOPBACK, port)):
        dock.apply(xnat)
        dock.apply(xnat, other)
        assert dock.state(other) is ReceiverState.FAILED
    assert [told.split()[0] for told in dock.told(ReceiverFailed)] == [
        f"XNAT:{port}",
        f"OTHER:{port}",
    ]
    dock.receivers.retry(port)
    assert [call(port, title) for title in ("XNAT", "OTHER")] == ["answered"] * 2


class ForgetfulDock(WatchedDock):
    """A dock where nobody can be told of changes, as with a full disk under the index."""

    def on_change(self) -> None:
        super().on_change()
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_timer_goes_on_when_a_change_can_not_be_passed_on(clock: FixedClock, port: int) -> None:
    xnat = make_receiver("XNAT", port)
    with ForgetfulDock(clock) as dock:
        with socket.create_server((LOOPBACK, port)):
            dock.apply(xnat)
            for pause in RETRY_SECONDS[:3]:
                clock.advance(pause)
                dock.wake()
                assert dock.changed.acquire(timeout=20)
        clock.advance(RETRY_SECONDS[3])
        dock.wake()
        assert dock.changed.acquire(timeout=20)
        assert dock.state(xnat) is ReceiverState.LISTENING


LOW_PORT = 81
WITHOUT_PRIVILEGES = f"""
import encodings.idna, os
from engine.net.ports import probe
from tests.running import Dock, make_receiver
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
low, high = make_receiver("LOW", {LOW_PORT}), make_receiver("HIGH", int(os.environ["HIGH_PORT"]))
with Dock() as dock:
    dock.apply(low, high)
    states = [dock.receivers.state_of(receiver) for receiver in (low, high)]
    print(*[observed.state for observed in states])
    print(states[0].failure and (states[0].failure.reason, states[0].failure.remedy))
print(probe({LOW_PORT}, "{LOOPBACK}").detail)
"""
REFUSED = [
    "failed listening",
    f"('no permission for port {LOW_PORT}', "
    "'use a port from 1024 on, or grant CAP_NET_BIND_SERVICE')",
    f"no permission for port {LOW_PORT}",
]
GRANTED = ["listening listening", "None", "free"]


def test_a_low_port_without_permission_is_a_state_with_a_remedy_and_others_listen(
    port: int,
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_PRIVILEGES],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        cwd=Path(__file__).parents[3],
        env=os.environ | {"HIGH_PORT": str(port)},
    )
    assert run.stderr == ""
    given_to_anybody = int(UNPRIVILEGED_START.read_text()) <= LOW_PORT
    assert run.stdout.splitlines() == (GRANTED if given_to_anybody else REFUSED)


def test_two_receivers_on_one_port_answer_each_on_its_own_address(
    dock: WatchedDock, port: int
) -> None:
    first = make_receiver("FIRST", port, bind_address=LOOPBACK)
    second = make_receiver("SECOND", port, bind_address=SECOND_LOOPBACK)
    dock.apply(first, second)
    assert call(port, "FIRST", address=LOOPBACK) == "answered"
    assert call(port, "SECOND", address=SECOND_LOOPBACK) == "answered"
    assert call(port, "SECOND", address=LOOPBACK) == "1/1/7"
    assert call(port, "FIRST", address=SECOND_LOOPBACK) == "1/1/7"
    assert call(port, "FIRST", address="127.0.0.3") == "closed"


def test_a_busy_address_does_not_keep_the_port_from_listening_on_another(
    dock: WatchedDock, port: int
) -> None:
    first = make_receiver("FIRST", port, bind_address=LOOPBACK)
    second = make_receiver("SECOND", port, bind_address=SECOND_LOOPBACK)
    with socket.create_server((LOOPBACK, port)):
        dock.apply(first, second)
        assert [dock.state(r) for r in (first, second)] == [
            ReceiverState.FAILED,
            ReceiverState.LISTENING,
        ]
        holder = dock.failure(first).holder
    assert holder is not None
    assert holder.pid == os.getpid()
    assert call(port, "SECOND", address=SECOND_LOOPBACK) == "answered"


def test_the_sites_address_and_the_same_as_a_receivers_own_are_one_socket(
    dock: WatchedDock, port: int
) -> None:
    site_wide = make_receiver("SITE", port)
    own = make_receiver("OWN", port, bind_address=LOOPBACK)
    dock.apply(site_wide, own)
    assert [dock.state(r) for r in (site_wide, own)] == [ReceiverState.LISTENING] * 2
    assert [call(port, title) for title in ("SITE", "OWN")] == ["answered"] * 2


def test_ipv6_loopback_answers_or_says_that_there_is_none(dock: WatchedDock, port: int) -> None:
    xnat = make_receiver("XNAT", port, bind_address=IPV6_LOOPBACK)
    dock.apply(xnat)
    if dock.state(xnat) is ReceiverState.LISTENING:
        assert dock.receivers.state_of(xnat).address == f"[::1]:{port}"
        assert call(port, "XNAT", address=IPV6_LOOPBACK) == "answered"
        assert call(port, "XNAT", address=LOOPBACK) == "closed"
    else:
        assert dock.failure(xnat).reason == "::1 is not an address of this host"


@pytest.mark.parametrize(
    ("written", "bound"),
    [
        (LOOPBACK, LOOPBACK),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("2001:DB8::0001", "2001:db8::1"),
        ("::", "::"),
        ("0.0.0.0", "0.0.0.0"),
    ],
)
def test_an_address_is_the_same_however_it_is_written(written: str, bound: str) -> None:
    assert listening_address(written) == bound


@pytest.mark.parametrize(
    ("code", "everywhere"),
    [
        (errno.EAFNOSUPPORT, "0.0.0.0"),
        (errno.EADDRNOTAVAIL, "0.0.0.0"),
        (errno.EMFILE, "::"),
        (errno.ENFILE, "::"),
        (errno.ENOMEM, "::"),
    ],
)
def test_only_a_host_without_ipv6_listens_on_ipv4_alone_whatever_else_is_short(
    monkeypatch: pytest.MonkeyPatch, code: int, everywhere: str
) -> None:
    def no_socket(*_: object) -> socket.socket:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("engine.net.ports.socket.socket", no_socket)
    assert listening_address("") == everywhere


def test_a_new_site_address_moves_the_sockets_and_disturbs_no_association(
    dock: WatchedDock, port: int
) -> None:
    moves = make_receiver("MOVES", port)
    stays = make_receiver("STAYS", free_port(), bind_address=LOOPBACK)
    dock.apply(moves, stays)
    with Caller(port) as on_moved, Caller(stays.port) as on_stayed:
        assert [on_moved.associate("MOVES"), on_stayed.associate("STAYS")] == [None, None]
        dock.site = replace(dock.site, bind_address=SECOND_LOOPBACK)
        dock.apply(moves, stays)
        assert call(port, "MOVES", address=LOOPBACK) == "closed"
        assert call(port, "MOVES", address=SECOND_LOOPBACK) == "answered"
        assert call(stays.port, "STAYS") == "answered"
        dock.site = EVERYWHERE
        dock.apply(moves, stays)
        assert call(port, "MOVES", address=LOOPBACK) == "answered"
        assert call(port, "MOVES", address=SECOND_LOOPBACK) == "answered"
        for caller in (on_moved, on_stayed):
            caller.echo()
            caller.release()
    assert dock.told(AssociationAborted) == []
    stopped = [told.split(":")[0] for told in dock.told(ReceiverStopped)]
    assert stopped == ["MOVES", "MOVES"]


@pytest.fixture
def engine(tmp_path: Path, port: int) -> Iterator[Engine]:
    configure(tmp_path / "data", make_receiver("XNAT", port))
    engine = Engine(EngineSettings(tmp_path / "data", durability=Durability.NONE))
    engine.start()
    yield engine
    engine.stop(drain_seconds=0)


@pytest.mark.parametrize(
    ("site_address", "own", "sentence"),
    [
        ("", LOOPBACK, "XNAT:{port} would listen on all addresses of port {port}"),
        (LOOPBACK, "", None),
    ],
)
def test_all_addresses_and_one_of_them_on_the_same_port_are_refused_at_save(
    engine: Engine, port: int, site_address: str, own: str, sentence: str | None
) -> None:
    engine.set_site(replace(engine.site(), bind_address=site_address), "anna")
    new = make_receiver("NEW", port, bind_address=own)
    if sentence is None:
        engine.save_receiver(new, "anna")
        assert call(port, "NEW") == "answered"
        return
    with pytest.raises(InvalidReceiver) as refused:
        engine.save_receiver(new, "anna")
    (problem,) = refused.value.problems
    assert problem.field == "bind_address"
    assert problem.message.startswith(sentence.format(port=port))
    assert problem.remedy == "give both the same address, or each its own"
    assert len(engine.snapshot().receivers) == 1
    assert call(port, "XNAT") == "answered"


def test_the_sites_bind_address_is_brought_into_force_by_a_save(engine: Engine, port: int) -> None:
    engine.set_site(replace(engine.site(), bind_address=SECOND_LOOPBACK), "anna")
    (status,) = engine.snapshot().receivers
    assert status.address == f"{SECOND_LOOPBACK}:{port}"
    assert call(port, "XNAT") == "closed"
    assert call(port, "XNAT", address=SECOND_LOOPBACK) == "answered"
    assert engine.echo(status.receiver.id, "anna").ok


def test_a_probe_says_whether_a_port_could_be_bound(port: int) -> None:
    assert probe(port, LOOPBACK).state is PortState.FREE
    ours = probe(port, LOOPBACK, ("XNAT", "OTHER"))
    assert (ours.state, ours.detail) == (PortState.OURS, "shared with XNAT, OTHER")
    with socket.create_server((LOOPBACK, port)):
        taken = probe(port, LOOPBACK)
    assert taken.state is PortState.TAKEN
    assert taken.detail.startswith("held by ")
    assert f"(pid {os.getpid()}" in taken.detail
    assert probe(port, "192.0.2.9").state is PortState.NOT_PERMITTED
    assert probe(70_000, LOOPBACK).detail == "not a port number"
