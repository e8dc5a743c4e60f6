"""Custom processing for the console: classes, processors, their results, and trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.model.processing import ProcessorStatus, ProcessorTrial
    from engine.model.processor import Processor, ProcessorClass


class ProcessorsView(Protocol):
    """Custom processing; every method may block and belongs in a worker."""

    def classes(self) -> tuple[ProcessorClass, ...]:
        """Return the installed classes, our own first; broken ones with their error."""
        ...

    def list(self) -> tuple[ProcessorStatus, ...]:
        """Return the processors in the order in which they act, with what they did."""
        ...

    def save(
        self, processor: Processor, actor: str, *, replacing: Processor | None = None
    ) -> Processor:
        """Store a new (id 0) or changed processor and bring it into force; return it with its id.

        Args:
            processor: what is to be stored.
            actor: who changes it.
            replacing: the processor as its editor saw it; None replaces whatever is there.

        Raises:
            InvalidProcessor: if it conflicts with the configuration as it is now, or its class
                does not accept what it is told.
            ChangedMeanwhile: if somebody else changed the processor after its editor saw it.
            NotFound: if the processor to change does not exist any more.
        """
        ...

    def set_enabled(self, processor_id: int, enabled: bool, actor: str) -> Processor:
        """Enable or disable a processor, from the next object on.

        Raises:
            NotFound: if it does not exist any more.
        """
        ...

    def delete(self, processor_id: int, actor: str) -> None:
        """Remove a processor.

        Raises:
            NotFound: if it does not exist any more.
        """
        ...

    def test(self, processor: Processor, receiver: str = "") -> ProcessorTrial:
        """Try a processor, as it might be saved, on the newest object; nothing is stored.

        What it changes and assigns is masked. Only this processor sees the object, whatever it
        says of receivers; what is known of the object's place is what its receiver's rules say.

        Args:
            processor: what is tried; only before storing can anything be tried.
            receiver: ``AE:port``, whose newest object is taken; empty for any receiver's.

        Raises:
            InvalidProcessor: if it could not be saved like that.
        """
        ...

    def shown_test(self, processor: Processor, actor: str, receiver: str = "") -> ProcessorTrial:
        """Return what `test` does with nothing masked; the journal keeps that `actor` saw it."""
        ...
