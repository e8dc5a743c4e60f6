"""What an import finds in files, folders, archives and media, harmless and hostile ones."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from engine.dicom.part10 import FileMeta
from engine.errors import UnreadableObject
from engine.importing import archives, sources
from engine.importing.found import FoundObject, Leftover, StreamedContent
from engine.importing.sources import HELD_BYTES, Sources
from tests import dicom
from tests.engine.importing.files import dicom_file, write_dicomdir, write_tar, write_zip


def found(*paths: Path, follow_links: bool = False) -> list[tuple[str, str]]:
    """Return name and outcome or SOP Instance UID of what is found, each read to its end."""
    outcomes = []
    for one in Sources(paths, follow_links).find():
        name = one.name.member or Path(one.name.source).name
        if isinstance(one, Leftover):
            outcomes.append((name, f"{one.outcome}: {one.reason}".removesuffix(": ")))
            continue
        try:
            read = b"".join(one.data_set())
        except UnreadableObject as error:
            outcomes.append((name, error.detail))
        else:
            assert len(read) == one.data_set_bytes
            outcomes.append((name, one.head.sop_instance_uid))
        one.close()
    return outcomes


def test_a_folder_is_walked_in_order_and_other_files_are_told_from_broken_ones(
    tmp_path: Path,
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "2.dcm").write_bytes(dicom_file("1.2.2"))
    (tmp_path / "b.txt").write_text("hello")
    (tmp_path / "c").write_bytes(b"")
    (tmp_path / "d.dcm").write_bytes(dicom_file("1.2.1"))
    (tmp_path / "e.dcm").write_bytes(dicom_file("1.2.3")[:150])
    (tmp_path / "f.dcm").write_bytes(dicom_file("1.2.4", dicom.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN))
    os.mkfifo(tmp_path / "g")
    (tmp_path / "h").symlink_to(tmp_path / "d.dcm")
    (tmp_path / "i").symlink_to(tmp_path)
    plain = [
        ("b.txt", "not DICOM"),
        ("c", "not DICOM: empty"),
        ("d.dcm", "1.2.1"),
        ("e.dcm", "unreadable: the file meta is cut short or damaged"),
        ("f.dcm", "unreadable: deflated data sets are not accepted"),
    ]
    assert found(tmp_path) == [*plain, ("2.dcm", "1.2.2")]
    # A link in a circle ends, and a link that is named is followed in any case.
    followed = found(tmp_path, follow_links=True)
    walk = Sources((tmp_path,), follow_links=True)
    assert len(list(walk.sizes())) == len(list(walk.sizes())) == 7
    assert followed == [*plain, ("h", "1.2.1"), ("2.dcm", "1.2.2")]
    assert found(tmp_path / "h") == [("h", "1.2.1")]
    assert found(tmp_path / "g") == [("g", "unreadable: is no file")]
    assert found(tmp_path / "none") == [("none", "unreadable: no such file or directory")]
    counted = sum(Sources((tmp_path,)).sizes())
    assert counted == sum(p.stat().st_size for p in tmp_path.rglob("*.*") if p.is_file())


@pytest.mark.parametrize("syntax", dicom.UNCOMPRESSED)
def test_data_sets_without_file_meta_are_known_by_their_first_element(
    tmp_path: Path, syntax: str
) -> None:
    (tmp_path / "bare").write_bytes(dicom.image(syntax, SOPInstanceUID="1.2.5"))
    (one,) = Sources((tmp_path / "bare",)).find()
    assert isinstance(one, FoundObject)
    assert (one.head.transfer_syntax_uid, one.head.offset) == (syntax, 0)
    one.close()


@pytest.mark.parametrize(
    ("sop_class", "syntax"),
    [
        ("hello", dicom.EXPLICIT_VR_LITTLE_ENDIAN),
        ("1." * 33, dicom.EXPLICIT_VR_LITTLE_ENDIAN),
        ("1.2\u00e9", dicom.EXPLICIT_VR_LITTLE_ENDIAN),
        (dicom.CT_IMAGE_STORAGE, "hello"),
    ],
)
def test_a_file_whose_class_or_syntax_is_no_uid_is_told_and_does_not_stop_the_others(
    tmp_path: Path, sop_class: str, syntax: str
) -> None:
    preamble = FileMeta(dicom.CT_IMAGE_STORAGE, syntax, "CT1", "XNAT").preamble("1.2.0")
    data_set = dicom.image(SOPInstanceUID="1.2.0", SOPClassUID=sop_class)
    (tmp_path / "0").write_bytes(preamble + data_set)
    (tmp_path / "1").write_bytes(dicom_file("1.2.1"))
    why = "unreadable: has a SOP class or transfer syntax that is no UID"
    assert found(tmp_path) == [("0", why), ("1", "1.2.1")]


def test_a_folder_with_any_number_of_files_is_never_listed_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_SORTED_AT_ONCE", 3)
    for number in range(8):
        (tmp_path / str(number)).write_bytes(dicom_file(f"1.2.{number}"))
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "8").write_bytes(dicom_file("1.2.8"))
    names = [name for name, _ in found(tmp_path)]
    assert sorted(names) == list("012345678")
    assert names[-1] == "8"
    groups = [names[:3], names[3:6], names[6:8]]
    assert groups == [sorted(group) for group in groups]
    assert [len(some) for some in Sources(())._listed(tmp_path, [])] == [3, 3, 2]


def test_named_files_that_can_not_be_sent_at_all_are_known_beforehand(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(dicom_file("1.2.1"))
    (tmp_path / "b").write_text("hello")
    (tmp_path / "c").write_bytes(b"")
    write_zip(tmp_path / "d", {"notes": b"hello"})
    names = [tmp_path / name for name in "abcd"]
    assert list(Sources((*names, tmp_path)).strangers()) == names[1:3]


def test_file_meta_without_a_preamble_counts(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(dicom_file("1.2.6")[132:])
    (tmp_path / "b").write_bytes(b"\x08\x00\x05\x00CS nothing like it")
    assert found(tmp_path) == [("a", "1.2.6"), ("b", "not DICOM")]


MEMBERS = {
    "../../etc/passwd": dicom_file("1.2.1"),
    "readme": b"hello",
    "DIR/DICOMDIR": dicom_file("1.2.9"),
    "inner.zip": b"PK\x03\x04",
    "large": dicom_file("1.2.2", pixels=bytes(range(256)) * (HELD_BYTES // 256)),
    "last": dicom_file("1.2.3"),
}
IN_ARCHIVES = [
    ("../../etc/passwd", "1.2.1"),
    ("readme", "not DICOM"),
    ("DIR/DICOMDIR", "not DICOM: the directory of a medium"),
    ("inner.zip", "unreadable: an archive in an archive: extract it first"),
    ("large", "1.2.2"),
    ("last", "1.2.3"),
]


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
def test_archives_are_known_by_their_content_and_read_member_by_member(
    tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "study"
    write_zip(path, MEMBERS) if mode == "zip" else write_tar(path, MEMBERS, mode)
    assert found(path) == IN_ARCHIVES
    assert [p.name for p in tmp_path.iterdir()] == ["study"]


def test_a_large_member_is_not_held_in_memory(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"large": MEMBERS["large"]})
    (one,) = Sources((path,)).find()
    assert isinstance(one, FoundObject)
    assert isinstance(one.content, StreamedContent)
    assert not one.content.can_repeat
    one.close()
    assert one.closed.is_set()


def test_a_cut_archive_gives_what_it_has_and_then_says_so(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar.gz", {"1": dicom_file("1.2.1"), "2": os.urandom(100_000)})
    path.write_bytes(path.read_bytes()[:-50_000])
    first, *_, last = found(path)
    assert first == ("1", "1.2.1")
    assert "broken" in last[1]
    path = write_zip(tmp_path / "b.zip", MEMBERS)
    path.write_bytes(path.read_bytes()[:-30])
    ((_, outcome),) = found(path)
    assert outcome == "unreadable: the archive is broken: File is not a zip file"


def test_a_member_that_lies_about_itself_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"1": dicom_file("1.2.1")})
    packed = bytearray(path.read_bytes())
    head = packed.rindex(b"PK\x01\x02")
    (crc,) = struct.unpack_from("<I", packed, head + 16)
    struct.pack_into("<I", packed, head + 16, crc ^ 1)
    path.write_bytes(packed)
    ((_, outcome),) = found(path)
    assert outcome == "unreadable: the archive is broken: Bad CRC-32 for file '1'"


def test_encrypted_bombs_and_rare_compressions_are_not_even_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(""), b"")
        archive.writestr("secret", dicom_file("1.2.1"))
        archive.writestr("bz", dicom_file("1.2.2"), compress_type=zipfile.ZIP_BZIP2)
        archive.writestr("bomb", bytes(300_000))
        archive.writestr("huge", os.urandom(500_000))
    packed = bytearray(path.read_bytes())
    packed[packed.index(b"PK\x01\x02", packed.index(b"PK\x01\x02") + 4) + 8] |= (
        1  # general purpose flag: encrypted
    )
    path.write_bytes(packed)
    monkeypatch.setattr(archives, "_UNSUSPECTED_BYTES", 200_000)
    monkeypatch.setattr(archives, "LARGEST_MEMBER_BYTES", 400_000)
    assert [outcome for _, outcome in found(path)] == [
        "not DICOM: empty",
        "unreadable: is encrypted: extract it with its password first",
        "unreadable: is compressed by method 12: pack it anew with the usual one",
        "unreadable: expands as a ZIP bomb does: extract it yourself first if it is none",
        "unreadable: is larger than 400,000 bytes",
    ]


def test_members_that_share_their_bytes_are_a_bomb(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"1": dicom_file("1.2.1", pixels=os.urandom(5_000))})
    packed = path.read_bytes()
    head, end = packed.index(b"PK\x01\x02"), packed.index(b"PK\x05\x06")
    entry = packed[head:end]
    trailer = bytearray(packed[end:])
    struct.pack_into("<HHI", trailer, 8, 3, 3, 3 * len(entry))
    path.write_bytes(packed[:head] + entry * 3 + bytes(trailer))
    why = "unreadable: its bytes are also those of other members, as in a ZIP bomb"
    assert found(path) == [("1", why)] * 3


def test_a_tar_reads_no_name_of_any_length_into_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("long")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 33
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
    ((_, outcome),) = found(path)
    assert outcome == "unreadable: the archive is broken: a name or another head is too long"


def test_links_and_devices_in_archives_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo("x")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        content = dicom_file("1.2.1")
        info = tarfile.TarInfo("y")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    assert found(path) == [("y", "1.2.1")]


def test_a_compressed_file_that_is_no_tar_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.dcm.gz").write_bytes(gzip.compress(dicom_file("1.2.1")))
    ((_, outcome),) = found(tmp_path)
    assert outcome == "unreadable: is compressed and no tar: decompress it first"


def test_a_dicomdir_leads_to_its_files_and_names_missing_ones(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "im1").write_bytes(dicom_file("1.2.1"))
    (tmp_path / "other").write_bytes(dicom_file("1.2.2"))
    dicomdir = write_dicomdir(tmp_path, ("IMAGES", "IM1"), ("IMAGES", "IM2"))
    missing = ("IM2", "missing: the DICOMDIR refers to it")
    assert found(dicomdir) == [("im1", "1.2.1"), missing]
    (size,) = Sources((dicomdir,)).sizes()
    assert size == (tmp_path / "images" / "im1").stat().st_size
    # In a folder all files are found, and the DICOMDIR tells what is missing.
    directory = ("DICOMDIR", "not DICOM: the directory of a medium; 1 file missing")
    assert found(tmp_path) == [missing, directory, ("other", "1.2.2"), ("im1", "1.2.1")]


@pytest.mark.parametrize("reference", [("..", "x"), ("/etc/passwd",), ("A", "..", "..", "x")])
def test_a_dicomdir_never_leads_out_of_its_medium(
    tmp_path: Path, reference: tuple[str, ...]
) -> None:
    medium = tmp_path / "medium"
    medium.mkdir()
    (tmp_path / "x").write_bytes(dicom_file("1.2.1"))
    (medium / "LINK").symlink_to(tmp_path)
    refused = "unreadable: the DICOMDIR refers to files outside of its medium"
    assert found(write_dicomdir(medium, reference)) == [("DICOMDIR", refused)]
    for name in ("x", "x" * 300):
        missing = (name, "missing: the DICOMDIR refers to it")
        assert found(write_dicomdir(medium, ("LINK", name))) == [missing]


def test_a_broken_dicomdir_is_named(tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_bytes(b"no directory at all")
    ((_, outcome),) = found(tmp_path / "DICOMDIR")
    assert outcome.startswith("unreadable: the DICOMDIR is broken")


def test_a_file_that_becomes_shorter_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(dicom_file("1.2.1"))
    (one,) = Sources((path,)).find()
    os.truncate(path, 400)
    assert isinstance(one, FoundObject)
    with pytest.raises(UnreadableObject, match="became shorter"):
        list(one.data_set())
    one.close()
