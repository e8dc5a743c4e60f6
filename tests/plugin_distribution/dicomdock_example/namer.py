"""File namers: one that works, and one whose template gives all files one name."""


class StationNamer:
    id = "stationNamer"
    name = "By station name"
    template = "${StationName}-${SOPInstanceUID}"


class Nameless(StationNamer):
    id = "nameless"
    template = "image"
