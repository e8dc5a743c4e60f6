"""Names in sequences, however these are encoded: what can be read is cleaned, the rest refused."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag

from engine.anonymize import Profile, ScriptRuntimeError, UneditableFile, edit_file
from tests import dicom
from tests.engine.anonymize.files.test_edit_file import part10
from tests.engine.anonymize.objects import script

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.anonymize import Script

IMPLICIT, LITTLE, BIG = dicom.UNCOMPRESSED
NAME, KEPT = b"LEAK^NAME", b"STAYS"
UNKNOWN = 0x00189FF1
CREATORS = {
    0x00090010: "VENDOR",
    0x00290010: "SIEMENS CSA HEADER",
    0x00510010: "SIEMENS MR HEADER",
}
PRIVATE = (0x00091001, 0x00291010, 0x00511016)
"""The second is known as OB, the third as LO."""
REMOVE, BLANK = script("-*/(0010,0010)"), script('blankValues["LEAK^NAME"]')
STEPS = pytest.mark.parametrize("step", [Profile(), REMOVE, BLANK], ids=["profile", "-*", "blank"])


def nested(
    tag: int,
    vr: str,
    content: Callable[[str], bytes],
    syntax: str,
    *,
    open_end: bool = False,
    open_item: bool = False,
) -> bytes:
    """Return a sequence of one item; of unknown VR it is encoded in implicit VR (PS3.5 6.2.2)."""
    inside = IMPLICIT if vr == "UN" else syntax
    value = content(inside)
    length = dicom.UNDEFINED_LENGTH if open_item else len(value)
    item = dicom.head(0xFFFEE000, "", length, inside) + value
    if open_item:
        item += dicom.head(0xFFFEE00D, "", 0, inside)
    if not open_end:
        return dicom.head(tag, vr, len(item), syntax) + item
    end = dicom.head(0xFFFEE0DD, "", 0, inside)
    return dicom.head(tag, vr, dicom.UNDEFINED_LENGTH, syntax) + item + end


def names(syntax: str) -> bytes:
    return dicom.encode(
        [dicom.element(0x00080060, "STAYS", "CS"), dicom.element("PatientName", "LEAK^NAME")],
        syntax,
    )


def creators(tag: int, syntax: str) -> bytes:
    creator = tag & 0xFFFF0000 | 0x10
    if creator not in CREATORS:
        return b""
    return dicom.encode([dicom.element(creator, CREATORS[creator], "LO")], syntax)


def edited(data_set: bytes, syntax: str, step: Profile | Script) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.dcm"), Path(folder, "out.dcm")
        source.write_bytes(part10(data_set, syntax))
        edit_file(source, target, [step], {})
        dcmread(target)
        return target.read_bytes()


@STEPS
@pytest.mark.parametrize("syntax", dicom.UNCOMPRESSED)
@pytest.mark.parametrize("open_inner", [False, True])
@pytest.mark.parametrize("open_item", [False, True])
@pytest.mark.parametrize("tag", [UNKNOWN, *PRIVATE])
def test_a_sequence_of_unknown_vr_hides_no_name_whatever_has_a_length(
    tag: int, open_item: bool, open_inner: bool, syntax: str, step: Profile | Script
) -> None:
    def inner(inside: str) -> bytes:
        return nested(0x00289145, "SQ", names, inside, open_end=open_inner, open_item=open_inner)

    content = creators(tag, syntax) + nested(tag, "UN", inner, syntax, open_item=open_item)
    out = edited(content, syntax, step)
    assert NAME not in out
    assert (KEPT in out) == (tag == UNKNOWN or not isinstance(step, Profile))


@pytest.mark.parametrize("step", [REMOVE, BLANK], ids=["-*", "blank"])
@pytest.mark.parametrize("cut", [2, 8, 12])
def test_a_script_refuses_a_sequence_that_does_not_end(cut: int, step: Script) -> None:
    whole = nested(0x00091001, "UN", names, LITTLE)
    value = whole[12:-cut]
    content = creators(0x00091001, LITTLE) + dicom.head(0x00091001, "UN", len(value), LITTLE)
    with pytest.raises(ScriptRuntimeError, match=r"\(0009,1001\) is a sequence that can't be read"):
        edited(content + value, LITTLE, step)


@pytest.mark.parametrize("vr", ["SQ", "UN", "OB"])
def test_the_profile_removes_a_sequence_that_does_not_end(vr: str) -> None:
    value = nested(UNKNOWN, "UN", names, LITTLE)[12:] + b"\xfe\xff\x00\xe0"
    content = dicom.head(UNKNOWN, vr, len(value), LITTLE) + value
    out = edited(content + dicom.encode([dicom.element(0x00280010, 7)], LITTLE), LITTLE, Profile())
    assert NAME not in out
    assert dicom.encode([dicom.element(0x00280010, 7)], LITTLE) in out


@STEPS
@pytest.mark.parametrize("syntax", dicom.UNCOMPRESSED)
@pytest.mark.parametrize("open_inner", [False, True])
@pytest.mark.parametrize("vr", ["OB", "UT", "SQ"])
def test_a_sequence_without_a_length_hides_no_name_under_any_vr(
    vr: str, open_inner: bool, syntax: str, step: Profile | Script
) -> None:
    def inner(inside: str) -> bytes:
        return nested(0x00289145, "SQ", names, inside, open_end=open_inner, open_item=open_inner)

    content = nested(UNKNOWN, vr, inner, syntax, open_end=True)
    try:
        out = edited(content, syntax, step)
    except (ScriptRuntimeError, UneditableFile):
        return
    assert NAME not in out


@STEPS
def test_of_an_element_that_is_twice_in_an_item_nothing_is_left(step: Profile | Script) -> None:
    def twice(inside: str) -> bytes:
        return nested(0x00081110, "SQ", names, inside) + nested(
            0x00081110, "SQ", lambda _: b"", inside
        )

    assert NAME not in edited(nested(UNKNOWN, "SQ", twice, LITTLE), LITTLE, step)


def test_an_element_that_is_longer_than_its_item_hides_nothing_behind_it() -> None:
    def too_long(_: str) -> bytes:
        return dicom.head(0x00080060, "CS", 0x4000, LITTLE) + names(LITTLE)

    content = nested(UNKNOWN, "SQ", too_long, LITTLE)
    with pytest.raises(ScriptRuntimeError):
        edited(content, LITTLE, REMOVE)
    assert NAME not in edited(content, LITTLE, Profile())


def test_text_beyond_ascii_can_be_written_beside_a_sequence_that_nobody_can_read() -> None:
    broken = nested(0x00091001, "UN", names, LITTLE)[:-2]
    head = dicom.head(0x00091001, "UN", len(broken) - 12, LITTLE)
    content = creators(0x00091001, LITTLE) + head + broken[12:]
    out = edited(content, LITTLE, script('(0010,0020) := "Größe"'))
    assert "Größe".encode() in out
    assert broken[12:] in out


@pytest.mark.parametrize("syntax", dicom.UNCOMPRESSED)
@pytest.mark.parametrize("open_end", [False, True])
@pytest.mark.parametrize("vr", ["SQ", "UN"])
def test_what_is_nested_beside_a_change_is_still_what_it_was(
    vr: str, open_end: bool, syntax: str
) -> None:
    def beside(inside: str, *, open_end: bool = open_end) -> bytes:
        return nested(0x00289145, vr, names, inside, open_end=open_end)

    def content(inside: str) -> bytes:
        return names(inside) + beside(inside)

    step = script('(0008,1110)[0]/(0010,0010) := "X"')
    out = edited(nested(0x00081110, "SQ", content, syntax, open_end=open_end), syntax, step)
    (item,) = dcmread(io.BytesIO(out))[0x00081110].value
    assert item.PatientName == "X"
    kept_open = open_end and (vr == "SQ" or syntax == IMPLICIT)
    assert beside(syntax, open_end=kept_open) in out


@st.composite
def trees(draw: st.DrawFn, depth: int = 0) -> Callable[[str], bytes]:
    """Draw what encodes an item: a name, and below it more sequences of any form."""
    below = []
    if depth < 4:
        for tag in draw(st.lists(st.sampled_from([UNKNOWN, *PRIVATE]), unique=True, max_size=2)):
            vr = draw(st.sampled_from(["SQ", "UN", "UN", "OB"]))
            open_end = vr != "OB" and draw(st.booleans())
            below.append((tag, vr, draw(trees(depth + 1)), open_end, draw(st.booleans())))

    def encode(syntax: str) -> bytes:
        parts = {0x00080060: b"", 0x00100010: names(syntax)}
        for tag, vr, content, open_end, open_item in below:
            made = nested(tag, vr, content, syntax, open_end=open_end, open_item=open_item)
            parts[tag] = creators(tag, syntax) + made
        return b"".join(parts[tag] for tag in sorted(parts))

    return encode


@settings(max_examples=150, deadline=None)
@given(
    tree=trees(),
    tag=st.sampled_from([UNKNOWN, *PRIVATE]),
    syntax=st.sampled_from(dicom.UNCOMPRESSED),
    vr=st.sampled_from(["SQ", "UN", "OB"]),
    step=st.sampled_from([Profile(), REMOVE, BLANK]),
    open_item=st.booleans(),
)
def test_no_nesting_hides_a_name(
    tree: Callable[[str], bytes],
    tag: int,
    syntax: str,
    vr: str,
    step: Profile | Script,
    open_item: bool,
) -> None:
    content = creators(tag, syntax) + nested(tag, vr, tree, syntax, open_item=open_item)
    assert NAME in content
    assert NAME not in edited(content, syntax, step)


@settings(max_examples=150, deadline=None)
@given(
    tree=trees(),
    syntax=st.sampled_from(dicom.UNCOMPRESSED),
    step=st.sampled_from([Profile(), REMOVE]),
    data=st.data(),
)
def test_bytes_that_are_lost_in_a_nesting_free_no_name(
    tree: Callable[[str], bytes], syntax: str, step: Profile | Script, data: st.DataObject
) -> None:
    """What was an element may be none any more; then its tag is gone too, or the object refused."""
    whole = nested(UNKNOWN, "UN", tree, syntax)
    start = 8 if syntax == IMPLICIT else 12
    at = data.draw(st.integers(start + 8, len(whole) - 2)) & ~1
    value = whole[start:at] + whole[at + 2 :]
    content = dicom.head(UNKNOWN, "UN", len(value), syntax) + value
    try:
        out = edited(content, syntax, step)
    except (ScriptRuntimeError, UneditableFile):
        return
    assert b"\x10\x00\x10\x00" + b"\x0a\0\0\0" + NAME not in out


def test_the_unknown_tag_of_these_tests_is_unknown() -> None:
    assert not dictionary_has_tag(UNKNOWN)
