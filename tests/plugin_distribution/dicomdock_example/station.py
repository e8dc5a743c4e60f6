"""Files objects by the station that made them, into a project that the receiver names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.identity import Attribute, Identity
from engine.model.plugins import PROJECT_FIELD, IdentifierInfo

if TYPE_CHECKING:
    from engine.identification.evaluation import RoutingEvaluation

STATION_NAME = 0x00081010


class StationIdentifier:
    info = IdentifierInfo(
        "stationIdentifier", "By station name", can_route=False, fields=(PROJECT_FIELD,)
    )
    tags = frozenset({STATION_NAME})
    is_settled_by_header = True

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        station = evaluation.header.text(STATION_NAME)
        if station is None:
            raise LookupError("no station name for " + str(evaluation.header.text(0x00100010)))
        project = evaluation.routing.projects.find(evaluation.routing.settings["project"])
        return Identity(
            evaluation.settle(Attribute.PROJECT, project, "the receiver"),
            evaluation.settle(Attribute.SUBJECT, station, "(0008,1010) StationName"),
            evaluation.session(),
        )
