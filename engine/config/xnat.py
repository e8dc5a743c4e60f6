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
from engine.model.whitelist import parse_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from engine.model.configuration import Configuration
    from engine.model.plugins import IdentifierInfo

MOST_RECORDS = 1000

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


@dataclass(frozen=True, slots=True)
class ImportItem:
    """One record of the file and what becomes of it."""

    label: str
    outcome: ImportOutcome
    receiver: Receiver | None = None
    """The receiver to save; its id is 0 if it is new."""
    differences: tuple[FieldDifference, ...] = ()
    """Of a changed receiver; empty if only line ends of its rules differ."""
    problems: tuple[Problem, ...] = ()
    """Why it is refused; the fields have XNAT's names."""


def read_records(text: str) -> tuple[Mapping[str, Any], ...]:
    """Return the records of a file that holds a list of them or a single one.

    Raises:
        InvalidImport: naming line and column of what is not JSON, or the member that is none.
    """
    # Some editors write a byte order mark, which json.loads refuses.
    content = _parsed(text.removeprefix("\ufeff"))
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
        record: what XNAT's ``POST`` and ``PUT`` take.
        known: the receiver that it replaces; its settings that XNAT does not have are kept.
        rules: what the receiver must fit.

    Raises:
        InvalidReceiver: with every problem at once; the fields have XNAT's names.
    """
    try:
        return parse_receiver(_to_raw(record, known), rules)
    except InvalidReceiver as error:
        raise InvalidReceiver(*map(_in_their_words, error.problems)) from error


def to_xnat(receiver: Receiver) -> dict[str, object]:
    """Return the record that XNAT accepts for a receiver in `POST /xapi/dicomscp`."""
    record = receiver.to_record()
    exported: dict[str, object] = {theirs: record[ours] for theirs, ours in _NAMES.items()}
    for name in _NULLABLE:
        exported[name] = exported[name] or None
    # Newer versions of XNAT write a boolean, and read all of these.
    exported[_OVERWRITE] = "append" if receiver.direct_archive_append else "delete"
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


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = error.doc.split("\n")[error.lineno - 1]
        excerpt = line[max(0, error.colno - 21) : error.colno + 19].strip()
        message = f"is not JSON: {error.msg}"
        problem = Problem("file", excerpt, message, _REMEDY, error.lineno, error.colno)
        raise InvalidImport(problem) from error
    except RecursionError as error:
        raise InvalidImport(Problem("file", "", "is nested too deeply", _REMEDY)) from error
    except ValueError as error:
        message = "holds a number with too many digits"
        raise InvalidImport(Problem("file", "", message, _REMEDY)) from error


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


def _to_raw(record: Mapping[str, Any], known: Receiver | None) -> dict[str, object]:
    """Return the raw values for `parse_receiver`; settings that XNAT lacks stay as they are."""
    raw: dict[str, object] = known.to_record() if known else {}
    for theirs, ours in _NAMES.items():
        if theirs in record or theirs != _OVERWRITE:  # an older XNAT does not have that one
            # Absent members get their default; newer versions of XNAT keep them in a PUT.
            raw[ours] = record.get(theirs)
    identifier = raw["identifier"]
    if identifier is None or (isinstance(identifier, str) and not identifier.strip()):
        # XNAT refuses such a record, though the example of its API has no identifier.
        raw["identifier"] = DEFAULT_IDENTIFIER
    if known is not None and raw["identifier"] != known.identifier:
        raw["identifier_settings"] = {}  # those belong to the former identifier
    overwrite = raw.get("direct_archive_append")
    if isinstance(overwrite, str):
        raw["direct_archive_append"] = _APPENDS.get(overwrite.strip().lower(), overwrite)
    return raw


def _in_their_words(problem: Problem) -> Problem:
    field = _XNAT_ONLY.get(problem.field, problem.field)
    if field == _OVERWRITE:
        message, remedy = "is neither append nor delete", "write append, delete, true or false"
        return replace(problem, field=field, message=message, remedy=remedy)
    return replace(problem, field=field)
