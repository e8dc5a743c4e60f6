"""Projects: what sessions are sorted into, and how a name or alias finds one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from enum import IntEnum, StrEnum
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import InvalidProject, NotFound, Problem
from engine.model.anonymization import (
    ProfileSettings,
    ScriptScope,
    in_force,
    profile_problems,
)
from engine.model.series_filter import filter_problems
from engine.model.text import text_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.model.anonymization import Anonymization


class AutoArchive(IntEnum):
    """Whether complete sessions are archived by themselves; the numbers are XNAT's (9.5)."""

    MANUAL = 0
    ARCHIVE = 4
    """Into the archive, but never over files that are there already."""
    OVERWRITE = 5


_WORDS = {"t": True, "true": True, "f": False, "false": False}


def requested(text: str) -> bool | None:
    """Return what a header asks for, None if it is no clear word (XNAT 5.2)."""
    # XNAT 5.2: any other text leaves the decision to the project.
    return _WORDS.get(text.lower())


class PetMr(StrEnum):
    """The treatment of a session with both PET and MR scans."""

    PETMR = "petmr"
    """One session of a type of its own."""
    PET = "pet"
    """One PET session."""
    SEPARATE = "separate"
    """Two sessions: the PET scans go to one of their own, the others stay."""


SITES = "site"
"""The setting of a project that follows the site."""


def pet_mr_problems(field: str, value: object, also: tuple[str, ...] = ()) -> Iterator[Problem]:
    """Yield what is wrong with a setting; `also` has further words that are allowed."""
    words = (*also, *PetMr)
    if not isinstance(value, str) or value not in words:
        message = "is no choice for studies with PET and MR"
        yield Problem(field, str(value)[:40], message, f"use {', '.join(words)}")


MAX_NAME_CHARACTERS = 255
"""Longest title or alias."""
MAX_ALIASES = 100
FIRST_ARCHIVE_FOLDER = "arc001"

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_ARCHIVE_FOLDER = re.compile(r"arc[0-9]{3}")
_RESERVED = re.compile(r"(?i:unassigned)|[0-9]{8}_[0-9]{6}(?:[0-9]{3})?")
"""Names of the sessions without a project and of their folders: no project may have them."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project that sessions may belong to."""

    id: str
    title: str = ""
    aliases: tuple[str, ...] = ()
    # XNAT's own default (`defaultProjectAutoArchiveSetting`).
    auto_archive: AutoArchive = AutoArchive.ARCHIVE
    anonymization_script: str = ""
    """DicomEdit, for sessions on their way into the archive."""
    anonymization_script_revision: int = 0
    """The revision of the configuration that brought the script; assigned by the store."""
    series_import_filter: str = ""
    """XNAT's filter text (11.2)."""
    anonymization_script_enabled: bool = False
    profile: ProfileSettings = ProfileSettings()
    """The profile that is applied before the script."""
    archive_folder: str = FIRST_ARCHIVE_FOLDER
    """Where sessions are archived from now on, below the project's folder (XNAT 9.2)."""
    pet_mr: PetMr | None = None
    """The treatment of studies with PET and MR; None leaves it to the site."""

    @property
    def anonymization(self) -> Anonymization | None:
        """The anonymization of each object on the way into the archive; None if there is none."""
        return in_force(
            ScriptScope.PROJECT,
            enabled=self.anonymization_script_enabled,
            text=self.anonymization_script,
            revision=self.anonymization_script_revision,
            profile=self.profile,
        )

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> Project:
        """Return the project that a record describes; absent members take their default.

        Raises:
            InvalidProject: with one problem per unacceptable member.
        """
        values = {f.name: _given(raw, f.name) for f in fields(cls)}
        problems = [problem for name, faults in _FAULTS.items() for problem in faults(values[name])]
        problems.extend(_switch_faults(values))
        if problems:
            raise InvalidProject(*problems)
        aliases, code = values["aliases"], values["auto_archive"]
        assert isinstance(aliases, list | tuple)
        assert isinstance(code, int)
        values |= {"aliases": tuple(dict.fromkeys(aliases)), "auto_archive": AutoArchive(code)}
        values["profile"] = ProfileSettings.of(values["profile"])
        values["pet_mr"] = None if values["pet_mr"] == SITES else PetMr(str(values["pet_mr"]))
        return cls(**values)  # type: ignore[arg-type]

    def to_record(self) -> dict[str, object]:
        """Return the JSON form that `parse` reads."""
        record: dict[str, object] = {f.name: getattr(self, f.name) for f in fields(self)}
        record |= {"aliases": list(self.aliases), "auto_archive": int(self.auto_archive)}
        record["pet_mr"] = str(self.pet_mr or SITES)
        return record | {"profile": self.profile.to_record()}


