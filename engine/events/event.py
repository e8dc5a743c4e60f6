"""The base class of events, an event's place in the journal, and unknown kinds of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import datetime


AUTOMATIC = frozenset(("direct archive", "auto-archive", "the PET/MR setting"))
"""The values of `by` for actions that a setting caused, not a person."""


class Severity(StrEnum):
    """The severity of an event, from least to most."""

    INFO = "INFO"
    WARNING = "WARN"
    ERROR = "ERROR"

    @property
    def word(self) -> str:
        """The word that filters take, such as ``warning``."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """The base of all events: what kind it is, and which receiver, caller and association."""

    severity: ClassVar[Severity] = Severity.INFO
    topic: ClassVar[str] = "engine"
    """One word for the log's "what" column."""
    urgent: ClassVar[bool] = False
    """Whether consoles get it at once, instead of at their next poll."""
    audited: ClassVar[bool] = False
    """Whether the audit log has it although it has no `by`; see `is_audited`."""

    template: ClassVar[str]
    """The text of `sentence`, unless a class overrides that: ``listening on {self.address}``."""

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
        """Set the properties of an event class; those not given are inherited."""
        given = {
            "severity": severity,
            "topic": topic,
            "urgent": urgent,
            "audited": audited,
            "template": template,
        }
        # `dataclass(slots=True)` makes the class a second time, without these arguments: the values
        # of the first one, already copied into the second, must stay.
        for name, value in given.items():
            if value is not None:
                setattr(cls, name, value)

    def sentence(self) -> str:
        """Return what happened, as a sentence without receiver and caller."""
        return self.template.format(self=self)

    def is_audited(self) -> bool:
        """Tell whether the audit log has the event too: a person did it, or was refused.

        Events that DICOM peers cause are never in it, so that peers can't fill it.
        """
        # Most events have no such field: peers or the engine cause them.
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
    """Return a number with its noun, such as ``1 object`` or ``2,000 objects``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def by_now(times: int) -> str:
    """Return the part of a sentence that says how often it happened; empty for once."""
    return f", {times:,} times by now" if times > 1 else ""


def and_left_out(reports: int) -> str:
    """Return the end of a sentence that says how many earlier reports were left out."""
    return f"; {counted(reports, 'such report')} left out before" if reports else ""


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event with its place in the journal."""

    sequence: int
    at: datetime
    event: Event


@dataclass(frozen=True, slots=True)
class EventPage:
    """Consecutive events of the journal, oldest first."""

    events: tuple[RecordedEvent, ...]
    next_sequence: int
    """Ask for this sequence number next."""
    dropped: int
    """How many events that were asked for are no longer in memory."""


Listener = Callable[[RecordedEvent], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(Event):
    """An event of a kind that this version does not know, with the sentence of its engine."""

    severity: Severity = Severity.INFO  # type: ignore[misc] # others have one for the class
    topic: str = "engine"  # type: ignore[misc]
    message: str = ""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return self.message
