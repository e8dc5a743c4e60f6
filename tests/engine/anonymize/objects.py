"""Small data sets in memory, and what is in them, found without the code under test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from engine.anonymize import Script, ScriptOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPLICIT = "1.2.840.10008.1.2.1"
_STEP = re.compile(r"\(([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)(?:\[(\d+)\])?")
_INTEGERS = {"US", "SS", "UL", "SL", "UV", "SV"}
_BYTES = {"OB", "OW", "UN"}
_WHOLE = {"ST", "LT", "UT", "UR"}

Elements = "Mapping[str, tuple[str, Any]]"


def make_object(elements: Mapping[str, Any] | None = None) -> Dataset:
    """Return an object from paths by number to VR and text; of a sequence to VR and items."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(EXPLICIT)
    for path, (vr, value) in (elements or {}).items():
        box, tag = _enter(ds, path)
        if vr != "SQ":
            box[tag] = DataElement(tag, vr, _typed(vr, value), validation_mode=config.IGNORE)
            continue
        box.setdefault(tag, DataElement(tag, "SQ", Sequence()))
        _fill(box[tag].value, int(value))
    return ds


def _enter(ds: Dataset, path: str) -> tuple[Dataset, BaseTag]:
    *outer, (last, _) = _steps(path)
    box = ds.file_meta if last >> 16 == 2 else ds
    for tag, item in outer:
        if tag not in box:
            box[tag] = DataElement(tag, "SQ", Sequence())
        _fill(box[tag].value, (item or 0) + 1)
        box = box[tag].value[item or 0]
    return box, last


def _fill(items: Sequence, count: int) -> None:
    while len(items) < count:
        items.append(Dataset())


def _steps(path: str) -> list[tuple[BaseTag, int | None]]:
    found = [_STEP.fullmatch(part) for part in path.split("/")]
    return [
        (Tag(int(m[1], 16), int(m[2], 16)), None if m[3] is None else int(m[3]))
        for m in found
        if m is not None
    ]


def _typed(vr: str, value: Any) -> Any:
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"])
    if vr in _BYTES:
        return value.encode() if isinstance(value, str) else value
    if vr in _WHOLE or not isinstance(value, str):
        return value
    parts: list[Any] = value.split("\\")
    if value and vr in _INTEGERS:
        parts = [int(part) for part in parts]
    elif value and vr in ("FD", "FL"):
        parts = [float(part) for part in parts]
    elif value and vr == "AT":
        parts = [Tag(int(part, 16)) for part in parts]
    if not value and vr in (_INTEGERS | {"FD", "FL", "AT"}):
        return None
    return parts[0] if len(parts) == 1 else parts


def find(ds: Dataset, path: str) -> DataElement | Dataset | None:
    """Return the element, or for a path that ends in an item, that item."""
    steps = _steps(path)
    box = ds.file_meta if steps[0][0] >> 16 == 2 else ds
    for number, (tag, item) in enumerate(steps):
        if tag not in box:
            return None
        if number == len(steps) - 1 and item is None:
            return box[tag]
        if item is None or item >= len(box[tag].value):
            return None
        box = box[tag].value[item]
    return box


def value_at(ds: Dataset, path: str) -> str | None:
    """Return the text of an element, None if there is none."""
    element = find(ds, path)
    return text(element) if isinstance(element, DataElement) else None


def vr_at(ds: Dataset, path: str) -> str | None:
    """Return the VR of an element, None if there is none."""
    element = find(ds, path)
    return str(element.VR) if isinstance(element, DataElement) else None


def text(element: DataElement) -> str:
    """Return an element's value as written, several joined by a backslash."""
    value = element.value
    if isinstance(value, bytes):
        return value.rstrip(b"\0 ").decode("utf-8", "replace")
    if value is None:
        return ""
    values = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    return "\\".join(_one(v, element.VR) for v in values)


def _one(value: Any, vr: str) -> str:
    if vr in ("FD", "FL"):
        return repr(float(value)).removesuffix(".0")
    if vr == "AT":
        return f"{int(value):08X}"
    written = getattr(value, "original_string", None)
    return written if isinstance(written, str) else str(value)


def script(*lines: str, version: str = "6.7") -> Script:
    """Parse a script of these lines, behind a version line."""
    return Script.parse("\n".join([f'version "{version}"', *lines, ""]))


def apply(ds: Dataset, *lines: str, **variables: str) -> ScriptOutcome:
    """Run a script of these lines on an object, in place."""
    return script(*lines).apply(ds, variables)


def result(expression: str, elements: Mapping[str, Any] | None = None, **variables: str) -> str:
    """Return what an expression evaluates to; absent and null give ``∅``."""
    ds = make_object(elements)
    apply(ds, f"(0018,9999) := {expression}", **variables)
    found = value_at(ds, "(0018,9999)")
    return "∅" if found is None else found
