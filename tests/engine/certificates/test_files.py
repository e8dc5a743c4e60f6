"""How certificate files are read, and named when something is wrong with them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from engine.certificates.files import content, cut, in_memory, stamp_of
from engine.errors import InvalidReceiver
from engine.model.tls import TlsSettings
from tests.running import held_below

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_closed_once_it_is_read_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(b"content")
    assert content("tls_ca", str(file)) == b"content"
    with pytest.raises(InvalidReceiver, match="is not a file"):
        content("tls_ca", str(tmp_path))
    assert held_below(tmp_path) == 0


def test_the_end_of_a_long_path_is_shown() -> None:
    assert cut("/" * 80) == "/" * 80
    shown = cut("/" * 100 + "ca.pem")
    assert (len(shown), shown[0], shown[-7:]) == (80, "…", "/ca.pem")


def test_bytes_have_the_name_of_a_file_for_a_while() -> None:
    with in_memory(b"key") as name, open(name, "rb") as file:  # noqa: PTH123 - as OpenSSL does
        assert file.read() == b"key"
        assert "memfd:tls" in os.readlink(name)  # noqa: PTH115
    assert not os.path.lexists(name) or "memfd:tls" not in os.readlink(name)  # noqa: PTH115


def test_a_file_of_the_largest_size_is_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(b"x" * 1024 * 1024)
    assert len(content("tls_ca", str(file))) == 1024 * 1024
    with file.open("ab") as longer:
        longer.write(b"x")
    with pytest.raises(InvalidReceiver, match="is larger than 1 MiB; name a PEM file"):
        content("tls_ca", str(file))


def test_a_file_that_is_replaced_by_its_like_has_another_stamp(tmp_path: Path) -> None:
    file, other = tmp_path / "ca.pem", tmp_path / "other.pem"
    tls = TlsSettings("", "", str(file))
    stamps = {stamp_of(tls)}
    for path in (file, other):
        path.write_bytes(b"same")
        os.utime(path, (1, 1))
    stamps.add(stamp_of(tls))
    other.replace(file)
    stamps.add(stamp_of(tls))
    os.utime(file, (2, 2))
    stamps.add(stamp_of(tls))
    file.chmod(0o400)
    stamps.add(stamp_of(tls))
    assert len(stamps) == 5


def test_only_files_that_are_there_have_a_stamp() -> None:
    assert stamp_of(TlsSettings("\0", "/gone/key.pem", "")) == (None, None, None, None)
