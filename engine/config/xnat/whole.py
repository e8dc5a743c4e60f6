"""A whole XNAT: what importing its site settings, projects, receivers and processors would change.

The file is one JSON object. Its members are answers of XNAT's REST resources, as
`engine.remote.xnat.reader` puts them together; each may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from engine.config.reading import require_project_script, require_script
from engine.config.xnat.processors import (
    SITE_ANONYMIZATION,
    STUDY_REMAPPING,
    in_their_words,
    posted_processor,
)
from engine.config.xnat.receivers import (
    ImportItem,
    ImportKind,
    ImportOutcome,
    InvalidImport,
    plan_import,
    read_json,
)
from engine.config.xnat.site import (
    FILTER,
    FIXED,
    RULES,
    SCRIPT,
    changed_rules,
    changed_site,
    filter_of_record,
    site_config,
)
from engine.errors import ConfigurationError, InvalidSite, Problem
from engine.model.configuration import Configuration, project_conflicts
from engine.model.configuration_diff import differences
from engine.model.processor import ProcessorRules, parse_processor
from engine.model.project import Project, ProjectRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.model.plugins import IdentifierInfo
    from engine.model.processor import Processor
    from engine.model.site import SiteSettings

T = TypeVar("T")
PARTS = ("siteConfig", "siteScript", "siteRules", "projects", "receivers", "processors")
_OUTCOME = {True: ImportOutcome.CHANGED, False: ImportOutcome.EQUAL}


@dataclass(frozen=True, slots=True)
class XnatExport:
    """The records of one XNAT."""

    site_config: Mapping[str, Any] = field(default_factory=dict)
    site_script: str | None = None
    """None if it is not known."""
    site_rules: Mapping[str, Any] = field(default_factory=dict)
    """Rows of XNAT's config service, by the last part of their path."""
    projects: tuple[Mapping[str, Any], ...] = ()
    receivers: tuple[Mapping[str, Any], ...] = ()
    processors: tuple[Mapping[str, Any], ...] = ()


