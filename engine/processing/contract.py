"""The contract of processors: plug-ins begin here.

A plugin is a class that is made without arguments, and an entry point of the group
``dicomdock.processors`` whose name is ``info.id``. It has the members of `ObjectProcessor`:

- ``info``: a `ProcessorClass`, with its id and name, the locations where its instances may act,
  and the parameters that each instance has;
- ``check(settings)``: yields problems of parameters that ``info`` alone does not show;
- ``accepts(context) -> bool``: whether this object is of interest;
- ``process(context) -> Continue() | Reject(reason)``: the work.

An instance is asked only about objects of receivers with custom processing on that it allows, and
of its projects (XNAT 10.2). Each call gets a `Context`:

- ``context.header.text(tag)``: the text of an element, ``tag in context.header``;
- ``context.edit.set(tag, value, ...)``, ``context.edit.remove(tag)``: changes of the header, which
  later processors, the identifier and the stored file have;
- ``context.assign(project=..., subject=..., session=...)``: decides where the object goes, until
  that is settled (`Location.AFTER_SESSION_CREATED`);
- ``context.identity``: project, subject and session as far as they are known by now;
- ``context.facts``: receiver, calling AE title and address;
- ``context.settings``: the instance's parameters, by name;
- ``context.log(message)``: a line for the engine's log; write no patient data to it. What the
  object's header says of its patient is masked there.

Plugins run in worker processes, one object at a time. Each instance has its own processes, which
serve many objects. A call that hangs or crashes is killed. It fails that one object with 0x0110, as
does every exception of ``accepts`` or ``process``. Processors act before anonymization.

Classes that act on stored objects or finished sessions (`Location.AFTER_STORED` and later) are
configured as instances too, but work from queues. They are part of this program.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from engine.model.identity import UNASSIGNED
from engine.model.processing import Assignment
from engine.model.processor import Location
from engine.plugins.loading import is_a

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.errors import Problem
    from engine.model.processor import ProcessorClass
    from engine.processing.builtin.label_tables import LabelTables


@dataclass(frozen=True, slots=True)
class Settings:
    """The parameters of an instance: each has a value, which may be empty."""

    # Not in a repr, which may get into a log: tables and scripts name patients.
    values: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def text(self, name: str) -> str:
        """Return a value as it is written."""
        return dict(self.values).get(name, "")

    def number(self, name: str) -> int:
        """Return a whole number; 0 if there is none."""
        return int(self.text(name) or 0)

    def switch(self, name: str) -> bool:
        """Tell whether a switch is on."""
        return self.text(name) == "true"


@dataclass(frozen=True, slots=True)
class Continue:
    """The object goes on."""

    script: str = ""
    """A DicomEdit script that is applied to it now; it may reject the object."""


@dataclass(frozen=True, slots=True)
class Reject:
    """The object is not stored; its sender gets the status success (XNAT 10.1)."""

    reason: str
    """A clause for the object's row; without patient data."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Where an object comes from."""

    receiver: str
    """``AE:port``."""
    calling_ae_title: str
    address: str = ""
    association: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """Where an object goes, as far as that is known."""

    project: str | None = None
    """Its id; None if there is none, or none yet."""
    subject: str = ""
    session: str = ""

    @property
    def labels(self) -> tuple[str, str, str]:
        """Project, subject and session as scripts are given them."""
        return self.project or UNASSIGNED, self.subject, self.session


class Header(Protocol):
    """The elements of an object as they are now."""

    def text(self, tag: int) -> str | None:
        """Return the first value of a top-level element as text; None if it has none."""
        ...

    def __contains__(self, tag: int) -> bool:
        """Tell whether there is such an element, whatever its value."""
        ...


class Editor(Protocol):
    """Changes elements of the data set; `engine.processing.context` says what it refuses."""

    def set(self, tag: int, *values: str | float, vr: str = "") -> None:
        """Write the values of an element; the VR is needed where no dictionary knows it."""
        ...

    def remove(self, tag: int) -> None:
        """Remove an element, if it is there."""
        ...


class Log(Protocol):
    """Takes a line for the engine's log."""

    def __call__(self, message: str, /) -> None:
        """Note a message; long ones are cut, and only some of each object are kept."""
        ...


@dataclass(slots=True)
class Context:
    """One object as one processor sees it."""

    location: Location
    header: Header
    edit: Editor
    facts: Facts
    identity: Known
    settings: Settings
    log: Log
    assigned: Assignment = field(default=Assignment())
    """The result of all calls of `assign`."""

    def assign(
        self,
        *,
        project: str | None = None,
        subject: str | None = None,
        session: str | None = None,
    ) -> None:
        """Decide where the object goes; None leaves a label to the identifier.

        Args:
            project: an id or alias; empty means Unassigned.
            subject: a label; what no label may contain becomes ``_``.
            session: a label, likewise.

        Raises:
            ValueError: if that is settled already, or if it is no text.
        """
        said = Assignment(project, subject, session)
        # Plugins are not checked for types.
        if not all(is_a(str | None, label) for label in (project, subject, session)):
            raise ValueError("project, subject or session is not text")
        if self.location is Location.AFTER_SESSION_CREATED and not said.assigns_nothing:
            raise ValueError("project, subject and session are settled")
        self.assigned = said.over(self.assigned)


class ProcessorType(Protocol):
    """The members of every processor class."""

    @property
    def info(self) -> ProcessorClass:
        """Its description for dialogs and checks."""
        ...

    def check(self, settings: Settings) -> Iterable[Problem]:
        """Yield problems of parameters that `info` alone does not show, each by name.

        Called whenever an instance is saved.
        """
        ...


class ObjectProcessor(ProcessorType, Protocol):
    """Sees objects before they are stored; one per process, which serves all instances there."""

    def accepts(self, context: Context) -> bool:
        """Tell whether `process` is to be called for an object."""
        ...

    def process(self, context: Context) -> Continue | Reject:
        """Change, relabel or reject an object."""
        ...


class PreparedProcessor(Protocol):
    """One instance of a built-in class whose work is bounded, so that it needs no process.

    It runs on the thread that files the object. It is made once per instance, called by many
    threads at once, and never edits by itself.
    """

    @property
    def tags(self) -> frozenset[int]:
        """The elements that it reads."""
        ...

    @property
    def problem(self) -> str:
        """Why it can't work as it should; empty if it can."""
        ...

    @property
    def runs_scripts(self) -> bool:
        """Whether `process` may return a script."""
        ...

    def process(self, context: Context) -> Continue | Reject | None:
        """Relabel or reject an object; return None to skip it.

        Raises:
            ProcessingFailed: if it can't work.
        """
        ...

    def close(self) -> None:
        """Release what it holds; `process` may still be called for objects on their way."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A built-in class whose instances run on the thread that files the object."""

    def prepare(self, settings: Settings, tables: LabelTables) -> PreparedProcessor:
        """Return an instance; if it can't work, its `problem` says why."""
        ...
