"""Objects and settings for tests of identification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.dicom.dataset import read_complete
from engine.dicom.header import DEFAULT_LAST_TAG, HeaderView
from engine.identification.builtin import DefaultIdentifier
from engine.identification.evaluation import RoutingEvaluation
from engine.identification.identifiers import explain
from engine.identification.sources import Routing
from engine.model.peer import AETitle
from engine.model.project import ProjectRegistry
from engine.model.receiver import Receiver
from engine.model.routing import SiteRouting
from tests import dicom

if TYPE_CHECKING:
    from engine.model.identity import Identification, Identity

NO_PROJECTS = ProjectRegistry()


def receiver_with(project: str = "", subject: str = "", session: str = "") -> Receiver:
    """Return a receiver with these rules in force."""
    return Receiver(
        1,
        AETitle("XNAT"),
        8104,
        routing_enabled=True,
        project_routing=project,
        subject_routing=subject,
        session_routing=session,
    )


def site_with(**texts: str) -> SiteRouting:
    """Return a site with these rules in force, by attribute."""
    rules = {f"{name}_routing": text for name, text in texts.items()}
    switches = {f"{name}_enabled": True for name in texts}
    return SiteRouting.parse({**rules, **switches})


def routing_of(
    receiver: Receiver | None = None,
    site: SiteRouting | None = None,
    projects: ProjectRegistry = NO_PROJECTS,
) -> Routing:
    """Return what decides; by default nothing but the built-in defaults."""
    return Routing.of(receiver or receiver_with(), site or SiteRouting(), projects)


def header_of(*more: dicom.Element, last_tag: int = 0, **values: Any) -> HeaderView:
    """Return the header of a small image; values by keyword, further elements as they are."""
    elements = sorted([*dicom.image_elements(**values), *more], key=lambda e: e.tag)
    encoded = dicom.encode(elements, dicom.EXPLICIT_VR_LITTLE_ENDIAN)
    return read_complete(
        encoded, dicom.EXPLICIT_VR_LITTLE_ENDIAN, last_tag=max(last_tag, DEFAULT_LAST_TAG)
    )


def identified(routing: Routing, *more: dicom.Element, **values: Any) -> Identity:
    """Identify an object as the engine does."""
    header = header_of(*more, last_tag=max(routing.tags), **values)
    return DefaultIdentifier().identify(RoutingEvaluation(header, routing))


def explained(routing: Routing, *more: dicom.Element, **values: Any) -> Identification:
    """Identify an object and tell every step."""
    header = header_of(*more, last_tag=max(routing.tags), **values)
    return explain(DefaultIdentifier(), header, routing)
