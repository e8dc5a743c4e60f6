"""What is odd about a whitelist, and which lines would let a refused caller in."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, ip_network
from typing import TYPE_CHECKING

from engine.errors import InvalidWhitelistEntry
from engine.model.whitelist import (
    WhitelistEntry,
    looks_conditional,
    normalize_address,
    parse_entry,
    without_condition,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.model.ae_title import AETitle
    from engine.model.whitelist import Address


class Oddity(StrEnum):
    """What may be wrong with a line that is valid."""

    DUPLICATE = "duplicate"
    SHADOWED = "shadowed"
    EVERYBODY = "everybody"
    DIGITS = "digits"
    HOST_BITS = "host bits"
    NO_CONDITION = "no condition"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True)
class Finding:
    """One oddity of one line."""

    line: int
    """1-based, among the lines as written."""
    text: str
    oddity: Oddity
    message: str


def review(lines: Sequence[str], uses: Mapping[str, int] | None = None) -> tuple[Finding, ...]:
    """Return the oddities of a valid whitelist, in the order of its lines.

    Args:
        lines: the lines as written; blank ones count as lines but are not looked at.
        uses: how often each line let a caller in; None if that is not known.

    Raises:
        InvalidWhitelistEntry: if a line is not valid.
    """
    entries = [(n, parse_entry(line, n)) for n, line in enumerate(lines, 1) if line.strip()]
    by_title: dict[AETitle | None, list[tuple[int, WhitelistEntry]]] = {None: []}
    for number, entry in entries:
        by_title.setdefault(entry.ae_title, []).append((number, entry))
    findings = []
    for number, entry in entries:
        # Only these can mean the same or more.
        related = by_title[None] + (by_title[entry.ae_title] if entry.ae_title else [])
        odd_ones = _oddities(number, entry, sorted(related, key=lambda other: other[0]))
        findings += [Finding(number, entry.text, *odd) for odd in odd_ones]
        if uses is not None and not uses.get(entry.text):
            message = "never let anybody in so far"
            findings.append(Finding(number, entry.text, Oddity.UNUSED, message))
    return tuple(findings)


def proposals(calling_ae_title: str, address: Address) -> tuple[WhitelistEntry, ...]:
    """Return lines that would let a caller in, the narrowest first.

    An AE title that would not be read back as one is only offered together with its address.
    """
    prefix = 24 if isinstance(address, IPv4Address) else 64
    network = ip_network((address.packed, prefix), strict=False)
    texts = (
        f"{calling_ae_title}@{address}",
        f"{calling_ae_title}@{network}",
        calling_ae_title,
        str(address),
    )
    offered = []
    for text in texts:
        with suppress(InvalidWhitelistEntry):
            entry = parse_entry(text)
            if entry.admits(calling_ae_title, address):
                offered.append(entry)
    return tuple(offered)


def also_admits(entry: WhitelistEntry) -> str:
    """Say whom else a line lets in besides the caller it is meant for."""
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


def _oddities(
    number: int, entry: WhitelistEntry, entries: Sequence[tuple[int, WhitelistEntry]]
) -> list[tuple[Oddity, str]]:
    found = []
    twin = next((n for n, other in entries if n < number and _same(other, entry)), None)
    if twin is not None:
        found.append((Oddity.DUPLICATE, f"means the same as line {twin}"))
    else:
        wider = next((n for n, other in entries if n != number and _covers(other, entry)), None)
        if wider is not None:
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


def _same(one: WhitelistEntry, other: WhitelistEntry) -> bool:
    return (one.ae_title, one.network, one.zone, one.certificate) == (
        other.ae_title,
        other.network,
        other.zone,
        other.certificate,
    )


def _covers(wide: WhitelistEntry, narrow: WhitelistEntry) -> bool:
    """Tell whether one line lets in everybody that another does, and more."""
    if _same(wide, narrow) or wide.ae_title not in {None, narrow.ae_title}:
        return False
    if wide.certificate not in {None, narrow.certificate}:
        return False
    if wide.zone not in {"", narrow.zone}:
        return False
    if wide.network is None:
        return True
    if narrow.network is None or narrow.network.version != wide.network.version:
        return False
    return narrow.network.subnet_of(wide.network)  # type: ignore[arg-type]
