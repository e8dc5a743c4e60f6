"""An edit that is done again without its script gives the bytes of the script, or none."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.anonymize import Script, edit_file
from engine.anonymize.dependence import dependence_of
from engine.dicom.part10 import FileMeta, body_offset_in
from engine.dicom.repeated_edit import MOST_BYTES, MOST_LESSONS, EditMemory
from engine.dicom.uid_hash import hash_uid
from tests import dicom
from tests.bench.receivers import SCRIPT_OF_20_EDITS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dicom import Element

LABELS = {"project": "NEURO-01", "subject": "S1", "session": "E1"}
EXPLICIT = dicom.EXPLICIT_VR_LITTLE_ENDIAN
HASH = "(0008,0018) := hashUID[(0008,0018)]"
ONE_SEQUENCE = dicom.Element(0x00081140, "SQ", [[dicom.element(0x00081155, "1.2.3")]])
SCRIPTS = {
    "twenty edits": SCRIPT_OF_20_EDITS.partition("\n")[2],
    "labels": "(0010,0010) := subject\n(0010,0020) := session\n-(0010,0030)",
    "hashes": f"{HASH}\n(0020,000D) := hashUID[(0020,000D)]\n(0020,0052) := hashUID[(0020,000E)]",
    "hashed twice": f"{HASH}\n{HASH}",
    "hashed and written": f'{HASH}\n(0010,0010) := "A"\n(0008,0018) := "1.2.3"',
    "hashed and removed": f"{HASH}\n-(0008,0018)",
    "hashed in turn": "(0020,000E) := hashUID[(0020,000D)]\n(0020,000D) := hashUID[(0020,000E)]",
    "hashed perhaps": f'(0008,0060) = "CT" ? {HASH}',
    "read": '(0010,4000) := concatenate[(0010,0010), "^", (0008,0060)]\n(0010,0010) := "X"',
    "left as it is by null": "(0010,0010) := (0010,4000)\n(0008,1030) := (0008,0050)",
    "conditions": '(0008,0060) = "CT" ? (0010,0010) := "A" : (0010,0010) := "B"\n'
    "isPresent[(0010,4000)] ? -(0010,0020)\n(0008,1030) ~ \"Head.*\" ? (0010,0030) := \"19700101\"",
    "variables": "name := uppercase[(0010,0010)]\n(0010,0020) := name",
    "patterns": "-(0010,40XX)\n-(0008,11@X)\n(0008,1155) := \"1.2\"",
    "sequences": '*/(0008,1155) ?= "1.2.9"\n-*/(0008,1150)',
    "private": "removeAllPrivateTags\n(0010,0010) := subject",
    "letters beyond ASCII": '(0010,0010) := "Müller"\n(0008,1030) := "Ä"',
    "letters beyond Latin-1": '(0010,0010) := "山田"',
    "written once more": '(0010,0010) := "A"\n-(0010,0010)\n(0010,0010) ?= "B"\n(0010,0020) ?= "C"',
}  # fmt: skip


def scripts_of(*texts: str) -> list[Script]:
    return [Script.parse(f'version "6.6"\n{text}\n', "script") for text in texts]


def file_of(elements: list[Element], syntax: str = EXPLICIT) -> bytes:
    """Return an object as it arrives, with the first value of its UIDs in the file meta."""
    values = {e.tag: str(e.value).partition("\\")[0].strip() for e in elements}
    meta = FileMeta(values[0x00080016], syntax, "CT", "XNAT").preamble(values[0x00080018])
    return meta + dicom.encode(elements, syntax)


class Edits:
    """The edits of some scripts: by themselves, and by what was learned of them."""

    def __init__(self, root: Path, *texts: str, syntax: str = EXPLICIT) -> None:
        self._source, self._target = root / "source.dcm", root / "target.dcm"
        self._scripts, self._syntax = scripts_of(*texts), syntax
        self.depends = dependence_of(self._scripts)
        self.memory = EditMemory()

    def by_scripts(self, file: bytes) -> bytes:
        self._source.write_bytes(file)
        self._target.unlink(missing_ok=True)
        edit_file(self._source, self._target, self._scripts, LABELS, script_ids=[7])
        return self._target.read_bytes()

    def learn(self, file: bytes) -> None:
        assert self.depends is not None
        place = body_offset_in(file) or 0
        made = self.by_scripts(file)
        self.memory.learn("key", self.depends, file, place, self._syntax, made)

    def again(self, file: bytes) -> bytes | None:
        return self.memory.apply("key", file, body_offset_in(file) or 0, self._syntax)


def image(**values: object) -> list[Element]:
    return [*dicom.image_elements(**values), dicom.Element(dicom.PIXEL_DATA, "OW", b"")]


def ordered(*elements: Element) -> list[Element]:
    return sorted(elements, key=lambda e: e.tag)


def altered(elements: list[Element], chance: random.Random) -> list[Element]:
    """Return an object that differs a little, in any way."""
    found = {e.tag: e for e in elements}
    for _ in range(chance.randint(1, 3)):
        # What no request names is refused before.
        tag = chance.choice([tag for tag in found if tag not in (0x00080016, 0x00080018)])
        texts = ["", "A", "1.2.840.77", "Ä^Ö", "P-0001", "a\\b", "Head routine", "x" * 70]
        added = [
            *(dicom.element(0x00104000, "Doe^Jane"), dicom.element(0x00081155, "1.2.77")),
            *(dicom.element(0x00100030, "19600101"), ONE_SEQUENCE),
            replace(ONE_SEQUENCE, undefined_length=True),
            *(dicom.Element(0x00080000, "UL", 4), dicom.Element(0x00090010, "LO", "ACME")),
            dicom.Element(0x00091001, "OB", b"\xfe\xff\x00\xe0\x04\x00\x00\x00abcd"),
            dicom.Element(0x00091002, "UN", b"1234"),
        ]
        match chance.randrange(5):
            case 0 | 1 if isinstance(found[tag].value, str):
                found[tag] = replace(found[tag], value=chance.choice(texts))
            case 2 if len(found) > 5:
                del found[tag]
            case 3:
                new = chance.choice(added)
                found[new.tag] = new
            case 4 if isinstance(found[tag].value, str):
                found[tag] = replace(found[tag], vr=chance.choice(["LO", "UT", "UN", "UI"]))
            case _:
                pass
    ordered = [found[tag] for tag in sorted(found)]
    if chance.random() < 0.05:
        ordered.insert(3, ordered[2])
    return ordered


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_done_again_is_what_the_scripts_would_do(tmp_path: Path, name: str) -> None:
    for syntax in dicom.UNCOMPRESSED:
        edits = Edits(tmp_path, SCRIPTS[name], syntax=syntax)
        chance = random.Random(name + syntax)
        for first in (image(PatientComments="note"), ordered(*image(), ONE_SEQUENCE)):
            if edits.depends is None:
                break
            edits.memory = EditMemory()
            edits.learn(file_of(first, syntax))
            for _ in range(25):
                file = file_of(altered(first, chance), syntax)
                again = edits.again(file)
                assert again is None or again == edits.by_scripts(file)


@pytest.mark.parametrize("syntax", dicom.UNCOMPRESSED)
@pytest.mark.parametrize("name", ["labels", "hashes", "conditions", "private", "twenty edits"])
def test_the_objects_of_a_series_are_edited_as_the_first_one_was(
    tmp_path: Path, name: str, syntax: str
) -> None:
    edits = Edits(tmp_path, SCRIPTS[name], syntax=syntax)
    edits.learn(file_of(image(), syntax))
    looks_into_items = edits.depends is not None and edits.depends.has_sequences
    for number in (2, 11, 102):
        uid = f"1.2.826.0.1.3680043.8.498.{number}"
        file = file_of(image(SOPInstanceUID=uid, InstanceNumber=str(number)), syntax)
        again = edits.again(file)
        if looks_into_items and syntax == dicom.IMPLICIT_VR_LITTLE_ENDIAN:
            assert again is None
        else:
            assert again == edits.by_scripts(file)


def test_two_elements_of_one_tag_hide_nothing(tmp_path: Path) -> None:
    edits = Edits(tmp_path, "(0010,0010) := subject")
    edits.learn(file_of(image()))
    assert edits.memory.has_edits
    elements = image()
    name = next(e for e in elements if e.tag == 0x00100010)
    assert edits.again(file_of(elements)) is not None
    assert edits.again(file_of(ordered(*elements, name))) is None


PADDED = dicom.Element(0x00280103, "UI", "1 ")
NO_SEQUENCE = replace(ONE_SEQUENCE, tag=0x00187000, vr="OB", undefined_length=True)
LONG = dicom.Element(0x00187000, "OB", bytes(MOST_BYTES))
CT, MR = dicom.CT_IMAGE_STORAGE, dicom.MR_IMAGE_STORAGE
ONE, TWO = {"SOPInstanceUID": "1.2.77.1"}, {"SOPInstanceUID": "1.2.77.2"}
FRAME = {"FrameOfReferenceUID": "1.2.78"}
HASHED = {"FrameOfReferenceUID": hash_uid("1.2.79"), "StudyInstanceUID": "1.2.79"}
UID = "(0020,0052)"
DECIDING = {
    "a hash is hashed": (
        f"{UID} := hashUID[(0008,0018)]\n(0020,9164) := hashUID[{UID}]",
        image(**ONE, **FRAME),
        image(**TWO, **FRAME),
    ),
    "a UID goes before it is hashed": (
        f"-(0020,000#)\n{UID} := hashUID[(0020,000D)]",
        image(**HASHED),
        image(**(HASHED | FRAME)),
    ),
    "a UID of the file meta is hashed": (
        "(0020,9164) := hashUID[(0002,0003)]",
        image(**ONE),
        image(**TWO),
    ),
    "a SOP class is written": (
        f'(0008,0016) := "{CT}"',
        image(SOPClassUID=f"{CT} "),
        image(SOPClassUID=MR),
    ),
    "there are two SOP classes": ("-(0010,0010)", image(), image(SOPClassUID=f"{CT}\\{MR}")),
    "there are two SOP instances": ("-(0010,0010)", image(), image(SOPInstanceUID="1.2\\1.3")),
    "a sequence is decoded, and with it Pixel Representation": (
        '*/(0008,1155) ?= "1.2"',
        ordered(*image(), ONE_SEQUENCE),
        ordered(*image(PixelRepresentation=None), ONE_SEQUENCE, PADDED),
    ),
    "a pattern means a sequence that can't be read": (
        "-(0008,11@X)",
        ordered(*image(), ONE_SEQUENCE),
        ordered(*image(), replace(ONE_SEQUENCE, value=b"abcd")),
    ),
    "a length is undefined": ("-(0010,0010)", image(), ordered(*image(), NO_SEQUENCE)),
    "a value is long": ("-(0010,0010)", image(), ordered(*image(), LONG)),
}


@pytest.mark.parametrize("name", DECIDING)
def test_an_object_that_differs_in_what_decides_is_edited_by_the_scripts(
    tmp_path: Path, name: str
) -> None:
    text, first, later = DECIDING[name]
    edits = Edits(tmp_path, text)
    if edits.depends is not None:
        edits.learn(file_of(first))
        assert edits.again(file_of(later)) is None


@pytest.mark.parametrize(
    "text",
    [
        "(0008,0018) := newUID[]",
        '(0008,0018) := mapUID[(0008,0018), "1.2"]',
        "(0008,1140)[0]/(0008,1155) := \"1.2\"",
        "(7FE0,0010) := \"\"",
        '(0008,0005) := "ISO_IR 192"',
        '(0028,0106) := "1"',
        '(0002,0016) := "AE"',
        "-(0009,{ACME}01)",
        '(0008,0060) = "CT" ? reject[]',
        'set["(0010,0010)", "A"]',
        '(0008,0060) = "CT" ? -(0010,40XX)',
        "-(XXX@,0010)",
    ],
)  # fmt: skip
def test_a_script_of_which_not_all_is_certain_runs_for_each_object(text: str) -> None:
    assert dependence_of(scripts_of(text)) is None


def test_what_is_no_use_is_not_learned_for_ever(tmp_path: Path) -> None:
    edits = Edits(tmp_path, "(0010,4000) := (0020,0013)")
    for number in range(MOST_LESSONS + 1):
        assert edits.again(file_of(image(InstanceNumber=str(number)))) is None
        edits.learn(file_of(image(InstanceNumber=str(number))))
    assert not edits.memory.has_edits
