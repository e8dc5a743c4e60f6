"""Every error that the engine raises on purpose, with title, detail and remedy.

EngineError                     title, detail, remedy
├─ ConfigurationError           problems
│  ├─ InvalidAETitle
│  ├─ InvalidWhitelistEntry
│  ├─ InvalidReceiver
│  ├─ InvalidProject
│  ├─ InvalidSite
│  ├─ InvalidStudyRoute
│  ├─ InvalidPeer
│  ├─ InvalidProcessor
│  ├─ TooFewDescriptors
│  └─ CorruptConfiguration
├─ ChangedMeanwhile
├─ NotFound
├─ ListenError                  address, port
│  ├─ PortInUse                 holder
│  ├─ PortNotPermitted
│  ├─ AddressNotLocal
│  └─ CertificateUnusable
├─ IntakeError                  status, state
│  ├─ UnreadableObject          0xC000
│  ├─ SopClassMismatch          0xA900
│  ├─ OutOfResources            0xA700
│  ├─ DuplicateInstance         0x0111
│  ├─ RoutingFailed             0xC000
│  └─ ProcessingFailed          0x0110
├─ SessionError
│  ├─ LinkInTheWay
│  ├─ TransitionNotAllowed      before, after
│  └─ SessionConflict           reasons
├─ PeerError
│  ├─ PeerUnreachable
│  ├─ AssociationBroken
│  ├─ AssociationRefused        result, source, reason
│  ├─ ContextRefused
│  └─ PeerFull
├─ StorageUnusable
└─ AlreadyRunning               holder
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


_FIELD = re.compile(r"[a-z_.]{1,80}(\[[A-Za-z0-9_:#. -]{0,40}\])?(\.[a-z_.]{1,80})?")
"""The form of a field's name; a hand-written file may have any other text in its place."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One invalid value: where it is, what is wrong, and what to do."""

    field: str
    """Machine name of the field, such as ``ae_title`` or ``whitelist``."""
    value: str
    message: str
    """A sentence without the field's name, such as ``longer than 16 characters (21)``."""
    remedy: str
    line: int | None = None
    """1-based line inside a multi-line field."""
    column: int | None = None
    """1-based character inside the line, or inside a field of one line."""

    def sentence(self) -> str:
        """Return field, line, column, value, message and remedy in one line."""
        return f"{self._located(self.field)} {self.value!r}: {self.message}; {self.remedy}"

    def place(self) -> str:
        """Return field, line and column, without any text that a user wrote."""
        field = _FIELD.match(self.field)
        return self._located(field[0] if field else "a field")

    def _located(self, field: str) -> str:
        where = field if self.line is None else f"{field} line {self.line}"
        return where if self.column is None else f"{where} column {self.column}"


