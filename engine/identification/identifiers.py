"""The contract of identifiers: plug-ins begin here.

A plugin is a class with the members of `Identifier` that is made without arguments, and an entry
point of the group ``dicomdock.identifiers`` whose name is ``info.id``. It is loaded when the engine
starts; `engine.plugins.loading` says how its errors are handled.

An identifier has an `IdentifierInfo`: its id and name, whether a receiver may have routing rules
with it, and the fields that a receiver fills in for it (``Receiver.identifier_settings``, checked
against ``info.fields`` whenever a receiver is saved). It answers one `RoutingEvaluation` per
object, which offers

- ``evaluation.header.text(tag)``: the text of an element up to ``max(tags)``,
- ``evaluation.routing.settings``: the receiver's values of the fields, by name,
- ``evaluation.routing.projects``: the projects, with ``find(id or alias)``,
- ``evaluation.project()``, ``subject()``, ``session()``, ``auto_archive()``: the results of the
  receiver's rules, the site's rules and the defaults (XNAT 5),
- ``evaluation.study_route()``: where the study was announced to go,
- ``evaluation.running_label(project, subject, modality)``: a label such as ``S1_MR3``,
- ``evaluation.settle(attribute, value, source)``: a decision of its own, noted in the trace.

Previews identify objects again, so the same object should have the same answer each time.
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
    """Derives project, subject and session of objects; called by many threads at once."""

    @property
    def info(self) -> IdentifierInfo:
        """Its id, name and fields, for the receiver dialog."""
        ...

    @property
    def tags(self) -> frozenset[int]:
        """The elements that it reads, without those of rules and defaults."""
        ...

    @property
    def is_settled_by_header(self) -> bool:
        """Whether equal elements mean an equal identity as long as the configuration stays.

        If so, it is called once for all objects with equal elements, such as those of a series.
        """
        ...

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        """Return project, subject and session of an object, each with its source.

        Raises:
            RoutingFailed: if the object can't be labelled; it is refused with 0xC000.
        """
        ...


class MissingIdentifier:
    """Refuses every object, in place of an identifier that is not installed or is broken."""

    tags: frozenset[int] = frozenset()
    is_settled_by_header = False

    def __init__(self, identifier_id: str) -> None:
        self.info = IdentifierInfo(identifier_id, identifier_id, can_route=False)

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        """Refuse the object.

        Raises:
            ProcessingFailed: always.
        """
        raise ProcessingFailed(f"identifier {self.info.id} is not installed or can't be used")


def explain(identifier: Identifier, header: HeaderView, routing: Routing) -> Identification:
    """Identify an object as the engine would, and return every step in the trace."""
    evaluation = RoutingEvaluation(header, routing, recording=True)
    try:
        identity = identifier.identify(evaluation)
    except IntakeError as error:
        return Identification(None, error.detail, evaluation.trace)
    return Identification(identity, "", evaluation.trace)
