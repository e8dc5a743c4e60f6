"""What becomes of the associations and connections of peers."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events.event import Event, Severity, and_left_out, by_now, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationEstablished(
    Event,
    topic="associate",
    template="association established from {self.address}, "
    "{self.contexts_accepted} of {self.contexts_proposed} contexts accepted",
):
    """An association was accepted."""

    address: str
    contexts_accepted: int
    contexts_proposed: int
    whitelist_line: str = ""
    """The line that let the caller in; empty while the whitelist is off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledFromNewAddress(
    Event,
    topic="associate",
    template="calls from a new address, {self.address}; until now from {self.before}",
):
    """An AE title that is known called from where it never called before."""

    address: str
    before: str
    """Where it called from until now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationRejected(Event, severity=Severity.WARNING, topic="associate"):
    """An association was refused (PS3.8 9.3.4)."""

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
        triple = f"{self.result}/{self.source}/{self.reason}"
        what = f"association rejected ({triple}){by_now(self.times)}: {self.why}"
        return what + and_left_out(self.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionDropped(Event, severity=Severity.WARNING, topic="connect"):
    """A connection ended before it was an association."""

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
        where = f"from {self.address} to port {self.port}"
        what = f"connection {where} ended without an association{by_now(self.times)}: {self.why}"
        return what + and_left_out(self.left_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextsRefused(Event, severity=Severity.WARNING, topic="associate"):
    """Some presentation contexts of an accepted association were refused."""

    contexts: tuple[str, ...]
    """Each with SOP class and reason."""

    def sentence(self) -> str:
        """Say what happened."""
        return f"{counted(len(self.contexts), 'context')} refused: {'; '.join(self.contexts)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationReleased(Event, topic="release"):
    """The caller ended its association in good order."""

    objects: int
    bytes: int
    seconds: float

    def sentence(self) -> str:
        """Say what happened."""
        return f"association released after {counted(self.objects, 'object')}, {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssociationAborted(Event, severity=Severity.WARNING, topic="abort"):
    """An association ended without a release."""

    objects: int
    bytes: int
    seconds: float
    why: str = ""
    """The reason, if the engine did it."""

    def sentence(self) -> str:
        """Say what happened."""
        after = f"after {counted(self.objects, 'object')}, {self.seconds:.1f} s"
        return f"association aborted {after}" + (f": {self.why}" if self.why else " by the caller")
