"""Files that are no backup, or one made to do harm: refused in words before anything is written."""

from __future__ import annotations

import hashlib
import tarfile
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

from engine.backup.form import FORMAT, BackupRefused, Head, Member, Tail
from engine.backup.reading import read_backup

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = Head("2026-12-01T00:00:00+00:00", "0.1", objects=True).to_json()
CONTENT = b"content"


def entry(name: str, content: bytes = CONTENT, **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, content


def packed(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, BytesIO(content))
    return out.getvalue()


def backup(
    *names: str,
    head: bytes = HEAD,
    lines: Callable[[list[Member]], list[Member]] = lambda members: members,
    **changes: Any,
) -> bytes:
    """Return a backup of files with these names, all with the same content."""
    digest = hashlib.sha256(CONTENT).hexdigest()
    members = lines([Member(name, len(CONTENT), digest) for name in names])
    tail = Tail(len(members), "2026-12-01T00:00:00+00:00", {}).to_json()
    manifest = b"".join(member.to_json() for member in members) + tail
    return packed(
        entry("backup.json", head),
        *(entry(f"data/{name}", **changes) for name in names),
        entry("manifest.jsonl", manifest),
    )


def test_what_is_written_is_read() -> None:
    found = read_backup(BytesIO(backup("config.json", "archive/P/arc001/E/SCANS/1/DICOM/1.dcm")))
    assert [member.name for member in found.kept] == [
        "config.json",
        "archive/P/arc001/E/SCANS/1/DICOM/1.dcm",
    ]


GOOD = backup("config.json")
HARM = {
    "up": (backup("archive/../../x"), "leads out"),
    "up below the configuration": (backup("config.history/../x.json"), "no file of a data"),
    "absolute": (backup("/etc/passwd"), "no file of a data"),
    "empty part": (backup("archive//x"), "leads out"),
    "dot": (backup("archive/./x"), "leads out"),
    "a tree as a file": (backup("archive"), "no file of a data"),
    "control characters": (backup("archive/P/a\x1b[2J"), "control characters"),
    "newline at the end": (backup("trace.key\n"), "no file of a data"),
    "long name": (backup("archive/" + "x" * 256), "too long"),
    "deep": (backup("archive" + "/x" * 20), "too long"),
    "lock": (backup("engine.lock"), "no file of a data"),
    "log of a database": (backup("index.sqlite-wal"), "no file of a data"),
    "link": (backup("trace.key", type=tarfile.SYMTYPE, linkname="/etc/shadow", size=0), "no plain"),
    "hard link": (backup("trace.key", type=tarfile.LNKTYPE, linkname="x", size=0), "no plain"),
    "device": (backup("trace.key", type=tarfile.CHRTYPE, devmajor=1, size=0), "no plain"),
    "pipe": (backup("trace.key", type=tarfile.FIFOTYPE, size=0), "no plain"),
    "folder": (backup("archive/P", type=tarfile.DIRTYPE, size=0), "no plain"),
    "sparse": (
        backup("trace.key", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "99"}),
        "no plain|no sound tar|not what was written",
    ),
    "size of a tebibyte": (backup("trace.key", pax_headers={"size": str(1 << 40)}), "tar file"),
    "twice": (backup("trace.key", "trace.key"), "twice"),
    "file and folder": (backup("archive/P", "archive/P/x"), "a file and a folder"),
    "other hash": (
        backup("trace.key", lines=lambda members: [Member("trace.key", 7, "0" * 64)]),
        "not what was written",
    ),
    "other size": (
        backup("trace.key", lines=lambda members: [Member("trace.key", 8, members[0].sha256)]),
        "not what was written",
    ),
    "more files by the manifest": (
        backup("trace.key", lines=lambda members: [*members, Member("config.json", 1, "0")]),
        "does not end|without|does not say",
    ),
    "fewer files by the manifest": (
        backup("trace.key", "config.json", lines=lambda members: members[:1]),
        "size|does not say",
    ),
    "no manifest": (packed(entry("backup.json", HEAD)), "incomplete"),
    "another file": (packed(entry("backup.json", HEAD), entry("README")), "no backup has"),
    "no head": (packed(entry("data/config.json")), "begins with"),
    "newer format": (
        backup(head=HEAD.replace(b'"format": 1', b'"format": 2')),
        "has format 2, this version reads 1",
    ),
    "no format": (backup(head=b"{}"), "names no format"),
    "deep JSON": (backup(head=b"[" * 60_000), "can't be read"),
    "a list": (backup(head=b"[]"), "can't be read"),
    "cut": (GOOD[:2600], "tar file|incomplete|not what|can't be read"),
    "one bit": (GOOD.replace(CONTENT, b"Content"), "not what was written"),
    "something behind": (GOOD + GOOD, "follows its end"),
    "huge header": (
        packed(entry("x" * 200, b"")).replace(b"00000000305", b"77777777777"),
        "tar file|begins",
    ),
    "compressed": (b"\x1f\x8b" + b"\0" * 100, "tar file"),
    "empty": (b"", "tar file"),
    "zeros": (b"\0" * 20480, "tar file|incomplete"),
    "text": (b"no backup" * 100, "tar file"),
}


@pytest.mark.parametrize("name", HARM)
def test_it_is_refused_in_words(name: str) -> None:
    content, words = HARM[name]
    with pytest.raises(BackupRefused, match=words) as caught:
        read_backup(BytesIO(content))
    assert caught.value.remedy
    assert caught.value.detail.isprintable()


def test_every_cut_and_every_flipped_byte_is_noticed_or_harms_nothing() -> None:
    whole = read_backup(BytesIO(GOOD))
    for position in range(0, len(GOOD) - 1, 97):
        changed = bytearray(GOOD)
        changed[position] ^= 0xFF
        for content in (bytes(changed), GOOD[:position]):
            try:
                found = read_backup(BytesIO(content))
            except BackupRefused:
                continue
            assert found.kept == whole.kept
    assert FORMAT == 1
