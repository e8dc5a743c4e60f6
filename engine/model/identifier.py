"""Identifiers as the configuration sees them: what there is, and what a receiver tells each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DEFAULT_IDENTIFIER = "dicomObjectIdentifier"
MAX_SETTING_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class IdentifierField:
    """One value that a receiver must or may tell its identifier, such as a project."""

    name: str
    """Its key in the receiver's ``identifier_settings``."""
    label: str
    help: str
    """What to write, as a remedy says it, such as ``write the id of a project``."""
    required: bool = True
    check: Callable[[str], str] | None = None
    """Says what is wrong with a value, such as ``is not a label``; nothing if it is good."""


@dataclass(frozen=True, slots=True)
class IdentifierInfo:
    """What the dialog must know about one installed identifier."""

    id: str
    name: str
    can_route: bool
    is_default: bool = False
    fields: tuple[IdentifierField, ...] = ()


DEFAULT_IDENTIFIERS = (
    IdentifierInfo(DEFAULT_IDENTIFIER, "Default DICOM object identifier", True, is_default=True),
)


def setting_problems(info: IdentifierInfo, settings: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what is wrong with what a receiver tells its identifier."""
    known = {field.name: field for field in info.fields}
    for name, value in settings.items():
        if name not in known:
            remedy = f"use {', '.join(known)}" if known else "remove it"
            message = f"is not known to the identifier {info.id}"
            yield Problem(_place(name), value[:40], message, remedy)
    for field in info.fields:
        value = settings.get(field.name, "")
        fault = _fault(field, value)
        if fault:
            yield Problem(_place(field.name), value[:40], fault, field.help)


def _fault(field: IdentifierField, value: str) -> str:
    if not value:
        return "is empty" if field.required else ""
    if len(value) > MAX_SETTING_CHARACTERS:
        return f"is longer than {MAX_SETTING_CHARACTERS} characters ({len(value)})"
    return field.check(value) if field.check else ""


def _place(name: str) -> str:
    return f"identifier_settings.{name[:40]}"
