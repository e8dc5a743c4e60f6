"""How elements read as text, and what is written for a text (dicomedit 4)."""

from __future__ import annotations

import pytest
from pydicom import config
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import BaseTag

from engine.anonymize import ScriptRuntimeError
from engine.anonymize.datasets.reading import text_of
from tests.engine.anonymize.objects import apply, find, make_object, result, value_at, vr_at


@pytest.mark.parametrize(
    ("vr", "value", "text"),
    [
        ("LO", "a", "a"),
        ("LO", " a \\ b ", "a\\b"),
        ("LT", " a \n ", " a \n"),
        ("DS", "1.50", "1.50"),
        ("DS", "1.50\\2", "1.50\\2"),
        ("IS", "007", "007"),
        ("PN", "Doe^Jane=X", "Doe^Jane=X"),
        ("US", "0", "0"),
        ("US", "1\\2", "1\\2"),
        ("SV", "-9007199254740993", "-9007199254740993"),
        ("FL", "30", "30"),
        ("FL", "0.1", "0.1"),
        ("FD", "0.30000000000000004", "0.30000000000000004"),
        ("AT", "00209056", "00209056"),
        ("UN", {"hex": "414200"}, "AB"),
        ("UN", {"hex": "41420000"}, "AB\0"),
        ("OB", {"hex": "c3a4"}, "ä"),
        ("CS", "", ""),
        ("US", "", ""),
    ],
)
def test_an_element_reads_as_text(vr: str, value: object, text: str) -> None:
    ds = make_object({"(0045,1001)": (vr, value)})
    assert text_of(ds, BaseTag(0x00451001)) == text


def _raw(tag: int, vr: str | None, value: bytes, *, implicit: bool = False) -> RawDataElement:
    return RawDataElement(BaseTag(tag), vr, len(value), value, 0, implicit, True)


@pytest.mark.parametrize(
    ("tag", "vr", "value", "text"),
    [
        (0x00100010, "PN", b"Doe^Jane ", "Doe^Jane"),
        (0x00100010, None, b"Doe^Jane ", "Doe^Jane"),
        (0x00181030, "LO", b"a \\b\0", "a\\b"),
        (0x00280010, "US", b"\x00\x01", "256"),
        (0x00280106, None, b"\xff\xff", "65535"),
        (0x00181316, "DS", b"1.50", "1.50"),
        (0x00189999, None, b"?\0", "?"),
        (0x00080005, "CS", b"ISO_IR 100", "ISO_IR 100"),
        (0x00101010, "AS", b"", ""),
    ],
)
def test_an_element_that_was_not_decoded_yet_reads_the_same(
    tag: int, vr: str | None, value: bytes, text: str
) -> None:
    ds = make_object()
    ds[tag] = _raw(tag, vr, value, implicit=vr is None)
    assert text_of(ds, BaseTag(tag)) == text


def test_text_is_decoded_by_the_character_set_of_its_data_set() -> None:
    ds = make_object()
    ds.set_original_encoding(False, True, ["iso8859"])
    ds[0x00100010] = _raw(0x00100010, "PN", "Müller".encode("latin-1"))
    assert text_of(ds, BaseTag(0x00100010)) == "Müller"
    japanese = make_object()
    japanese.set_original_encoding(False, True, ["shift_jis", "iso2022_jp"])
    japanese[0x00100010] = _raw(0x00100010, "PN", b"Yamada=\x1b$B;3ED\x1b(J")
    assert (text_of(japanese, BaseTag(0x00100010)) or "").startswith("Yamada=山田")


def test_a_sequence_has_no_value() -> None:
    ds = make_object({"(0008,1140)": ("SQ", 1)})
    with pytest.raises(ScriptRuntimeError, match="a sequence has no value"):
        apply(ds, "(0010,0010) := (0008,1140)")


