"""What a dialog must know of the form that it edits, whatever the form is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.errors import Problem

T = TypeVar("T")


class FormValues(Protocol):
    """Raw values of one thing while it is edited; decides visibility and validity."""

    field_order: tuple[str, ...]
    """Every field from top to bottom."""

    def value(self, name: str) -> str | bool:
        """Return the raw value of a field, hidden or not."""
        ...

    def text(self, name: str) -> str:
        """Return the raw value of a text field."""
        ...

    def set(self, name: str, value: str | bool) -> None:
        """Take over what was typed or switched."""
        ...

    def label(self, name: str) -> str:
        """Return what stands before a field; safe text."""
        ...

    def help(self, name: str) -> str:
        """Explain a field; safe text."""
        ...

    def visible_fields(self) -> frozenset[str]:
        """Return the names of the fields that matter with the present values."""
        ...

    def problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return what is wrong, by visible field, in the order of the dialog."""
        ...

    def by_field(self, problems: Sequence[Problem]) -> dict[str, tuple[Problem, ...]]:
        """Sort problems under the visible fields that they are to be shown at."""
        ...

    def is_dirty(self) -> bool:
        """Tell whether anything differs from what the form started with."""
        ...

    def summary(self) -> str:
        """Say in one sentence what saving this would mean; safe text."""
        ...


class EditedForm(FormValues, Protocol[T]):
    """The same, and what becomes of it."""

    original: T | None
    """What is being edited, as it is replaced on saving; None for a new one."""

    def rebase(self, current: T) -> tuple[str, ...]:
        """Edit the thing as it is now, keep the fields that were changed here; name those."""
        ...
