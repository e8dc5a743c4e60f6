"""Decides which values stay in the file when an object is read, and which are loaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from engine.anonymize.datasets.items import ITEM_STARTS, MAY_HAVE_ITEMS
from engine.anonymize.datasets.reading import BYTES, FLOATS, vr_of
from engine.anonymize.errors import UneditableFile
from engine.anonymize.files.values import FilePart

if TYPE_CHECKING:
    from typing import BinaryIO

    from pydicom.dataset import Dataset

MAX_IN_MEMORY_BYTES: Final = 64 * 1024
"""Longer values stay in the file, unless they are text or sequences."""
_STAY: Final = BYTES | FLOATS.keys() | {"US", "SS", "UL", "SL", "UV", "SV", "AT", "US or OW"}


def long_value(
    ds: Dataset, element: RawDataElement, file: BinaryIO
) -> RawDataElement | DataElement:
    """Return an element whose value was not read: with a part of the file for it, or its value.

    Args:
        ds: the data set that it is in.
        element: the element, without its value.
        file: the open file that it stands in.

    Raises:
        UneditableFile: if the file ends before the value does.
    """
    start, end = element.value_tell, element.value_tell + element.length
    if end > os.fstat(file.fileno()).st_size:
        raise UneditableFile(f"it ends inside {element.tag}", "send or copy it again")
    vr = vr_of(ds, element.tag)
    looks_nested = os.pread(file.fileno(), 4, start) in ITEM_STARTS
    if vr not in _STAY or (looks_nested and element.VR in MAY_HAVE_ITEMS):
        return element._replace(value=os.pread(file.fileno(), element.length, start))
    head = 12 if element.VR in EXPLICIT_VR_LENGTH_32 else 8
    part = FilePart(file, start - head, start, end, undefined_length=False)
    return DataElement(element.tag, vr, part, already_converted=True)
