"""The editor that processors are given: checked writes to a data set, each noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.tag import BaseTag, Tag

from engine.anonymize.datasets.reading import text_of
from engine.anonymize.errors import StatementFailure
from engine.dicom.header import SOP_CLASS_UID, SOP_INSTANCE_UID

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_FIRST_PIXELS: Final = 0x7FE0_0000
_FIRST: Final = 0x0008_0000
_NAMING: Final = frozenset({SOP_CLASS_UID, SOP_INSTANCE_UID})
"""What the sender's request and its answer name the object by."""
_WHOLE: Final = frozenset({"ST", "LT", "UT", "UR"})
_BINARY: Final = frozenset({"SQ", "OB", "OW", "OD", "OF", "OL", "OV", "UN"})


class DatasetHeader:
    """The elements of a data set that may be edited meanwhile; for plugins in their process."""

    def __init__(self, ds: Dataset) -> None:
        self._ds = ds

    def text(self, tag: int) -> str | None:
        """Return the first value of a top-level element as text; None if it has none."""
        try:
            text = text_of(self._ds, BaseTag(tag))
        except StatementFailure:
            return None
        if not text:
            return None
        element = self._ds.get_item(tag)
        text = text if element.VR in _WHOLE else text.split("\\")[0].strip(" \0")
        return text or None

    def __contains__(self, tag: int) -> bool:
        """Tell whether there is such an element, whatever its value."""
        return tag in self._ds


class DatasetEditor:
    """Writes single values; the file meta, the SOP UIDs and the pixel data are left alone."""

    def __init__(self, ds: Dataset) -> None:
        self._ds = ds
        self.changed: list[int] = []
        """The tags that were written or removed."""

    def set(self, tag: int, *values: str | float, vr: str = "") -> None:
        """Write the values of an element; the VR is needed where no dictionary knows it.

        Raises:
            ValueError: if the element may not be written, or not with these values.
        """
        _require_editable(tag)
        vr = vr or _known_vr(tag)
        if vr in _BINARY or len(vr) != 2:
            raise ValueError(f"{Tag(tag)} is not written by value; use a script")
        if any(isinstance(v, str) and not _is_text(v) for v in values):
            raise ValueError(f"{Tag(tag)} would contain control characters")
        value = list(values) if len(values) > 1 else (values[0] if values else None)
        self._ds[tag] = DataElement(tag, vr, value)
        self.changed.append(tag)

    def remove(self, tag: int) -> None:
        """Remove an element, if it is there.

        Raises:
            ValueError: if it may not be removed.
        """
        _require_editable(tag)
        if tag in self._ds:
            del self._ds[tag]
            self.changed.append(tag)


class NoEditor:
    """Stands where processors of ours decide without editing."""

    def set(self, tag: int, *values: str | float, vr: str = "") -> None:
        """Refuse."""
        raise ValueError("this processor returns a script instead")

    def remove(self, tag: int) -> None:
        """Refuse."""
        raise ValueError("this processor returns a script instead")


def _require_editable(tag: int) -> None:
    if not _FIRST <= tag < _FIRST_PIXELS or not tag & 0xFFFF:
        raise ValueError(f"{Tag(tag)} is no element of the header")
    if tag in _NAMING:
        raise ValueError(f"{Tag(tag)} names the object to its sender")


def _known_vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        raise ValueError(f"the VR of {Tag(tag)} is not known; name it") from None


def _is_text(value: str) -> bool:
    return value.replace("\r", "").replace("\n", "").replace("\t", "").isprintable()
