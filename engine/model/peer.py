"""A peer that we call: address, AE titles (PS3.5 6.2), TLS and time limits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from engine.errors import ConfigurationError, InvalidAETitle, InvalidPeer, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from ipaddress import IPv4Address, IPv4Network, IPv6Network


MAX_LENGTH = 16
# The expression is XNAT's (1.4); it allows what PS3.5 6.2 says of the VR AE.
_VALID = re.compile(r"(?=[^\\]*[^\s\\]+$)(?=^[^\s\\]+[^\\]*)[ -~]{1,16}")
_REMEDY = "use 1 to 16 printable ASCII characters without a backslash"


class AETitle(str):
    """A valid AE title; compares case-sensitively, as the network does."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str, field: str = "ae_title") -> Self:
        """Trim surrounding spaces and return the AE title.

        Raises:
            InvalidAETitle: naming `field`, the text and what is wrong with it.
        """
        # PS3.5 6.2: leading and trailing spaces of an AE are not significant.
        trimmed = text.strip(" ")
        if _VALID.fullmatch(trimmed):
            return cls(trimmed)
        raise InvalidAETitle(Problem(field, text, _fault(trimmed), _REMEDY))


def _fault(text: str) -> str:
    if not text:
        return "is empty"
    if len(text) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters ({len(text)})"
    if "\\" in text:
        return "contains a backslash, which separates values in DICOM"
    strange = next(c for c in text if not " " <= c <= "~")
    return f"contains U+{ord(strange):04X}, which is not printable ASCII"


OWN_AE_TITLE = "DICOMDOCK"
"""The calling AE title if none is configured."""
CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0

_HOST = re.compile(r"[0-9A-Za-z._:%-]{1,253}")
_PORTS = range(1, 65_536)


@dataclass(frozen=True, slots=True)
class CallingTls:
    """TLS of associations that we request: trusted authorities and our own certificate."""

    ca: str = ""
    """PEM file with the authorities of peers' certificates; empty for the system's own."""
    certificate: str = ""
    """PEM file with the certificate that we show if we are asked; empty for none."""
    key: str = ""
    """PEM file with its private key, without a passphrase."""
    check_name: bool = True
    """Whether the peer's certificate must be for the name or address that we call."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to call, and under which names."""

    host: str
    port: int
    called_ae_title: str
    calling_ae_title: str = OWN_AE_TITLE
    tls: CallingTls | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.called_ae_title}@{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PeerDeadlines:
    """Time limits for a peer."""

    connect_seconds: float = CONNECT_SECONDS
    """For the connection, and again for the TLS handshake."""
    answer_seconds: float = ANSWER_SECONDS
    """For each answer, and for taking each PDU from us."""


def make_peer(
    host: str, port: str, called: str, calling: str = OWN_AE_TITLE, tls: CallingTls | None = None
) -> Peer:
    """Return a peer from what people write.

    Raises:
        InvalidPeer: with one problem per value that can't be right.
    """
    problems = [
        *_ae_title_faults("called_ae_title", called),
        *_ae_title_faults("calling_ae_title", calling),
    ]
    if not _HOST.fullmatch(host):
        problems.append(Problem("host", host[:60], "is no host name or address", _HOST_REMEDY))
    if not (port.isascii() and port.isdecimal() and len(port) < 6 and int(port) in _PORTS):
        problems.append(Problem("port", port[:20], "is no port", "use 1 to 65535"))
    if tls is not None and bool(tls.certificate) != bool(tls.key):
        remedy = "name both files, or neither"
        problems.append(Problem("tls_key", tls.key[:60], "goes with tls_certificate", remedy))
    if problems:
        raise InvalidPeer(*problems)
    return Peer(host, int(port), called, calling, tls)


def parse_peer(text: str, calling: str = OWN_AE_TITLE, tls: CallingTls | None = None) -> Peer:
    """Read ``AE@HOST:PORT``; an IPv6 address is written in brackets.

    Raises:
        InvalidPeer: if it is not of that form.
    """
    called, at, address = text.rpartition("@")
    host, colon, port = address.rpartition(":")
    if not (at and colon):
        remedy = "write AE@HOST:PORT, such as PACS@10.1.2.3:104"
        raise InvalidPeer(Problem("peer", text[:80], "does not name a peer", remedy))
    # RFC 3986 3.2.2: an IPv6 address in brackets, as the colon separates the port.
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    return make_peer(bare, port, called, calling, tls)


_HOST_REMEDY = "write a name such as pacs.hospital.example, or an address"


def _ae_title_faults(field: str, text: str) -> Iterator[Problem]:
    try:
        AETitle.parse(text, field)
    except InvalidAETitle as error:
        yield from error.problems


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
    """Return the key under which an address is counted.

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
        """Read ``127.0.0.1:9404``, ``[::]:9404`` or a port alone, which is on the loopback.

        Raises:
            ConfigurationError: if it is none of these.
        """
        found = _PLACE.fullmatch(text)
        if not found or not int(found[2]) <= 65535:
            raise _wrong(text, "is no address with a port", "use such as 127.0.0.1:9404")
        name = (found[1] or "127.0.0.1").strip("[]")
        try:
            address = ip_address("127.0.0.1" if name == "localhost" else name)
        except ValueError as error:
            raise _wrong(text, "is no address", "use such as 127.0.0.1:9404") from error
        return cls(str(address), int(found[2]))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ip_address(self.address).is_loopback


def metrics_networks(texts: Sequence[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks whose clients may read metrics without the token.

    Raises:
        ConfigurationError: if a text is neither an address nor a network.
    """
    return tuple(map(_network, texts))


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        what = "has bits behind its prefix" if "host bits" in str(error) else "is no network"
        problem = Problem("metrics_allow", text[:60], what, "use such as 10.1.2.0/24")
        raise ConfigurationError(problem) from error


def _wrong(text: str, message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(Problem("metrics", text[:60], message, remedy))
