"""The contract of identifiers: plug-ins begin here.

A plugin is a class with the members of `Identifier` that is made without arguments, and an entry
point of the group ``dicomdock.identifiers`` whose name is ``info.id``. It is loaded when the engine
starts; `engine.plugins.loading` says what becomes of its mistakes.

An identifier has an `IdentifierInfo`: its id and name, whether a receiver may have routing rules
with it, and the fields that a receiver fills in for it (``Receiver.identifier_settings``, checked
against ``info.fields`` whenever a receiver is saved). It answers one `RoutingEvaluation` per
object, from which it gets

- ``evaluation.header.text(tag)``: the text of an element up to ``max(tags)``,
- ``evaluation.routing.settings``: what the receiver says in the fields, by name,
- ``evaluation.routing.projects``: the projects, with ``find(id or alias)``,
- ``evaluation.project()``, ``subject()``, ``session()``, ``auto_archive()``: what the rules of
  receiver and site and the defaults say (XNAT 5),
- ``evaluation.study_route()``: where the study was announced to go,
- ``evaluation.running_label(project, subject, modality)``: a label such as ``S1_MR3``,
- ``evaluation.settle(attribute, value, source)``: a decision of its own, noted in the trace.

The same question should have the same answer whenever it is asked, for previews ask it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from engine.errors import IntakeError, ProcessingFailed
from engine.identification.evaluation import RoutingEvaluation
from engine.model.identity import Identification
from engine.model.plugins import IdentifierInfo

if TYPE_CHECKING:
    from engine.dicom.header import HeaderView
    from engine.identification.sources import Routing
    from engine.model.identity import Identity


class Identifier(Protocol):
    """Derives where an object belongs; called by many threads at once."""

    @property
    def info(self) -> IdentifierInfo:
        """What the dialog must know about it."""
        ...

    @property
    def tags(self) -> frozenset[int]:
        """The elements that it reads besides those of rules and defaults."""
        ...

    @property
    def is_settled_by_header(self) -> bool:
        """Whether equal elements mean an equal identity as long as the configuration stays.

        If so, it is asked once for all objects with equal elements, such as those of a series.
        """
        ...

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        """Return project, subject and session of an object, each with its source.

        Raises:
            RoutingFailed: if the object can't be labelled; it is refused with 0xC000.
        """
        ...


class MissingIdentifier:
    """Stands in for an identifier that is not installed, or can't be used; refuses every object."""

    tags: frozenset[int] = frozenset()
    is_settled_by_header = False

    def __init__(self, identifier_id: str) -> None:
        self.info = IdentifierInfo(identifier_id, identifier_id, can_route=False)

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        """Refuse.

        Raises:
            ProcessingFailed: always.
        """
        raise ProcessingFailed(f"identifier {self.info.id} is not installed or can't be used")


def explain(identifier: Identifier, header: HeaderView, routing: Routing) -> Identification:
    """Identify an object as the engine would, and tell every step."""
    evaluation = RoutingEvaluation(header, routing, recording=True)
    try:
        identity = identifier.identify(evaluation)
    except IntakeError as error:
        return Identification(None, error.detail, evaluation.trace)
    return Identification(identity, "", evaluation.trace)
