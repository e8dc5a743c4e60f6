"""Receivers in XNAT's JSON: `GET /xapi/dicomscp` gives it, `POST` takes it (XNAT 1.1, 1.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from engine.config.masking import masked_receiver
from engine.errors import ConfigurationError, InvalidReceiver, InvalidWhitelistEntry, Problem
from engine.model.configuration_diff import FieldDifference, differences
from engine.model.plugins import DEFAULT_IDENTIFIER, DEFAULT_IDENTIFIERS
from engine.model.receiver import Receiver, ReceiverRules, parse_receiver
from engine.model.whitelist import parse_entry, parse_whitelist

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from engine.model.configuration import Configuration
    from engine.model.plugins import IdentifierInfo
    from engine.model.processor import Processor
    from engine.model.project import Project
    from engine.model.site import SiteSettings

MOST_RECORDS = 1000
STUDY_ROUTING = "studyRouting"
DQR_IDENTIFIER = "dqrObjectIdentifier"
"""XNAT's name for study routing, which its query/retrieve plug-in brings (XNAT 7.4)."""

# id, created, timestamp, disabled and label are missing: they mean nothing elsewhere (XNAT 1.2).
_NAMES = {
    "aeTitle": "ae_title",
    "port": "port",
    "enabled": "enabled",
    "identifier": "identifier",
    "fileNamer": "file_namer",
    "customProcessing": "custom_processing",
    "directArchive": "direct_archive",
    "directArchiveOverwrite": "direct_archive_append",
    "anonymizationEnabled": "anonymization",
    "whitelistEnabled": "whitelist_enabled",
    "whitelist": "whitelist",
    "routingExpressionsEnabled": "routing_enabled",
    "projectRoutingExpression": "project_routing",
    "subjectRoutingExpression": "subject_routing",
    "sessionRoutingExpression": "session_routing",
}
_XNAT_ONLY = {ours: theirs for theirs, ours in _NAMES.items()}
_OVERWRITE = "directArchiveOverwrite"
_APPENDS = {"append": True, "true": True, "delete": False, "false": False}
_NULLABLE = ("fileNamer", *(name for name in _NAMES if name.endswith("Expression")))
_REMEDY = "save the answer of GET /xapi/dicomscp and import that file"


class InvalidImport(ConfigurationError):
    """A file that does not hold XNAT's records."""

    title = "The file can't be imported"


class ImportOutcome(StrEnum):
    """What an import would do with one record."""

    NEW = "new"
    CHANGED = "changed"
    EQUAL = "equal"
    REFUSED = "not representable"
    LEFT_OUT = "left out"
    """There is nothing for it here, and nothing is lost."""


class ImportKind(StrEnum):
    """The kinds of records of an XNAT."""

    SITE = "site"
    PROJECT = "project"
    RECEIVER = "receiver"
    PROCESSOR = "processor"


@dataclass(frozen=True, slots=True)
class ImportItem:
    """One record of the file and what becomes of it."""

    label: str
    outcome: ImportOutcome
    value: Receiver | Processor | Project | SiteSettings | None = None
    """What to save; the id of a new receiver or processor is 0."""
    differences: tuple[FieldDifference, ...] = ()
    """Of a changed record; empty if only line ends of its rules differ."""
    problems: tuple[Problem, ...] = ()
    """Why it is refused or left out; the fields have XNAT's names."""
    kind: ImportKind = ImportKind.RECEIVER

    @property
    def receiver(self) -> Receiver | None:
        """The receiver to save."""
        return self.value if isinstance(self.value, Receiver) else None

    @property
    def is_wanted(self) -> bool:
        """Whether it changes anything."""
        return self.outcome in (ImportOutcome.NEW, ImportOutcome.CHANGED)


def read_records(text: str) -> tuple[Mapping[str, Any], ...]:
    """Return the records of a file that holds a list of them or a single one.

    Raises:
        InvalidImport: naming line and column of what is not JSON, or the member that is none.
    """
    # Some editors write a byte order mark, which json.loads refuses.
    content = read_json(text.removeprefix("\ufeff"))
    records = content if isinstance(content, list) else [content]
    if len(records) > MOST_RECORDS:
        message = f"holds more than {MOST_RECORDS:,} records"
        raise InvalidImport(Problem("file", f"{len(records):,}", message, "split it"))
    problems = [
        Problem(f"record {number}", str(record)[:40], "is not a receiver record", _REMEDY)
        for number, record in enumerate(records, start=1)
        if not isinstance(record, dict)
    ]
    if problems:
        raise InvalidImport(*problems)
    return tuple(records)


