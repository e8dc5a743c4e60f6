"""The fields that processor classes add to the dialog: which there are, and when they matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.model.processor_class import ParameterKind
from tui.text import safe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.model.processor_class import ProcessorClass, ProcessorParameter

PREFIX = "parameters."
"""Before a parameter's own name in the problems that the model finds."""
LONG_KINDS = frozenset({ParameterKind.LINES, ParameterKind.SCRIPT})
"""What is written in several lines."""


@dataclass(frozen=True, slots=True)
class ParameterField:
    """A parameter of one class, with the name that it has in the dialog."""

    name: str
    """Unique there, such as ``parameter_3_host``."""
    processor_class: str
    parameter: ProcessorParameter
    switch: str = ""
    """The name of the switch that it belongs to, which hides it while off."""

    @property
    def kind(self) -> ParameterKind:
        """How it is asked for."""
        return self.parameter.kind

    @property
    def is_switch(self) -> bool:
        """Whether its value is on or off."""
        return self.kind is ParameterKind.SWITCH

    @property
    def label(self) -> str:
        """What stands before it, safe text."""
        star = " *" if self.parameter.required and not self.parameter.default else ""
        return f"{'  ' if self.switch else ''}{safe(self.parameter.label)}{star}"

    def shown(self, given: str) -> str | bool:
        """Return the value of its control for what an instance tells."""
        if self.is_switch:
            return (given or self.parameter.default) == "true"
        if self.kind is ParameterKind.CHOICE:
            return given or self.parameter.default
        return given

    def told(self, value: str | bool, before: str) -> str:
        """Return what an instance tells for a control's value; empty leaves it to the default.

        What was told in so many words before, though it is the default, still is.
        """
        text = value if isinstance(value, str) else ("true" if value else "false")
        by_default = self.is_switch or self.kind is ParameterKind.CHOICE
        default = self.parameter.default or ("false" if self.is_switch else "")
        return "" if by_default and text == default and before != text else text


def parameter_fields(classes: Sequence[ProcessorClass]) -> tuple[ParameterField, ...]:
    """Return the parameters of all classes that can be used, in their order."""
    return tuple(
        ParameterField(
            _name(position, parameter),
            known.id,
            parameter,
            _name(position, owner) if (owner := _owner(parameter, known.parameters)) else "",
        )
        for position, known in enumerate(classes)
        if not known.error
        for parameter in known.parameters
    )


def values_of(
    fields: Iterable[ParameterField], processor_class: str, told: Mapping[str, str]
) -> dict[str, str | bool]:
    """Return the value of every field; those of other classes have their defaults."""
    return {
        field.name: field.shown(
            told.get(field.parameter.name, "") if field.processor_class == processor_class else ""
        )
        for field in fields
    }


def _name(position: int, parameter: ProcessorParameter) -> str:
    return f"parameter_{position}_{parameter.name}"


def _owner(
    parameter: ProcessorParameter, others: Iterable[ProcessorParameter]
) -> ProcessorParameter | None:
    """Return the switch that a parameter is named after: ``tls_key`` belongs to ``tls``."""
    switches = (other for other in others if other.kind is ParameterKind.SWITCH)
    return next((s for s in switches if parameter.name.startswith(f"{s.name}_")), None)
