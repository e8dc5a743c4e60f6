"""Custom processing for the console: classes, processors, their results, and trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.model.processing import ProcessorStatus, ProcessorTrial
    from engine.model.processor import Processor, ProcessorClass


class ProcessorsView(Protocol):
    """Custom processing; every method may block, so call it in a worker."""

    def classes(self) -> tuple[ProcessorClass, ...]:
        """Return the installed classes, our own first; broken ones with their error."""
        ...

    def list(self) -> tuple[ProcessorStatus, ...]:
        """Return the processors in the order in which they run, with their results."""
        ...

    def save(
        self, processor: Processor, actor: str, *, replacing: Processor | None = None
    ) -> Processor:
        """Store a new (id 0) or changed processor and bring it into force; return it with its id.

        Args:
            processor: the processor to store.
            actor: who changes it.
            replacing: the processor as its editor saw it; None replaces whatever is there.

        Raises:
            InvalidProcessor: if it conflicts with the configuration as it is now, or its class
                does not accept its parameters.
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
        """Try a drafted processor on the newest object; nothing is stored.

        Its changes and assignments are masked. Only this processor runs, even if it is not for
        the object's receiver. Project and labels are those of the receiver's rules.

        Args:
            processor: the draft; only processors that run before storing can be tried.
            receiver: ``AE:port`` whose newest object is used; empty for the newest of all.

        Raises:
            InvalidProcessor: if the draft could not be saved.
        """
        ...

    def shown_test(self, processor: Processor, actor: str, receiver: str = "") -> ProcessorTrial:
        """Return what `test` does, unmasked; the journal records that `actor` saw it."""
        ...