def plan_import(
    records: Iterable[Mapping[str, Any]],
    configuration: Configuration,
    identifiers: Sequence[IdentifierInfo] = DEFAULT_IDENTIFIERS,
) -> tuple[ImportItem, ...]:
    """Return what importing each record would do; AE title and port identify a receiver."""
    items: list[ImportItem] = []
    planned = {r.label: r for r in configuration.receivers}
    seen: set[str] = set()
    for record in records:
        others = tuple(planned.values())
        rules = ReceiverRules(configuration.site, identifiers, others, configuration.projects)
        item = _plan(record, configuration, rules)
        if item.label in seen:
            problem = Problem("aeTitle", item.label, "is in the file twice", "remove one of them")
            item = ImportItem(item.label, ImportOutcome.REFUSED, problems=(*item.problems, problem))
        seen.add(item.label)
        if item.receiver is not None:
            # The next record must fit what this one would make.
            planned[item.label] = item.receiver
        items.append(item)
    return tuple(items)


def read_receiver(
    record: Mapping[str, Any], known: Receiver | None, rules: ReceiverRules
) -> Receiver:
    """Return the receiver that a record describes; members it does not have take XNAT's default.

    Args:
        record: the whole record, as XNAT's ``GET`` gives it.
        known: the receiver that it replaces; its settings that XNAT does not have are kept.
        rules: what the receiver must fit.

    Raises:
        InvalidReceiver: with every problem at once; the fields have XNAT's names.
    """
    named = record.get("identifier")
    if named is None or (isinstance(named, str) and not named.strip()):
        # XNAT 1.1: records of older versions have none, which an update of XNAT fills in.
        record = {**record, "identifier": DEFAULT_IDENTIFIER}
    return _read(record, known, rules)


def posted_receiver(
    record: Mapping[str, Any], known: Receiver | None, rules: ReceiverRules
) -> Receiver:
    """Return the receiver of a ``POST``; as `read_receiver`, with the checks of XNAT's server."""
    title = record.get("aeTitle")
    # XNAT 1.4: its dialog removes blanks, its server refuses them.
    if isinstance(title, str) and title != title.strip():
        message, remedy = "begins or ends with a blank", "remove it"
        raise InvalidReceiver(Problem("aeTitle", title[:40], message, remedy))
    # XNAT 1.2a: a missing identifier is refused.
    receiver = _read({"identifier": "", **record}, known, rules)
    if receiver.whitelist != (known.whitelist if known else ()):
        try:
            # XNAT 1.3: the lines are checked also while the whitelist is off.
            parse_whitelist(receiver.whitelist)
        except InvalidWhitelistEntry as error:
            raise InvalidReceiver(*error.problems) from error
    return receiver


def merged_receiver(record: Mapping[str, Any], known: Receiver, rules: ReceiverRules) -> Receiver:
    """Return the receiver of a ``PUT``: members that are absent keep their value (XNAT 1.2a)."""
    return posted_receiver({**to_xnat(known), **record}, known, rules)


def posted_id(record: Mapping[str, Any]) -> int:
    """Return the id of a record; 0 if it has none.

    Raises:
        InvalidReceiver: if it is no whole number.
    """
    value = record.get("id")
    # A bool is an int in Python: true would be taken for 1.
    if isinstance(value, bool) or not isinstance(value, int | None):
        message = "is not a whole number"
        raise InvalidReceiver(Problem("id", str(value)[:40], message, "leave it out"))
    return value or 0


def _read(record: Mapping[str, Any], known: Receiver | None, rules: ReceiverRules) -> Receiver:
    try:
        return parse_receiver(_to_raw(record, known, rules), rules)
    except InvalidReceiver as error:
        raise InvalidReceiver(*map(_in_their_words, error.problems)) from error


def to_xnat(receiver: Receiver) -> dict[str, object]:
    """Return the record that XNAT accepts for a receiver in `POST /xapi/dicomscp`."""
    record = receiver.to_record()
    exported: dict[str, object] = {theirs: record[ours] for theirs, ours in _NAMES.items()}
    for name in _NULLABLE:
        exported[name] = exported[name] or None
    if receiver.identifier == STUDY_ROUTING:
        exported["identifier"] = DQR_IDENTIFIER
    return exported


def objections(receiver: Receiver) -> Iterator[Problem]:
    """Yield the settings that XNAT refuses, reads differently or lacks (XNAT 1.1, 1.3, 1.5)."""
    if receiver.identifier_settings:
        settings = masked_receiver(receiver).identifier_settings
        told = ", ".join(f"{name}={value}" for name, value in settings)
        message = "has no place in XNAT's record and is left out"
        yield Problem("identifier_settings", told, message, "configure the identifier there")
    for number, line in enumerate(receiver.whitelist, start=1):
        message, remedy = _objection(line)
        if message:
            yield Problem("whitelist", line, message, remedy, number)


