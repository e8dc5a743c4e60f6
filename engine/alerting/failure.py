"""A target that could not be told of an alert."""

from __future__ import annotations

from engine.errors import EngineError


class NotDelivered(EngineError):
    """A target could not be told."""

    title = "The alert was not delivered"
