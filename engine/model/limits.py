"""Limits for peers: those of the site, and those of one receiver."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from engine.errors import InvalidSite, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the site; a receiver may have its own for those in `RECEIVER_LIMITS`."""

    # dcm4che, and so XNAT, admits 50, pynetdicom 10.
    associations: int = 200
    """Open at once, over all receivers."""
    associations_per_receiver: int = 50
    """Open at once, at one receiver."""
    associations_per_address: int = 20
    """Open at once, of one address; a /64 of IPv6 counts as one."""
    associations_per_calling_ae_title: int = 20
    """Open at once, of one calling AE title."""
    associations_per_second_per_address: int = 20
    """New ones; more are rejected for now, and in the end closed without an answer."""
    association_burst_per_address: int = 100
    """As many may come at once after a rest."""
    association_seconds: int = 43_200
    """An association that has been open for this long ends before its next message."""
    # A hostile proposal may have thousands, in each of 128 contexts.
    transfer_syntaxes_per_context: int = 64
    """Further ones in a proposed presentation context are ignored."""
    user_items: int = 64
    """Further items of the user information of a request are ignored (PS3.8 9.3.2.3)."""
    # As in dcm4che 2 and pynetdicom.
    idle_seconds: int = 60
    """An association on which nothing arrives for this long is aborted."""
    message_seconds: int = 1800
    """One DIMSE message, from its first fragment to its last, may take this long."""
    # The most that DCMTK sends or takes; its least is the least here.
    pdu_bytes: int = 131_072
    """Maximum length received (PS3.8 D.1), as offered to the peer."""
    data_set_bytes: int = 4 * GIB
    """The longest data set of one object; a longer one is refused."""
    drain_seconds: int = 300
    """How long open associations of a receiver that was switched off may go on."""
    low_space_percent: int = 10
    """Free space, of the whole storage, below which a warning is given."""
    low_space_bytes: int = 0
    """The same in bytes; the greater of both counts, here and below."""
    reserve_percent: int = 0
    """Free space below which associations and objects are refused."""
    reserve_bytes: int = 256 * 1024**2
    """The same in bytes."""

    @classmethod
    def parse(cls, raw: object) -> Limits:
        """Return the limits that a record describes; absent ones keep their default.

        Raises:
            InvalidSite: with one problem per unacceptable member.
        """
        return replace(cls(), **_numbers(raw, BOUNDS))

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse` reads."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def overridden(self, own: Mapping[str, int]) -> Limits:
        """Return these limits with a receiver's own in their place."""
        return replace(self, **own) if own else self


BOUNDS = {
    "associations": range(1, 10_001),
    "associations_per_receiver": range(1, 10_001),
    "associations_per_address": range(1, 10_001),
    "associations_per_calling_ae_title": range(1, 10_001),
    "associations_per_second_per_address": range(1, 100_001),
    "association_burst_per_address": range(1, 100_001),
    "association_seconds": range(60, 30 * 86_400 + 1),
    "transfer_syntaxes_per_context": range(1, 1_001),
    "user_items": range(3, 10_001),
    "idle_seconds": range(5, 86_401),
    "message_seconds": range(5, 86_401),
    "pdu_bytes": range(4_096, 1_048_577),
    "data_set_bytes": range(1_048_576, 1024 * GIB + 1),
    "drain_seconds": range(86_401),
    "low_space_percent": range(100),
    "low_space_bytes": range(1024 * 1024 * GIB + 1),
    "reserve_percent": range(100),
    "reserve_bytes": range(1024 * 1024 * GIB + 1),
}
RECEIVER_LIMITS = (
    "associations_per_receiver",
    "idle_seconds",
    "message_seconds",
    "pdu_bytes",
    "data_set_bytes",
)
"""The limits that a receiver may have of its own."""


def parse_receiver_limits(raw: object) -> dict[str, int]:
    """Return a receiver's own limits.

    Raises:
        InvalidSite: with one problem per unacceptable member.
    """
    return _numbers(raw, {name: BOUNDS[name] for name in RECEIVER_LIMITS})


def _numbers(raw: object, bounds: Mapping[str, range]) -> dict[str, int]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise InvalidSite(
            Problem("limits", str(raw)[:40], "is not an object", "write name: number")
        )
    problems = list(_faults(raw, bounds))
    if problems:
        raise InvalidSite(*problems)
    return {name: value for name, value in raw.items() if value is not None}


def _faults(raw: Mapping[object, object], bounds: Mapping[str, range]) -> Iterator[Problem]:
    for name, value in raw.items():
        field, shown = f"limits.{name}", str(value)[:40]
        allowed = bounds.get(str(name))
        if allowed is None:
            yield Problem(
                field, shown, "is no limit that can be set here", f"use {', '.join(bounds)}"
            )
        # A bool is an int in Python: true would be taken for 1.
        elif value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            yield Problem(field, shown, "is not a whole number", _range(allowed))
        elif value is not None and value not in allowed:
            yield Problem(
                field, shown, f"is outside {allowed.start}–{allowed.stop - 1}", _range(allowed)
            )


def _range(allowed: range) -> str:
    return f"use {allowed.start} to {allowed.stop - 1}"