@pytest.mark.parametrize(
    ("path", "text", "vr", "stored"),
    [
        ("(0040,0244)", "some day", "DA", "some day"),
        ("(0020,0013)", "not a number", "IS", "not a number"),
        ("(0018,1316)", "1.50\\x", "DS", "1.50\\x"),
        ("(0020,0013)", "1.5", "IS", "1.5"),
        ("(0008,0060)", "far too long for a code string", "CS", "far too long for a code string"),
        ("(0008,0018)", "no uid", "UI", "no uid"),
        ("(0018,9074)", "yesterday", "DT", "yesterday"),
        ("(0008,0008)", "A\\B", "CS", "A\\B"),
        ("(0010,4000)", "A\\B", "LT", "A\\B"),
        ("(0028,0010)", "512", "US", "512"),
        ("(0028,3002)", "1\\2\\3", "US", "1\\2\\3"),
        ("(0018,9073)", "1.25", "FD", "1.25"),
        ("(0020,9165)", "00209056", "AT", "00209056"),
        ("(0028,0009)", "(0018,1063)", "AT", "00181063"),
        ("(0010,0010)", "", "PN", ""),
        ("(0028,0010)", "", "US", ""),
        ("(0018,9999)", "x", "UN", "x"),
        ("(0029,{NOBODY}10)", "x", "LO", "x"),
    ],
)
def test_what_is_written_is_stored_as_it_is(path: str, text: str, vr: str, stored: str) -> None:
    ds = make_object()
    apply(ds, f"{path} := value", value=text)
    at = path.replace("{NOBODY}", "10")
    assert (vr_at(ds, at), value_at(ds, at)) == (vr, stored)


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        ("(0028,0010)", "many", "no whole number"),
        ("(0028,0010)", "65536", "not in the range of US"),
        ("(0028,0010)", "-1", "not in the range of US"),
        ("(0018,9073)", "x", "no number"),
        ("(0018,6020)", "1.5", "no whole number"),
        ("(0028,0009)", "xyz", "no tag"),
        ("(0028,0009)", "zzzzzzzz", "no tag"),
        ("(0008,0060)", "Ж", "no letters beyond Latin-1"),
        ("(0000,0002)", "1", "not part of an object"),
    ],
)
def test_what_the_vr_can_not_hold_refuses_the_object(path: str, text: str, said: str) -> None:
    with pytest.raises(ScriptRuntimeError, match=said) as caught:
        apply(make_object(), f"{path} := value", value=text)
    assert text not in caught.value.detail.replace(path, "")


def test_numbers_too_large_for_single_precision_refuse_the_object() -> None:
    ds = make_object({"(0045,1001)": ("FL", "1")})
    with pytest.raises(ScriptRuntimeError, match="too large"):
        apply(ds, 'set["(0045,1001)", "1e60"]')


def test_an_existing_element_keeps_its_vr() -> None:
    ds = make_object({"(0010,0020)": ("SH", "A"), "(0045,1001)": ("OF", b"\0\0\x80?")})
    apply(ds, '(0010,0020) := "B"', 'set["(0045,1001)", "2\\\\3"]')
    assert vr_at(ds, "(0010,0020)") == "SH"
    assert ds[0x00451001].value == b"\0\0\0@\0\0@@"
    assert text_of(ds, BaseTag(0x00451001)) == "2\\3"


def test_the_pixel_representation_decides_between_us_and_ss() -> None:
    ds = make_object({"(0028,0103)": ("US", "1")})
    apply(ds, '(0028,0106) := "-5"')
    assert (vr_at(ds, "(0028,0106)"), value_at(ds, "(0028,0106)")) == ("SS", "-5")


def test_writing_to_a_sequence_empties_it() -> None:
    ds = make_object({"(0008,1140)": ("SQ", 2)})
    apply(ds, '(0008,1140) := "x"', '(0008,1115) := "x"')
    assert len(ds[0x00081140].value) == len(ds[0x00081115].value) == 0


def test_text_beyond_the_character_set_switches_the_data_set_to_utf_8() -> None:
    ds = make_object({"(0008,0005)": ("CS", "ISO_IR 100"), "(0010,0010)": ("PN", "Müller")})
    apply(ds, '(0010,4000) := "Straße"')
    assert value_at(ds, "(0008,0005)") == "ISO_IR 100"
    apply(ds, '(0010,4000) := "Иванова"')
    assert value_at(ds, "(0008,0005)") == "ISO_IR 192"
    assert value_at(ds, "(0010,0010)") == "Müller"


def test_an_item_switches_by_itself_and_what_is_not_decoded_yet_survives() -> None:
    ds = make_object(
        {"(0008,0005)": ("CS", "ISO_IR 100"), "(0008,1140)[0]/(0008,0005)": ("CS", "")}
    )
    item = ds[0x00081140].value[0]
    del item[0x00080005]
    item.set_original_encoding(False, True, ["latin_1"])
    item[0x00081030] = _raw(0x00081030, "LO", "Kürzel".encode("latin-1"))
    apply(ds, '(0008,1140)[0]/(0010,4000) := "日本"')
    assert value_at(ds, "(0008,1140)[0]/(0008,0005)") == "ISO_IR 192"
    assert value_at(ds, "(0008,1140)[0]/(0008,1030)") == "Kürzel"
    assert value_at(ds, "(0008,0005)") == "ISO_IR 100"


def test_a_script_that_names_another_character_set_keeps_the_text() -> None:
    ds = make_object({"(0008,0005)": ("CS", "ISO_IR 100")})
    ds.set_original_encoding(False, True, ["latin_1"])
    ds[0x00081030] = _raw(0x00081030, "LO", "Kürzel".encode("latin-1"))
    apply(ds, '(0008,0005) := "ISO_IR 192"')
    assert value_at(ds, "(0008,1030)") == "Kürzel"


