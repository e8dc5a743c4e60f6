"""Study routes: where an announced study goes (XNAT 7.3), and their CSV form."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import InvalidStudyRoute, Problem
from engine.model.identity import LABEL_REMEDY, is_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from engine.model.project import ProjectRegistry


FIELDS = ("study_instance_uid", "project", "subject", "session")
MAX_UID_CHARACTERS = 64
"""PS3.5 9.1."""

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")


@dataclass(frozen=True, slots=True)
class StudyRoute:
    """Where the objects of one study go, and under which labels."""

    study_instance_uid: str
    project: str
    """The id of a project, or an alias of it."""
    subject: str = ""
    """Empty leaves it to the object's Patient Name."""
    session: str = ""
    """Empty leaves it to the object's Study ID or Accession Number."""
    added_by: str = ""
    added_at: datetime | None = None

    def to_record(self) -> dict[str, object]:
        """Return the route for programs."""
        return {**{name: getattr(self, name) for name in FIELDS},
                "added_by": self.added_by, "added_at": self.added_at}  # fmt: skip

    def has_same_target(self, other: StudyRoute) -> bool:
        """Tell whether both have the same destination; who added them does not count."""
        return all(getattr(self, name) == getattr(other, name) for name in FIELDS)


def parse_study_route(raw: Mapping[str, str], projects: ProjectRegistry) -> StudyRoute:
    """Return the route that texts describe; surrounding blanks don't matter.

    Raises:
        InvalidStudyRoute: with one problem per unacceptable member.
    """
    values = {name: (raw.get(name) or "").strip() for name in FIELDS}
    problems = list(_faults(values, projects))
    if problems:
        raise InvalidStudyRoute(*problems)
    uid, project, subject, session = (values[name] for name in FIELDS)
    return StudyRoute(uid, project, subject, session)


def _faults(values: Mapping[str, str], projects: ProjectRegistry) -> Iterator[Problem]:
    uid, project = values["study_instance_uid"], values["project"]
    if len(uid) > MAX_UID_CHARACTERS or not _UID.fullmatch(uid):
        remedy = f"use numbers and dots, at most {MAX_UID_CHARACTERS} characters"
        yield Problem("study_instance_uid", uid[:80], "is not a UID", remedy)
    if projects.find(project) is None:
        remedy = "name one of those that `dicomdock projects list` shows, or add it first"
        yield Problem("project", project[:80], "names no project", remedy)
    for name in ("subject", "session"):
        if values[name] and not is_label(values[name]):
            remedy = f"{LABEL_REMEDY}, or nothing"
            yield Problem(name, values[name][:80], "is not a label", remedy)


REQUIRED = FIELDS[:2]
MAX_PROBLEMS = 100
"""The most problems that are reported; one is enough to refuse the file."""

_DELIMITERS = (",", ";", "\t")


def read_study_routes_csv(text: str, projects: ProjectRegistry) -> tuple[StudyRoute, ...]:
    """Return the routes of a file whose first line names its columns, in any order.

    Columns are separated by commas, semicolons or tabs, whichever the first line has.

    Raises:
        InvalidStudyRoute: with problems that name line and column.
    """
    found: dict[str, StudyRoute] = {}
    problems: list[Problem] = []
    for line, values in _records(text):
        try:
            route = parse_study_route(values, projects)
        except InvalidStudyRoute as error:
            problems.extend(replace(problem, line=line) for problem in error.problems)
            continue
        other = found.setdefault(route.study_instance_uid, route)
        if not other.has_same_target(route):
            message, remedy = "has another route on an earlier line", "remove one of the lines"
            uid = route.study_instance_uid
            # Equal lines are no problem: both say the same.
            problems.append(Problem("study_instance_uid", uid, message, remedy, line))
    if problems:
        raise InvalidStudyRoute(*problems[:MAX_PROBLEMS])
    return tuple(found.values())


def _records(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and values of each record; blank lines don't count."""
    # Spreadsheets write semicolons where the comma is the decimal sign.
    delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
    # strict: a quote in the wrong place is an error, not part of a value.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, ())]
        _check_columns(names)
        for values in reader:
            if len(values) > len(names):
                message = f"has {len(values)} values for {len(names)} columns"
                raise _refused(delimiter.join(values), message, reader.line_num)
            if any(values):
                # A line may be shorter: what is missing at its end is empty.
                yield reader.line_num, dict(zip(names, values, strict=False))
    except csv.Error as error:
        raise _refused("", f"is not CSV: {error}", reader.line_num) from error


def _check_columns(names: Sequence[str]) -> None:
    for name in dict.fromkeys((*REQUIRED, *names)):
        if name not in FIELDS:
            raise _refused(name, "is not a column", 1)
        if names.count(name) != 1:
            raise _refused(name, "is there twice" if name in names else "is missing", 1)


def _refused(value: str, message: str, line: int) -> InvalidStudyRoute:
    remedy = f"write the columns {', '.join(FIELDS)}, named in the first line"
    return InvalidStudyRoute(Problem("file", value[:60], message, remedy, line))
