"""Receivers in XNAT's JSON: `GET /xapi/dicomscp` gives it, `POST` takes it (XNAT 1.1, 1.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from engine.errors import ConfigurationError, InvalidReceiver, Problem
from engine.model.configuration_diff import Difference, differences
from engine.model.receiver import DEFAULT_IDENTIFIER, Receiver, ReceiverRules, parse_receiver

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.model.configuration import Configuration
    from engine.model.receiver import IdentifierInfo

_NAMES = {
    "aeTitle": "ae_title",
    "port": "port",
    "enabled": "enabled",
    "identifier": "identifier",
    "fileNamer": "file_namer",
    "customProcessing": "custom_processing",
    "directArchive": "direct_archive",
    "anonymizationEnabled": "anonymization",
    "whitelistEnabled": "whitelist_enabled",
    "whitelist": "whitelist",
    "routingExpressionsEnabled": "routing_enabled",
    "projectRoutingExpression": "project_routing",
    "subjectRoutingExpression": "subject_routing",
    "sessionRoutingExpression": "session_routing",
}
_OVERWRITE = "directArchiveOverwrite"
_APPENDS = {"append": True, "true": True, "delete": False, "false": False}
_TEXTS = frozenset({"fileNamer", *(name for name in _NAMES if name.endswith("Expression"))})


class Outcome(StrEnum):
    """What an import would do with one record."""

    NEW = "new"
    CHANGED = "changed"
    EQUAL = "equal"
    REFUSED = "not representable"


@dataclass(frozen=True, slots=True)
class ImportItem:
    """One record of the file and what becomes of it."""

    label: str
    outcome: Outcome
    receiver: Receiver | None = None
    """What would be saved; its id is 0 if it is new."""
    differences: tuple[Difference, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_records(text: str) -> tuple[Mapping[str, Any], ...]:
    """Return the records of a file that holds a list of them or a single one.

    Raises:
        ConfigurationError: naming line and column of what is not JSON, or the member that is none.
    """
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        message = f"is not JSON: {error.msg} at column {error.colno}"
        raise ConfigurationError(Problem("file", "", message, _REMEDY, error.lineno)) from error
    except RecursionError as error:
        raise ConfigurationError(Problem("file", "", "is nested too deeply", _REMEDY)) from error
    records = content if isinstance(content, list) else [content]
    for record in records:
        if not isinstance(record, dict):
            raise ConfigurationError(
                Problem("file", str(record)[:40], "is not a receiver record", _REMEDY)
            )
    return tuple(records)


_REMEDY = "save the answer of GET /xapi/dicomscp and import that file"


def plan_import(
    records: Iterable[Mapping[str, Any]],
    configuration: Configuration,
    identifiers: Sequence[IdentifierInfo],
) -> tuple[ImportItem, ...]:
    """Say for every record what importing it would do; a receiver is known by AE title and port."""
    items: list[ImportItem] = []
    planned: dict[str, Receiver] = {r.label: r for r in configuration.receivers}
    for record in records:
        others = tuple(planned.values())
        rules = ReceiverRules(configuration.site, identifiers, others)
        item = _plan(record, configuration, rules)
        seen_twice = any(item.label == before.label for before in items)
        if item.receiver is not None and seen_twice:
            problem = Problem("aeTitle", item.label, "is in the file twice", "remove one of them")
            item = ImportItem(item.label, Outcome.REFUSED, problems=(problem,))
        if item.receiver is not None:
            planned[item.label] = item.receiver
        items.append(item)
    return tuple(items)


def to_xnat(receiver: Receiver) -> dict[str, object]:
    """Return the record that XNAT accepts for a receiver in `POST /xapi/dicomscp`."""
    record = receiver.to_record()
    exported: dict[str, object] = {theirs: record[ours] for theirs, ours in _NAMES.items()}
    for name in _TEXTS:
        exported[name] = exported[name] or None
    exported[_OVERWRITE] = "append" if receiver.direct_archive_append else "delete"
    return exported


def _plan(
    record: Mapping[str, Any], configuration: Configuration, rules: ReceiverRules
) -> ImportItem:
    label = f"{record.get('aeTitle')}:{record.get('port')}"
    known = next((r for r in configuration.receivers if r.label == label), None)
    try:
        receiver = parse_receiver(_to_raw(record, known), rules)
    except InvalidReceiver as error:
        return ImportItem(label, Outcome.REFUSED, problems=error.problems)
    if known is None:
        return ImportItem(receiver.label, Outcome.NEW, receiver)
    changed = differences(
        replace(configuration, receivers=(known,)), replace(configuration, receivers=(receiver,))
    )
    outcome = Outcome.CHANGED if changed else Outcome.EQUAL
    return ImportItem(label, outcome, receiver, changed)


def _to_raw(record: Mapping[str, Any], known: Receiver | None) -> dict[str, object]:
    """Return the raw values for `parse_receiver`; what XNAT does not know stays as it is."""
    raw: dict[str, object] = known.to_record() if known else {}
    for theirs, ours in _NAMES.items():
        raw.pop(ours, None)
        if record.get(theirs) is not None:
            raw[ours] = record[theirs]
    raw["identifier"] = record.get("identifier") or DEFAULT_IDENTIFIER
    overwrite = record.get(_OVERWRITE)
    raw["direct_archive_append"] = _appends(overwrite)
    return raw


def _appends(value: object) -> object:
    """Read XNAT's spellings of append and delete; anything else is refused by the parser."""
    if value is None:
        return False
    return _APPENDS.get(value.lower(), value) if isinstance(value, str) else value