PROJECT_TEXTS = ("anonymization_script", "series_import_filter")
"""The fields of several lines."""

_DEFAULTS = {f.name: f.default for f in fields(Project) if f.name != "id"}
_DEFAULTS |= {"id": "", "profile": {}, "pet_mr": SITES}


def _given(raw: Mapping[str, object], name: str) -> object:
    value = raw.get(name)
    return _DEFAULTS[name] if value is None else value


def _id_faults(value: object) -> Iterator[Problem]:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        yield Problem(
            "id",
            str(value)[:80],
            "is not a project id",
            "use 1 to 64 letters, digits, '_' or '-', not starting with '-'",
        )
    # XNAT 9.1: the prearchive of such a project would be taken for that of unassigned sessions.
    elif _RESERVED.fullmatch(value):
        yield Problem("id", value, "is reserved for sessions without a project", "choose another")


def _title_faults(value: object) -> Iterator[Problem]:
    shown = str(value)[:40]
    if not isinstance(value, str):
        yield Problem("title", shown, "is not a text", "write a text")
        return
    if len(value) > MAX_NAME_CHARACTERS:
        message = f"has {len(value):,} characters"
        yield Problem("title", shown, message, f"use at most {MAX_NAME_CHARACTERS:,}")
    unseen = next((character for character in value if not character.isprintable()), None)
    if unseen is not None:
        message = f"has the character U+{ord(unseen):04X}, which can't be seen"
        yield Problem("title", shown, message, "remove it; a title is one line")


def _alias_faults(value: object) -> Iterator[Problem]:
    if not isinstance(value, list | tuple):
        yield Problem("aliases", str(value)[:40], "is not a list of names", "write a list of texts")
        return
    if len(value) > MAX_ALIASES:
        message = f"are more than {MAX_ALIASES} aliases"
        yield Problem("aliases", str(len(value)), message, "remove some")
    for number, alias in enumerate(value, start=1):
        fault = _alias_fault(alias)
        if fault:
            yield Problem("aliases", str(alias)[:40], *fault, line=number)


def _alias_fault(alias: object) -> tuple[str, str] | None:
    """Return message and remedy for an alias that is no name; None for a good one."""
    if not isinstance(alias, str) or not alias:
        return "is not a name", "write a text"
    if not alias.isprintable():
        return "contains a control character", "remove it"
    if len(alias) > MAX_NAME_CHARACTERS:
        return "is too long", f"use at most {MAX_NAME_CHARACTERS} characters"
    if alias != alias.strip():
        # Values of elements are compared without their padding (PS3.5 6.2).
        return "begins or ends with a blank, so that no value can match it", "remove the blank"
    return None


def _auto_archive_faults(value: object) -> Iterator[Problem]:
    # A bool is an int in Python: true would be taken for 1.
    if isinstance(value, bool) or not isinstance(value, int) or value not in set(AutoArchive):
        remedy = "use 0 (manual), 4 (archive) or 5 (archive and overwrite)"
        yield Problem("auto_archive", str(value)[:40], "is not an auto-archive code", remedy)


def _filter_faults(value: object) -> Iterator[Problem]:
    problems = tuple(text_faults("series_import_filter", value))
    yield from problems or filter_problems("series_import_filter", value)


def _revision_faults(value: object) -> Iterator[Problem]:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        name = "anonymization_script_revision"
        yield Problem(name, str(value)[:40], "is not a whole number", "remove it")


