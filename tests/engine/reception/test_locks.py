"""What a lock guards is touched only while it is held: associations, ports, the pending."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.api import AssociationEnd
from engine.events.journal import Journal
from engine.events.repeats import Repetitions
from engine.model.limits import Limits
from engine.model.session import ObjectState
from engine.net.admission import ArrivalRates, PendingConnections
from engine.net.ports import InheritedSockets, _InheritedDescriptor
from engine.net.tls import PortTls
from engine.reception.acceptance import Acceptance, AssociationRequest, Rejection
from engine.reception.associations import Associations
from tests.certificates import Authority
from tests.fakes import FixedClock
from tests.guarded import guarded
from tests.running import LOOPBACK, Dock, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.reception.live_association import LiveAssociation

RECEIVER = make_receiver("XNAT", 8104)
REQUEST = AssociationRequest("XNAT", "CT_SCANNER_1", ip_address("10.4.7.21"))
REJECTED = Rejection(1, 1, 1, "no")


class Connection:
    """Stands for a connection."""

    limits: Limits
    is_rate_limited = request_received = False
    is_silent = True
    why = ""

    def hang_up(self) -> None:
        """Nothing to close."""


@pytest.fixture
def associations() -> Associations:
    clock = FixedClock()
    return Associations(clock, Journal(clock))


def opened(associations: Associations) -> LiveAssociation:
    return associations.open(Acceptance(RECEIVER, ""), REQUEST, "here", lambda: None)


def test_the_associations(associations: Associations) -> None:
    before = opened(associations)
    fields = ("_live", "_ended", "_accepted", "_opened", "_known_addresses")
    with guarded(associations, *fields, by=associations._changed):
        live = opened(associations)
        associations.configure([RECEIVER])
        associations.established(live, 1, (), "")
        associations.rejected(REQUEST, REJECTED, 8104, "here")
        associations.statuses()
        associations.accepted_by(live.id)
        associations.close(live, AssociationEnd.RELEASED)
        associations.ended()
        associations.live()
        associations.close(before, AssociationEnd.RELEASED)


def test_the_rate_of_an_association(associations: Associations) -> None:
    live = opened(associations)
    with guarded(live, "ring", by=associations._changed):
        associations.count_object(live, ObjectState.STORED, 10, 0, "")
        associations.statuses()


def test_the_end_of_the_last_association_is_waited_for(
    associations: Associations, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = opened(associations)

    def meanwhile(seconds: float) -> bool:
        assert associations._changed._is_owned()  # type: ignore[attr-defined]
        associations.close(live, AssociationEnd.RELEASED)
        return True

    monkeypatch.setattr(associations._changed, "wait", meanwhile)
    assert associations.wait_until_none(60)


@pytest.mark.parametrize("act", ["allows", "add", "remove", "wait_until_empty", "hang_up"])
def test_the_pending_connections(act: str) -> None:
    clock, address = FixedClock(), ip_address("10.0.0.1")
    pending = PendingConnections(clock, Journal(clock))
    connection = cast("Any", Connection())
    acts = {
        "allows": lambda: pending.allows(address, 104),
        "add": lambda: pending.add(connection, address),
        "remove": lambda: pending.remove(connection),
        "wait_until_empty": lambda: pending.wait_until_empty(0),
        "hang_up": pending.hang_up,
    }
    with guarded(pending, "_waiting", by=pending._lock):
        acts[act]()


def test_the_arrival_rates() -> None:
    rates = ArrivalRates(FixedClock())
    with guarded(rates, "_buckets", by=rates._lock):
        rates.exceeds_rate("10.0.0.1", Limits())
    with guarded(rates, "_buckets", "_forget_from", by=rates._lock):
        rates.arrive("10.0.0.1", Limits())


def test_repetitions() -> None:
    repetitions = Repetitions(FixedClock().monotonic)
    with guarded(repetitions, "_seen", by=repetitions._lock):
        repetitions.count("the same")


def test_inherited_sockets() -> None:
    with socket.create_server((LOOPBACK, 0)) as listening:
        place = listening.getsockname()
        inherited = InheritedSockets([_InheritedDescriptor("web", listening.dup())])
        with guarded(inherited, "_handed", by=inherited._lock):
            taken = inherited.take(*place)
            inherited.close_unused([place])
            inherited.close()
        assert taken is not None
        taken.close()


@pytest.fixture
def dock() -> Iterator[Dock]:
    with Dock() as dock:
        yield dock


@pytest.mark.parametrize(
    ("act", "fields"),
    [
        ("apply", ("_ports", "_closed", "_allowed", "_drain_until", "_not_listening_since")),
        ("retry", ("_ports",)),
        ("state_of", ("_ports",)),
        ("state_of another", ("_ports", "_not_listening_since")),
        ("retry_all", ("_ports",)),
        ("listening_on", ("_ports",)),
        ("stop_accepting", ("_ports", "_closed", "_retired")),
        ("abort_all", ("_retired",)),
    ],
)
def test_the_ports(dock: Dock, act: str, fields: tuple[str, ...]) -> None:
    receivers, mine = dock.receivers, make_receiver("XNAT", free_port())
    dock.apply(mine)
    if act == "abort_all":
        receivers.stop_accepting()
    acts = {
        "apply": lambda: dock.apply(mine),
        "retry": lambda: receivers.retry(mine.port),
        "state_of": lambda: receivers.state_of(mine),
        "state_of another": lambda: receivers.state_of(make_receiver("OTHER", 1)),
        "retry_all": receivers.retry_all,
        "listening_on": lambda: receivers.listening_on(mine.port),
        "stop_accepting": receivers.stop_accepting,
        "abort_all": receivers.abort_all,
    }
    with guarded(receivers, *fields, by=receivers._lock):
        acts[act]()


def test_the_certificate_of_a_port(tmp_path: Path) -> None:
    settings = make_receiver("SAFE", 1, **Authority(tmp_path).settings()).tls
    assert settings is not None
    tls = PortTls(settings, FixedClock(), lambda make: None)
    tls.load()
    os.utime(settings.certificate, ns=(0, timedelta(days=1) // timedelta(microseconds=1)))
    with guarded(tls, "_seen", by=tls._lock):
        tls.refresh()
