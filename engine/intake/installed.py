"""The identifiers of this installation, by id; the default one first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.intake.identify import DefaultIdentifier

if TYPE_CHECKING:
    from engine.intake.identifiers import Identifier


def installed_identifiers() -> dict[str, Identifier]:
    """Return every identifier that a receiver may have."""
    identifiers: tuple[Identifier, ...] = (DefaultIdentifier(),)
    return {identifier.info.id: identifier for identifier in identifiers}
