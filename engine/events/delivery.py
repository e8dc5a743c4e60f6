"""Events of forward copies and external programs, without patients' data."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events import Event, Severity, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationFails(Event, severity=Severity.WARNING, topic="forward"):
    """A destination of forward copies can't be reached, refuses objects, or disconnects."""

    destination: str
    """The label of its processor."""
    reason: str
    queued: int
    failures: int
    """Number of failures in a row; the 1st, 10th, 100th … are reported."""
    retry_seconds: float

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        again = f" ({self.failures} times in a row)" if self.failures > 1 else ""
        waiting = counted(self.queued, "object")
        return (
            f"{self.destination}: {self.reason}{again}; {waiting} waiting,"
            f" next attempt in {self.retry_seconds:.0f} s"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRecovered(Event, topic="forward"):
    """A destination accepts objects again."""

    destination: str
    queued: int

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return f"{self.destination} takes objects again; {counted(self.queued, 'object')} waiting"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsNotForwarded(Event, severity=Severity.ERROR, topic="forward", urgent=True):
    """Objects are no longer retried; they are sent again only on request."""

    destination: str
    objects: int
    reason: str
    """The reason of the last of them."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        lost = counted(self.objects, "object")
        return f"{self.destination}: {lost} not forwarded: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardsDropped(Event, severity=Severity.WARNING, topic="forward"):
    """Queued objects were discarded on request, or because their destination was removed."""

    objects: int
    destination: str = ""
    """Empty if the destination was removed."""
    by: str = ""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        dropped = counted(self.objects, "object")
        if not self.destination:
            return f"a destination was removed; {dropped} for it dropped"
        return f"{self.destination}: {self.by} dropped {dropped}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardsRetried(Event, topic="forward"):
    """Somebody asked to retry a destination at once."""

    destination: str
    objects: int
    """Objects that were no longer retried, and are queued again."""
    by: str

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        again = counted(self.objects, "object")
        return f"{self.destination}: {self.by} asked for an attempt, {again} queued again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardingFollowsNewIndex(
    Event,
    severity=Severity.WARNING,
    topic="forward",
    template="the session index was replaced; what it holds already is not forwarded again",
):
    """The session index is not the one that the queue was filled from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardingHalted(Event, severity=Severity.ERROR, topic="forward", urgent=True):
    """The queue or the index can't be used; nothing is lost, and it is retried."""

    reason: str
    destination: str = ""
    """Empty if it concerns all."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        whom = f" to {self.destination}" if self.destination else ""
        return f"nothing is forwarded{whom} for now: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardingResumed(Event, topic="forward"):
    """Queue and index can be used again."""

    destination: str = ""
    """Empty if it concerns all."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        whom = f" to {self.destination}" if self.destination else ""
        return f"objects are forwarded{whom} again"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSetAside(
    Event,
    severity=Severity.ERROR,
    topic="forward",
    urgent=True,
    template="a database was damaged and is kept as {self.kept_as};"
    " {self.rows:,} rows of it could be read and are used on, any others are lost",
):
    """A file with queues, study routes, labels or UIDs was damaged; a new one takes its place."""

    kept_as: str
    """The name of the damaged file now."""
    rows: int = 0
    """How many of its rows the new file has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateLost(
    Event,
    severity=Severity.ERROR,
    topic="forward",
    urgent=True,
    template="state.sqlite is missing, but was there once: UIDs that scripts put in the place of"
    " others, study routes and queues are lost; stop the engine, and restore it from a backup",
):
    """An engine started with a new state database where there had been another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramEnded(
    Event,
    topic="command",
    template="{self.processor} ran for session {self.session}, {self.seconds:.1f} s",
):
    """An external program ran for a session and returned success."""

    processor: str
    """The label of its processor."""
    session: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramFailed(Event, severity=Severity.ERROR, topic="command", urgent=True):
    """An external program could not run, failed or was killed."""

    processor: str
    session: int | None
    """None if it concerns no session."""
    reason: str
    """How the program ended, such as ``exit code 7``."""
    output_bytes: int = 0
    """Size of its output; the output itself may hold patients' data, and is no part of events."""
    output_file: str = ""
    """The file with the end of the output, in the data directory; empty if there is none."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        whom = "" if self.session is None else f" for session {self.session}"
        wrote = f"; it wrote {counted(self.output_bytes, 'byte')}" if self.output_bytes else ""
        kept = f", see {self.output_file}" if self.output_file else ""
        return f"{self.processor} failed{whom}: {self.reason}{wrote}{kept}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandsResumed(Event, topic="command", template="{self.processor}: the queue works again"):
    """Programs run again, after their queue could not be used."""

    processor: str
    """The label of its processor; ``commands`` for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsDropped(Event, severity=Severity.WARNING, topic="command"):
    """Queued runs were discarded on request, or because their processor was removed."""

    runs: int
    processor: str = ""
    """Empty if the processor was removed."""
    by: str = ""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        if self.processor:
            return f"{self.processor}: {self.by} dropped {counted(self.runs, 'run')}"
        return f"a command was removed; {counted(self.runs, 'run')} of it dropped"
