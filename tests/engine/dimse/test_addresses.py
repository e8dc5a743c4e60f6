"""Addresses as the network gives them: mapped into IPv6, roaming, or shared (W16, F49, F90)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.events import AssociationEstablished
from tests.caller import Caller, call
from tests.running import LOOPBACK, Dock, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

ELSEWHERE = "127.0.0.2"
NOT_ON_THE_WHITELIST = (1, 1, 3)


@pytest.fixture
def dock() -> Iterator[Dock]:
    with Dock() as dock:
        yield dock


def test_the_whitelist_decides_about_each_address_of_a_caller_by_itself(dock: Dock) -> None:
    port = free_port()
    lines = (f"CT1@{LOOPBACK}",)
    dock.apply(make_receiver("XNAT", port, whitelist_enabled=True, whitelist=lines))
    with Caller(port) as here, Caller(port, source=ELSEWHERE) as there:
        assert here.associate("XNAT", "CT1") is None
        assert there.associate("XNAT", "CT1") == NOT_ON_THE_WHITELIST
        here.echo()


def test_a_caller_may_be_at_two_addresses_at_once(dock: Dock) -> None:
    port = free_port()
    dock.apply(make_receiver("XNAT", port, whitelist_enabled=True, whitelist=("CT1",)))
    with Caller(port) as here, Caller(port, source=ELSEWHERE) as there:
        assert here.associate("XNAT", "CT1") is None
        assert there.associate("XNAT", "CT1") is None
        here.echo()
        there.echo()


def test_a_mapped_local_address_is_the_ipv4_address_that_it_maps(dock: Dock) -> None:
    port = free_port()
    dock.apply(make_receiver("XNAT", port, bind_address=f"::ffff:{LOOPBACK}"))
    assert call(port, "XNAT") == "answered"


@pytest.mark.parametrize(
    ("line", "answer"),
    [(LOOPBACK, None), ("127.0.0.0/8", None), ("10.0.0.0/8", NOT_ON_THE_WHITELIST)],
)
def test_a_caller_whom_an_ipv6_socket_shows_as_mapped_is_compared_as_ipv4(
    dock: Dock, line: str, answer: tuple[int, int, int] | None
) -> None:
    port = free_port()
    dock.apply(
        make_receiver(
            "XNAT",
            port,
            bind_address="::",
            whitelist_enabled=True,
            whitelist=(line,),
        )
    )
    with Caller(port) as caller:
        assert caller.associate("XNAT", "CT1") == answer
    for told in dock.told(AssociationEstablished):
        assert "::ffff" not in told
