"""Receivers: the configured DICOM storage SCPs, and every rule about their fields.

`parse_receiver` is the one place where raw values become a `Receiver`: the dialog, the command
line and the configuration file all go through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigurationError, InvalidReceiver, Problem
from engine.model.limits import parse_receiver_limits
from engine.model.peer import AETitle, is_address
from engine.model.plugins import (
    DEFAULT_IDENTIFIER,
    DEFAULT_IDENTIFIERS,
    IdentifierChoice,
    file_namer_problems,
    identifier_problems,
)
from engine.model.routing import RoutingRules
from engine.model.secrets import unknown_members
from engine.model.site import DuplicatePolicy, SiteSettings, duplicates_fault
from engine.model.text import MAX_TEXT_CHARACTERS
from engine.model.tls import TLS_FILES, ClientCertificates, TlsSettings
from engine.model.whitelist import MOST_LINES, WhitelistEntry, parse_whitelist
from engine.routing import parse_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.model.limits import Limits
    from engine.model.plugins import FileNamerInfo, IdentifierInfo
    from engine.model.project import ProjectRegistry

# XNAT's defaults (1.6).
DEFAULT_AE_TITLE = "XNAT"
DEFAULT_PORT = 8104
MAX_ID_CHARACTERS = 100
ROUTING_FIELDS = ("project_routing", "subject_routing", "session_routing")
_TLS = (*TLS_FILES, "tls_client")


class DirectMerge(StrEnum):
    """How later objects are added to a session that is archived already; XNAT's words."""

    APPEND = "append"
    """An object that is there already is skipped."""
    OVERWRITE = "delete"
    """An object that is there already is replaced."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """One receiver; the fields are XNAT's (1.1)."""

    id: int
    """Assigned by the store; 0 before the first save."""
    ae_title: AETitle
    port: int
    enabled: bool = True
    identifier: str = DEFAULT_IDENTIFIER
    file_namer: str | None = None
    """The file namer; None means the site's template."""
    custom_processing: bool = False
    direct_archive: bool = False
    anonymization: bool = True
    # XNAT's default (1.1): a receiver that is only switched on admits every caller.
    whitelist_enabled: bool = False
    whitelist: tuple[str, ...] = ()
    """The lines as written; checked whenever the whitelist is enabled."""
    routing_enabled: bool = False
    project_routing: str = ""
    subject_routing: str = ""
    session_routing: str = ""
    direct_archive_append: bool = False
    """XNAT's ``directArchiveOverwrite``: skip objects that an archived session has already."""
    bind_address: str = ""
    """The local address to listen on; empty means the site's."""
    limits: tuple[tuple[str, int], ...] = ()
    """The limits that differ from the site's, by name."""
    duplicates: DuplicatePolicy | None = None
    """For an object that is there already with other content; None leaves it to the site."""
    identifier_settings: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The settings of the identifier for this receiver, by the names of its fields."""
    storage_commitment: bool = True
    """Whether requests for storage commitment are answered (PS3.4 annex J)."""
    tls_enabled: bool = False
    tls_certificate: str = ""
    tls_key: str = ""
    tls_ca: str = ""
    tls_client: ClientCertificates = ClientCertificates.REQUIRED
    tls_crl: str = ""
    whitelist_entries: tuple[WhitelistEntry, ...] = field(init=False, repr=False, compare=False)
    """The lines in force: empty while the whitelist is off."""
    routing: RoutingRules = field(init=False, repr=False, compare=False)
    """The rules in force: none while routing is off."""

    def __post_init__(self) -> None:
        # Parsed once here, not for each association and object. The class is frozen, hence
        # `object.__setattr__`.
        entries = parse_whitelist(self.whitelist) if self.whitelist_enabled else ()
        object.__setattr__(self, "whitelist_entries", entries)
        texts = (self.project_routing, self.subject_routing, self.session_routing)
        routing = RoutingRules.parse(*texts) if self.routing_enabled else RoutingRules()
        object.__setattr__(self, "routing", routing)

    @property
    def label(self) -> str:
        """``AE:port``, which names a receiver uniquely."""
        return f"{self.ae_title}:{self.port}"

    @property
    def tls(self) -> TlsSettings | None:
        """TLS as it is in force; None while it is off."""
        if not self.tls_enabled:
            return None
        return TlsSettings(**{name.removeprefix("tls_"): getattr(self, name) for name in _TLS})

    @property
    def choice(self) -> IdentifierChoice:
        """Which identifier the receiver uses, and how."""
        settings = dict(self.identifier_settings)
        return IdentifierChoice(self.identifier, settings, self.routing_enabled)

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse_receiver` reads."""
        # Only constructor fields: the others are derived from these.
        record: dict[str, object] = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        record["ae_title"] = str(self.ae_title)
        record["whitelist"] = list(self.whitelist)
        record["limits"] = dict(self.limits)
        record["identifier_settings"] = dict(self.identifier_settings)
        record["tls_client"] = str(self.tls_client)
        return record

    def direct_merge(self, site: SiteSettings) -> DirectMerge | None:
        """Return how later objects of archived sessions are added; None if its site decides."""
        if not (self.direct_archive and site.direct_archive_append):
            return None
        return DirectMerge.APPEND if self.direct_archive_append else DirectMerge.OVERWRITE

    def limits_within(self, site: SiteSettings) -> Limits:
        """Return the limits in force for this receiver."""
        return site.limits.overridden(dict(self.limits))


