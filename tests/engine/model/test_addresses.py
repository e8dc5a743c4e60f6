"""IP addresses: what limits per address count."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from engine.model.peer import origin_of


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("::1", "::/64"),
    ],
)
def test_a_host_can_not_choose_among_origins(address: str, origin: str) -> None:
    assert origin_of(ip_address(address)) == origin
