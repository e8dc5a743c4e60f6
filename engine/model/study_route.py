"""Study routes: where a study goes that was announced before its objects arrive (XNAT 7.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import InvalidStudyRoute, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from engine.model.project import ProjectRegistry

FIELDS = ("study_instance_uid", "project", "subject", "session")
MAX_UID_CHARACTERS = 64
"""PS3.5 9.1."""

_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,64}")


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

    def says_the_same_as(self, other: StudyRoute) -> bool:
        """Tell whether both say the same, whoever added them."""
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
        if values[name] and not _LABEL.fullmatch(values[name]):
            remedy = "use 1 to 64 letters, digits, '_' or '-', or nothing"
            yield Problem(name, values[name][:80], "is not a label", remedy)
