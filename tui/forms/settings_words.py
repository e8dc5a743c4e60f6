"""The settings in force in words, by section, as the settings screen shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.site_routing import ATTRIBUTES
from tui.forms.number_words import in_words
from tui.forms.project_form import script_words
from tui.forms.site_forms import (
    AUTO_ARCHIVE_WORDS,
    DUPLICATE_WORDS,
    STORAGE,
    ReceiversForm,
    example_name,
)
from tui.text import counted, moment, safe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from engine.model.alerts import AlertTarget
    from engine.model.anonymization import ProfileSettings
    from engine.model.project import Project
    from engine.model.site import SiteSettings
    from engine.model.study_route import StudyRoute

Fact = tuple[str, str]
MAX_LINES = 60
"""Lines of a text that are shown; all of them are in its editor."""


@dataclass(frozen=True, slots=True)
class Section:
    """One group of settings."""

    name: str
    label: str
    about: str
    """What it is for, in a sentence."""


SECTIONS = (
    Section("receivers", "Receivers", "the switch over all receivers, ports, limits for peers"),
    Section("routing", "Routing", "rules for the objects of all receivers"),
    Section("anonymization", "Anonymization", "what is done to objects on receipt"),
    Section("sessions", "Sessions", "when they are complete, file names, filter, free space"),
    Section("alerts", "Alerts", "who is told when something is wrong"),
    Section("studies", "Study routes", "where studies go that are announced before they come"),
    Section("projects", "Projects", "what received sessions are sorted into"),
)


def section_facts(section: str, site: SiteSettings) -> tuple[Fact, ...]:
    """Return names and values of a section; safe text."""
    found = {
        "receivers": _receivers,
        "routing": _routing,
        "anonymization": _anonymization,
        "sessions": _sessions,
        "alerts": _alerts,
    }.get(section)
    return tuple(found(site)) if found else ()


def project_facts(project: Project, sessions: int | None) -> tuple[Fact, ...]:
    """Return everything about a project; `sessions` is None while it is not known."""
    return (
        ("project", safe(project.id)),
        ("title", safe(project.title) or "–"),
        ("aliases", "\n".join(map(safe, project.aliases)) or "–"),
        ("sessions here", "…" if sessions is None else f"{sessions:,}"),
        ("when complete", AUTO_ARCHIVE_WORDS[project.auto_archive]),
        ("archive folder", safe(project.archive_folder)),
        ("not wanted", _text(project.series_import_filter)),
        *_steps(
            project.anonymization_script_enabled,
            project.anonymization_script,
            project.profile,
            "before archiving",
        ),
    )


def target_facts(target: AlertTarget) -> tuple[Fact, ...]:
    """Return everything about a target but what may be secret."""
    return (
        ("target", safe(target.name)),
        ("told by", safe(target.shown)),
        ("told of", ", ".join(target.kinds)),
    )


def route_facts(route: StudyRoute, now: datetime) -> tuple[Fact, ...]:
    """Return everything about a study route."""
    return (
        ("study UID", safe(route.study_instance_uid)),
        ("project", safe(route.project)),
        ("subject", safe(route.subject) or "as the Patient Name says"),
        ("session", safe(route.session) or "as the Study ID or Accession Number says"),
        ("added by", safe(route.added_by) or "–"),
        ("added", moment(route.added_at, now) if route.added_at else "–"),
    )


def facts_as_text(facts: tuple[Fact, ...]) -> str:
    """Return facts as lines, for reading and copying."""
    lines = []
    for name, value in facts:
        first, *more = value.split("\n")
        lines += [f"{name:<18}{first}", *(f"{'':<18}{line}" for line in more)]
    return "\n".join(lines)


def anonymizes(project: Project) -> str:
    """Say in a word or two what is done to a project's objects."""
    return script_words(project)


def _receivers(site: SiteSettings) -> Iterator[Fact]:
    allowed = (
        "allowed; those that are enabled listen" if site.receivers_allowed else "✗ none listens"
    )
    yield "receivers", allowed
    yield "ports", f"{site.ports.start}–{site.ports.stop - 1}"
    yield "bind address", safe(site.bind_address) or "all addresses"
    for spec in ReceiversForm.SPECS:
        if spec.name in ReceiversForm.LIMITS:
            value = str(getattr(site.limits, spec.name))
            about = " ".join(spec.help.rstrip(".").split())
            yield _without_unit(spec.label), f"{in_words(spec.name, value):<9}{about}"


def _without_unit(label: str) -> str:
    """Return the label of a number whose unit stands behind it."""
    name = label.casefold().removesuffix(", seconds").replace("pdu", "PDU")
    return name.replace(" seconds", " time").replace(" bytes", " size")


def _routing(site: SiteSettings) -> Iterator[Fact]:
    routing = site.routing
    for name in ATTRIBUTES:
        state = "in force" if routing.is_enabled(name) else "off"
        text = routing.text(name)
        rules = f"\n{_text(text)}" if text.strip() else ", no rules"
        yield name.replace("_", "-"), f"{state}{rules}"
    tolerant = "may stand on lines of their own" if routing.tolerant_comments else "as XNAT"
    yield "comments", tolerant
    yield "asked", "after the rules of the receiver, before the defaults"


def _anonymization(site: SiteSettings) -> Iterator[Fact]:
    yield from _steps(site.script.enabled, site.script.text, site.profile, "on receipt")
    if site.anonymization is None:
        yield "so", "✗ objects are stored as they arrive, whatever a receiver says"


def _steps(enabled: bool, text: str, profile: ProfileSettings, when: str) -> Iterator[Fact]:
    kept = f", keeps {', '.join(profile.retain)}" if profile.retain else ""
    moved = f", moves dates by {profile.shift_days} days" if profile.shift_days else ""
    yield "profile", f"applied {when}{kept}{moved}" if profile.enabled else "off"
    state = f"runs {when}" if enabled else "off, kept" if text.strip() else "none"
    yield "script", state
    if text.strip():
        yield "", _text(text)


def _sessions(site: SiteSettings) -> Iterator[Fact]:
    sessions = site.sessions
    idle = in_words("idle_seconds", str(sessions.idle_seconds))
    yield "complete after", f"{idle} without an object"
    yield "new projects", AUTO_ARCHIVE_WORDS[site.new_project_auto_archive]
    yield "duplicates", DUPLICATE_WORDS[sessions.duplicates]
    yield "trash", f"kept for {in_words('trash_days', str(sessions.trash_days))}"
    yield (
        "file names",
        f"{safe(sessions.file_name_template)}\n{example_name(sessions.file_name_template)}",
    )
    yield "not wanted", _text(sessions.series_filter)
    for name in STORAGE:
        verb, _, _ = name.partition("_")
        label = "warn below" if verb == "low" else "refuse below"
        yield label, in_words(name, str(getattr(site.limits, name)))


def _alerts(site: SiteSettings) -> Iterator[Fact]:
    told = counted(len(site.alerts.targets), "target") if site.alerts.targets else "nobody is told"
    yield "told", told
    again = in_words("repeat_seconds", str(site.alerts.repeat_seconds))
    yield "same again after", again


def _text(text: str) -> str:
    """Return the first lines of a text, safe to show; a dash for none."""
    lines = text.splitlines()
    shown = ["    ".join(map(safe, line.split("\t"))) for line in lines[:MAX_LINES]]
    more = len(lines) - MAX_LINES
    return "\n".join([*shown, *([f"… {counted(more, 'more line')}"] if more > 0 else [])]) or "–"