class EngineError(Exception):
    """Root of all errors that the engine raises on purpose."""

    title = "Something went wrong"
    exit_code = 1
    """Of a command that fails with it; `docs/reference/errors.md` lists all of them."""

    def __init__(self, detail: str, remedy: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy


_MOST_PLACES = 5
MOST_PROBLEMS_SHOWN = 10
"""Of one error; JSON has all of them."""


class ConfigurationError(EngineError):
    """A setting is invalid; nothing was changed."""

    title = "The configuration is not valid"
    exit_code = 2

    def __init__(self, *problems: Problem) -> None:
        said = [problem.sentence() for problem in problems[:MOST_PROBLEMS_SHOWN]]
        more = len(problems) - len(said)
        rest = [f"and {more} more problems"] if more else []
        super().__init__("; ".join((*said, *rest)), problems[0].remedy if problems else "")
        self.problems = problems

    def without_values(self) -> str:
        """Return the invalid places without any text of the settings, for events, alerts and logs.

        A setting may hold a secret or a name.
        """
        named = ", ".join(problem.place() for problem in self.problems[:_MOST_PLACES])
        more = len(self.problems) - _MOST_PLACES
        others = f" and {more} more" if more > 0 else ""
        return f"not acceptable: {named}{others}"

    @property
    def remedy_without_values(self) -> str:
        """The remedy, also without any text of the settings."""
        return "for details: dicomdock status"


class InvalidAETitle(ConfigurationError):
    """The text is not an AE title (PS3.5 6.2)."""

    title = "Not an AE title"


class InvalidWhitelistEntry(ConfigurationError):
    """A whitelist line is neither an AE title, an address, a network nor AE@address."""

    title = "Not a whitelist entry"


class InvalidReceiver(ConfigurationError):
    """A receiver has one or more invalid fields."""

    title = "The receiver is not valid"


class InvalidProject(ConfigurationError):
    """A project has one or more invalid fields."""

    title = "The project is not valid"


class InvalidSite(ConfigurationError):
    """A site setting has an invalid value."""

    title = "The site setting is not valid"


class InvalidStudyRoute(ConfigurationError):
    """A study route has one or more invalid values."""

    title = "The study route is not valid"


class InvalidPeer(ConfigurationError):
    """A peer to call has one or more invalid values."""

    title = "The peer is not valid"


class InvalidProcessor(ConfigurationError):
    """A processor has one or more invalid fields."""

    title = "The processor is not valid"


class TooFewDescriptors(ConfigurationError):
    """A configuration needs more files and connections than may be open at once."""

    title = "Too few files and connections may be open at once"

    def without_values(self) -> str:
        """Return the whole: it has numbers only."""
        return self.detail

    @property
    def remedy_without_values(self) -> str:
        """What to raise."""
        return self.remedy


class CorruptConfiguration(ConfigurationError):
    """The configuration file is lost or can't be read; messages contain no text of it."""

    title = "The configuration file can't be read"

    def without_values(self) -> str:
        """Return the problems without any text of the file."""
        return "; ".join(f"{problem.place()}: {problem.message}" for problem in self.problems)

    @property
    def remedy_without_values(self) -> str:
        """How to restore the file."""
        return self.remedy


class InvalidDeclaration(ConfigurationError):
    """The document that declares the configuration is not acceptable."""

    title = "The document that declares the configuration is not valid"

    def __init__(self, source: str, *problems: Problem) -> None:
        """Take the path of the document, and what is wrong with it."""
        super().__init__(*problems)
        self.source = source

    @property
    def remedy_without_values(self) -> str:
        """The command that shows the problems."""
        return f"for details: dicomdock config apply {self.source} --dry-run"


class ReadOnlyConfiguration(ConfigurationError):
    """Rejected: a document declares the configuration, and it alone may change it."""

    title = "The configuration is read-only"

    def __init__(self, source: str) -> None:
        """Take the path of the document."""
        message = "declares the whole configuration, so that nothing else may change it"
        remedy = "change that file, or start the engine without --config"
        super().__init__(Problem("configuration", source, message, remedy))


class ChangedMeanwhile(EngineError):
    """Rejected: the record was changed by another user after the editor had read it."""

    title = "Changed meanwhile"
    exit_code = 6

    def __init__(self, what: str, by: str, at: datetime | None, differences: Sequence[str]) -> None:
        when = f" at {at.astimezone():%Y-%m-%d %H:%M:%S}" if at else ""
        super().__init__(
            f"{what} was changed by {by or 'somebody'}{when}: {'; '.join(differences)}",
            "open it again and repeat your change",
        )


class NotFound(EngineError):
    """The named receiver, project, session or other thing does not exist (any more)."""

    title = "Not found"
    exit_code = 4


class ListenError(EngineError):
    """A port can't be listened on."""

    title = "Can't listen"

    def __init__(self, address: str, port: int, detail: str, remedy: str) -> None:
        super().__init__(detail, remedy)
        self.address = address
        self.port = port


class PortInUse(ListenError):
    """Another program holds the port."""

    title = "Address in use"

    def __init__(self, address: str, port: int, holder: str) -> None:
        super().__init__(
            address,
            port,
            f"address in use: port {port} is held by {holder}",
            "stop that program or choose another port",
        )
        self.holder = holder


class PortNotPermitted(ListenError):
    """The port is privileged and this process may not bind it."""

    title = "Port not permitted"


class AddressNotLocal(ListenError):
    """The bind address does not belong to this host."""

    title = "Address not on this host"


class CertificateUnusable(ListenError):
    """The TLS files are missing or do not belong together."""

    title = "Certificate not usable"


class IntakeError(EngineError):
    """One received object can't be stored; carries the C-STORE status (PS3.4 B.2.3)."""

    title = "Object not stored"
    status = 0x0110
    """The C-STORE status: processing failure, unless a class below has another one."""


class UnreadableObject(IntakeError):
    """The data set can't be parsed, or it has no SOP class or instance UID."""

    status = 0xC000


class SopClassMismatch(IntakeError):
    """SOP class or instance of the data set differ from those of the C-STORE request."""

    status = 0xA900


class OutOfResources(IntakeError):
    """The disk is full, the storage not writable, or no descriptor is left; retrying may help."""

    status = 0xA700


class DuplicateInstance(IntakeError):
    """The SOP instance is stored with other content, and the duplicate policy rejects that."""

    status = 0x0111


class RoutingFailed(IntakeError):
    """A subject or session rule failed, so that the object has no label (XNAT 5.5)."""

    status = 0xC000


class ProcessingFailed(IntakeError):
    """A failure inside the engine while handling the object."""

    status = 0x0110


class SessionError(EngineError):
    """The requested action is not possible for this session; it was not changed."""

    title = "The session can't be changed like that"
    exit_code = 7


class LinkInTheWay(SessionError):
    """A link or file is in the place of a folder of the data directory."""

    def __init__(self, area: str, path: str, kind: str = "link") -> None:
        super().__init__(
            f"a {kind} stands where a folder of the {area} belongs",
            f"remove the {kind} {path} and put the folder in its place",
        )


class TransitionNotAllowed(SessionError):
    """The action is not possible in the session's present state (XNAT 9.5)."""

    def __init__(self, before: str, after: str, possible: Sequence[str]) -> None:
        super().__init__(
            f"a session that is {before} can't become {after}",
            f"possible now: {', '.join(possible) or 'nothing'}",
        )
        self.before = before
        self.after = after


class SessionConflict(SessionError):
    """The archive has a session with that label, and the two can't be merged (XNAT 9.6)."""

    title = "The session is in conflict with the archive"

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons), "merge or overwrite on purpose, move it, or delete it")
        self.reasons = reasons


