"""Free-text attributes that table E.1-1 of PS3.15 does not list and that may identify the patient.

No program can tell whether they do; people must know that they are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pydicom.datadict import dictionary_has_tag

from engine.anonymize.datasets.private import is_private
from engine.anonymize.datasets.reading import BYTES
from engine.anonymize.language.paths import TagStep
from engine.anonymize.language.walk import paths_in
from engine.model.identity import is_identifying

if TYPE_CHECKING:
    from engine.anonymize.script import Script

_CONTENT_SEQUENCE: Final = "(0040,A730)"


class UnlistedText(NamedTuple):
    """An attribute that holds free text, and that the table does not list."""

    path: str
    """As a script writes it."""
    name: str
    tag: int
    mask: int = 0xFFFFFFFF

    def fits(self, tag: int) -> bool:
        """Tell whether an element is one of these."""
        return tag & self.mask == self.tag


_CODE_MEANING: Final = UnlistedText("*/(0008,0104)", "Code Meaning in reports", 0x00080104)
_OTHERS: Final = (
    UnlistedText("*/(0040,A160)", "Text Value outside of reports", 0x0040A160),
    UnlistedText("(0042,0010)", "Document Title", 0x00420010),
    UnlistedText("(60X@,0022)", "Overlay Description", 0x60000022, 0xFF01FFFF),
    UnlistedText("(60X@,1500)", "Overlay Label", 0x60001500, 0xFF01FFFF),
)
UNLISTED_TEXTS: Final = (_CODE_MEANING, *_OTHERS)


def texts_kept_by(script: Script) -> tuple[UnlistedText, ...]:
    """Return what neither the basic profile nor a script does anything about."""
    steps = [path.steps[-1] for path in paths_in(script.statements)]
    if any(not isinstance(step, TagStep) for step in steps):
        return ()  # a wildcard for everything
    named = [step for step in steps if isinstance(step, TagStep)]
    return tuple(text for text in UNLISTED_TEXTS if not any(step.fits(text.tag) for step in named))


def may_identify(tag: int, vr: str, text: str, path: str) -> bool:
    """Tell whether an element that was kept may say who the patient is.

    Args:
        tag: the element.
        vr: its VR.
        text: its text as it is.
        path: where it is in its object.
    """
    if not text.strip("\\ "):
        return False
    if is_identifying(tag, vr) or any(other.fits(tag) for other in _OTHERS):
        return True
    if _CODE_MEANING.fits(tag):
        return _CONTENT_SEQUENCE in path
    unknown = not is_private(tag) and not dictionary_has_tag(tag)
    return unknown or ("\0" in text and vr not in BYTES)
