"""Events of whole sessions, without labels, names or identifiers of patients."""

from __future__ import annotations

from dataclasses import dataclass

from engine.events import Event, Severity, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent(Event, topic="session"):
    """Something happened to one session as a whole."""

    session: int
    project: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBuilt(SessionEvent):
    """A session received no more objects and was built."""

    objects: int
    scans: int

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return (
            f"session {self.session} in {self.project} built: "
            f"{counted(self.objects, 'object')} in {counted(self.scans, 'scan')}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionArchived(SessionEvent):
    """A session was archived."""

    by: str
    into: int | None = None
    """The session that it was merged into."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        merged = f", merged into session {self.into}" if self.into is not None else ""
        return f"session {self.session} in {self.project} archived by {self.by}{merged}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMoved(
    SessionEvent, template="session {self.session} moved to {self.project} by {self.by}"
):
    """A session was moved to another project."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRelabelled(
    SessionEvent, template="session {self.session} in {self.project} relabelled by {self.by}"
):
    """A session got another label or subject."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScansRemoved(SessionEvent):
    """Some scans of a session were moved to the trash."""

    by: str
    scans: int
    removed: int
    """The session in the trash that has them."""

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return (
            f"session {self.session} in {self.project}: {counted(self.scans, 'scan')} moved to the"
            f" trash by {self.by}, as session {self.removed}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUndone(
    SessionEvent,
    template="session {self.session} in {self.project}: action {self.action} undone by {self.by}",
):
    """Somebody undid an action on a session."""

    by: str
    action: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSeparated(
    SessionEvent,
    template="session {self.session} in {self.project}: its PET scans are session {self.pet} now",
):
    """The PET scans of a session with PET and MR are a session of their own now."""

    pet: int
    """The new session, with the PET scans."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRestored(
    SessionEvent,
    template="session {self.session} in {self.project} taken out of the trash by {self.by}",
):
    """A session was restored from the trash."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRebuildAsked(
    SessionEvent, template="{self.by} asked to build session {self.session} again"
):
    """Somebody asked to build a session again."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCancelled(
    SessionEvent, template="{self.by} cancelled the request for session {self.session}"
):
    """Somebody cancelled a request for a session."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDeleted(
    SessionEvent,
    template="session {self.session} in {self.project} moved to the trash by {self.by}",
):
    """A session was moved to the trash."""

    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConflicts(
    SessionEvent,
    severity=Severity.WARNING,
    urgent=True,
    template="session {self.session} in {self.project} is in conflict: {self.reason}",
):
    """A session can't be archived because of a conflict; an admin must decide."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFailed(
    SessionEvent,
    severity=Severity.ERROR,
    urgent=True,
    template="session {self.session} in {self.project} failed: {self.reason}",
):
    """Building, archiving, moving or deleting a session failed."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsThinned(Event, topic="session"):
    """Old rows of objects, in no session or long in the archive, are removed from the index."""

    rows: int
    """Of objects in no session."""
    before: str
    """The day in UTC before which objects came, and before which nothing happened to sessions."""
    archived_rows: int = 0
    """Of objects in archived sessions. Their files stay, and give them back."""
    archived_sessions: int = 0

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        parts = []
        if self.rows:
            parts.append(f"{counted(self.rows, 'row')} of objects in no session")
        if self.archived_sessions:
            sessions = counted(self.archived_sessions, "archived session")
            parts.append(f"{counted(self.archived_rows, 'row')} of {sessions}")
        what = " and ".join(parts)
        return f"{what} removed from the index, from before {self.before}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashPurged(Event, topic="session"):
    """Trash entries that were old enough were deleted permanently."""

    entries: int

    def sentence(self) -> str:
        """Return what happened, as a sentence."""
        return f"{counted(self.entries, 'folder')} of the trash removed for good"
