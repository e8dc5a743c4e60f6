"""Whitelist entries, the decision whether a caller passes, and a review of odd entries.

An entry is an AE title, an address or network, or AE@address (XNAT 4.1), with three deviations:
text that looks like an address but is none is refused instead of silently becoming an AE title,
names are never looked up in the DNS, and a condition on the caller's certificate may follow
(``CT1@10.1.0.0/16#san:ct1.hospital.example``, ``#san-uri:…``, ``#san-email:…``, ``#sha256:…``).
A line that has a meaning without such a condition keeps it: ``CT1#san:a`` is short enough for an
AE title, and is one.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from itertools import product
from typing import TYPE_CHECKING

from engine.errors import InvalidAETitle, InvalidWhitelistEntry, Problem
from engine.model.peer import AETitle
from engine.model.tls import CertificateCondition

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.model.tls import PeerCertificate


Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Digits with dots or a prefix length, or hexadecimal digits with two colons.
# XNAT silently takes 10.0.0.0/33 for an AE title (XNAT 1.5). Here it is a faulty address.
_LOOKS_LIKE_ADDRESS = re.compile(
    r"[0-9]+(\.[0-9]*)+([/%].*)?|[0-9]+/.*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:.*"
)
# The last condition counts: # may stand in an AE title (PS3.5 6.2).
_CONDITION = re.compile(r"(?P<caller>.*)#(?P<kind>sha256|san|san-uri|san-email):(?P<value>.*)")
_ZONE = re.compile(r"[0-9A-Za-z._-]{1,15}")
"""Characters and length of the names of network interfaces (IFNAMSIZ)."""
MOST_LINES = 5_000
"""Lines of one whitelist; every one of them may be compared with each caller."""
_REMEDY = "write an AE title, an address such as 10.1.2.3 or 10.1.0.0/16, or AE@address"
_CONDITION_REMEDY = (
    "write AE@address#sha256:FINGERPRINT, or #san:NAME, #san-uri:URI, #san-email:ADDRESS"
)


@dataclass(frozen=True, slots=True)
class WhitelistEntry:
    """One line of a whitelist; an absent part matches everything."""

    text: str
    """The line as the admin wrote it, without surrounding blanks."""
    ae_title: AETitle | None
    network: Network | None
    certificate: CertificateCondition | None = None
    """A condition on the caller's certificate; never met without TLS."""
    zone: str = ""
    """The interface that a link-local address is reached through; empty for any."""

    def admits(
        self, calling_ae_title: str, address: Address, certificate: PeerCertificate | None = None
    ) -> bool:
        """Tell whether this line alone lets the caller in."""
        if self.ae_title is not None and self.ae_title != calling_ae_title:
            return False
        if not self.includes(address):
            return False
        return self.certificate is None or self.certificate.matches(certificate)

    def includes(self, address: Address) -> bool:
        """Tell whether an address is in this line's network, and on its interface."""
        if self.network is None:
            return True
        if self.zone and getattr(address, "scope_id", None) != self.zone:
            return False
        return address.version == self.network.version and address in self.network

    def meaning(self) -> str:
        """Return in words which callers this line lets in."""
        caller = "any AE title" if self.ae_title is None else str(self.ae_title)
        shown = f", {self.certificate.meaning()}" if self.certificate else ""
        zone = f" on {self.zone}" if self.zone else ""
        return f"{caller} from {_network_in_words(self.network)}{zone}{shown}"


@dataclass(frozen=True, slots=True)
class WhitelistVerdict:
    """The outcome for one caller and the reason for it."""

    admitted_by: WhitelistEntry | None
    """The first line that lets the caller in; None means refused."""
    nearest: WhitelistEntry | None = None
    """When refused: the line that agrees with the caller best."""
    why: str = ""
    """When refused: a sentence naming the caller and the nearest line."""


def parse_entry(text: str, line: int = 1) -> WhitelistEntry:
    """Return the entry that a line means.

    Raises:
        InvalidWhitelistEntry: naming the line, the text and what is wrong with it.
    """
    trimmed = text.strip()
    try:
        # First without a condition: a line that is an AE title as it stands stays one.
        return _caller(trimmed, text, line)
    except InvalidWhitelistEntry:
        condition = _CONDITION.fullmatch(trimmed)
        if condition is None:
            raise
    try:
        certificate = CertificateCondition.parse(condition["kind"], condition["value"])
    except ValueError as error:
        problem = Problem("whitelist", text, str(error), _CONDITION_REMEDY, line)
        raise InvalidWhitelistEntry(problem) from error
    caller = condition["caller"].strip()
    entry = _caller(caller, text, line) if caller else WhitelistEntry("", None, None)
    return replace(entry, text=trimmed, certificate=certificate)


