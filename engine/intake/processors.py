"""What a processor is: the part that may change, relabel or reject an object. Plugins begin here.

A plugin is a class that is made without arguments, and an entry point of the group
``dicomdock.processors`` whose name is ``info.id``. Its ``info`` is a `ProcessorClass`: its id and
name, the locations where its instances may act, and the parameters that an instance tells it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from engine.errors import Problem
    from engine.model.processor import Processor
    from engine.model.processor_class import ProcessorClass


@dataclass(frozen=True, slots=True)
class Settings:
    """What an instance tells its class; every parameter has a value, empty if nothing counts."""

    values: tuple[tuple[str, str], ...] = ()

    def text(self, name: str) -> str:
        """Return a value as it is written."""
        return dict(self.values).get(name, "")

    def number(self, name: str) -> int:
        """Return a whole number; 0 if there is none."""
        return int(self.text(name) or 0)

    def switch(self, name: str) -> bool:
        """Tell whether a switch is on."""
        return self.text(name) == "true"


class ProcessorType(Protocol):
    """What every class of processors has."""

    @property
    def info(self) -> ProcessorClass:
        """What the dialog must know about it."""
        ...

    def check(self, settings: Settings) -> Iterable[Problem]:
        """Yield what is wrong with parameters beyond what `info` says of them, each by name.

        Asked whenever an instance is saved.
        """
        ...


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that is in its final file, for processors that act afterwards."""

    path: Path
    """Absolute."""
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    study_instance_uid: str
    receiver: str
    """``AE:port``."""
    calling_ae_title: str
    project: str | None
    """None for an object without a project."""
    subject: str
    session: str
    session_id: int
    """In the index."""


class StoredObjects(Protocol):
    """Takes what instances at `Location.AFTER_STORED` shall see."""

    def stored(self, processor: Processor, stored: StoredObject) -> None:
        """Put an object into the instance's queue; called before the peer has its answer.

        Called on the thread of the association and by many at once, once for each instance that
        admits receiver and project. It must only enqueue, and raise `OutOfResources` if it can't.
        """
        ...
