"""Objects that are edited before they are stored: no disk has held who their patient is."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pydicom
import pytest

from engine.anonymize import Script, ScriptContext, edit_file
from engine.dicom.dataset import ElementIndexCache
from engine.events import EditedOnDisk
from engine.intake.object import ObjectArrival
from engine.model.anonymization import SiteScript
from engine.model.session import ObjectState
from engine.model.site import SiteSettings
from engine.settings import Durability
from engine.storage.held import IN_MEMORY_BYTES, HeldPart
from engine.storage.incoming import IncomingArea
from engine.workers.pool import Workers
from engine.workers.scripts import run_script
from tests import dicom
from tests.engine.intake.test_pipeline import NEURO_01, RECEIVER, REQUESTED, Bench, open_bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from engine.intake.pipeline import ObjectOutcome
    from engine.storage.incoming import Published
    from engine.workers.scripts import ScriptJob, ScriptResult

    Scripted = Callable[..., Bench]

NAME = "QUINCE^ZEBEDEE"
RELABEL = "(0010,0010) := subject\n(0010,0020) := session\n- (0010,4000)"
EXPLICIT = dicom.EXPLICIT_VR_LITTLE_ENDIAN
REVISION = 12
CHUNK_BYTES = 100_000
LARGE = bytes(range(256)) * 6_000
BEHIND = dicom.Element(0xFFFCFFFC, "OB", NAME.encode())
AGAIN = dicom.Element(0x00100010, "PN", NAME)
PADDING = dicom.Element(0xFFFCFFFC, "OB", LARGE)
JPEG = dicom.JPEG_BASELINE


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers[ScriptJob, ScriptResult]]:
    with closing(Workers(run_script, processes=1)) as workers:
        yield workers


@pytest.fixture
def scripted(tmp_path: Path, workers: Workers[ScriptJob, ScriptResult]) -> Iterator[Scripted]:
    with ExitStack() as opened:

        def scripted(statements: str = RELABEL) -> Bench:
            script = SiteScript(True, f'version "6.1"\n{statements}\n', REVISION)
            return opened.enter_context(open_bench(tmp_path, SiteSettings(script=script), workers))

        yield scripted


def image(
    syntax: str, pixels: dicom.Element | None, *behind: dicom.Element, **tags: object
) -> bytes:
    labels = "Project:NEURO-01 Subject:S1 Session:E1"
    values: dict[str, Any] = {"PatientComments": labels, "PatientName": NAME} | tags
    elements = [*dicom.image_elements(**values), *([pixels] if pixels else []), *behind]
    return dicom.encode(elements, syntax)


def native(content: bytes) -> dicom.Element:
    return dicom.Element(dicom.PIXEL_DATA, "OW", content)


def on_disk(root: Path) -> list[Path]:
    """Return the files below a folder that name the patient."""
    files = [path for path in root.rglob("*") if path.is_file()]
    return [path for path in files if NAME.encode() in path.read_bytes()]


def receive(
    bench: Bench,
    data_set: bytes,
    chunk_bytes: int = CHUNK_BYTES,
    *,
    is_held: bool = True,
    **how: Any,
) -> ObjectOutcome:
    """Let an object arrive piece by piece, and look at the disk after each."""
    incoming = bench.begin(**how)
    for start in range(0, len(data_set), chunk_bytes):
        chunk = memoryview(data_set)[start : start + chunk_bytes]
        incoming.write([chunk[: len(chunk) // 3], chunk[len(chunk) // 3 :]], len(chunk))
        assert not is_held or on_disk(bench.root) == []
    outcome = bench.pipeline.finish(incoming)
    bench.pipeline.record_outcome(incoming, outcome)
    return outcome


def as_a_whole(
    tmp_path: Path,
    bench: Bench,
    data_set: bytes,
    syntax: str,
    statements: str,
    uid: str = REQUESTED["sop_instance_uid"],
) -> bytes:
    """Return what the script makes of the object if it is given all of it."""
    source, target = tmp_path / "source.dcm", tmp_path / "target.dcm"
    incoming = bench.begin(transfer_syntax_uid=syntax, sop_instance_uid=uid)
    meta = incoming.arrival.source.file_meta(incoming.arrival.sop_class_uid, syntax).preamble(
        incoming.arrival.sop_instance_uid
    )
    bench.pipeline.abandon(incoming, "made for its file meta")
    source.write_bytes(meta + data_set)
    variables = {"project": "NEURO-01", "subject": "S1", "session": "E1"}
    script = Script.parse(f'version "6.1"\n{statements}\n', "script")
    edit_file(source, target, [script], variables,
              script_context=ScriptContext(), script_ids=[REVISION])  # fmt: skip
    made = target.read_bytes()
    source.unlink()
    target.unlink()
    return made


SMALL = native(bytes(32))
OBJECTS = {
    "without pixel data": (EXPLICIT, None, ()),
    "small": (EXPLICIT, SMALL, ()),
    "of one chunk": (EXPLICIT, native(LARGE[:200_000]), ()),
    "large": (EXPLICIT, native(LARGE), ()),
    "large, implicit": (dicom.IMPLICIT_VR_LITTLE_ENDIAN, native(LARGE), ()),
    "large, big endian": (dicom.EXPLICIT_VR_BIG_ENDIAN, native(LARGE), ()),
    "large, a name once more": (dicom.IMPLICIT_VR_LITTLE_ENDIAN, native(LARGE), (AGAIN,)),
    "large, with something behind": (EXPLICIT, native(LARGE), (BEHIND,)),
    "large, encapsulated": (JPEG, dicom.fragments(LARGE[: 90_001 + 1], LARGE, LARGE[:4]), ()),
    "encapsulated, with something behind": (JPEG, dicom.fragments(LARGE, LARGE), (BEHIND,)),
    "small, encapsulated": (JPEG, dicom.fragments(b"1234", b"56"), ()),
    "encapsulated in one chunk": (JPEG, dicom.fragments(LARGE[:200_000]), (BEHIND,)),
    "with a name once more behind": (EXPLICIT, native(LARGE[:200_000]), (AGAIN,)),
    "encapsulated, a name once more": (JPEG, dicom.fragments(LARGE[:200_000]), (AGAIN,)),
    "of short pixel data": (EXPLICIT, dicom.Element(dicom.PIXEL_DATA, "US", 7), (PADDING,)),
}


@pytest.mark.parametrize("kind", OBJECTS)
@pytest.mark.parametrize("statements", [RELABEL, f"{RELABEL}\n- (FFFC,FFFC)"])
def test_what_is_stored_is_what_the_script_makes_of_the_whole_object(
    scripted: Scripted, tmp_path: Path, kind: str, statements: str
) -> None:
    syntax, pixels, behind = OBJECTS[kind]
    bench = scripted(statements)
    data_set = image(syntax, pixels, *behind)
    assert receive(bench, data_set, transfer_syntax_uid=syntax).state is ObjectState.STORED
    (file,) = bench.files()
    assert file.read_bytes() == as_a_whole(tmp_path, bench, data_set, syntax, statements)
    assert bench.parts() == []


@pytest.mark.parametrize("chunk_bytes", [1, 7, 8, 9, 4_095])
def test_fragments_that_are_split_anywhere_end_where_they_end(
    scripted: Scripted, tmp_path: Path, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.storage.held.IN_MEMORY_BYTES", 1_200)
    bench = scripted()
    data_set = image(JPEG, dicom.fragments(b"", LARGE[:700], LARGE[:30], LARGE[:256]), BEHIND)
    outcome = receive(bench, data_set, chunk_bytes, transfer_syntax_uid=JPEG)
    assert outcome.state is ObjectState.STORED
    (file,) = bench.files()
    assert file.read_bytes() == as_a_whole(tmp_path, bench, data_set, JPEG, RELABEL)


@pytest.mark.parametrize(
    ("cut", "why"),
    [
        (native(LARGE), "runs 1000 bytes past the end"),
        (dicom.fragments(LARGE), "of undefined length has no end"),
    ],
)
def test_a_large_object_that_is_cut_short_is_refused_and_leaves_nothing(
    scripted: Scripted, cut: dicom.Element, why: str
) -> None:
    bench = scripted()
    syntax = JPEG if cut.undefined_length else EXPLICIT
    data_set = image(syntax, cut)[:-1000]
    outcome = receive(bench, data_set, transfer_syntax_uid=syntax)
    assert (outcome.state, outcome.status) == (ObjectState.FAILED, 0xC000)
    assert why in outcome.reason
    assert bench.files() == bench.parts() == []


def test_what_is_no_fragment_is_refused_at_once(scripted: Scripted) -> None:
    bench = scripted()
    data_set = image(JPEG, dicom.fragments(LARGE))[:-8] + bytes(1_000_000)
    outcome = receive(bench, data_set, transfer_syntax_uid=JPEG)
    assert "holds something that is no item" in outcome.reason
    assert bench.files() == bench.parts() == []


BROKEN = image(JPEG, dicom.fragments(LARGE[:9_000]))[:-8] + bytes(9_000)


@pytest.mark.parametrize(
    ("syntax", "data_set", "why"),
    [
        (dicom.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, LARGE[:1_000], "deflated"),
        (dicom.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, LARGE[:20_000], "deflated"),
        (JPEG, BROKEN, "(7FE0,0010) holds something that is no item"),
    ],
    ids=["short and deflated", "long and deflated", "of broken fragments"],
)
def test_what_can_not_be_read_is_kept_if_the_site_anonymizes_nothing(
    tmp_path: Path, syntax: str, data_set: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.storage.held.IN_MEMORY_BYTES", 5_000)
    project = replace(
        NEURO_01,
        anonymization_script=f'version "6.1"\n{RELABEL}\n',
        anonymization_script_revision=REVISION,
        anonymization_script_enabled=True,
    )
    direct = replace(RECEIVER, direct_archive=True)
    how: dict[str, Any] = {"receiver": direct, "transfer_syntax_uid": syntax}
    with open_bench(tmp_path) as bench:
        bench.configure(project)
        held = bench.begin(**how)
        assert isinstance(held.part, HeldPart)
        held.discard()
        outcome = receive(bench, data_set, 1_000, is_held=False, **how)
        assert outcome.state is ObjectState.QUARANTINED
        assert why in outcome.reason
        (kept,) = (bench.root / "quarantine").rglob("*.dcm")
        assert kept.read_bytes().endswith(data_set)
        assert told(bench) == []
        assert bench.files() == bench.parts() == []


def told(bench: Bench) -> list[str]:
    events = [r.event for r in bench.journal.events_since(0, 100).events]
    return [event.why for event in events if isinstance(event, EditedOnDisk)]


def test_a_script_that_names_pixel_data_needs_large_objects_on_the_disk_and_says_so_once(
    scripted: Scripted,
) -> None:
    statements = f"{RELABEL}\n- (7FE0,0010)"
    bench = scripted(statements)
    small = image(EXPLICIT, native(LARGE[:70_000]), StudyDescription="Another")
    large = image(EXPLICIT, native(LARGE))
    assert receive(bench, small).state is ObjectState.STORED
    assert told(bench) == []
    assert bench.receive(large).state is ObjectState.STORED
    assert bench.receive(large).state is ObjectState.DUPLICATE
    assert told(bench) == ["site script names pixel data"]
    assert on_disk(bench.root) == []
    for file in bench.files():
        assert "PixelData" not in pydicom.dcmread(file)


def test_a_header_that_is_too_long_to_be_held_is_on_the_disk_and_that_is_said(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.storage.held.IN_MEMORY_BYTES", 10_000)
    bench = scripted()
    places = replace(bench.pipeline._places, held_header_bytes=20_000)
    monkeypatch.setattr(bench.pipeline, "_places", places)
    data_set = image(EXPLICIT, native(LARGE), ImageComments="x" * 60_000)
    assert receive(bench, data_set, 5_000, is_held=False).state is ObjectState.STORED
    assert told(bench) == ["its header is longer than 0 MiB"]
    (file,) = bench.files()
    assert file.read_bytes() == as_a_whole(tmp_path, bench, data_set, EXPLICIT, RELABEL)


@pytest.mark.parametrize(
    ("syntax", "pixels", "behind", "more"),
    [
        (EXPLICIT, native(LARGE[:200_000]), BEHIND, "- (FFFC,FFFC)"),
        (JPEG, dicom.fragments(LARGE[:90_000], LARGE[:2]), replace(BEHIND, value=b"zero"), ""),
    ],
    ids=["native", "encapsulated"],
)
def test_later_objects_of_a_series_wait_for_no_script_and_are_what_it_makes_of_them(
    scripted: Scripted,
    tmp_path: Path,
    syntax: str,
    pixels: dicom.Element,
    behind: dicom.Element,
    more: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    statements = f"{RELABEL}\n(0008,0018) := hashUID[(0008,0018)]\n{more}"
    bench = scripted(statements)
    places = replace(bench.pipeline._places, durability=Durability.NONE)
    monkeypatch.setattr(bench.pipeline, "_places", places)
    source = bench.begin().arrival.source
    at_once, on_disk_early, expected, could_be_done_again = [], [], [], []
    publish = bench.pipeline._publish

    def publish_noting(*arguments: Any) -> Published:
        could_be_done_again.append(source.may_not_wait)
        return publish(*arguments)

    monkeypatch.setattr(bench.pipeline, "_publish", publish_noting)
    # The script has not run for the labels of the last one. What goes from the one before is longer
    # than in the others, so that its pixel data are not where they must be.
    for number, label in enumerate(["S1", "S1", "S1", "S1  (a note)", "S2"]):
        uid = f"1.2.826.0.1.3680043.8.498.{number}"
        comments = f"Project:NEURO-01 Session:E1 Subject:{label}"
        data_set = image(
            *(syntax, pixels, behind),
            SOPInstanceUID=uid,
            InstanceNumber=str(number),
            PatientComments=comments,
        )
        arrival = ObjectArrival(source, dicom.CT_IMAGE_STORAGE, uid, syntax)
        incoming = bench.pipeline.begin(arrival)
        for start in range(0, len(data_set), 16_000):
            incoming.write([memoryview(data_set)[start : start + 16_000]], 16_000)
        incoming.size_bytes = len(data_set)
        on_disk_early.append(len(bench.parts()))
        assert on_disk(bench.root) == []
        outcome = bench.pipeline.finish_at_once(incoming)
        at_once.append(outcome is not None)
        outcome = outcome or bench.pipeline.finish(incoming)
        bench.pipeline.record_outcome(incoming, outcome)
        assert outcome.state is ObjectState.STORED
        if label != "S2":
            expected.append(as_a_whole(tmp_path, bench, data_set, syntax, statements, uid))
    assert on_disk_early == [0, 1, 1, 1, 1]
    assert at_once == [False, True, True, True, False]
    # Else an object whose edit is done could be edited once more by another thread.
    assert could_be_done_again == [False] * 5
    stored = [file.read_bytes() for file in bench.files()]
    assert sorted(expected) == sorted(file for file in stored if b"S2" not in file)
    assert (len(stored), bench.parts()) == (5, [])


@pytest.mark.parametrize("shift", [-100_000, -50, 0, 50])
@pytest.mark.parametrize("cut_bytes", [0, 8, 1_000])
def test_what_is_in_two_parts_becomes_whole_wherever_its_pixel_data_are(
    tmp_path: Path, shift: int, cut_bytes: int
) -> None:
    data_set = image(EXPLICIT, native(LARGE[:200_000]), BEHIND)
    data_set = data_set[: len(data_set) - cut_bytes]
    area = IncomingArea(tmp_path, "boot")
    with closing(area), HeldPart(area, shift=shift) as held:
        held.expect(4, EXPLICIT, ElementIndexCache())
        for piece in (b"meta" + data_set[:17_000], data_set[17_000:]):
            held.writev([piece[:3], piece[3:]])
        assert held.is_split
        with held.whole() as whole:
            assert whole.size_bytes == 4 + len(data_set)
            assert os.pread(whole.fd, whole.size_bytes, 0) == b"meta" + data_set
    assert list(tmp_path.rglob("*.part")) == []


def test_a_peer_that_goes_away_leaves_nothing(scripted: Scripted) -> None:
    bench = scripted()
    incoming = bench.begin()
    data_set = image(EXPLICIT, native(LARGE))
    assert len(data_set) > IN_MEMORY_BYTES
    incoming.write([data_set[:-10]], len(data_set) - 10)
    assert len(bench.parts()) == 1
    assert on_disk(bench.root) == []
    bench.pipeline.abandon(incoming, "the peer went away")
    assert bench.files() == bench.parts() == []
