"""Plugins as they are shown: what another distribution adds, or why it could not."""

from __future__ import annotations

from dataclasses import asdict, dataclass

IDENTIFIERS = "dicomdock.identifiers"
PROCESSORS = "dicomdock.processors"
FILE_NAMERS = "dicomdock.file_namers"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One entry point of a group."""

    group: str
    """Such as ``dicomdock.identifiers``."""
    id: str
    """The entry point's name, by which a receiver chooses the plugin."""
    target: str
    """``module:object``."""
    distribution: str
    version: str
    error: str = ""
    """Why it can't be used, without words of the plugin's own; empty if it can."""
    said: str = ""
    """The text of its error, which may quote anything: never in events or logs."""

    @property
    def origin(self) -> str:
        """Name distribution and version."""
        return f"{self.distribution} {self.version}".strip()

    def to_record(self) -> dict[str, object]:
        """Return the plugin for programs."""
        return asdict(self)
