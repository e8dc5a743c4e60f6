"""What a document makes of a configuration; pure.

Records are found again by their names: receivers by AE title and port, projects by id, processors
by label, peers by AE title.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.config.document import TABLES, key_of, place_of
from engine.errors import ConfigurationError, Problem
from engine.model.anonymization import REVISION
from engine.model.configuration import Configuration, parse_configuration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.config.document import Document, Record

FORMERLY = "formerly"
"""A member of receivers and processors: the name that the record had before."""
_HAVE_NUMBERS = ("receivers", "processors")
_UNNAMED = re.compile(r"^(\w+)\[#(\d+)\]")


def declared(document: Document, before: Configuration, *, prune: bool) -> Configuration:
    """Return the configuration that a document makes of another one.

    What the document does not say stays as it is. With `prune` the document is the whole truth of
    each part that it has: its records have defaults for what it does not say, and others are gone.

    Args:
        document: the document.
        before: the configuration that it is applied to. New records get ids that are not in it.
        prune: whether to remove what the document does not have.

    Raises:
        ConfigurationError: with every problem at once, each naming table, record and field.
    """
    problems = list(document.problems)
    site = before.site.to_record()
    tables: dict[str, object] = {"site": {"1": site}}
    if document.site is not None:
        given = _assigned("site", dict(document.site), (REVISION,), problems)
        kept = {REVISION: site[REVISION]} if prune else site
        tables["site"] = {"1": _merged_site(kept, given)}
    positions: dict[tuple[str, str], int] = {}
    for name, known in _records_of(before).items():
        if name in document.tables:
            merging = _Table(name, known, prune, problems)
            known = merging.merged(document.tables[name])
            positions |= {(name, key): number for key, number in merging.positions.items()}
        tables[name] = known
    after = before
    try:
        after = parse_configuration(tables)
    except ConfigurationError as error:
        faulty = {problem.field for problem in problems}
        found = (_placed(problem, positions) for problem in error.problems)
        problems += (problem for problem in found if problem.field not in faulty)
    if problems:
        raise ConfigurationError(*problems)
    of = {name: getattr(before, name) for name in ("revision", "changed_by", "changed_at")}
    return replace(after, source=before.source, **of)


def _records_of(configuration: Configuration) -> dict[str, dict[str, Record]]:
    """Return the records of each table by id; projects and peers have none, and get one."""
    return {
        "projects": _numbered([one.to_record() for one in configuration.projects.projects]),
        "receivers": {str(one.id): one.to_record() for one in configuration.receivers},
        "processors": {str(one.id): one.to_record() for one in configuration.processors},
        "peers": _numbered([one.to_record() for one in configuration.peers]),
    }


def _numbered(records: Sequence[Record]) -> dict[str, Record]:
    return {str(number): record for number, record in enumerate(records, start=1)}


class _Table:
    """Merges the records of a document into those of a table."""

    def __init__(
        self, name: str, known: Mapping[str, Record], prune: bool, problems: list[Problem]
    ) -> None:
        self._name = name
        self._known = known
        self._prune = prune
        self._problems = problems
        self._ids = {key_of(name, record): number for number, record in known.items()}
        self.positions: dict[str, int] = {}
        """Where in the document the record with an id is, counted from 1."""

    def merged(self, given: Sequence[Record]) -> dict[str, Record]:
        made = {} if self._prune else dict(self._known)
        new = max(map(int, self._known), default=0)
        names: set[str] = set()
        for position, one in enumerate(given, start=1):
            where = place_of(self._name, one, position)
            record = _assigned(where, dict(one), ("id", REVISION), self._problems, self._name)
            name = key_of(self._name, record)
            number = self._id_of(name, self._formerly(record, where))
            if (name and name in names) or number in self.positions:
                message = "is in the document twice"
                self._problems.append(Problem(where, name[:40], message, "remove one of them"))
                continue
            names.add(name)
            if number is None:
                new += 1
                number = str(new)
            self.positions[number] = position
            made[number] = self._merged(self._known.get(number, {}), record)
        # In the order that it had; what is new stands last.
        return {number: made[number] for number in sorted(made, key=int)}

    def _merged(self, known: Record, given: Record) -> Record:
        if self._prune:
            known = {name: known[name] for name in ("id", REVISION) if name in known}
        return known | given

    def _id_of(self, name: str, formerly: str) -> str | None:
        # The former name counts until the record has the new one.
        return self._ids.get(name) or self._ids.get(formerly) if name else None

    def _formerly(self, record: Record, where: str) -> str:
        if self._name not in _HAVE_NUMBERS or FORMERLY not in record:
            return ""
        name = record.pop(FORMERLY)
        if isinstance(name, str) and name:
            return name.strip()
        remedy = f"write the former {'AE:PORT' if self._name == 'receivers' else 'label'}"
        self._problems.append(Problem(f"{where}.{FORMERLY}", "", "is no name", remedy))
        return ""


def _assigned(
    where: str,
    record: Record,
    names: Sequence[str],
    problems: list[Problem],
    table: str = "",
) -> Record:
    """Return a record without what this program assigns; report that it was there."""
    for name in names:
        if name in record and TABLES.get(table) != name:
            message = "is assigned by dicomdock"
            problems.append(Problem(f"{where}.{name}", "", message, "remove it"))
            del record[name]
    return record


def _merged_site(known: Mapping[str, object], given: Mapping[str, object]) -> Record:
    """Return site settings in which the given ones are replaced, those of groups one by one."""
    merged = dict(known)
    for name, value in given.items():
        former = known.get(name)
        if isinstance(value, dict) and isinstance(former, dict):
            value = {**former, **value}
            if name == "alerts":
                targets = _merged_targets(former.get("targets"), value["targets"])
                value = {**value, "targets": targets}
        merged[name] = value
    return merged


def _merged_targets(known: object, given: object) -> object:
    """Return targets in which those of the same name are replaced; the others follow."""
    if not isinstance(given, list) or not isinstance(known, list):
        return given
    kept = {one["name"]: one for one in known}
    replaced: dict[object, object] = {}
    added: list[object] = []
    for one in given:
        name = one.get("name") if isinstance(one, dict) else None
        # One that is wrong or there twice stays, so that the model reports it.
        if isinstance(name, str) and name in kept and name not in replaced:
            replaced[name] = one
        else:
            added.append(one)
    return [*(replaced.get(name, one) for name, one in kept.items()), *added]


def _placed(problem: Problem, positions: Mapping[tuple[str, str], int]) -> Problem:
    """Return a problem that names a record without a name by its position in the document."""
    found = _UNNAMED.match(problem.field)
    position = positions.get((found[1], found[2])) if found else None
    if position is None:
        return problem
    return replace(problem, field=_UNNAMED.sub(rf"\1[number {position}]", problem.field))
