"""What a form dialog needs of the plain object that decides about visibility and validity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.errors import Problem

T = TypeVar("T")


class Form(Protocol[T]):
    """Raw values of one thing while it is edited.

    Values of hidden fields are kept, but they are neither checked nor in force.
    """

    @property
    def field_order(self) -> tuple[str, ...]:
        """Every field from top to bottom."""
        ...

    @property
    def original(self) -> T | None:
        """The thing as it is replaced on saving; None for a new one."""
        ...

    def set(self, name: str, value: str | bool) -> None:
        """Take over what was typed or switched."""
        ...

    def value(self, name: str) -> str | bool:
        """Return the raw value of a field, hidden or not."""
        ...

    def text(self, name: str) -> str:
        """Return the raw value of a text field."""
        ...

    def is_on(self, name: str) -> bool:
        """Tell whether a switch is on."""
        ...

    def visible_fields(self) -> frozenset[str]:
        """Return the names of the fields that matter with the present values."""
        ...

    def problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return what is wrong, by visible field, from top to bottom."""
        ...

    def by_field(self, problems: Sequence[Problem]) -> dict[str, tuple[Problem, ...]]:
        """Sort problems under the visible fields that they are to be shown at."""
        ...

    def is_dirty(self) -> bool:
        """Tell whether anything differs from what the form started with."""
        ...

    def rebase(self, current: T) -> tuple[str, ...]:
        """Edit the thing as it is now, keep the fields that were changed here; name those."""
        ...

    def label(self, name: str) -> str:
        """Return what stands before a field."""
        ...

    def help(self, name: str) -> str:
        """Explain a field, with examples."""
        ...

    def summary(self) -> str:
        """Say in one sentence what saving would mean."""
        ...

    def result(self) -> T:
        """Return what the form describes.

        Raises:
            ConfigurationError: with every problem at once.
        """
        ...