@dataclass(frozen=True, slots=True)
class ReceiverRules:
    """What else a receiver is checked against."""

    site: SiteSettings = SiteSettings()
    identifiers: Sequence[IdentifierInfo] | None = DEFAULT_IDENTIFIERS
    """Installed identifiers. None skips the check that the receiver can use its identifier."""
    others: Sequence[Receiver] = ()
    """The other receivers, whose AE title and port must differ as a pair."""
    projects: ProjectRegistry | None = None
    """All projects. None skips the check that a project exists."""
    file_namers: Sequence[FileNamerInfo] | None = None
    """Installed file namers. None skips the check that the receiver can use its file namer."""


def parse_receiver(raw: Mapping[str, object], rules: ReceiverRules) -> Receiver:
    """Turn raw values into a receiver; absent members take their default.

    The port may be a number or its digits, the whitelist a list of lines or one text. Values that
    are switched off (whitelist lines, routing texts) are kept as they are and not checked.

    Raises:
        InvalidReceiver: with every problem at once, each naming field, value and remedy.
    """
    reader = _Reader(raw)
    # XNAT stops at the first fault (1.3). Here all are reported at once, as in a dialog.
    values = _read_members(reader, rules)
    known = {f.name for f in fields(Receiver) if f.init}
    reader.problems.extend(unknown_members(raw, known, "is not a receiver's field"))
    reader.problems.extend(_conflicts(values, rules))
    # XNAT checks the lines also while the whitelist is off (1.3); here they are kept as a draft.
    if values["whitelist_enabled"] and values["whitelist"] is not None:
        reader.attempt(parse_whitelist, values["whitelist"])
    # XNAT 1.3: rules are checked only while routing is enabled.
    for name in ROUTING_FIELDS if values["routing_enabled"] else ():
        reader.attempt(partial(parse_rules, field=name), values[name] or "")
    tls = {name.removeprefix("tls_"): values[name] for name in _TLS}
    if values["tls_enabled"] and None not in tls.values():
        reader.attempt(TlsSettings.check, TlsSettings(**tls))
    if reader.problems:
        raise InvalidReceiver(*reader.problems)
    # Only now: before, problems name the lines by their numbers.
    values["whitelist"] = tuple(line for line in values["whitelist"] if line)
    receiver = Receiver(**values)
    conflicts = tuple(tls_conflicts(receiver, rules.others, rules.site))
    if conflicts:
        raise InvalidReceiver(*conflicts)
    return receiver


def tls_conflicts(
    receiver: Receiver, others: Iterable[Receiver], site: SiteSettings
) -> Iterable[Problem]:
    """Yield a conflict of TLS: all receivers of one port must have the same TLS settings."""
    for other in others:
        # A disabled receiver opens no socket, so it may have other settings.
        if other.id == receiver.id or not (receiver.enabled and other.enabled):
            continue
        here, there = (r.bind_address or site.bind_address for r in (receiver, other))
        if (receiver.port, here) == (other.port, there) and receiver.tls != other.tls:
            how = "without TLS" if other.tls is None else "with other TLS settings"
            if other.tls and receiver.tls is None:
                how = "with TLS"
            message = f"{other.label} listens on the same port {how}"
            remedy = "give both the same TLS settings, or disable one of them"
            yield Problem("tls_enabled", "on" if receiver.tls else "off", message, remedy)
            return


