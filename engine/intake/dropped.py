"""An object dropped on purpose: its sender hears of success, and its row says why (XNAT 10.1)."""

from __future__ import annotations

from typing import Self


class Dropped(Exception):
    """Nobody wants to keep an object, which is no failure."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        """Who dropped it, and why, as its row has it."""

    @classmethod
    def by_processor(cls, label: str, why: str) -> Self:
        """Return what it is that a processor rejects an object."""
        return cls(f"rejected by processor {label}: {why}")

    @classmethod
    def by_script(cls, script: str) -> Self:
        """Return what it is that an anonymization script rejects an object."""
        return cls(f"rejected by the {script}")
