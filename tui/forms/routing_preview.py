"""Words for the dry run of routing rules on recent objects: what decides, and what does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.identity import DEFAULT_SESSION_LABEL, UNASSIGNED
from engine.model.processing import Verdict
from engine.model.trace import Attribute, Source
from tui.text import clock, counted, safe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.model.identity import Identification, RoutingPreview
    from engine.model.processing import ProcessorStep
    from engine.model.trace import Step

SHOWN = (Attribute.PROJECT, Attribute.SUBJECT, Attribute.SESSION)
MAX_FAILED_RULES = 3
"""Of one attribute: more would push the others out of sight."""
MAX_VALUE_CHARACTERS = 64
"""As much of a value as a rule sees (XNAT 6.4)."""
NO_OBJECTS = "no object arrived since the engine started; the next one shows here"
_SITE_SHOWN = (*SHOWN, Attribute.AUTO_ARCHIVE)
"""A receiver has no rules for auto-archiving."""
_OTHERWISE = {
    Attribute.PROJECT: UNASSIGNED,
    Attribute.SUBJECT: "no subject",
    Attribute.SESSION: DEFAULT_SESSION_LABEL,
    Attribute.AUTO_ARCHIVE: "as the project says",
}
_WHOSE = {Source.RECEIVER: "rule", Source.SITE: "site rule", Source.DEFAULT: "default"}


@dataclass(frozen=True, slots=True)
class AttributeWords:
    """What becomes of one attribute of one object."""

    attribute: Attribute
    value: str
    """What is decided; what is filed in its place if nothing is."""
    is_decided: bool
    by: str
    """Such as ``rule 2 · (0008,1030) StudyDescription``; empty if nothing decides."""
    taken: str
    """The element's value with the part that was taken, such as ``“[NEURO-01]^BRAIN”``."""
    passed_over: tuple[str, ...]
    """The rules considered that decided nothing, each with the reason."""

    @property
    def in_one_line(self) -> str:
        """The same, as short as it can be."""
        arrow = "→" if self.is_decided else "✗ nothing decides →"
        return " · ".join(filter(None, (f"{arrow} {self.value}", self.by)))


@dataclass(frozen=True, slots=True)
class ObjectWords:
    """One object under the rules that are being considered."""

    head: str
    """Which object it is."""
    refused: str
    """Why it would be refused, if it would."""
    attributes: tuple[AttributeWords, ...]
    change: str
    """Where it is filed by the settings in force, if that differs."""
    processing: tuple[str, ...] = ()
    """What processors do to it, in order, such as ``Relabel continued: project=A``."""


def object_words(preview: RoutingPreview, *, whose: Source = Source.RECEIVER) -> ObjectWords:
    """Say where an object would go and why.

    Args:
        preview: the object's dry run, masked or not.
        whose: whose rules are being considered.
    """
    draft, saved = preview.draft, preview.saved
    head = f"{clock(preview.at)} from {safe(preview.calling_ae_title)}, {safe(preview.receiver)}"
    attributes = (
        () if draft.identity is None else tuple(_words(a, draft, whose) for a in _shown(whose))
    )
    change = f"saved rules file it as {_filed(saved)}" if preview.changes else ""
    processing = tuple(_processed(preview.draft_processing))
    return ObjectWords(head, safe(draft.failure), attributes, change, processing)


def totals(previews: Sequence[RoutingPreview], whose: Source = Source.RECEIVER) -> str:
    """Count for how many of the objects the rules considered decide, and what changes."""
    by_rule = {
        attribute: sum(_is_ruled(preview.draft, attribute, whose) for preview in previews)
        for attribute in _shown(whose)
    }
    found = ", ".join(f"{attribute} {number}" for attribute, number in by_rule.items())
    refused = sum(preview.draft.identity is None for preview in previews)
    moved = sum(preview.changes for preview in previews)
    words = [f"{counted(len(previews), 'recent object')}; these rules decide {found}"]
    words += [f"✗ {counted(refused, 'object')} would be refused"] if refused else []
    words += [f"{moved} filed otherwise than now"] if moved else []
    return "; ".join(words)


def _shown(whose: Source) -> tuple[Attribute, ...]:
    return _SITE_SHOWN if whose is Source.SITE else SHOWN


def _words(attribute: Attribute, draft: Identification, whose: Source) -> AttributeWords:
    step = draft.trace.deciding(attribute)
    passed_over = tuple(
        f"rule {step.line}: {step.element}: {safe(step.why_not)}"
        for step in draft.trace.of(attribute)
        if step.source is whose and not step.decided
    )
    value = _value(attribute, draft) or _OTHERWISE[attribute]
    decided = step is not None or attribute is Attribute.AUTO_ARCHIVE  # its default is no miss
    by = _by(step) if step is not None else ""
    taken = _taken(step) if step is not None else ""
    return AttributeWords(
        attribute, safe(value), decided, by, taken, passed_over[:MAX_FAILED_RULES]
    )


def _processed(steps: Iterable[ProcessorStep]) -> Iterator[str]:
    """Say what each processor did that had to do with the object."""
    for step in steps:
        if step.verdict not in {Verdict.NOT_SEEN, Verdict.SKIPPED}:
            changed = f"{counted(len(step.changes), 'element')} changed" if step.changes else ""
            said = ", ".join(filter(None, (step.why, step.assigned.words(), changed)))
            yield safe(f"{step.processor} {step.verdict}{': ' if said else ''}{said}")


def _value(attribute: Attribute, found: Identification) -> str:
    if found.identity is None:
        return ""
    if attribute is Attribute.AUTO_ARCHIVE:
        return {None: "", True: "yes", False: "no"}[found.identity.auto_archive]
    return dict(zip(SHOWN, found.identity.labels, strict=True))[attribute]


def _by(step: Step) -> str:
    if step.source in {Source.IDENTIFIER, Source.PROCESSOR}:
        return safe(step.rule)
    number = f" {step.line}" if step.line is not None else ""
    return f"{_WHOSE[step.source]}{number} · {step.element}"


def _taken(step: Step) -> str:
    """Show the element's value, with what was taken from it in brackets."""
    if step.value is None:
        return ""
    value, captured = safe(step.value), safe(step.captured or "")
    if captured and captured != value and captured in value:
        value = value.replace(captured, f"[{captured}]", 1)
    ellipsis = "…" if step.cut or len(value) > MAX_VALUE_CHARACTERS else ""
    return f"“{value[:MAX_VALUE_CHARACTERS]}{ellipsis}”"


def _filed(found: Identification) -> str:
    if found.identity is None:
        return f"refused: {safe(found.failure)}"
    return " / ".join(safe(label or "no subject") for label in found.identity.labels)


def _is_ruled(found: Identification, attribute: Attribute, whose: Source) -> bool:
    step = found.trace.deciding(attribute)
    return step is not None and step.source is whose
