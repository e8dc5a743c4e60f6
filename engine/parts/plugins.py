"""What is installed, our own and that of other distributions; loaded when the engine is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine.intake.file_namers import file_namers_of, load_file_namers
from engine.intake.installed import infos_of, load_identifiers
from engine.intake.installed_processors import load_processors, rules_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.intake.identifiers import Identifier
    from engine.intake.processors import ProcessorType
    from engine.model.file_namer import FileNamerInfo
    from engine.model.identifier import IdentifierInfo
    from engine.model.processor import ProcessorRules
    from engine.plugins import Plugin


@dataclass(frozen=True, slots=True)
class Plugins:
    """All installed plugins, the default identifier first."""

    identifiers: Sequence[Plugin[Identifier]]
    processors: Sequence[Plugin[ProcessorType]]
    file_namers: Sequence[Plugin[FileNamerInfo]]

    @classmethod
    def load(cls) -> Self:
        """Return what is installed; what can't be used says why."""
        return cls(load_identifiers(), load_processors(), load_file_namers())

    @property
    def identifier_infos(self) -> tuple[IdentifierInfo, ...]:
        """What the dialog must know about the identifiers."""
        return infos_of(self.identifiers)

    @property
    def file_namer_infos(self) -> tuple[FileNamerInfo, ...]:
        """What the dialog must know about the file namers."""
        return file_namers_of(self.file_namers)

    @property
    def processor_rules(self) -> ProcessorRules:
        """What processors must be like with these classes."""
        return rules_of(self.processors)
