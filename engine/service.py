"""The Engine: builds the parts, starts and stops them, and is the `EngineView` of this process."""

from __future__ import annotations


class Engine:
    """One engine on one data directory."""
