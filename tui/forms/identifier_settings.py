"""The fields that identifiers add to the dialog: which there are, and what to choose in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.model.identifier import IdentifierField, IdentifierInfo
    from engine.model.project import ProjectRegistry

PREFIX = "identifier_settings."
"""Before a field's own name in the problems that the model finds."""


@dataclass(frozen=True, slots=True)
class SettingField:
    """A field of one identifier, with the name that it has in the dialog."""

    name: str
    """Unique there, such as ``setting_1_project``."""
    identifier: str
    field: IdentifierField

    @property
    def label(self) -> str:
        """What stands before it."""
        return f"  {self.field.label}{' *' if self.field.required else ''}"


def setting_fields(identifiers: Sequence[IdentifierInfo]) -> tuple[SettingField, ...]:
    """Return the fields of all identifiers, in their order."""
    return tuple(
        SettingField(f"setting_{position}_{field.name}", info.id, field)
        for position, info in enumerate(identifiers)
        for field in info.fields
    )


def values_of(
    fields: Iterable[SettingField], identifier: str, settings: Iterable[tuple[str, str]]
) -> dict[str, str | bool]:
    """Return the value of every field; those of other identifiers are empty."""
    known = dict(settings)
    return {
        field.name: known.get(field.field.name, "") if field.identifier == identifier else ""
        for field in fields
    }


def project_choices(projects: ProjectRegistry | None, chosen: str) -> tuple[tuple[str, str], ...]:
    """Return words and value of each project, and of what is chosen though it is none of them."""
    known = projects.projects if projects is not None else ()
    choices = {p.id: f"{p.id}  {p.title}".rstrip() for p in known}
    if chosen and chosen not in choices:
        owner = projects.find(chosen) if projects is not None else None
        choices[chosen] = f"{chosen} ({f'alias of {owner}' if owner else 'does not exist'})"
    return tuple((words, value) for value, words in choices.items())
