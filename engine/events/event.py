"""The base of all events, its place in the journal, and events of kinds that are not known here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import datetime


AUTOMATIC = frozenset(("direct archive", "auto-archive", "the PET/MR setting"))
"""What stands in `by` if a setting did it, and nobody asked."""


class Severity(StrEnum):
    """How much an event matters."""

    INFO = "INFO"
    WARNING = "WARN"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event has."""

    severity: ClassVar[Severity] = Severity.INFO
    topic: ClassVar[str] = "engine"
    """One word for the log's "what" column."""
    urgent: ClassVar[bool] = False
    """Whether a console should be told at once instead of at its next look."""
    audited: ClassVar[bool] = False
    """Whether the audit log has it although it names nobody who did it; see `is_audited`."""

    template: ClassVar[str]
    """What `sentence` says unless a class has its own: ``listening on {self.address}``."""

    receiver: str = ""
    """``AE:port``; empty when the event is not about one receiver."""
    calling_ae_title: str = ""
    association: str = ""
    """The association's number, such as ``A-0412``."""

    def __init_subclass__(
        cls,
        *,
        severity: Severity | None = None,
        topic: str | None = None,
        urgent: bool | None = None,
        audited: bool | None = None,
        template: str | None = None,
    ) -> None:
        """Take what all events of a class have; what is not given is as in its base."""
        given = {
            "severity": severity,
            "topic": topic,
            "urgent": urgent,
            "audited": audited,
            "template": template,
        }
        # A dataclass with slots is made twice, the second time with nothing given.
        for name, value in given.items():
            if value is not None:
                setattr(cls, name, value)

    def sentence(self) -> str:
        """Say what happened, without repeating receiver and caller."""
        return self.template.format(self=self)

    def is_audited(self) -> bool:
        """Tell whether the audit log has the event too: somebody did it, or was refused.

        What other machines cause by DICOM is never there, so that they can't fill it.
        """
        by = getattr(self, "by", "")
        return self.audited or (by != "" and by not in AUTOMATIC)

    def to_record(self) -> dict[str, object]:
        """Return the event as JSON values, with its kind and sentence."""
        record: dict[str, object] = {
            "kind": type(self).__name__,
            "severity": str(self.severity),
            "topic": self.topic,
            "message": self.sentence(),
        }
        record.update({f.name: getattr(self, f.name) for f in fields(self)})
        return record


def counted(number: int, thing: str) -> str:
    """Return a number with its noun, in the singular or plural."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def by_now(times: int) -> str:
    """Return the part of a sentence that says how often it happened, unless it was once."""
    return f", {times:,} times by now" if times > 1 else ""


def and_left_out(reports: int) -> str:
    """Return the end of a sentence that says how many reports before it were left out."""
    return f"; {counted(reports, 'such report')} left out before" if reports else ""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event with its place in the journal."""

    sequence: int
    at: datetime
    event: Event


@dataclass(frozen=True, slots=True)
class EventPage:
    """A stretch of the journal, oldest first."""

    events: tuple[RecordedEvent, ...]
    next_sequence: int
    """Pass this to the next question."""
    dropped: int
    """How many events between the question and the first answer are gone from memory."""


Listener = Callable[[RecordedEvent], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(Event):
    """What happened, in the words of the engine that recorded it."""

    severity: Severity = Severity.INFO  # type: ignore[misc] # others have one for the class
    topic: str = "engine"  # type: ignore[misc]
    message: str = ""

    def sentence(self) -> str:
        """Say what happened."""
        return self.message
