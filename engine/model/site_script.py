"""The site's anonymization script: its text, its switch, and what is in force of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import InvalidSite, Problem
from engine.model.text import text_faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SITE_SCRIPT = "anonymization_script"
"""What the text is called in records and problems."""
ENABLED = "anonymization_script_enabled"
REVISION = "anonymization_script_revision"


@dataclass(frozen=True, slots=True)
class SiteScript:
    """A DicomEdit script for the objects of all receivers whose anonymization is on.

    Whether it is one, `engine.config` checks: the model knows no script language.
    """

    enabled: bool = False
    text: str = ""
    revision: int = 0
    """The revision of the configuration that brought the text; assigned by the store."""

    @classmethod
    def parse(cls, raw: Mapping[str, object]) -> SiteScript:
        """Return the script that a record of site settings describes.

        Raises:
            InvalidSite: with every problem at once.
        """
        problems = list(_faults(raw))
        if problems:
            raise InvalidSite(*problems)
        revision = raw.get(REVISION) or 0
        assert isinstance(revision, int)
        return cls(bool(raw.get(ENABLED, False)), str(raw.get(SITE_SCRIPT, "")), revision)

    def to_record(self) -> dict[str, object]:
        """Return the members of the site's record that `parse` reads."""
        return {ENABLED: self.enabled, SITE_SCRIPT: self.text, REVISION: self.revision}


def _faults(raw: Mapping[str, object]) -> Iterator[Problem]:
    text, enabled, revision = raw.get(SITE_SCRIPT, ""), raw.get(ENABLED, False), raw.get(REVISION)
    yield from text_faults(SITE_SCRIPT, text)
    if not isinstance(enabled, bool):
        yield Problem(ENABLED, str(enabled)[:40], "is not a switch", "write true or false")
    elif enabled and isinstance(text, str) and not text.strip():
        remedy = "set a script, or switch it off"
        yield Problem(ENABLED, "true", "is on, but there is no script", remedy)
    if revision is not None and (
        isinstance(revision, bool) or not isinstance(revision, int) or revision < 0
    ):
        yield Problem(REVISION, str(revision)[:40], "is not a whole number", "remove it")