def _read_members(reader: _Reader, rules: ReceiverRules) -> dict[str, Any]:
    return {
        "id": reader.read("id", 0, _whole_number),
        "ae_title": reader.read("ae_title", "", _ae_title),
        "port": reader.read("port", "", lambda name, value: _port(name, value, rules.site)),
        "identifier": reader.read("identifier", DEFAULT_IDENTIFIER, _plugin_id),
        "file_namer": reader.read("file_namer", "", _text) or None,
        "whitelist": reader.read("whitelist", (), _lines),
        "bind_address": reader.read("bind_address", "", _address),
        "limits": reader.read("limits", {}, _limits),
        "duplicates": reader.read("duplicates", "", _duplicates),
        "identifier_settings": reader.read("identifier_settings", {}, _settings),
        "tls_client": reader.read("tls_client", ClientCertificates.REQUIRED, _client),
        **{name: reader.read(name, "", _stripped) for name in TLS_FILES},
        **{name: reader.read(name, default, _switch) for name, default in _SWITCHES.items()},
        **{name: reader.read(name, "", _text) for name in ROUTING_FIELDS},
    }


_SWITCHES = {
    "enabled": True,
    "custom_processing": False,
    "direct_archive": False,
    "anonymization": True,
    "whitelist_enabled": False,
    "routing_enabled": False,
    "direct_archive_append": False,
    "storage_commitment": True,
    "tls_enabled": False,
}


