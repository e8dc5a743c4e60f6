"""Prints what rules and processors decide about an object, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.host import terminal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.model.identity import Identification, Step
    from engine.model.processing import ProcessorStep


def print_steps(steps: Iterable[Step]) -> None:
    """Print each look of a rule at an element."""
    heads = ("ATTRIBUTE", "BY", "LINE", "RULE", "ELEMENT", "VALUE", "CAPTURED", "RESULT", "WHY NOT")
    rows = [
        (s.attribute, s.source, s.line, s.rule, s.element, s.value, s.captured, s.result, _why(s))
        for s in steps
    ]
    terminal.print_table(heads, rows)


def print_processing(steps: Iterable[ProcessorStep]) -> None:
    """Print the outcome of each processor, and its changes below it."""
    rows: list[tuple[object, ...]] = []
    for step in steps:
        said = "; ".join(filter(None, (step.why, step.assigned.words())))
        rows.append((step.processor, step.location, step.verdict, said))
        rows.extend(("", "", "", change.words()) for change in step.changes)
    if rows:
        terminal.print_table(("PROCESSOR", "LOCATION", "DECISION", "WHY, LABELS, CHANGES"), rows)


def _why(step: Step) -> str:
    said = f"failed: {step.why_not}" if step.failed else step.why_not
    return said or ("value cut to 64 characters" if step.cut else "")


def identity_record(found: Identification) -> dict[str, object]:
    """Return what is decided, as JSON."""
    names = ("project", "subject", "session", "auto_archive")
    identity = found.identity
    if identity is None:
        return {**dict.fromkeys(names), "warning": "", "failure": found.failure}
    values = (identity.project.value, identity.subject.value, identity.session_label)
    labelled = zip(names, (*values, identity.auto_archive), strict=True)
    return {**dict(labelled), "warning": identity.warning, "failure": ""}


def step_record(step: Step) -> dict[str, object]:
    """Return a step as JSON."""
    return {
        "attribute": str(step.attribute),
        "source": str(step.source),
        "line": step.line,
        "rule": step.rule,
        "element": step.element,
        "value": step.value,
        "cut": step.cut,
        "captured": step.captured,
        "given": step.given,
        "result": step.result,
        "why_not": step.why_not,
        "failed": step.failed,
    }
