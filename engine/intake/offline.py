"""Processing for dry runs without an engine: nothing that it does is kept."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine.clock import SystemClock
from engine.intake.label_tables import LabelTables
from engine.intake.processing import Processing
from engine.intake.processor_states import ProcessorStates
from engine.intake.processor_workers import ProcessorWorkers
from engine.intake.write import IncomingArea

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.intake.processors import ProcessorType
    from engine.plugins import Plugin


@contextmanager
def offline_processing(plugins: Sequence[Plugin[ProcessorType]]) -> Iterator[Processing]:
    """Make processing with the installed classes; its files and processes go away at the end."""
    with TemporaryDirectory(prefix="dicomdock-") as folder:
        area = IncomingArea(Path(folder), "trial")
        processing = Processing(
            plugins,
            area,
            Path(folder, "uid-maps.sqlite"),
            LabelTables(),
            ProcessorWorkers(),
            ProcessorStates(SystemClock()),
            lambda _: None,
        )
        try:
            yield processing
        finally:
            processing.close()
            area.close()