class _Invalid(Exception):
    """A raw value of the wrong kind: message and remedy."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class _Reader:
    """Reads raw members one by one and collects their problems."""

    def __init__(self, raw: Mapping[str, object]) -> None:
        self._raw = raw
        self.problems: list[Problem] = []

    def read(self, name: str, default: object, convert: Callable[[str, object], Any]) -> Any:
        """Return the converted member, or None after noting its problem."""
        value = self._raw.get(name)
        value = default if value is None else value
        try:
            return convert(name, value)
        except _Invalid as error:
            shown = str(value) if len(str(value)) <= 60 else str(value)[:59] + "…"
            self.problems.append(Problem(name, shown, error.message, error.remedy))
        except ConfigurationError as error:
            self.problems.extend(error.problems)
        return None

    def attempt(self, check: Callable[[Any], object], value: object) -> None:
        """Run a check of the model and note its problems."""
        try:
            check(value)
        except ConfigurationError as error:
            self.problems.extend(error.problems)


def _ae_title(name: str, value: object) -> AETitle:
    if not isinstance(value, str):
        raise _Invalid("is not text", "write the AE title as text")
    return AETitle.parse(value, name)


def _whole_number(_name: str, value: object) -> int:
    # A bool is an int in Python: true would be taken for 1.
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _Invalid("is not a whole number", "use 0 for a new receiver")
    return value


def _port(_name: str, value: object, site: SiteSettings) -> int:
    text = str(value).strip()
    allowed = f"use a port from {site.ports.start} to {site.ports.stop - 1}"
    # Only a few ASCII digits: int() takes those of other scripts, and refuses thousands.
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise _Invalid("is not a port number" if text else "is empty", allowed)
    port = int(text)
    if port in site.ports:
        return port
    if 1 <= port <= 65535:
        raise _Invalid(f"is outside {site.ports.start}–{site.ports.stop - 1}", _LOW_PORTS)
    raise _Invalid("is outside 1–65535", allowed)


_LOW_PORTS = "choose another port, or allow low ports in the site settings"


def _switch(_name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _Invalid("is not a switch", "write true or false")
    return value


def _text(_name: str, value: object) -> str:
    if not isinstance(value, str):
        raise _Invalid("is not text", "write text")
    if len(value) > MAX_TEXT_CHARACTERS:
        raise _Invalid("is too long", f"use at most {MAX_TEXT_CHARACTERS:,} characters")
    return value


def _stripped(name: str, value: object) -> str:
    return _text(name, value).strip()


def _client(_name: str, value: object) -> ClientCertificates:
    try:
        return ClientCertificates(str(value))
    except ValueError as error:
        choices = " or ".join(ClientCertificates)
        raise _Invalid("is not known", f"write {choices}") from error


def _plugin_id(name: str, value: object) -> str:
    """Return an id; `identifier_problems` checks whether it is installed."""
    text = _text(name, value)
    if not text.isprintable() or len(text) > MAX_ID_CHARACTERS:
        raise _Invalid("is not the id of a plugin", "list the installed ones: dicomdock plugins")
    return text


def _address(name: str, value: object) -> str:
    text = _text(name, value).strip()
    if text and not is_address(text):
        raise _Invalid("is not an address", "write an IPv4 or IPv6 address, or nothing for all")
    return text


def _duplicates(_name: str, value: object) -> DuplicatePolicy | None:
    fault = duplicates_fault(value) if value else None
    if fault:
        raise _Invalid(*fault)
    return DuplicatePolicy(str(value)) if value else None


def _limits(_name: str, value: object) -> tuple[tuple[str, int], ...]:
    raw = dict(value) if isinstance(value, tuple) else value
    return tuple(parse_receiver_limits(raw).items())


def _settings(name: str, value: object) -> tuple[tuple[str, str], ...]:
    """Return the settings that have a value; only the identifier knows their meaning."""
    raw = dict(value) if isinstance(value, tuple) else value
    if not isinstance(raw, Mapping):
        raise _Invalid("is not a record", "write an object of texts by name")
    texts = ((str(key), _text(name, text).strip()) for key, text in raw.items())
    return tuple((key, text) for key, text in texts if text)


def _lines(name: str, value: object) -> tuple[str, ...]:
    """Return all lines; blank ones still count when a problem names its line."""
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, list | tuple):
        raise _Invalid("is not a list of lines", "write one entry per line")
    if len(lines) > MOST_LINES:
        fault = f"has {len(lines):,} lines; at most {MOST_LINES:,} are allowed"
        raise _Invalid(fault, "name networks such as 10.1.0.0/16 instead of single addresses")
    return tuple(_text(name, line).strip() for line in lines)


def _conflicts(values: Mapping[str, Any], rules: ReceiverRules) -> Iterable[Problem]:
    for other in rules.others:
        # XNAT 1.1: the pair is unique among enabled and disabled receivers alike.
        same = (other.ae_title, other.port) == (values["ae_title"], values["port"])
        if same and other.id != values["id"]:
            message = f"receiver {other.label} exists already"
            yield Problem("ae_title", other.label, message, "change the AE title or the port")
    yield from _bind_conflicts(values, rules)
    if values["identifier"] is not None and rules.identifiers is not None:
        settings = dict(values["identifier_settings"] or ())
        chosen = IdentifierChoice(values["identifier"], settings, bool(values["routing_enabled"]))
        yield from identifier_problems(chosen, rules.identifiers, rules.projects)
    if rules.file_namers is not None and not _keeps_file_namer(values, rules):
        yield from file_namer_problems(values["file_namer"], rules.file_namers)


def _keeps_file_namer(values: Mapping[str, Any], rules: ReceiverRules) -> bool:
    """Tell whether it was chosen before: a missing namer must not block another change."""
    mine = (values["id"], values["file_namer"])
    return any((other.id, other.file_namer) == mine for other in rules.others)


def _bind_conflicts(values: Mapping[str, Any], rules: ReceiverRules) -> Iterable[Problem]:
    """Yield a conflict of addresses: two sockets on one port must be bound to two addresses."""
    mine = values["bind_address"] or rules.site.bind_address
    for other in rules.others:
        theirs = other.bind_address or rules.site.bind_address
        if other.port != values["port"] or other.id == values["id"] or theirs == mine:
            continue
        # Two different addresses are two sockets; all addresses and a single one are not.
        if not mine or not theirs:
            everywhere, single = ("this receiver", theirs) if not mine else (other.label, mine)
            yield Problem(
                "bind_address",
                mine or "all addresses",
                f"{everywhere} would listen on all addresses of port {other.port}, "
                f"and so on {single} too ({other.label})",
                "give both the same address, or each its own",
            )
            return
