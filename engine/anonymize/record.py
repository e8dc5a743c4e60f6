"""Records the anonymization in the object: (0012,0064), optionally (0012,0062) and (0012,0063)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pydicom.charset import default_encoding
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_sequence_item
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from engine.anonymize.datasets.reading import text_of
from engine.anonymize.datasets.tree import Hit, Level
from engine.anonymize.datasets.writing import store
from engine.anonymize.errors import UneditableFile
from engine.model.anonymization import CREATOR_ELEMENT, CREATOR_UID, NOTE_ELEMENT, done_for

if TYPE_CHECKING:
    from collections.abc import Iterable

_REMOVED: Final = BaseTag(0x00120062)
_METHOD: Final = BaseTag(0x00120063)
_METHOD_CODES: Final = BaseTag(0x00120064)
_CODE_VALUE: Final = BaseTag(0x00080100)
_CODING_SCHEME: Final = BaseTag(0x00080102)
# PS3.5 6.2: an SH has at most 16 characters, an LO 64.
_LONGEST_CODE: Final = 16
_LONGEST_METHOD: Final = 64
_SCHEME_VERSION: Final = BaseTag(0x00080103)
_MEANING: Final = BaseTag(0x00080104)
CODING_SCHEME: Final = "XNAT"


def record(ds: Dataset, script_ids: Iterable[int]) -> None:
    """Append one item for each script to De-identification Method Code Sequence (XNAT).

    Raises:
        UneditableFile: if a number is too long for a code, or the element is no sequence.
    """
    codes = tuple(map(_code, script_ids))
    encoding = ds.original_encoding
    # The rule: bytes that were encoded once. An object that was not read from a file has no
    # encoding.
    if codes and _METHOD_CODES not in ds and None not in encoding:
        ds[_METHOD_CODES] = _encoded(codes, *map(bool, encoding))
        return
    for code in codes:
        _codes(ds).append(_item(code))


def _code(script_id: int) -> str:
    code = str(script_id)
    if script_id <= 0 or len(code) > _LONGEST_CODE:
        raise UneditableFile(f"{code[:40]} is no script number", "use 1 to 16 digits")
    return code


def _item(code: str) -> Dataset:
    # dicomedit 10: as XNAT writes and reads it.
    meaning = "XNAT DicomEdit 6 Script"
    item = _coded({_CODE_VALUE: code, _CODING_SCHEME: CODING_SCHEME, _MEANING: meaning})
    item[_SCHEME_VERSION] = DataElement(_SCHEME_VERSION, "SH", "1.0")
    return item


@lru_cache(64)
def _encoded(codes: tuple[str, ...], implicit: bool, little: bool) -> RawDataElement:
    """Return the sequence as a raw element, encoded once for all objects of a script."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, little
    for code in codes:
        write_sequence_item(buffer, _item(code), [default_encoding])
    value = buffer.getvalue()
    return RawDataElement(_METHOD_CODES, "SQ", len(value), value, 0, implicit, little)


def append_method_codes(ds: Dataset, codes: Iterable[tuple[str, str]]) -> None:
    """Append codes of PS3.16 CID 7050, as value and meaning; raises as `record` does."""
    for value, meaning in codes:
        texts = {_CODE_VALUE: value, _CODING_SCHEME: "DCM", _MEANING: meaning}
        _codes(ds).append(_coded(texts))


def recorded(ds: Dataset) -> tuple[str, ...]:
    """Return the numbers of the scripts that are recorded in an object, in order."""
    items = Level(ds).sequence(_METHOD_CODES) or ()
    return tuple(
        text_of(item, _CODE_VALUE) or ""
        for item in items
        if text_of(item, _CODING_SCHEME) == CODING_SCHEME
    )


def note_project(ds: Dataset, project: str) -> None:
    """Note in the file meta that a project's anonymization is done; file meta is never sent."""
    creator, note = BaseTag(CREATOR_ELEMENT), BaseTag(NOTE_ELEMENT)
    ds.file_meta[creator] = DataElement(creator, "UI", CREATOR_UID)
    ds.file_meta[note] = DataElement(note, "OB", done_for(project), already_converted=True)


def mark_as_deidentified(ds: Dataset, method: str) -> None:
    """Write that the patient's identity was removed, and by which method; earlier methods stay.

    Raises:
        UneditableFile: if the method is longer than 64 characters.
    """
    # A backslash would make two methods of it (PS3.5 6.2).
    if not 0 < len(method) <= _LONGEST_METHOD or "\\" in method:
        raise UneditableFile(
            f"{method[:80]!r} is no de-identification method",
            f"write 1 to {_LONGEST_METHOD} characters without a backslash",
        )
    earlier = (text_of(ds, _METHOD) or "").split("\\")
    # Each once: an object may be de-identified several times.
    methods = dict.fromkeys([*(m for m in earlier if m), method])
    root = Level(ds)
    store(Hit(root, _REMOVED), "YES")
    store(Hit(root, _METHOD), "\\".join(methods))


def _coded(texts: dict[BaseTag, str]) -> Dataset:
    item = Dataset()
    for tag, text in texts.items():
        item[tag] = DataElement(tag, "LO" if tag == _MEANING else "SH", text)
    return item


def _codes(ds: Dataset) -> Sequence:
    items = Level(ds).sequence(_METHOD_CODES)
    if items is None:
        if _METHOD_CODES in ds:
            raise UneditableFile(f"{_METHOD_CODES} is no sequence", "remove it with the script")
        ds[_METHOD_CODES] = DataElement(_METHOD_CODES, "SQ", Sequence())
        items = Level(ds).sequence(_METHOD_CODES)
        assert items is not None
    return items
