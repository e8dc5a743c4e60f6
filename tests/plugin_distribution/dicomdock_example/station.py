"""Files objects by the station that made them, into a project that the receiver names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.identifier import PROJECT_FIELD, IdentifierInfo
from engine.model.identity import Identity
from engine.model.trace import Attribute

if TYPE_CHECKING:
    from engine.intake.inquiry import Inquiry

STATION_NAME = 0x00081010


class StationIdentifier:
    info = IdentifierInfo(
        "stationIdentifier", "By station name", can_route=False, fields=(PROJECT_FIELD,)
    )
    tags = frozenset({STATION_NAME})
    is_settled_by_header = True

    def identify(self, inquiry: Inquiry) -> Identity:
        station = inquiry.header.text(STATION_NAME)
        if station is None:
            raise LookupError("no station name for " + str(inquiry.header.text(0x00100010)))
        project = inquiry.routing.projects.find(inquiry.routing.settings["project"])
        return Identity(
            inquiry.settle(Attribute.PROJECT, project, "the receiver"),
            inquiry.settle(Attribute.SUBJECT, station, "(0008,1010) StationName"),
            inquiry.session(),
        )