def test_private_elements_get_their_vr_from_the_dictionary_of_their_creator() -> None:
    ds = make_object()
    apply(ds, '(0029,{SIEMENS MED DISPLAY}10) := "5"')
    assert value_at(ds, "(0029,0010)") == "SIEMENS MED DISPLAY"
    assert (vr_at(ds, "(0029,1010)"), value_at(ds, "(0029,1010)")) == ("US", "5")


def test_new_creators_take_the_lowest_free_block_also_inside_of_items() -> None:
    ds = make_object({"(0039,0010)": ("LO", "A"), "(0039,1201)": ("LO", "nobody's")})
    apply(ds, '(0039,{B}01) := "b"', '(0039,{C}01) := "c"', '(0008,1140)[1]/(0039,{B}02) := "in"')
    assert value_at(ds, "(0039,1101)") == "b"
    assert value_at(ds, "(0039,1301)") == "c"  # 12 holds data without a creator
    assert value_at(ds, "(0008,1140)[1]/(0039,1002)") == "in"
    assert find(ds, "(0008,1140)[0]") is not None


def test_a_group_without_a_free_block_refuses_the_object() -> None:
    ds = make_object({f"(0039,00{block:02X})": ("LO", f"C{block}") for block in range(0x10, 0x100)})
    with pytest.raises(ScriptRuntimeError, match="no free private block"):
        apply(ds, '(0039,{NEW}01) := "x"')


def test_a_private_sequence_is_created_in_its_creators_block() -> None:
    ds = make_object({"(0039,0010)": ("LO", "A")})
    apply(ds, '(0039,{B}01)[0]/(0008,0104) := "x"')
    assert value_at(ds, "(0039,1101)[0]/(0008,0104)") == "x"
    assert result("(0039,{B}01)[0]/(0008,0104)") == "∅"


def test_reading_creates_nothing() -> None:
    ds = make_object({"(0008,1140)": ("SQ", 1)})
    before = str(ds)
    apply(ds, 'if ((0039,{A}01) = "x") {}', 'if ((0008,1140)[4]/(0008,1155) = "x") {}')
    assert str(ds) == before


def test_an_item_far_beyond_the_last_is_refused() -> None:
    with pytest.raises(ScriptRuntimeError, match="beyond the last"):
        apply(make_object(), '(0008,1140)[5000]/(0008,1155) := "1"')


def test_an_element_that_is_no_sequence_has_no_items() -> None:
    ds = make_object({"(0045,1001)": ("LO", "text")})
    with pytest.raises(ScriptRuntimeError, match="no sequence"):
        apply(ds, 'set["(0045,1001)[0]/(0010,0010)", "x"]')


def test_sequences_that_travel_as_unknown_are_looked_into() -> None:
    name = b"\x10\x00\x10\x00\x04\x00\x00\x00Doe "
    item = b"\xfe\xff\x00\xe0" + len(name).to_bytes(4, "little") + name
    ds = make_object({"(0009,0010)": ("LO", "VENDOR")})
    ds[0x00091001] = _raw(0x00091001, "UN", item)
    ds[0x00091002] = _raw(0x00091002, "UN", b"Doe " + item)
    apply(ds, '*/(0010,0010) ?= "X"')
    assert value_at(ds, "(0009,1001)[0]/(0010,0010)") == "X"
    assert ds[0x00091002].value == b"Doe " + item


def test_a_broken_element_refuses_the_object_without_its_value() -> None:
    ds = make_object()
    ds[0x00280010] = _raw(0x00280010, "US", b"abc")
    with pytest.raises(ScriptRuntimeError, match=r"can't be read \(\w+\)"):
        apply(ds, "(0010,0010) := (0028,0010)")


@pytest.mark.parametrize(
    ("path", "said"),
    [("(0010,00XX)", "may mean several elements"), ("(0008,1140)[0]", "has no value")],
)
def test_a_path_from_a_list_is_read_only_if_it_names_one_element(path: str, said: str) -> None:
    ds = make_object({"(0008,1140)": ("SQ", 1)})
    with pytest.raises(ScriptRuntimeError, match=said):
        apply(ds, f"l := {{{path}}}", 'y := format["{0}", l]')


def test_file_meta_that_can_not_be_read_refuses_the_object_at_the_end() -> None:
    ds = make_object({"(0008,0018)": ("UI", "1.2"), "(0002,0003)": ("SQ", 1)})
    with pytest.raises(ScriptRuntimeError, match="in the file meta information"):
        apply(ds, "-(0010,0010)")


def test_a_data_set_that_pydicom_would_complain_about_is_read_without_a_word() -> None:
    ds = make_object()
    ds[0x00080020] = DataElement(0x00080020, "DA", "20261301", validation_mode=config.IGNORE)
    apply(ds, "(0008,0021) := (0008,0020)")
    assert value_at(ds, "(0008,0021)") == "20261301"
