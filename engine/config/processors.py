"""The processors of the configuration: each change of them is one change of the whole file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from engine.config.masking import mask_problems
from engine.errors import InvalidProcessor
from engine.model.processor import parse_processor

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from engine.config.draft import Draft
    from engine.errors import ChangedMeanwhile
    from engine.model.configuration import Configuration
    from engine.model.processor import Processor, ProcessorRules


class _Change(Protocol):
    def __call__(self, actor: str) -> AbstractContextManager[Draft]: ...


class _ChangedMeanwhile(Protocol):
    def __call__(
        self, what: str, seen: Configuration, current: Configuration
    ) -> ChangedMeanwhile: ...


class ProcessorTable:
    """Adds, changes and removes processors; every method may be called from any thread."""

    def __init__(
        self, change: _Change, changed_meanwhile: _ChangedMeanwhile, rules: ProcessorRules
    ) -> None:
        self._change = change
        self._changed_meanwhile = changed_meanwhile
        self._rules = rules

    def save(
        self, processor: Processor, actor: str, *, replacing: Processor | None = None
    ) -> tuple[Configuration, Processor]:
        """Insert (id 0) or replace a processor; return it with its id.

        Args:
            processor: what is to be stored.
            actor: who changes it.
            replacing: the processor as its editor saw it; None replaces whatever is there.

        Raises:
            InvalidProcessor: if it conflicts with the configuration as it is now, or its class
                does not accept what it is told.
            ChangedMeanwhile: if somebody else changed the processor after its editor saw it.
            NotFound: if the processor to replace does not exist any more.
        """
        with self._change(actor) as draft:
            before = draft.configuration
            if processor.id:
                current = before.processor(processor.id)
                if replacing is not None and current != replacing:
                    seen = replace(before, processors=(replacing,))
                    now = replace(before, processors=(current,))
                    raise self._changed_meanwhile(f"processor {current.label}", seen, now)
            processor_id = draft.put_processor(self._checked(processor, before))
        return draft.configuration, draft.configuration.processor(processor_id)

    def set_enabled(
        self, processor_id: int, enabled: bool, actor: str
    ) -> tuple[Configuration, Processor]:
        """Enable or disable a processor.

        Raises:
            NotFound: if it does not exist any more.
        """
        with self._change(actor) as draft:
            processor = draft.configuration.processor(processor_id)
            draft.put_processor(replace(processor, enabled=enabled))
        return draft.configuration, draft.configuration.processor(processor_id)

    def delete(self, processor_id: int, actor: str) -> Configuration:
        """Remove a processor.

        Raises:
            NotFound: if it does not exist any more.
        """
        with self._change(actor) as draft:
            draft.configuration.processor(processor_id)
            draft.table("processors").remove(doc_ids=[processor_id])
        return draft.configuration

    def _checked(self, processor: Processor, configuration: Configuration) -> Processor:
        rules = replace(
            self._rules, others=configuration.processors, projects=configuration.projects
        )
        checked = parse_processor(processor.to_record(), rules)
        masks = tuple(mask_problems("parameters", checked.parameters))
        if masks:
            raise InvalidProcessor(*masks)
        return checked
