"""The processor *Set elements*: a DicomEdit script at a location of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.processor import ParameterKind, ProcessorClass, ProcessorParameter
from engine.processing.contract import Continue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.errors import Problem
    from engine.processing.builtin.label_tables import LabelTables
    from engine.processing.contract import Context, PreparedProcessor, Settings

_SCRIPT = "script"


class SetElements:
    """Applies a script to each object that it sees; ``reject`` in it rejects the object."""

    info = ProcessorClass(
        "setElements",
        "Set elements",
        "Applies a DicomEdit script before the object is identified or anonymized. "
        "What it writes is what later rules see, and what is stored.",
        parameters=(
            ProcessorParameter(
                _SCRIPT, "Script", "write a DicomEdit script", ParameterKind.SCRIPT, required=True
            ),
        ),
    )

    def check(self, settings: Settings) -> Iterable[Problem]:
        """Return no problem: parameters of the kind SCRIPT are checked for all classes."""
        return ()

    def prepare(self, settings: Settings, _tables: LabelTables) -> PreparedProcessor:
        """Return an instance."""
        return _Prepared(settings.text(_SCRIPT))


class _Prepared:
    tags: frozenset[int] = frozenset()
    problem = ""
    runs_scripts = True

    def __init__(self, script: str) -> None:
        self._continue = Continue(script)

    def process(self, _context: Context) -> Continue:
        return self._continue

    def close(self) -> None:
        pass
