"""What an object says of its patient: names are known wherever they stand."""

from __future__ import annotations

import io

import pytest
from pydicom import dcmread

from engine.inspection.trial import identifying_values_in
from tests import dicom
from tests.engine.anonymize.files.test_edit_file import part10
from tests.engine.anonymize.test_nested import creators, names, nested


@pytest.mark.parametrize("vr", ["SQ", "UN", "OB"])
@pytest.mark.parametrize("syntax", dicom.UNCOMPRESSED)
def test_a_name_in_a_nested_sequence_of_any_vr_is_known(vr: str, syntax: str) -> None:
    def inner(inside: str) -> bytes:
        return nested(0x00289145, "SQ", names, inside, open_end=True, open_item=True)

    private = 0x00091001
    content = creators(private, syntax) + nested(private, vr, inner, syntax)
    ds = dcmread(io.BytesIO(part10(content, syntax)))
    found = {value.text: value.is_private for value in identifying_values_in(ds)}
    assert found == {"LEAK^NAME": True, "STAYS": True}
