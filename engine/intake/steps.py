"""The steps of a trace: what a clause saw, what it took, and why that was not the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydicom.datadict import keyword_for_tag

from engine.model.auto_archive import requested
from engine.model.trace import Attribute, Source, Step
from engine.routing import Application, RuleError

if TYPE_CHECKING:
    from engine.intake.clauses import Clause
    from engine.intake.header import HeaderView
    from engine.intake.inquiry import Inquiry
    from engine.model.project import ProjectRegistry

_NOTHING = Application("", False, False, None, None)


def step(
    attribute: Attribute, clause: Clause, inquiry: Inquiry, value: str | None, accepted: str | None
) -> Step:
    """Describe how a clause was asked; nothing is decided here."""
    text = inquiry.header.text(clause.tag)
    if text is None:
        return _step(attribute, clause, None, _NOTHING, None, _absence(clause, inquiry.header))
    seen = _explained(clause, text)
    if accepted is not None:
        why_not = _doubt(attribute, accepted)
    elif value:
        cut = "; value cut to 64 characters" if seen.cut else ""
        why_not = _unknown(value, inquiry.routing.projects) + cut
    else:
        why_not = seen.why_not or "the result is empty"
    return _step(attribute, clause, seen.value, seen, accepted, why_not)


def failed_step(attribute: Attribute, clause: Clause, text: str, error: RuleError) -> Step:
    """Describe a rule that failed."""
    seen = _step(attribute, clause, text, _NOTHING, None, error.detail)
    return replace(seen, failed=True)


def own_step(attribute: Attribute, value: str | None, source: str, why: str) -> Step:
    """Describe what an identifier decides without asking any clause."""
    return Step(
        attribute, Source.IDENTIFIER, None, source, None, "", None, False, None, value, value, why
    )


def _step(
    attribute: Attribute,
    clause: Clause,
    value: str | None,
    seen: Application,
    result: str | None,
    why_not: str,
) -> Step:
    keyword = keyword_for_tag(clause.tag)
    place = (attribute, clause.source, clause.line, clause.words, clause.tag, keyword)
    return Step(*place, value, seen.cut, seen.captured, seen.result, result, why_not)


def _explained(clause: Clause, text: str) -> Application:
    """Ask again, slowly; what went well once may still run out of time now."""
    try:
        return clause.explain(text)
    except RuleError as error:
        return Application(text, False, False, None, None, error.detail)


def _doubt(attribute: Attribute, accepted: str) -> str:
    if attribute is Attribute.AUTO_ARCHIVE and requested(accepted) is None:
        return "neither true nor false, so the project's setting counts"
    return ""


def _absence(clause: Clause, header: HeaderView) -> str:
    if clause.tag in header:
        return "the element is empty or no text"
    if clause.tag >> 16 > header.last_tag >> 16:
        return f"not known: nothing beyond group {header.last_tag >> 16:04X} was read"
    return "the object has no such element"


def _unknown(name: str, projects: ProjectRegistry) -> str:
    """Say why a name is no project's; spelling counts, and two projects of one name are none."""
    alike = {
        known
        for project in projects.projects
        for known in (project.id, *project.aliases)
        if known.casefold() == name.casefold()
    }
    if name in alike:
        return f"{name!r} names more than one project"
    said = f"project {name!r} does not exist"
    return f"{said}; is {min(alike)!r} meant?" if alike else said