def read_export(text: str) -> XnatExport | None:
    """Return the records of a whole XNAT; None for a file of receivers alone.

    Raises:
        InvalidImport: naming the member that is none.
    """
    content = read_json(text.removeprefix("\ufeff"))
    if not isinstance(content, dict) or not content.keys() & set(PARTS):
        return None
    problems = [
        Problem(name[:40], "", "is not part of an XNAT", f"use {', '.join(PARTS)}")
        for name in content.keys() - set(PARTS)
    ]
    kinds: dict[str, tuple[type, str]] = {
        "siteConfig": (dict, "an object"),
        "siteScript": (str, "text"),
        "siteRules": (dict, "an object"),
    }
    for name in content.keys() & set(PARTS):
        kind, named = kinds.get(name, (list, "a list of records"))
        if not isinstance(content[name], kind):
            problems.append(Problem(name, str(content[name])[:40], f"is not {named}", "correct it"))
        elif kind is list and not all(isinstance(record, dict) for record in content[name]):
            problems.append(Problem(name, "", "has something else than records", "remove it"))
    if problems:
        raise InvalidImport(*problems)
    return XnatExport(
        content.get("siteConfig", {}),
        content.get("siteScript"),
        content.get("siteRules", {}),
        *(tuple(content.get(name, ())) for name in ("projects", "receivers", "processors")),
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do."""

    items: tuple[ImportItem, ...]
    after: Configuration
    """The configuration with all that is not refused."""


def plan_whole(
    export: XnatExport,
    before: Configuration,
    identifiers: Sequence[IdentifierInfo],
    processors: ProcessorRules,
) -> Plan:
    """Return what importing a whole XNAT would do; nothing that it does not name is removed."""
    items = [*_site_items(export, before.site)]
    after = replace(before, site=_last(items, before.site))
    items += _project_items(export.projects, before.projects)
    saved = {item.label: item.value for item in items if isinstance(item.value, Project)}
    registry = {p.id: p for p in before.projects.projects} | saved
    after = replace(after, projects=ProjectRegistry(tuple(registry.values())))
    # Receivers and processors must fit the site and the projects that are imported with them.
    receivers = plan_import(export.receivers, after, identifiers)
    items += receivers
    after = replace(after, receivers=_joined(before.receivers, (i.receiver for i in receivers)))
    planned = tuple(_processor_items(export.processors, after, processors))
    items += planned
    made = (item.value for item in planned)
    return Plan(tuple(items), replace(after, processors=_joined(before.processors, made)))


def _last(items: Sequence[ImportItem], site: SiteSettings) -> SiteSettings:
    values = [item.value for item in items if item.kind is ImportKind.SITE]
    return next((value for value in reversed(values) if value is not None), site)  # type: ignore[return-value]


def _joined(known: tuple[T, ...], planned: Iterator[Any]) -> tuple[T, ...]:
    """Return the known values, the planned ones in place of those with their id or after them."""
    values = [value for value in planned if value is not None]
    by_id = {value.id: value for value in values if value.id}
    kept = tuple(by_id.get(value.id, value) for value in known)  # type: ignore[attr-defined]
    return (*kept, *(value for value in values if not value.id))


def _site_items(export: XnatExport, before: SiteSettings) -> Iterator[ImportItem]:
    known = site_config(before).keys() - FIXED.keys()
    # An empty value is one that was never set.
    given = {n: v for n, v in export.site_config.items() if v not in (None, "") or n == FILTER}
    wanted = {name: v for name, v in given.items() if name in known}
    if export.site_script is not None:
        wanted[SCRIPT] = export.site_script
    if not wanted and not export.site_rules:
        return
    try:
        after = changed_site(before, wanted)
        for name, row in export.site_rules.items():
            after = _with_rules(after, name, row)
        require_script(after.script)
    except ConfigurationError as error:
        yield _refused(ImportKind.SITE, "site", error)
        return
    made = differences(Configuration(site=before), Configuration(site=after))
    yield ImportItem("site", _OUTCOME[bool(made)], after, made, kind=ImportKind.SITE)
    left = [
        Problem(name, str(given[name])[:40], why, "nothing is to be done")
        for name, (value, why) in FIXED.items()
        if name in given and given[name] != value
    ]
    if left:
        yield _left_out(ImportKind.SITE, "site", *left)


def _with_rules(site: SiteSettings, name: str, row: object) -> SiteSettings:
    where = f"siteRules.{name[:40]}"
    if name not in RULES or not isinstance(row, dict):
        remedy = f"use {', '.join(RULES)}, each with contents and status"
        raise InvalidSite(Problem(where, str(row)[:40], "are no rules", remedy))
    text, status = row.get("contents") or "", row.get("status")
    if not isinstance(text, str) or status not in ("enabled", "disabled"):
        remedy = "write contents as text, and enabled or disabled as status"
        raise InvalidSite(Problem(where, str(status)[:40], "are no rules", remedy))
    return changed_rules(site, name, text, status == "enabled")


def _project_items(
    records: Sequence[Mapping[str, Any]], known: ProjectRegistry
) -> Iterator[ImportItem]:
    former = {project.id: project for project in known.projects}
    read: dict[str, Project] = {}
    refused: list[ImportItem] = []
    for record in records:
        label = str(record.get("id") or "")[:64]
        try:
            read[label] = _once(label, read, _project(record, former.get(label)))
        except ConfigurationError as error:
            refused.append(_refused(ImportKind.PROJECT, label, error))
    conflicts: dict[str, list[Problem]] = {}
    for project, problem in project_conflicts(tuple((former | read).values())):
        conflicts.setdefault(project.id, []).append(problem)
    for label, project in read.items():
        if project.id in conflicts:
            conflict = ConfigurationError(*conflicts[project.id])
            refused.append(_refused(ImportKind.PROJECT, label, conflict))
        else:
            yield _project_item(former.get(label), project)
    yield from refused


def _project_item(before: Project | None, project: Project) -> ImportItem:
    if before is None:
        return ImportItem(project.id, ImportOutcome.NEW, project, kind=ImportKind.PROJECT)
    made = differences(
        Configuration(projects=ProjectRegistry((before,))),
        Configuration(projects=ProjectRegistry((project,))),
    )
    return ImportItem(project.id, _OUTCOME[bool(made)], project, made, kind=ImportKind.PROJECT)


def _project(record: Mapping[str, Any], before: Project | None) -> Project:
    raw: dict[str, Any] = before.to_record() if before is not None else {}
    names = {"id": "id", "title": "title", "aliases": "aliases", "script": "anonymization_script"}
    names |= {"scriptEnabled": "anonymization_script_enabled"}
    raw |= {ours: record[theirs] for theirs, ours in names.items() if theirs in record}
    if "filter" in record:
        raw["series_import_filter"] = filter_of_record(record["filter"])
    code = str(record.get("prearchiveCode", "")).strip()
    if code:
        raw["auto_archive"] = int(code) if code.isascii() and code.isdecimal() else code
    project = Project.parse(raw)
    require_project_script(project)
    return project


def _processor_items(
    records: Sequence[Mapping[str, Any]], after: Configuration, rules: ProcessorRules
) -> Iterator[ImportItem]:
    former = {processor.label: processor for processor in after.processors}
    read: dict[str, Processor] = {}
    for record in records:
        label = str(record.get("label") or "")[:64]
        left = _nothing_to_import(record)
        if left is not None:
            yield _left_out(ImportKind.PROCESSOR, label, left)
            continue
        try:
            others = tuple(p for name, p in (former | read).items() if name != label)
            complete = replace(rules, others=others, projects=after.projects)
            processor = posted_processor(record, former.get(label))
            read[label] = _once(label, read, parse_processor(processor.to_record(), complete))
        except ConfigurationError as error:
            problems = map(in_their_words, error.problems)
            yield _refused(ImportKind.PROCESSOR, label, ConfigurationError(*problems))
        else:
            yield _processor_item(label, former.get(label), read[label])


def _nothing_to_import(record: Mapping[str, Any]) -> Problem | None:
    """Return why a processor of XNAT has no place here though nothing is lost."""
    class_name = record.get("processorClass")
    if class_name == SITE_ANONYMIZATION:
        message, remedy = "does nothing in XNAT", "the site's script runs without a processor"
        return Problem("processorClass", SITE_ANONYMIZATION, message, remedy)
    if class_name == STUDY_REMAPPING and not record.get("parameters"):
        message = "reads scripts that DQR writes for each study"
        remedy = "for a table of studies: dicomdock processors add --class remapByStudy"
        return Problem("processorClass", STUDY_REMAPPING, message, remedy)
    return None


def _processor_item(label: str, before: Processor | None, processor: Processor) -> ImportItem:
    if before is None:
        return ImportItem(label, ImportOutcome.NEW, processor, kind=ImportKind.PROCESSOR)
    made = differences(Configuration(processors=(before,)), Configuration(processors=(processor,)))
    return ImportItem(label, _OUTCOME[bool(made)], processor, made, kind=ImportKind.PROCESSOR)


def _once(label: str, read: Mapping[str, object], value: T) -> T:
    """Return a value whose label none had before."""
    if label in read:
        problem = Problem("label", label, "is in the file twice", "remove one of them")
        raise ConfigurationError(problem)
    return value


def _refused(kind: ImportKind, label: str, error: ConfigurationError) -> ImportItem:
    return ImportItem(label, ImportOutcome.REFUSED, problems=error.problems, kind=kind)


def _left_out(kind: ImportKind, label: str, *problems: Problem) -> ImportItem:
    return ImportItem(label, ImportOutcome.LEFT_OUT, problems=problems, kind=kind)
