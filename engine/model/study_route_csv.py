"""Study routes as a CSV file, such as a list of studies that were asked for by C-MOVE."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.errors import InvalidStudyRoute, Problem
from engine.model.study_route import FIELDS, StudyRoute, parse_study_route

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.model.project import ProjectRegistry

REQUIRED = FIELDS[:2]
MAX_PROBLEMS = 100
"""How many are told; one is enough to refuse the file."""

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
        if not other.says_the_same_as(route):
            message, remedy = "has another route on an earlier line", "remove one of the lines"
            uid = route.study_instance_uid
            problems.append(Problem("study_instance_uid", uid, message, remedy, line))
    if problems:
        raise InvalidStudyRoute(*problems[:MAX_PROBLEMS])
    return tuple(found.values())


def _records(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and values of each record; blank lines don't count."""
    delimiter = max(_DELIMITERS, key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, ())]
        _check_columns(names)
        for values in reader:
            if len(values) > len(names):
                message = f"has {len(values)} values for {len(names)} columns"
                raise _refused(delimiter.join(values), message, reader.line_num)
            if any(values):
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
