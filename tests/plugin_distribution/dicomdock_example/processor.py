"""Rejects the objects of one station, and says in the others who has seen them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import Problem
from engine.model.processor import Location, ProcessorClass, ProcessorParameter
from engine.processing.contract import Continue, Reject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.processing.contract import Context, Settings

STATION_NAME = 0x00081010
PATIENT_COMMENTS = 0x00104000


class StationProcessor:
    info = ProcessorClass(
        "stationProcessor",
        "By station name",
        "Rejects what a station made.",
        locations=(Location.AFTER_PROJECT_SET,),
        parameters=(
            ProcessorParameter("station", "Station", "write a station name", required=True),
        ),
    )

    def check(self, settings: Settings) -> Iterator[Problem]:
        station = settings.text("station")
        if len(station) > 16:
            yield Problem("station", station, "is longer than a station name", "shorten it")

    def accepts(self, context: Context) -> bool:
        return STATION_NAME in context.header

    def process(self, context: Context) -> Continue | Reject:
        station = context.settings.text("station")
        if context.header.text(STATION_NAME) == station:
            return Reject("made by a station that is not wanted")
        context.edit.set(PATIENT_COMMENTS, f"seen for {context.identity.project}")
        return Continue()
