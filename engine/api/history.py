"""The configuration's history for the console: revisions, their changes, undo and restore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from engine.model.configuration_diff import Change


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One difference between two configurations, in words; secrets are masked."""

    subject: str
    """Such as ``receiver XNAT:8104``, ``project NEURO-01`` or ``site``."""
    change: Change
    field: str
    """Empty if the whole subject was added or removed."""
    before: str
    """Value before, as lines; empty if there was none."""
    after: str
    sentence: str
    """The difference in one line."""


@dataclass(frozen=True, slots=True)
class RevisionSummary:
    """One kept revision."""

    number: int
    changed_at: datetime | None
    changed_by: str
    """Such as ``anna``; ``an editor`` for a change of the file by hand.

    A name that a client claims for itself follows, as in ``anna, says: console``.
    """
    changed_from: str
    """The address that the engine saw; empty for this machine, or if unknown."""
    changes: int
    summary: tuple[str, ...]
    """Its first differences from the revision before, as sentences."""
    subjects: tuple[str, ...] = ()
    """The changed subjects, such as ``receiver XNAT:8104``; 200 at most."""


@dataclass(frozen=True, slots=True)
class RevisionPage:
    """Some revisions, newest first."""

    revisions: tuple[RevisionSummary, ...]
    in_force: int
    """The revision in force."""
    more: bool
    """Whether there are earlier ones."""


@dataclass(frozen=True, slots=True)
class ReceiverTimes:
    """When a receiver was added and last changed; None if the kept revisions don't say."""

    receiver_id: int
    added_at: datetime | None = None
    changed_at: datetime | None = None


class HistoryView(Protocol):
    """The history of a configuration; every method reads files, so call it in a worker.

    `EngineView.undo` takes back the newest change.
    """

    def revisions(self, *, before: int | None = None, limit: int = 50) -> RevisionPage:
        """Return at most 200 revisions older than `before`, newest first."""
        ...

    def diff(self, before: int, after: int | None = None) -> tuple[ChangeRow, ...]:
        """Return the differences between two revisions.

        Args:
            before: a revision; 0 stands for an empty configuration.
            after: another one; None for the configuration in force.

        Raises:
            NotFound: if one is not kept.
            ConfigurationError: if one is not acceptable any more.
        """
        ...

    def receiver_times(self) -> tuple[ReceiverTimes, ...]:
        """Return when each receiver was added and last changed, as far as the revisions say."""
        ...

    def restore(self, number: int, actor: str, *, replacing: int | None = None) -> int:
        """Bring an old revision into force, as a new revision; return the number of the new one.

        A configuration file that is lost or can't be read is replaced; a broken one is kept under
        another name. The newest revision keeps its number then.

        Args:
            number: the revision.
            actor: who asks.
            replacing: the revision that the user saw in force; None replaces any.

        Raises:
            NotFound: if it is not kept.
            ChangedMeanwhile: if another revision than `replacing` is in force by now.
            ConfigurationError: if it is not acceptable any more.
        """
        ...
