"""What becomes of a study with PET and MR scans (XNAT 9.5: petmr, pet, separate)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from engine.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator


class PetMr(StrEnum):
    """What a session with both PET and MR scans is, or becomes."""

    PETMR = "petmr"
    """One session of a type of its own."""
    PET = "pet"
    """One PET session."""
    SEPARATE = "separate"
    """Two sessions: the PET scans go to one of their own, the others stay."""


SITES = "site"
"""What a project says that has no wish of its own."""


def pet_mr_problems(field: str, value: object, also: tuple[str, ...] = ()) -> Iterator[Problem]:
    """Yield what is wrong with a wish, which may also be one of some other words."""
    words = (*also, *PetMr)
    if not isinstance(value, str) or value not in words:
        message = "is no choice for studies with PET and MR"
        yield Problem(field, str(value)[:40], message, f"use {', '.join(words)}")
