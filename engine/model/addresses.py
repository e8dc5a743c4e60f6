"""Parses IP addresses of settings and unit files; gives the prefix that limits count."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from ipaddress import IPv4Address


SCOPE: Final = re.compile(r"[0-9A-Za-z._-]{1,15}")
"""A network interface, by name or number."""


def is_address(text: str) -> bool:
    """Return whether a text is an IPv4 or IPv6 address, with a scope such as ``%eth0`` or none."""
    _, percent, scope = text.partition("%")
    if percent and not SCOPE.fullmatch(scope):
        return False  # `ip_address` allows any text there, line breaks included
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


@lru_cache(maxsize=1024)
def origin_of(address: IPv4Address | IPv6Address) -> str:
    """Return what an address is to everything that is counted per address.

    One host may use a whole /64 of IPv6 addresses (RFC 7421), so that a /64 counts as one address.
    Link-local addresses have the same /64 everywhere, and count one by one.
    """
    if not isinstance(address, IPv6Address) or address.is_link_local:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address.packed[:8] + bytes(8), 64)))


_PLACE = re.compile(r"(?:(\[[0-9a-fA-F:]+\]|[0-9.]+|localhost):)?([0-9]{1,5})")


class MetricsAddress(NamedTuple):
    """Where the metrics are read."""

    address: str
    port: int

    @classmethod
    def parse(cls, text: str) -> MetricsAddress:
        """Read ``127.0.0.1:9404``, ``[::1]:9404`` or a port alone.

        Raises:
            ConfigurationError: if it is none of these, or not on the loopback.
        """
        found = _PLACE.fullmatch(text)
        if not found or not int(found[2]) <= 65535:
            raise _wrong(text, "is no address with a port", "use such as 127.0.0.1:9404")
        name = (found[1] or "127.0.0.1").strip("[]")
        try:
            address = ip_address("127.0.0.1" if name == "localhost" else name)
        except ValueError as error:
            raise _wrong(text, "is no address", "use such as 127.0.0.1:9404") from error
        if not address.is_loopback:
            remedy = "listen on 127.0.0.1 behind a proxy that asks who is there"
            raise _wrong(text, "is not on the loopback, and anybody could read there", remedy)
        return cls(str(address), int(found[2]))


def _wrong(text: str, message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(Problem("metrics", text[:60], message, remedy))
