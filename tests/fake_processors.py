"""Custom processing without an engine: it keeps what it is told, for tests of the console."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.errors import ChangedMeanwhile, EngineError, NotFound
from engine.model.processing import ProcessorStatus, ProcessorTrial

if TYPE_CHECKING:
    from engine.model.processor import Processor, ProcessorClass


@dataclass
class FakeProcessors:
    """Satisfies `engine.api.processors.ProcessorsView`."""

    known: tuple[ProcessorClass, ...] = ()
    statuses: tuple[ProcessorStatus, ...] = ()
    trial: ProcessorTrial = field(default_factory=lambda: ProcessorTrial(None, "", "", "", ()))
    error: EngineError | None = None
    listing_error: EngineError | None = None
    """Raised by `list`."""
    calls: builtins.list[tuple[Any, ...]] = field(default_factory=builtins.list)

    def classes(self) -> tuple[ProcessorClass, ...]:
        return self.known

    def list(self) -> tuple[ProcessorStatus, ...]:
        if self.listing_error is not None:
            raise self.listing_error
        return self.statuses

    def save(
        self, processor: Processor, actor: str, *, replacing: Processor | None = None
    ) -> Processor:
        self._command("save", processor, actor, replacing)
        ids = [status.processor.id for status in self.statuses]
        if processor.id:
            now = self._processor(processor.id)
            if replacing not in {None, now}:
                raise ChangedMeanwhile(f"processor {now.label}", "bert", None, ("label",))
        saved = processor if processor.id else replace(processor, id=max(ids, default=0) + 1)
        kept = tuple(s for s in self.statuses if s.processor.id != saved.id)
        self.statuses = (*kept, ProcessorStatus(saved))
        return saved

    def set_enabled(self, processor_id: int, enabled: bool, actor: str) -> Processor:
        self._command("set_enabled", processor_id, enabled, actor)
        return self.save(replace(self._processor(processor_id), enabled=enabled), actor)

    def delete(self, processor_id: int, actor: str) -> None:
        self._command("delete", processor_id, actor)
        self._processor(processor_id)
        self.statuses = tuple(s for s in self.statuses if s.processor.id != processor_id)

    def test(self, processor: Processor, receiver: str = "") -> ProcessorTrial:
        self._command("test", processor, receiver)
        return self.trial.masked()

    def shown_test(self, processor: Processor, actor: str, receiver: str = "") -> ProcessorTrial:
        self._command("shown_test", processor, actor, receiver)
        return self.trial

    def _processor(self, processor_id: int) -> Processor:
        for status in self.statuses:
            if status.processor.id == processor_id:
                return status.processor
        raise NotFound(f"there is no processor with id {processor_id}", "look at the list again")

    def _command(self, *call: Any) -> None:
        self.calls.append(call)
        if self.error is not None:
            raise self.error