class PeerError(EngineError):
    """An association as requestor failed."""

    title = "The peer does not answer"
    exit_code = 8


class PeerUnreachable(PeerError):
    """The connection or the TLS handshake with the peer failed."""


class AssociationBroken(PeerError):
    """The peer ended the association, stopped answering, or violated the protocol."""

    title = "The association broke"


class AssociationRefused(PeerError):
    """The peer rejects the association (PS3.8 9.3.4)."""

    title = "The association was rejected"
    exit_code = 9

    def __init__(self, result: int, source: int, reason: int, detail: str, remedy: str) -> None:
        super().__init__(detail, remedy)
        self.result = result
        self.source = source
        self.reason = reason


class ContextRefused(PeerError):
    """The peer accepts no presentation context for this SOP class and transfer syntax."""

    title = "Not accepted by the peer"
    exit_code = 9


class PeerFull(PeerError):
    """The peer has no room for any object now."""

    title = "The peer has no room"
    exit_code = 9


class NotDelivered(EngineError):
    """An alert could not be delivered to its target."""

    title = "The alert was not delivered"


class StorageUnusable(EngineError):
    """The data directory, or a file in it, can't be used."""

    title = "The data directory can't be used"
    exit_code = 5


class StorageDamaged(StorageUnusable):
    """A file of the data directory is damaged, or was not written by this program."""


class NotTheOwner(EngineError):
    """The data directory belongs to another user, and this process can't become that user."""

    title = "The data directory belongs to another user"
    exit_code = 2


class AlreadyRunning(EngineError):
    """Another engine holds the data directory."""

    title = "An engine already runs on this data directory"
    exit_code = 3
