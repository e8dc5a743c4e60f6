"""Classes that plug-ins add: identifiers, file namers, and why one could not be loaded."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from engine.errors import Problem
from engine.model.secrets import has_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from engine.model.file_name_template import FileNameTemplate
    from engine.model.project import ProjectRegistry

    FileNamers = Mapping[str, FileNameTemplate]


IDENTIFIERS = "dicomdock.identifiers"
PROCESSORS = "dicomdock.processors"
FILE_NAMERS = "dicomdock.file_namers"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One entry point of a group."""

    group: str
    """Such as ``dicomdock.identifiers``."""
    id: str
    """The entry point's name, by which a receiver chooses the plugin."""
    target: str
    """``module:object``."""
    distribution: str
    version: str
    error: str = ""
    """Why it can't be used, without words of the plugin's own; empty if it can."""
    said: str = ""
    """The text of its exception, which may quote anything: never in events or logs."""

    @property
    def origin(self) -> str:
        """Name distribution and version."""
        return f"{self.distribution} {self.version}".strip()

    def to_record(self) -> dict[str, object]:
        """Return the plugin for programs."""
        return asdict(self)


DEFAULT_FILE_NAMER = "dicomFileNamer"
"""XNAT's only one, which is the site's template."""


@dataclass(frozen=True, slots=True)
class FileNamerInfo:
    """One installed file namer."""

    id: str
    """The entry point's name, by which a receiver chooses it."""
    name: str
    template: str = ""
    """As the site's own template is written."""
    error: str = ""
    """Why it can't be used, though it is installed; empty if it can."""


def file_namer_problems(
    file_namer: str | None, known: Sequence[FileNamerInfo]
) -> Iterator[Problem]:
    """Yield why a receiver can't use its file namer; None is the site's template."""
    if file_namer is None or file_namer == DEFAULT_FILE_NAMER:
        return
    found = next((namer for namer in known if namer.id == file_namer), None)
    usable = ", ".join(namer.id for namer in known if not namer.error) or "none is installed"
    remedy = f"choose one of: {usable}; or leave it empty for the site's template"
    if found is None:
        yield Problem("file_namer", file_namer[:80], "is not installed", remedy)
    elif found.error:
        yield Problem("file_namer", file_namer[:80], f"can't be used: {found.error}", remedy)


DEFAULT_IDENTIFIER = "dicomObjectIdentifier"
MAX_SETTING_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class IdentifierField:
    """One setting of an identifier, such as a project."""

    name: str
    """Its key in the receiver's ``identifier_settings``."""
    label: str
    help: str
    """The remedy for a missing value, such as ``write the id of a project``."""
    required: bool = True
    check: Callable[[str], str] | None = None
    """Returns what is wrong with a value, such as ``is not a label``; empty if it is valid."""
    is_project: bool = False
    """Whether the value is a project's id or alias; the dialog offers those that there are."""


@dataclass(frozen=True, slots=True)
class IdentifierInfo:
    """The description of one installed identifier, for dialogs and checks."""

    id: str
    name: str
    can_route: bool
    is_default: bool = False
    fields: tuple[IdentifierField, ...] = ()
    origin: str = ""
    """The distribution that it comes from, with its version."""
    error: str = ""
    """Why it can't be used, though it is installed; empty if it can."""
    on_request: bool = False
    """Whether it is offered only if a receiver uses it, or if the site offers all."""


PROJECT_FIELD = IdentifierField(
    "project", "Project", "name a project that exists, by id or alias", is_project=True
)

DEFAULT_IDENTIFIERS = (
    IdentifierInfo(DEFAULT_IDENTIFIER, "Default DICOM object identifier", True, is_default=True),
)


def offered_identifiers(
    known: Sequence[IdentifierInfo], used: Collection[str], *, everything: bool
) -> tuple[IdentifierInfo, ...]:
    """Return the identifiers to choose from: XNAT's own, those in use, and plug-ins.

    The others may be chosen too, by whoever knows their id.

    Args:
        known: those that are installed.
        used: the ids that receivers use.
        everything: whether the site offers all.
    """
    return tuple(i for i in known if everything or not i.on_request or i.id in used)


@dataclass(frozen=True, slots=True)
class IdentifierChoice:
    """Which identifier a receiver uses, and how."""

    identifier: str
    settings: Mapping[str, str]
    routing_enabled: bool = False
    """Whether the receiver has routing rules in force."""


def identifier_problems(
    chosen: IdentifierChoice,
    identifiers: Sequence[IdentifierInfo],
    projects: ProjectRegistry | None = None,
) -> Iterator[Problem]:
    """Yield why a receiver can't use its identifier as it is configured.

    Args:
        chosen: the identifier and its settings.
        identifiers: those that are installed, broken ones included.
        projects: all projects; None skips the check that a project exists.
    """
    name = chosen.identifier
    info = next((known for known in identifiers if known.id == name), None)
    if info is None:
        usable = ", ".join(known.id for known in identifiers if not known.error)
        message = f"specifies an unknown DICOM Object Identifier '{name}'"
        yield Problem("identifier", name, message, f"choose one of: {usable}")
    elif info.error:
        message = f"can't be used: {info.error}"
        remedy = "repair or reinstall it (see: dicomdock plugins), or choose another identifier"
        yield Problem("identifier", name, message, remedy)
    else:
        if chosen.routing_enabled and not info.can_route:
            message = f"{name} does not support custom routing but custom routing is enabled"
            remedy = "switch routing off or choose another identifier"
            yield Problem("routing_enabled", name, message, remedy)
        yield from _setting_problems(info, chosen.settings, projects)


def _setting_problems(
    info: IdentifierInfo, settings: Mapping[str, str], projects: ProjectRegistry | None
) -> Iterator[Problem]:
    known = {field.name: field for field in info.fields}
    for name, value in settings.items():
        if name not in known:
            remedy = f"use {', '.join(known)}" if known else "remove it"
            message = f"is not known to the identifier {info.id}"
            yield Problem(_place(name), value[:40], message, remedy)
    for field in info.fields:
        value = settings.get(field.name, "")
        fault = _fault(field, value, projects)
        if fault:
            yield Problem(_place(field.name), value[:40], fault, field.help)


def _fault(field: IdentifierField, value: str, projects: ProjectRegistry | None) -> str:
    if not value:
        return "is empty" if field.required else ""
    if len(value) > MAX_SETTING_CHARACTERS:
        return f"is longer than {MAX_SETTING_CHARACTERS} characters ({len(value)})"
    if field.is_project and projects is not None and projects.find(value) is None:
        return "names no project"
    if has_mask(value):
        return ""  # the secret behind the mask was checked when it was saved
    try:
        # Last: the plugin's own code sees only values of a reasonable length.
        return field.check(value) if field.check else ""
    except Exception as error:  # the check is the plugin's own
        return f"can't be checked ({type(error).__name__})"


def _place(name: str) -> str:
    return f"identifier_settings.{name[:40]}"
