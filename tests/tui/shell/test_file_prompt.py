"""The file that rules are tried on: what is read of it, what is refused, and what is completed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from engine.errors import UnreadableObject
from engine.model.file_sample import MOST_BYTES
from tui.shell.file_prompt import path_begun, read_sample

if TYPE_CHECKING:
    from pathlib import Path


LINKS = {
    "to the pipe": "pipe",
    "to a device": "/dev/null",
    "in a circle": "in a circle",
    "gone": "no",
}


def test_only_the_beginning_of_a_huge_file_is_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.dcm"
    huge.write_bytes(b"x")
    os.truncate(huge, 50 * MOST_BYTES)
    sample = read_sample(str(huge))
    assert (len(sample.content), sample.size_bytes) == (MOST_BYTES, 50 * MOST_BYTES)


def test_the_folder_of_the_user_can_be_written_as_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.dcm").write_bytes(b"abc")
    assert read_sample("~/a.dcm").content == b"abc"
    assert path_begun("~/a") == "~/a.dcm"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none", "does not exist"),
        ("folder", "is a folder"),
        ("pipe", "is no regular file"),
        ("to the pipe", "is no regular file"),
        ("to a device", "is no regular file"),
        ("in a circle", "can't be read: Too many levels"),
        ("gone", "does not exist"),
        ("[red]none[/]", "[red]none[/]” does not exist"),
        ("file/below", "does not exist"),
        ("a\0b", "can't be read"),
        ("a\x1b[2J", "␛[2J” does not exist"),
    ],
)
def test_what_is_no_file_is_named_with_what_to_do(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for link, target in LINKS.items():
        (tmp_path / link).symlink_to(target)
    with pytest.raises(UnreadableObject) as caught:
        read_sample(f"{tmp_path}/{name}")
    assert caught.value.detail.startswith("file “")
    assert why in caught.value.detail
    assert caught.value.detail.isprintable()
    assert caught.value.remedy


def test_a_pipe_is_not_even_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnreadableObject), pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "open", lambda *_: pytest.fail("opened"))
        read_sample(f"{tmp_path}/pipe")


def test_a_link_is_followed_by_the_rights_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a.dcm")
    assert read_sample(f"{tmp_path}/link").content == b"abc"


def test_a_refusal_of_the_system_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnreadableObject, match="may not be read") as caught:
        read_sample(f"{tmp_path}/file")
    assert "let your user read it" in caught.value.remedy


def test_paths_are_completed_folders_with_a_slash_and_odd_names_never(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scan.dcm").touch()
    (tmp_path / "odd\x1b[2J").touch()
    assert path_begun(f"{tmp_path}/scan.") == f"{tmp_path}/scan.dcm"
    assert path_begun(f"{tmp_path}/scans") == f"{tmp_path}/scans/"
    assert path_begun(f"{tmp_path}/od") == ""
    assert path_begun(f"{tmp_path}/") == ""
    assert path_begun(f"{tmp_path}/none/x") == ""
    assert path_begun("scan") == ""