def without_condition(entry: WhitelistEntry) -> str:
    """Return the part of a line that names AE title and address."""
    condition = _CONDITION.fullmatch(entry.text) if entry.certificate else None
    return condition["caller"].strip() if condition else entry.text


def looks_conditional(entry: WhitelistEntry) -> bool:
    """Tell whether a line looks as if it had a condition, but has none."""
    return entry.certificate is None and _CONDITION.fullmatch(entry.text) is not None


def parse_whitelist(lines: Iterable[str]) -> tuple[WhitelistEntry, ...]:
    """Return the entries of all lines; blank lines and repetitions are dropped.

    Raises:
        InvalidWhitelistEntry: with one problem per bad line.
    """
    entries: dict[str, WhitelistEntry] = {}
    problems: list[Problem] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = parse_entry(line, number)
        except InvalidWhitelistEntry as error:
            problems.extend(error.problems)
        else:
            # XNAT 1.3: blank lines and repetitions are dropped.
            entries.setdefault(entry.text, entry)
    if problems:
        raise InvalidWhitelistEntry(*problems)
    return tuple(entries.values())


@lru_cache(maxsize=1024)
def normalize_address(text: str) -> Address:
    """Return the peer's address: IPv4 if it is mapped, and with a zone only where one counts."""
    # A socket for both versions shows IPv4 peers as ::ffff:10.1.2.3.
    address = ip_address(text)
    if not isinstance(address, IPv6Address):
        return address
    # Only a link-local address needs its zone: hosts on two interfaces may have the same one.
    zoneless = address if address.is_link_local else IPv6Address(address.packed)
    return address.ipv4_mapped or zoneless


def match(
    entries: Sequence[WhitelistEntry],
    calling_ae_title: str,
    address: Address,
    certificate: PeerCertificate | None = None,
) -> WhitelistVerdict:
    """Decide whether a caller passes; an empty list rejects every caller (XNAT 4.1).

    Args:
        entries: the lines, of which any may let the caller in.
        calling_ae_title: what the caller calls itself.
        address: where it calls from.
        certificate: what it proved to own in the TLS handshake; None without TLS.
    """
    for entry in entries:
        if entry.admits(calling_ae_title, address, certificate):
            return WhitelistVerdict(entry)
    nearest = _nearest(entries, calling_ae_title, address)
    caller = f"calling AE title {calling_ae_title} from {address}"
    if nearest is None:
        return WhitelistVerdict(None, None, f"{caller} is on no whitelist line")
    why = f"{caller} is on no whitelist line; nearest: {nearest.text}"
    if nearest.certificate and not nearest.certificate.matches(certificate):
        why += f", but its {certificate_differs(certificate)}"
    return WhitelistVerdict(None, nearest, why)


def certificate_differs(certificate: PeerCertificate | None) -> str:
    """Return in words why a condition is not met."""
    if certificate is None:
        return "certificate does not match: the caller showed none"
    return f"certificate does not match: the caller showed {certificate}"


def _caller(trimmed: str, text: str, line: int) -> WhitelistEntry:
    # The last @: another one may stand in the AE title.
    name, at, place = trimmed.rpartition("@")
    if at:
        place, zone = _without_zone(place, text, line)
        network = _network(place, text, line)
        return WhitelistEntry(trimmed, _ae_title(name, text, line), network, zone=zone)
    if _LOOKS_LIKE_ADDRESS.fullmatch(trimmed):
        place, zone = _without_zone(trimmed, text, line)
        return WhitelistEntry(trimmed, None, _network(place, text, line), zone=zone)
    return WhitelistEntry(trimmed, _ae_title(trimmed, text, line), None)


def _nearest(
    entries: Sequence[WhitelistEntry], calling_ae_title: str, address: Address
) -> WhitelistEntry | None:
    def likeness(entry: WhitelistEntry) -> int:
        same_name = entry.ae_title == calling_ae_title
        alike = (
            entry.ae_title is not None and entry.ae_title.casefold() == calling_ae_title.casefold()
        )
        inside = entry.network is not None and entry.includes(address)
        shared = _shared_prefix(entry.ae_title or "", calling_ae_title)
        bound = entry.certificate is not None
        return 400 * same_name + 200 * inside + 100 * alike + shared + 3 * bound

    best = max(entries, key=likeness, default=None)
    return best if best is not None and likeness(best) >= 3 else None