def _objection(line: str) -> tuple[str, str]:
    # XNAT 1.5: digits alone are an address there, 10 is 0.0.0.10.
    if line.isdecimal():
        return "is an address to XNAT, not an AE title", "write it as AE@network"
    # XNAT 1.5: Java's split drops empty parts at the end, so that CT1@ has one part.
    if "@" in line.rstrip("@").partition("@")[2]:
        return "has more than one @, which XNAT refuses", "remove the line"
    try:
        entry = parse_entry(line)
        if entry.certificate is not None:
            message = "asks for a certificate, which XNAT can't; it lets nobody in there"
            return message, "leave the condition out for XNAT, or remove the line"
    except InvalidWhitelistEntry as error:
        message = "is checked by XNAT although the whitelist is off"
        return f"{message}: {error.problems[0].message}", error.problems[0].remedy
    return "", ""


def read_json(text: str, field: str = "file", remedy: str = _REMEDY) -> Any:
    """Return what a text of JSON says.

    Args:
        text: JSON.
        field: names the text in problems.
        remedy: what to do if it is no JSON.

    Raises:
        InvalidImport: naming line and column of what is not JSON.
    """
    try:
        content = json.loads(text)
        # JSON may name half of a surrogate pair, which UTF-8 can't hold.
        json.dumps(content, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        line = error.doc.split("\n")[error.lineno - 1]
        excerpt = line[max(0, error.colno - 21) : error.colno + 19].strip()
        message = f"is not JSON: {error.msg}"
        problem = Problem(field, excerpt, message, remedy, error.lineno, error.colno)
        raise InvalidImport(problem) from error
    except UnicodeEncodeError as error:
        message = r"has half of a surrogate pair, such as \ud800"
        raise InvalidImport(Problem(field, "", message, "send whole characters")) from error
    except RecursionError as error:
        raise InvalidImport(Problem(field, "", "is nested too deeply", remedy)) from error
    except ValueError as error:
        message = "holds a number with too many digits"
        raise InvalidImport(Problem(field, "", message, remedy)) from error
    return content


def _plan(
    record: Mapping[str, Any], configuration: Configuration, rules: ReceiverRules
) -> ImportItem:
    label = _label(record)
    known = next((r for r in configuration.receivers if r.label == label), None)
    try:
        receiver = read_receiver(record, known, rules)
    except InvalidReceiver as error:
        return ImportItem(label, ImportOutcome.REFUSED, problems=error.problems)
    if known is None:
        return ImportItem(receiver.label, ImportOutcome.NEW, receiver)
    if sorted(receiver.whitelist) == sorted(known.whitelist):
        # XNAT keeps no order, so that another one is no change.
        receiver = replace(receiver, whitelist=known.whitelist)
    if receiver == known:
        return ImportItem(label, ImportOutcome.EQUAL, known)
    before = replace(configuration, receivers=(known,))
    after = replace(configuration, receivers=(receiver,))
    return ImportItem(label, ImportOutcome.CHANGED, receiver, differences(before, after))


def _label(record: Mapping[str, Any]) -> str:
    """Return the label of the receiver that a record describes, also if it is invalid."""
    ae_title = str(record.get("aeTitle") or "").strip(" ")[:40]
    port = str(record.get("port") if record.get("port") is not None else "").strip()[:40]
    is_number = port.isascii() and port.isdecimal() and len(port) <= 9
    return f"{ae_title}:{int(port) if is_number else port}"


def _to_raw(
    record: Mapping[str, Any], known: Receiver | None, rules: ReceiverRules
) -> dict[str, object]:
    """Return the raw values for `parse_receiver`; settings that XNAT lacks stay as they are."""
    raw: dict[str, object] = known.to_record() if known else {}
    for theirs, ours in _NAMES.items():
        if theirs in record or theirs != _OVERWRITE:  # an older XNAT does not have that one
            raw[ours] = record.get(theirs)
    raw["identifier"] = _our_identifier(record.get("identifier"), known, rules)
    if known is not None and raw["identifier"] != known.identifier:
        raw["identifier_settings"] = {}  # those belong to the former identifier
    overwrite = raw.get("direct_archive_append")
    if isinstance(overwrite, str):
        raw["direct_archive_append"] = _APPENDS.get(overwrite.strip().lower(), overwrite)
    return raw


def _our_identifier(theirs: object, known: Receiver | None, rules: ReceiverRules) -> object:
    """Return the identifier for XNAT's: DQR's is study routing, unless one of that name is here."""
    is_here = any(info.id == DQR_IDENTIFIER for info in rules.identifiers or ())
    keeps = known is not None and known.identifier == STUDY_ROUTING
    if theirs == DQR_IDENTIFIER and (keeps or not is_here):
        return STUDY_ROUTING
    # Not None, for which the default identifier would be taken.
    return "" if theirs is None else theirs


def _in_their_words(problem: Problem) -> Problem:
    field = _XNAT_ONLY.get(problem.field, problem.field)
    if field == _OVERWRITE:
        message, remedy = "is neither append nor delete", "write append, delete, true or false"
        return replace(problem, field=field, message=message, remedy=remedy)
    return replace(problem, field=field)
