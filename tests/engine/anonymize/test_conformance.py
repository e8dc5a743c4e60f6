"""The language as a whole: one script, one object, and what must be true afterwards."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.dataelem import DataElement

from engine.anonymize import LookupTable, MissingVersion, Script, ScriptError, ScriptOutcome
from engine.anonymize.errors import ScriptRuntimeError
from tests.engine.anonymize.objects import find, make_object, text, value_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import Dataset

FILES = sorted(Path(__file__).with_name("cases").glob("*.json"))
CASES = [case for file in FILES for case in json.loads(file.read_text("utf-8"))]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_script_does_what_xnat_does(case: dict[str, Any]) -> None:
    ds = make_object(case.get("object"))
    if "pixels" in case:
        _add_pixels(ds, **case["pixels"])
    before = copy.deepcopy(ds)
    assert _run(case, ds) == case["outcome"]
    for path, checks in case.get("after", {}).items():
        for check, wanted in checks.items() if path != "pixels" else ():
            assert _holds(check, wanted, path, before, ds), (path, check, wanted)
    if "pixels" in case.get("after", {}):
        _check_pixels(ds, case["after"]["pixels"])


def _run(case: dict[str, Any], ds: Dataset) -> str:
    options = case.get("options", {})
    try:
        outcome = Script.parse("\n".join([*case["script"], ""])).apply(
            ds,
            case.get("variables", {}),
            lookup=LookupTable.parse(options.get("lookup", ())),
            ignore_rejection=options.get("ignore_rejection", False),
            script_id=options.get("script_id") if options.get("record") else None,
        )
    except MissingVersion:
        return "de4"
    except (ScriptError, ScriptRuntimeError):
        return "error"
    return "reject" if outcome is ScriptOutcome.REJECTED else "ok"


def _holds(check: str, wanted: Any, path: str, before: Dataset, after: Dataset) -> bool:
    found, was = find(after, path), find(before, path)
    shown = text(found) if isinstance(found, DataElement) and found.VR != "SQ" else ""
    if check in ("absent", "present"):
        return (found is None) is (check == "absent")
    if check == "unchanged":
        return was is not None and was == found
    assert isinstance(found, DataElement), path
    holds: dict[str, Callable[[], object]] = {
        "empty": lambda: not found.value or shown == "",
        "value": lambda: shown == wanted,
        "not_value": lambda: shown != wanted,
        "vr": lambda: wanted == found.VR,
        "startswith": lambda: shown.startswith(wanted),
        "regex": lambda: re.fullmatch(wanted, shown) is not None,
        "items": lambda: len(found.value) == wanted,
        "same_as": lambda: shown == value_at(after, wanted),
    }
    return bool(holds[check]())


def _add_pixels(ds: Dataset, *, rows: int, cols: int, value: int) -> None:
    ds.Rows, ds.Columns, ds.SamplesPerPixel = rows, cols, 1
    ds.BitsAllocated = ds.BitsStored = 8
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds[0x7FE00010] = DataElement(0x7FE00010, "OB", bytes([value]) * (rows * cols))


def _check_pixels(ds: Dataset, wanted: dict[str, Any]) -> None:
    for number, pixel in enumerate(ds.PixelData):
        row, column = divmod(number, ds.Columns)
        black = any(
            left <= column < right and top <= row < bottom
            for left, top, right, bottom in wanted["zero"]
        )
        assert pixel == (0 if black else wanted["else"])
