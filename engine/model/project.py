"""Projects: what received sessions are sorted into, and how a name finds one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.errors import InvalidProject, Problem
from engine.model.auto_archive import AutoArchive
from engine.model.series_filter import filter_problems

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_RESERVED = re.compile(r"(?i:unassigned)|[0-9]{8}_[0-9]{6}(?:[0-9]{3})?")
"""What names the sessions without a project, and their folders."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project that sessions may belong to."""

    id: str
    title: str = ""
    aliases: tuple[str, ...] = ()
    auto_archive: AutoArchive = AutoArchive.ARCHIVE
    series_import_filter: str = ""
    """XNAT's filter text (11.2)."""

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> Project:
        """Return the project that a record describes.

        Raises:
            InvalidProject: with one problem per unacceptable member.
        """
        project_id = raw.get("id", "")
        title = raw.get("title") or ""
        aliases = raw.get("aliases") or ()
        code = raw.get("auto_archive", AutoArchive.ARCHIVE)
        problems = [*_faults(project_id, title, aliases), *_code_faults(code)]
        series_filter = raw.get("series_import_filter") or ""
        problems.extend(filter_problems("series_import_filter", series_filter))
        if problems:
            raise InvalidProject(*problems)
        assert isinstance(aliases, Iterable)
        assert isinstance(code, int)
        names = tuple(dict.fromkeys(str(alias) for alias in aliases))
        return cls(str(project_id), str(title), names, AutoArchive(code), str(series_filter))

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse` reads."""
        return {
            "id": self.id,
            "title": self.title,
            "aliases": list(self.aliases),
            "auto_archive": int(self.auto_archive),
            "series_import_filter": self.series_import_filter,
        }


def _faults(project_id: object, title: object, aliases: object) -> Iterable[Problem]:
    if not isinstance(project_id, str) or not _ID.fullmatch(project_id):
        yield Problem(
            "id",
            str(project_id),
            "is not a project id",
            "use 1 to 64 letters, digits, '_' or '-', not starting with '-'",
        )
    elif _RESERVED.fullmatch(project_id):
        yield Problem(
            "id", project_id, "is reserved for sessions without a project", "choose another"
        )
    if not isinstance(title, str) or len(title) > 255 or not title.isprintable():
        yield Problem("title", str(title)[:40], "is not a title", "use at most 255 characters")
    texts = isinstance(aliases, list | tuple) and all(isinstance(a, str) and a for a in aliases)
    if not texts:
        yield Problem("aliases", str(aliases), "is not a list of names", "write a list of texts")


def _code_faults(value: object) -> Iterable[Problem]:
    if isinstance(value, bool) or not isinstance(value, int) or value not in set(AutoArchive):
        remedy = "use 0 (manual), 4 (archive) or 5 (archive and overwrite)"
        yield Problem("auto_archive", str(value)[:40], "is not an auto-archive code", remedy)


@dataclass(frozen=True, slots=True)
class ProjectRegistry:
    """All projects, found by id or alias with exact spelling (XNAT 5.5)."""

    projects: tuple[Project, ...] = ()
    series_filters: Mapping[str, str] = field(init=False, repr=False, compare=False)
    """The series import filters of those projects that have one, by id."""
    _by_name: Mapping[str, str | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name: dict[str, str | None] = {}
        for project in self.projects:
            for name in dict.fromkeys((project.id, *project.aliases)):
                known = by_name.get(name, project.id)
                by_name[name] = project.id if known == project.id else None
        object.__setattr__(self, "_by_name", by_name)
        filters = {p.id: p.series_import_filter for p in self.projects if p.series_import_filter}
        object.__setattr__(self, "series_filters", filters)

    def find(self, name: str) -> str | None:
        """Return the id of the one project with this id or alias, else None."""
        return self._by_name.get(name)

    def archive_code(self, project_id: str) -> AutoArchive:
        """Return what a project wants done with complete sessions; nothing if it is gone."""
        codes = (p.auto_archive for p in self.projects if p.id == project_id)
        return next(codes, AutoArchive.MANUAL)
