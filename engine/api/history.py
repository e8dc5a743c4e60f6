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
    """Empty if the whole subject came or went."""
    before: str
    """Lines are separated by line feeds; empty for nothing."""
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

    What a client says of itself stands behind the name, as in ``anna, says: console``.
    """
    changed_from: str
    """The address that the engine saw; empty for this machine, or if unknown."""
    changes: int
    summary: tuple[str, ...]
    """Its first differences from the one before, in words."""
    subjects: tuple[str, ...] = ()
    """What it changed, each once, such as ``receiver XNAT:8104``; 200 at most."""


@dataclass(frozen=True, slots=True)
class RevisionPage:
    """Some revisions, newest first."""

    revisions: tuple[RevisionSummary, ...]
    in_force: int
    """The revision in force."""
    more: bool
    """Whether there are earlier ones."""


class HistoryView(Protocol):
    """The history of a configuration; every method reads files and belongs in a worker.

    To take back the newest change is `EngineView.undo`.
    """

    def revisions(self, *, before: int | None = None, limit: int = 50) -> RevisionPage:
        """Return at most 200 revisions older than `before`, newest first."""
        ...

    def diff(self, before: int, after: int | None = None) -> tuple[ChangeRow, ...]:
        """Return what differs between two revisions.

        Args:
            before: a revision; 0 stands for a configuration without anything.
            after: another one; None for what is in force.

        Raises:
            NotFound: if one is not kept.
            ConfigurationError: if one is not acceptable any more.
        """
        ...

    def restore(self, number: int, actor: str, *, replacing: int | None = None) -> int:
        """Bring back a revision, as a new one, into force; return the number of that.

        Args:
            number: the revision.
            actor: who asks.
            replacing: the revision in force when the question was asked; None replaces any.

        Raises:
            NotFound: if it is not kept.
            ChangedMeanwhile: if another revision than `replacing` is in force by now.
            ConfigurationError: if it is not acceptable any more.
        """
        ...
