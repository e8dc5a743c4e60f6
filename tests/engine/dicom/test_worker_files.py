"""What processes of ours read and write: nothing through links, nothing that others may read."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.dicom.part10 import FileMeta
from engine.storage.incoming import is_same_instance
from engine.workers.resources import target_of
from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN

OBJECT = FileMeta(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, "CT1", "XNAT").preamble("1.2.3")
QUIET = """
import os, sys
from engine.workers.start import detach_from_terminal
os.umask(0)
detach_from_terminal()
sys.exit(0 if os.umask(0) == 0o077 else 1)
"""


def test_files_of_a_process_of_ours_are_the_owners_alone() -> None:
    root = Path(__file__).resolve().parents[3]
    assert subprocess.run([sys.executable, "-c", QUIET], cwd=root, check=False).returncode == 0


def test_what_a_job_leaves_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(b"object")
    (tmp_path / "foreign").write_bytes(b"somebody's")
    (tmp_path / "target").symlink_to(tmp_path / "foreign")
    target, source = str(tmp_path / "target"), str(tmp_path / "object")
    with pytest.raises(OSError, match="symbolic") as caught, target_of(target, source):
        pass
    assert caught.value.errno == errno.ELOOP
    assert (tmp_path / "foreign").read_bytes() == b"somebody's"


@pytest.mark.parametrize(("name", "is_same"), [("stored", True), ("link", False)])
def test_a_link_to_an_object_of_the_same_instance_is_something_else(
    tmp_path: Path, name: str, is_same: bool
) -> None:
    (tmp_path / "stored").write_bytes(OBJECT)
    (tmp_path / "link").symlink_to("stored")
    with (tmp_path / "stored").open("rb") as part:
        folder_fd = os.open(tmp_path, os.O_RDONLY)
        try:
            assert is_same_instance(part.fileno(), folder_fd, name) is is_same
        finally:
            os.close(folder_fd)
