"""What becomes of the associations and connections of peers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.events.event import Event, Severity, and_left_out, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationEstablished(Event):
    """An association was accepted."""

    topic: ClassVar[str] = "associate"

    address: str
    contexts_accepted: int
    contexts_proposed: int
    whitelist_line: str = ""
    """The line that let the caller in; empty while the whitelist is off."""

    def sentence(self) -> str:
        """Say what happened."""
        return (
            f"association established from {self.address}, "
            f"{self.contexts_accepted} of {self.contexts_proposed} contexts accepted"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledFromNewAddress(Event):
    """An AE title that is known called from where it never called before."""

    topic: ClassVar[str] = "associate"

    address: str
    before: str
    """Where it called from until now."""

    def sentence(self) -> str:
        """Say what happened."""
        return f"calls from a new address, {self.address}; until now from {self.before}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRejected(Event):
    """An association was refused (PS3.8 9.3.4)."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "associate"

    called_ae_title: str
    address: str
    port: int
    result: int
    source: int
    reason: int
    why: str
    times: int = 1
    """How often so far from this address with these numbers; told at 10, 100, 1000 …"""
    left_out: int = 0
    """How many such reports were left out before, because there were too many in a minute."""

    def sentence(self) -> str:
        """Say what happened."""
        again = f", {self.times:,} times by now" if self.times > 1 else ""
        triple = f"{self.result}/{self.source}/{self.reason}"
        return f"association rejected ({triple}){again}: {self.why}{and_left_out(self.left_out)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionDropped(Event):
    """A connection ended before it was an association."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "connect"

    address: str
    port: int
    why: str
    """In words of ours; nothing that the peer sent is in it."""
    times: int = 1
    """How often lately; repetitions are told at 10, 100, 1000 …"""
    left_out: int = 0
    """How many such reports were left out before, because there were too many in a minute."""

    def sentence(self) -> str:
        """Say what happened."""
        again = f", {self.times:,} times by now" if self.times > 1 else ""
        where = f"from {self.address} to port {self.port}"
        what = f"connection {where} ended without an association{again}: {self.why}"
        return what + and_left_out(self.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextsRefused(Event):
    """Some presentation contexts of an accepted association were refused."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "associate"

    contexts: tuple[str, ...]
    """Each with SOP class and reason."""

    def sentence(self) -> str:
        """Say what happened."""
        return f"{counted(len(self.contexts), 'context')} refused: {'; '.join(self.contexts)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationReleased(Event):
    """The caller ended its association in good order."""

    topic: ClassVar[str] = "release"

    objects: int
    bytes: int
    seconds: float

    def sentence(self) -> str:
        """Say what happened."""
        return f"association released after {counted(self.objects, 'object')}, {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationAborted(Event):
    """An association ended without a release."""

    severity: ClassVar[Severity] = Severity.WARNING
    topic: ClassVar[str] = "abort"

    objects: int
    bytes: int
    seconds: float
    why: str = ""
    """The reason, if the engine did it."""

    def sentence(self) -> str:
        """Say what happened."""
        after = f"after {counted(self.objects, 'object')}, {self.seconds:.1f} s"
        return f"association aborted {after}" + (f": {self.why}" if self.why else " by the caller")
