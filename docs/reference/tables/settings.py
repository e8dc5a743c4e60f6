"""Settings with defaults, ranges and units, and the parameters of processors."""

from __future__ import annotations

from dataclasses import MISSING, fields
from enum import Enum
from typing import TYPE_CHECKING

from engine.model import limits, site
from engine.model.alerts import REPEAT_SECONDS, AlertKind, AlertSettings
from engine.model.limits import Limits
from engine.model.project import Project
from engine.model.receiver import Receiver
from engine.model.site import SessionSettings, SiteSettings
from engine.processing.installed import classes_of, load_processors
from tables.commands import option_texts
from tables.markdown import code, field_texts, table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from dataclasses import Field

_UNITS = {"seconds": "s", "bytes": "bytes", "days": "days", "percent": "%", "mib": "MiB"}
_TITLES = ("name", "default", "range", "meaning")
_GROUPS = {"limits", "sessions", "routing", "script", "profile", "alerts"}


def limit_settings() -> str:
    """Return the limits for peers and for the storage."""
    return _fields(Limits, limits.BOUNDS)


def session_settings() -> str:
    """Return the settings of sessions."""
    return _fields(SessionSettings, site.BOUNDS)


def site_settings() -> str:
    """Return the other settings of the site, without the groups that have tables of their own."""
    return _fields(SiteSettings, {}, without=_GROUPS)


def receiver_settings() -> str:
    """Return the fields of a receiver."""
    return _fields(Receiver, {}, option_texts("receivers add"))


def project_settings() -> str:
    """Return the fields of a project."""
    return _fields(Project, {}, option_texts("projects edit"))


def alert_settings() -> str:
    """Return the settings of alerts, and the kinds of alerts."""
    texts = field_texts(AlertKind)
    kinds = table(("kind", "about"), [(code(kind), texts[kind.name]) for kind in AlertKind])
    return f"{_fields(AlertSettings, {'repeat_seconds': REPEAT_SECONDS})}\n\n{kinds}"


def processor_parameters() -> str:
    """Return the parameters of each class of processors that comes with the program."""
    sections = []
    for info in classes_of(load_processors()):
        if not info.origin.startswith("dicomdock "):
            continue
        locations = ", ".join(map(code, info.locations))
        rows = [
            (code(p.name), _kind(p), code(p.default) or ("required" if p.required else "–"), p.help)
            for p in info.parameters
        ]
        titles = ("parameter", "value", "default", "remedy for a missing or wrong value")
        sections.append(f"### {info.id}\n\n{info.help} Acts {locations}.\n\n{table(titles, rows)}")
    return "\n\n".join(sections)


def _kind(parameter: object) -> str:
    choices = getattr(parameter, "choices", ())
    minimum, maximum = getattr(parameter, "minimum", None), getattr(parameter, "maximum", None)
    if choices:
        return ", ".join(map(code, choices))
    if minimum is not None or maximum is not None:
        return f"{minimum:,} to {maximum:,}" if maximum is not None else f"from {minimum:,}"
    return str(getattr(parameter, "kind", ""))


def _fields(
    cls: type,
    bounds: Mapping[str, range],
    others: Mapping[str, str] | None = None,
    without: frozenset[str] | set[str] = frozenset(),
) -> str:
    texts = field_texts(cls)
    rows = []
    for field in fields(cls):
        if not field.init or field.name in without:
            continue
        meaning = texts.get(field.name) or (others or {}).get(field.name, "")
        rows.append((code(field.name), _default(field), _range(field.name, bounds), meaning))
    return table(_TITLES, rows)


def _default(field: Field[object]) -> str:
    value = field.default
    if value is MISSING:
        return "–"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int) and not isinstance(value, Enum):
        return f"{value:,}{_unit(field.name)}"
    if value is None or value in ("", ()):
        return "–"
    if isinstance(value, Enum):
        return code(value.value if isinstance(value, str) else value.name.lower())
    return code(value) if isinstance(value, str | int) else "–"


def _range(name: str, bounds: Mapping[str, range]) -> str:
    if name not in bounds:
        return ""
    found = bounds[name]
    return f"{found.start:,} to {found.stop - 1:,}"


def _unit(name: str) -> str:
    words = name.split("_")
    unit = _UNITS.get(words[-1], "")
    return f" {unit}" if unit else ""
