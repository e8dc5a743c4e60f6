"""Events of storage commitment, without patients' data."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events.event import Event, Severity, by_now, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequested(Event, topic="commitment"):
    """A peer asks for storage commitment, and will get an answer."""

    number: int
    """Of the request, as in `dicomdock commitments`."""
    objects: int

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return f"request {self.number} for storage commitment of {counted(self.objects, 'object')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRefused(Event, severity=Severity.WARNING, topic="commitment"):
    """A request for storage commitment was refused: nobody will get an answer to it."""

    status: int
    """The status of the N-ACTION response."""
    why: str
    times: int = 1
    """The 1st, 10th, 100th … time is reported."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        refused = f"request for storage commitment refused with 0x{self.status:04X}: {self.why}"
        return f"{refused}{by_now(self.times)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsNotCommitted(Event, severity=Severity.WARNING, topic="commitment"):
    """Objects of a request for storage commitment are not here as they should be."""

    number: int
    objects: int
    failed: int
    reasons: str
    """How many failed for which reason."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        of = f"{self.failed:,} of {counted(self.objects, 'object')}"
        return f"request {self.number}: {of} not committed: {self.reasons}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentDelivered(Event, topic="commitment"):
    """The requestor of a storage commitment has its result."""

    number: int
    committed: int
    failed: int
    how: str
    """Over which association."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        failed = f", {self.failed:,} failed" if self.failed else ""
        return f"request {self.number}: {self.committed:,} committed{failed}, told {self.how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentNotDelivered(Event, severity=Severity.WARNING, topic="commitment"):
    """The result of a storage commitment could not be delivered; it is tried again."""

    number: int
    reason: str
    attempts: int
    """How often it failed; the 1st, 10th, 100th … time is reported."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        again = f" ({self.attempts} times in a row)" if self.attempts > 1 else ""
        return f"the result of request {self.number} is not delivered yet: {self.reason}{again}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentGivenUp(Event, severity=Severity.ERROR, topic="commitment", urgent=True):
    """The result of a storage commitment is not delivered any more, unless somebody asks for it."""

    number: int
    reason: str

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        again = f"try again with: commitments retry {self.number}"
        return f"the result of request {self.number} was not delivered: {self.reason}; {again}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRetried(Event, topic="commitment"):
    """Somebody asked to look a request up again, and to deliver its result at once."""

    number: int
    by: str

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return f"{self.by} asked to answer request {self.number} again"
