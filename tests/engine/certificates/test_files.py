"""How certificate files are read, and named when something is wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.certificates.files import content, cut, in_memory
from engine.errors import InvalidReceiver
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