def _shared_prefix(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _ae_title(name: str, text: str, line: int) -> AETitle:
    try:
        return AETitle.parse(name, "whitelist")
    except InvalidAETitle as error:
        fault = f"the AE title {error.problems[0].message}"
        raise InvalidWhitelistEntry(Problem("whitelist", text, fault, _REMEDY, line)) from error


def _without_zone(place: str, text: str, line: int) -> tuple[str, str]:
    """Return an address and its zone, which only a link-local address may have (RFC 4007 11)."""
    address, percent, zone = place.partition("%")
    if not percent:
        return place, ""
    if not _ZONE.fullmatch(zone):
        fault = f"{zone[:20] or 'nothing'} is not a network interface"
        remedy = "write the interface's name behind the %, such as fe80::1%eth0, and no network"
        raise InvalidWhitelistEntry(Problem("whitelist", text, fault, remedy, line))
    network = _network(address, text, line)
    if not network.is_link_local or network.version == 4:
        fault = f"{address} has a zone, %{zone}, and is not a link-local address (fe80::/10)"
        remedy = f"write {address} without %{zone}"
        raise InvalidWhitelistEntry(Problem("whitelist", text, fault, remedy, line))
    return address, zone


def _network(place: str, text: str, line: int) -> Network:
    try:
        # Not strict: host bits are ignored, as XNAT does (4.1).
        # XNAT takes host names too; here no connection waits for a DNS.
        network = ip_network(place, strict=False)
    except ValueError as error:
        fault = f"{place or 'nothing'} is not an address or network ({_reason(error, place)})"
        raise InvalidWhitelistEntry(Problem("whitelist", text, fault, _REMEDY, line)) from error
    return _unmapped(network)


def _unmapped(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        # Callers are compared by their IPv4 address, see `normalize_address`.
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


def _reason(error: ValueError, place: str) -> str:
    address, slash, prefix = place.partition("/")
    if slash:
        try:
            version = ip_address(address).version
        except ValueError:
            pass
        else:
            return f"the prefix length must be 0 to {32 if version == 4 else 128}, not {prefix!r}"
    parts = address.split(".")
    if len(parts) == 4 and all(part.isdecimal() for part in parts):
        # Cut, as int() refuses thousands of digits.
        large = next((part for part in parts if int(part[:9]) > 255), None)
        return f"{large} is larger than 255" if large else "leading zeros are ambiguous"
    if ":" not in address and not address[:1].isdigit():
        return "host names are not looked up"
    return "an IPv4 address has four numbers" if ":" not in address else "malformed IPv6 address"


def _network_in_words(network: Network | None) -> str:
    if network is None:
        return "any address"
    if network.num_addresses == 1:
        return str(network.network_address)
    return f"{network.network_address}–{network.broadcast_address}"


class Oddity(StrEnum):
    """Doubtful properties of a valid line."""

    DUPLICATE = "duplicate"
    SHADOWED = "shadowed"
    EVERYBODY = "everybody"
    DIGITS = "digits"
    HOST_BITS = "host bits"
    NO_CONDITION = "no condition"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class WhitelistFinding:
    """One oddity of one line."""

    line: int
    """1-based, among the lines as written."""
    text: str
    oddity: Oddity
    message: str


def review(
    lines: Sequence[str], uses: Mapping[str, int] | None = None
) -> tuple[WhitelistFinding, ...]:
    """Return the oddities of a valid whitelist, in the order of its lines.

    Args:
        lines: the lines as written; blank ones are counted, but not reviewed.
        uses: how often each line let a caller in; None if that is not known.

    Raises:
        InvalidWhitelistEntry: if a line is not valid.
    """
    entries = [(n, parse_entry(line, n)) for n, line in enumerate(lines, 1) if line.strip()]
    known = _KnownLines()
    for number, entry in entries:
        known.add(number, entry)
    findings = []
    for number, entry in entries:
        findings += [
            WhitelistFinding(number, entry.text, *odd) for odd in _oddities(number, entry, known)
        ]
        if uses is not None and not uses.get(entry.text):
            message = "never let anybody in so far"
            findings.append(WhitelistFinding(number, entry.text, Oddity.UNUSED, message))
    return tuple(findings)


class _KnownLines:
    """Finds lines that let in the same callers as another one, or more, without a look at each."""

    def __init__(self) -> None:
        self._first: dict[object, int] = {}
        """The first line by who is let in, the length of the prefix, and the bits of it."""
        self._prefixes: dict[object, set[int]] = {}
        """The lengths of prefixes in use, by who is let in."""

    def add(self, number: int, entry: WhitelistEntry) -> None:
        """Add a line; lines come in their order."""
        who = (entry.ae_title, entry.certificate, entry.zone, _version(entry))
        prefix = entry.network.prefixlen if entry.network is not None else 0
        self._prefixes.setdefault(who, set()).add(prefix)
        self._first.setdefault((who, prefix, _bits(entry, prefix)), number)

    def first_like(self, entry: WhitelistEntry) -> int:
        """Return the first line that means the same."""
        who = (entry.ae_title, entry.certificate, entry.zone, _version(entry))
        prefix = entry.network.prefixlen if entry.network is not None else 0
        return self._first[who, prefix, _bits(entry, prefix)]

    def first_wider(self, entry: WhitelistEntry) -> int | None:
        """Return the first line that lets in all callers of a line, and more; None without one."""
        wider = (
            self._first.get((who, prefix, _bits(entry, prefix)))
            # A line without a network is for both versions.
            for who in product(
                {None, entry.ae_title},
                {None, entry.certificate},
                {"", entry.zone},
                {0, _version(entry)},
            )
            for prefix in self._prefixes.get(who, ())
            if who[3] == 0 or (entry.network is not None and prefix <= entry.network.prefixlen)
        )
        same = self.first_like(entry)
        return min((number for number in wider if number not in {None, same}), default=None)


def _version(entry: WhitelistEntry) -> int:
    return entry.network.version if entry.network is not None else 0


def _bits(entry: WhitelistEntry, prefix: int) -> int:
    """Return the first bits of a line's network; 0 without one."""
    if entry.network is None:
        return 0
    return int(entry.network.network_address) >> (entry.network.max_prefixlen - prefix)


def proposals(calling_ae_title: str, address: Address) -> tuple[WhitelistEntry, ...]:
    """Return lines that would let a caller in, the narrowest first.

    An AE title that would not be read back as one is only offered together with its address.
    """
    # /64 is the size of one IPv6 network (RFC 7421).
    prefix = 24 if isinstance(address, IPv4Address) else 64
    network = ip_network((address.packed, prefix), strict=False)
    texts = (
        (f"{calling_ae_title}@{address}", calling_ae_title),
        (f"{calling_ae_title}@{network}", calling_ae_title),
        (calling_ae_title, calling_ae_title),
        (str(address), None),
    )
    offered = []
    for text, title in texts:
        with suppress(InvalidWhitelistEntry):
            entry = parse_entry(text)
            # Read back, a title such as 10.0.0.0/8 would be a network, and admit other callers.
            if entry.ae_title == title and entry.admits(calling_ae_title, address):
                offered.append(entry)
    return tuple(offered)


def also_admits(entry: WhitelistEntry) -> str:
    """Return in words which other callers a line lets in."""
    if entry.certificate is not None:
        return "nobody without that certificate"
    if entry.network is None:
        return f"everybody who calls itself {entry.ae_title}, from anywhere"
    hosts = entry.network.num_addresses
    zone = f"%{entry.zone}" if entry.zone else ""
    single = f"{entry.network[0]}{zone}"
    where = f"all {hosts:,} addresses of {entry.network}" if hosts > 1 else single
    if entry.ae_title is None:
        return f"every AE title from {where}"
    return f"{entry.ae_title} from {where}" if hosts > 1 else "nobody else"


def _oddities(number: int, entry: WhitelistEntry, known: _KnownLines) -> list[tuple[Oddity, str]]:
    found = []
    twin, wider = known.first_like(entry), known.first_wider(entry)
    if twin != number:
        found.append((Oddity.DUPLICATE, f"means the same as line {twin}"))
    elif wider is not None:
        found.append((Oddity.SHADOWED, f"has no effect: line {wider} lets in all that it does"))
    if looks_conditional(entry):
        message = "is an AE title; with AE@address before the # it would ask for a certificate"
        found.append((Oddity.NO_CONDITION, message))
    everywhere = entry.network is not None and entry.network.prefixlen == 0
    if entry.network is not None and everywhere and entry.certificate is None:
        found.append((Oddity.EVERYBODY, f"matches every IPv{entry.network.version} address"))
    if entry.network is None and entry.text.isdigit():
        found.append((Oddity.DIGITS, "is an AE title of digits; XNAT reads it as an address"))
    if entry.network is not None and _written_address(entry) != entry.network[0]:
        found.append((Oddity.HOST_BITS, f"means {entry.network}; the bits beyond are ignored"))
    return found


def _written_address(entry: WhitelistEntry) -> Address:
    place = without_condition(entry).rpartition("@")[2]
    return normalize_address(place.partition("/")[0].partition("%")[0])
