"""Identities of the last objects: those with equal elements, such as a series, share one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.intake.header import PIXEL_REPRESENTATION, SPECIFIC_CHARACTER_SET

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.intake.header import Excerpt, HeaderView
    from engine.model.identity import Identity

PATIENT_GROUP = 0x0010
MOST_REMEMBERED = 8
"""About as many studies as arrive at one receiver at the same time."""


class RememberedIdentities:
    """A few identities with the elements that decided them, newest first; for all threads.

    A thread that comes between another's look and change costs a memory, never an answer.
    """

    def __init__(self, tags: Iterable[int]) -> None:
        self.tags = sorted({*tags, SPECIFIC_CHARACTER_SET, PIXEL_REPRESENTATION}, key=_telling)
        """All that decides: what is read, and what says how to read it."""
        self._memories: tuple[tuple[str, Excerpt, Identity], ...] = ()

    def recall(self, header: HeaderView) -> Identity | None:
        """Return the identity of an object with equal elements, None if none is remembered."""
        for transfer_syntax_uid, excerpt, identity in self._memories:
            if transfer_syntax_uid == header.transfer_syntax_uid and header.has(excerpt):
                return identity
        return None

    def keep(self, header: HeaderView, identity: Identity) -> None:
        """Remember an identity in place of the oldest one."""
        excerpt = header.excerpt(self.tags)
        if excerpt is not None:
            memory = (header.transfer_syntax_uid, excerpt, identity)
            self._memories = (memory, *self._memories[: MOST_REMEMBERED - 1])


def _telling(tag: int) -> tuple[bool, int]:
    """Put the patient's group first, where studies differ most."""
    return tag >> 16 != PATIENT_GROUP, tag