def _switch_faults(values: Mapping[str, object]) -> Iterator[Problem]:
    """Refuse a switch without a script: objects would pass that are meant to be anonymized."""
    name, text = "anonymization_script_enabled", values["anonymization_script"]
    enabled = values[name]
    if not isinstance(enabled, bool):
        yield Problem(name, str(enabled)[:40], "is not a switch", "write true or false")
    elif enabled and isinstance(text, str) and not text.strip():
        remedy = "set a script, or switch it off"
        yield Problem(name, "true", "is on, but there is no script", remedy)


def _archive_folder_faults(value: object) -> Iterator[Problem]:
    if not isinstance(value, str) or not _ARCHIVE_FOLDER.fullmatch(value):
        remedy = "use arc001, arc002 and so on"
        yield Problem("archive_folder", str(value)[:40], "is not an archive folder", remedy)


_FAULTS: Mapping[str, Callable[[object], Iterator[Problem]]] = {
    "id": _id_faults,
    "title": _title_faults,
    "aliases": _alias_faults,
    "auto_archive": _auto_archive_faults,
    "anonymization_script": partial(text_faults, "anonymization_script"),
    "series_import_filter": _filter_faults,
    "anonymization_script_revision": _revision_faults,
    "profile": profile_problems,
    "archive_folder": _archive_folder_faults,
    "pet_mr": partial(pet_mr_problems, "pet_mr", also=(SITES,)),
}


@dataclass(frozen=True, slots=True)
class ProjectRegistry:
    """All projects, found by id or alias with exact spelling (XNAT 5.5)."""

    projects: tuple[Project, ...] = ()
    series_filters: Mapping[str, str] = field(init=False, repr=False, compare=False)
    """The series import filters of those projects that have one, by id."""
    anonymizations: Mapping[str, Anonymization] = field(init=False, repr=False, compare=False)
    """The anonymization on the way into the archive of those projects that have one, by id."""
    _by_name: Mapping[str, str | None] = field(init=False, repr=False, compare=False)
    _by_id: Mapping[str, Project] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name: dict[str, str | None] = {}
        for project in self.projects:
            for name in (project.id, *project.aliases):
                # A name of two projects finds none of them.
                if by_name.setdefault(name, project.id) != project.id:
                    by_name[name] = None
        # Computed once for each revision, as every object is looked up. The class is frozen.
        object.__setattr__(self, "_by_name", by_name)
        object.__setattr__(self, "_by_id", {project.id: project for project in self.projects})
        filters = {p.id: p.series_import_filter for p in self.projects if p.series_import_filter}
        object.__setattr__(self, "series_filters", filters)
        steps = {p.id: step for p in self.projects if (step := p.anonymization) is not None}
        object.__setattr__(self, "anonymizations", steps)

    def find(self, name: str) -> str | None:
        """Return the id of the one project with this id or alias, else None."""
        return self._by_name.get(name)

    def project(self, project_id: str) -> Project:
        """Return the project with this id.

        Raises:
            NotFound: if there is none.
        """
        project = self._by_id.get(project_id)
        if project is None:
            raise NotFound(f"there is no project {project_id[:80]!r}", "it may have been deleted")
        return project

    def archive_code(self, project_id: str) -> AutoArchive:
        """Return the code for complete sessions of a project; MANUAL if the project is gone."""
        # A session can outlive its project: MANUAL leaves it to a person.
        project = self._by_id.get(project_id)
        return project.auto_archive if project is not None else AutoArchive.MANUAL

    def archive_folder(self, project_id: str) -> str:
        """Return the folder for a project's archived sessions; the first if the project is gone."""
        project = self._by_id.get(project_id)
        return project.archive_folder if project is not None else FIRST_ARCHIVE_FOLDER

    def pet_mr(self, project_id: str | None) -> PetMr | None:
        """Return a project's setting for PET and MR; None leaves it to the site."""
        project = self._by_id.get(project_id or "")
        return project.pet_mr if project is not None else None
