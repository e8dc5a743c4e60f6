"""The basic profile of PS3.15 at every depth, with what may be retained."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from engine.anonymize import Profile, Retain, ScriptContext, UneditableFile, edit_file
from engine.anonymize.profile import ProfileAction, row_of, table
from tests.engine.anonymize.objects import find, make_object, result, script, value_at

NESTED = "(5200,9230)[0]/(0008,9215)[0]/"
OBJECT = {
    "(0002,0016)": ("AE", "CT1"),
    "(0002,0003)": ("UI", "1.2.3.4.5"),
    "(0008,0005)": ("CS", "ISO_IR 192"),
    "(0008,0016)": ("UI", "1.2.840.10008.5.1.4.1.1.2"),
    "(0008,0018)": ("UI", "1.2.3.4.5"),
    "(0008,0020)": ("DA", "20240331"),
    "(0008,0021)": ("DA", "20240331"),
    "(0008,0031)": ("TM", "101112"),
    "(0008,0060)": ("CS", "CT"),
    "(0008,0080)": ("LO", "Hospital"),
    "(0008,0090)": ("PN", "Ref^Doc"),
    "(0008,1010)": ("SH", "CT01"),
    "(0008,1030)": ("LO", "Head of Doe"),
    "(0008,1140)[0]/(0008,1155)": ("UI", "1.2.3.4.5.6"),
    "(0010,0010)": ("PN", "Doe^Jane"),
    "(0010,0030)": ("DA", "19700101"),
    "(0010,0040)": ("CS", "F"),
    "(0010,1010)": ("AS", "054Y"),
    "(0010,2000)": ("LO", ""),
    "(0019,0010)": ("LO", "VENDOR"),
    "(0019,1001)": ("LO", "Doe"),
    "(0040,A730)[0]/(0040,A040)": ("CS", "PNAME"),
    "(0040,A730)[0]/(0040,A123)": ("PN", "Doe^Jane"),
    "(0040,A730)[0]/(0040,A043)[0]/(0008,0104)": ("LO", "Finding"),
    "(0040,A730)[0]/(0040,A730)[0]/(0040,A160)": ("UT", "Jane fell"),
    f"{NESTED}(0010,0010)": ("PN", "Doe^Jane"),
    f"{NESTED}(0008,1155)": ("UI", "1.2.3.4.5.6"),
    f"{NESTED}(0019,1001)": ("LO", "Doe"),
    "(0028,0010)": ("US", "512"),
    "(0028,1052)": ("DS", "-1024"),
    "(0042,0011)": ("OB", {"hex": "255044462d31"}),
    "(6002,3000)": ("OW", {"hex": "ffff"}),
    "(5002,0010)": ("LO", "curve"),
}


def test_the_table_is_that_of_2026d() -> None:
    exact, masked = table()
    assert len(exact) + len(masked) == 656


@pytest.mark.parametrize(
    ("tag", "action"),
    [
        (0x00080018, ProfileAction.UID),
        (0x0020000D, ProfileAction.UID),
        (0x00081155, ProfileAction.UID),
        (0x00081140, ProfileAction.UID),
        (0x00080020, ProfileAction.EMPTY),
        (0x00080050, ProfileAction.EMPTY),
        (0x00100010, ProfileAction.EMPTY),
        (0x00080022, ProfileAction.EMPTY),
        (0x00081030, ProfileAction.REMOVE),
        (0x00104000, ProfileAction.REMOVE),
        (0x60023000, ProfileAction.REMOVE),
        (0x50020010, ProfileAction.REMOVE),
        (0x0040A730, ProfileAction.DUMMY),
        (0x00080080, ProfileAction.DUMMY),
        (0x00080016, ProfileAction.KEEP),
        (0x00280010, ProfileAction.KEEP),
    ],
)
def test_known_rows_have_the_action_that_is_right_for_every_type(
    tag: int, action: ProfileAction
) -> None:
    assert row_of(tag).basic is action


def test_identity_is_gone_at_every_depth_and_what_makes_the_image_stays() -> None:
    ds = make_object(OBJECT)
    Profile().apply(ds)
    assert "Doe" not in str(ds)
    assert "Jane" not in str(ds)
    for path in ("(0002,0016)", "(0008,1030)", "(0010,1010)", "(0019,0010)", "(6002,3000)",
                 "(5002,0010)", f"{NESTED}(0019,1001)"):  # fmt: skip
        assert find(ds, path) is None, path
    assert value_at(ds, "(0010,0010)") == ""
    assert value_at(ds, "(0008,0020)") == ""
    assert value_at(ds, "(0008,0021)") == "19000101"
    assert value_at(ds, "(0008,0080)") == "ANONYMIZED"
    assert value_at(ds, "(0042,0011)") == ""
    assert value_at(ds, "(0028,0010)") == "512"
    assert value_at(ds, "(0028,1052)") == "-1024"
    assert value_at(ds, "(0008,0060)") == "CT"


def test_uids_are_those_of_scripts_and_references_still_fit() -> None:
    ds = make_object(OBJECT)
    Profile().apply(ds)
    new = result('hashUID["1.2.3.4.5"]')
    assert value_at(ds, "(0008,0018)") == value_at(ds, "(0002,0003)") == new
    reference = result('hashUID["1.2.3.4.5.6"]')
    assert value_at(ds, "(0008,1140)[0]/(0008,1155)") == reference
    assert value_at(ds, f"{NESTED}(0008,1155)") == reference
    assert value_at(ds, "(0008,0016)") == "1.2.840.10008.5.1.4.1.1.2"


def test_the_tree_of_a_structured_report_stays_with_dummies_in_it() -> None:
    ds = make_object(OBJECT)
    Profile().apply(ds)
    assert value_at(ds, "(0040,A730)[0]/(0040,A040)") == "PNAME"
    assert value_at(ds, "(0040,A730)[0]/(0040,A123)") == "ANONYMIZED"
    assert value_at(ds, "(0040,A730)[0]/(0040,A043)[0]/(0008,0104)") == "Finding"
    assert value_at(ds, "(0040,A730)[0]/(0040,A730)[0]/(0040,A160)") == "ANONYMIZED"


@pytest.mark.parametrize(
    ("retain", "path", "value"),
    [
        (Retain.UIDS, "(0008,0018)", "1.2.3.4.5"),
        (Retain.DEVICE, "(0008,1010)", "CT01"),
        (Retain.INSTITUTION, "(0008,0080)", "Hospital"),
        (Retain.PATIENT_CHARACTERISTICS, "(0010,1010)", "054Y"),
        (Retain.DATES, "(0008,0020)", "20240331"),
        (Retain.DATES, "(0008,0031)", "101112"),
    ],
)
def test_what_is_retained_stays_and_is_said(retain: Retain, path: str, value: str) -> None:
    ds = make_object(OBJECT)
    Profile(frozenset({retain})).apply(ds)
    assert value_at(ds, path) == value
    assert value_at(ds, "(0010,0030)") == ""
    codes = [item.CodeValue for item in ds.DeidentificationMethodCodeSequence]
    assert codes[0] == "113100"
    assert len(codes) == 2
    plain = make_object(OBJECT)
    Profile().apply(plain)
    assert value_at(plain, path) != value


def test_dates_can_be_moved_and_what_is_none_must_go() -> None:
    ds = make_object(
        {**OBJECT, "(0018,9074)": ("DT", "202403311200"), "(0008,0022)": ("DA", "soon")}
    )
    Profile(frozenset({Retain.DATES}), shift_days=-31).apply(ds)
    assert value_at(ds, "(0008,0020)") == "20240229"
    assert value_at(ds, "(0018,9074)") == "202402291200"
    assert value_at(ds, "(0008,0022)") == ""
    assert value_at(ds, "(0008,0031)") == "101112"
    assert value_at(ds, "(0010,0030)") == ""
    assert value_at(ds, "(0028,0303)") == "MODIFIED"
    codes = [item.CodeValue for item in ds.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113107"]


def test_the_object_says_how_it_was_deidentified() -> None:
    ds = make_object(OBJECT)
    Profile().apply(ds)
    assert value_at(ds, "(0012,0062)") == "YES"
    assert value_at(ds, "(0012,0063)") == "DICOM PS3.15 Basic Profile"
    assert value_at(ds, "(0028,0303)") == "REMOVED"
    (code,) = ds.DeidentificationMethodCodeSequence
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("113100", "DCM")


def test_a_script_runs_after_the_profile_and_has_the_last_word(tmp_path: Path) -> None:
    source, target = Path(str(get_testdata_file("CT_small.dcm"))), tmp_path / "out.dcm"
    edit_file(source, target, [Profile(), script("(0010,0010) := subject")], {"subject": "S1"})
    ds, original = dcmread(target), dcmread(source)
    assert str(ds.PatientName) == "S1"
    assert "InstitutionName" in ds
    assert ds.InstitutionName == "ANONYMIZED"
    assert ds.PixelData == original.PixelData
    assert not any(tag.is_private for tag in ds.keys())  # noqa: SIM118


def test_time_and_depth_are_bounded_for_the_profile_too(tmp_path: Path) -> None:
    source, target = Path(str(get_testdata_file("CT_small.dcm"))), tmp_path / "out.dcm"
    seconds = iter(range(10_000))
    around = ScriptContext(
        cpu_limit_seconds=5,
        cpu_clock=lambda: float(next(seconds)),
        monotonic=lambda: float(next(seconds)),
    )
    with pytest.raises(UneditableFile, match="the profile took longer than 5 s of processor time"):
        edit_file(source, target, [Profile()], {}, script_context=around)
    assert not target.exists()


@pytest.mark.parametrize("vr", ["LO", "SH", "UT", "OB", "UN", "PN"])
def test_a_uid_of_a_wrong_vr_is_replaced_as_any_other(vr: str) -> None:
    ds = make_object({"(0008,0018)": (vr, "1.2.3.4.5"), "(0020,000D)": ("UI", "1.2.3.4.5")})
    other = make_object({"(0008,0018)": (vr, "1.2.3.4.6")})
    Profile().apply(ds)
    Profile().apply(other)
    assert (
        value_at(ds, "(0008,0018)") == value_at(ds, "(0020,000D)") == result('hashUID["1.2.3.4.5"]')
    )
    assert value_at(other, "(0008,0018)") == result('hashUID["1.2.3.4.6"]')
    assert ds[0x00080018].VR == "UI"


def test_a_sequence_of_references_that_is_text_goes() -> None:
    ds = make_object({"(0008,1140)": ("LO", "Doe")})
    Profile().apply(ds)
    assert find(ds, "(0008,1140)") is None


def test_a_time_that_is_none_goes_when_dates_move() -> None:
    ds = make_object({"(0008,0031)": ("TM", "Doe"), "(0008,0030)": ("TM", "101112.5")})
    Profile(shift_days=3).apply(ds)
    assert value_at(ds, "(0008,0031)") == ""
    assert value_at(ds, "(0008,0030)") == "101112.5"


@pytest.mark.parametrize(
    ("path", "vr", "value", "is_kept"),
    [
        ("(0008,0020)", "DA", "20240501", True),
        ("(0008,0020)", "DT", "20240501120000", True),
        ("(0008,0201)", "SH", "+0100", True),
        ("(0008,0020)", "LO", "Doe^Jane", False),
        ("(0008,0201)", "LO", "Doe^Jane", False),
    ],
)
def test_dates_are_retained_in_any_vr_of_a_time_and_nothing_else_in_their_place(
    path: str, vr: str, value: str, is_kept: bool
) -> None:
    ds = make_object({path: (vr, value)})
    Profile(frozenset({Retain.DATES})).apply(ds)
    kept = find(ds, path)
    assert (kept is not None and str(kept.value) == value) is is_kept


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        (Profile(), "REMOVED"),
        (Profile(frozenset({Retain.DATES})), "UNMODIFIED"),
        (Profile(shift_days=3), "MODIFIED"),
        (Profile(frozenset({Retain.DATES}), shift_days=3), "MODIFIED"),
    ],
)
def test_the_object_says_what_became_of_its_dates(profile: Profile, said: str) -> None:
    ds = make_object({"(0008,0020)": ("DA", "20240501")})
    profile.apply(ds)
    assert value_at(ds, "(0028,0303)") == said


def test_only_what_has_the_vr_of_a_time_is_moved() -> None:
    ds = make_object({"(0008,0020)": ("LO", "20240501"), "(0008,0021)": ("DA", "20240501")})
    Profile(shift_days=1).apply(ds)
    assert value_at(ds, "(0008,0020)") == ""
    assert value_at(ds, "(0008,0021)") == "20240502"
