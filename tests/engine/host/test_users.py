"""Names of users: never the name of another."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from engine.host.owner import UNKNOWN_USER, user_name

if TYPE_CHECKING:
    from pathlib import Path

ALL = "         0          0 4294967295\n"
OWN_ONLY = "0 0 1\n995 995 1\n65534 65534 1\n"
UID_WITHOUT_LOGIN = 2_000_000_123


def proc(folder: Path, uid_map: str | None, overflow_uid: str | None = "65534\n") -> Path:
    """Make the part of /proc that tells how uids are translated."""
    (folder / "self").mkdir()
    (folder / "sys" / "kernel").mkdir(parents=True)
    if uid_map is not None:
        (folder / "self" / "uid_map").write_text(uid_map)
    if overflow_uid is not None:
        (folder / "sys" / "kernel" / "overflowuid").write_text(overflow_uid)
    return folder


def test_a_user_has_the_name_of_the_login() -> None:
    assert user_name(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name


def test_a_uid_without_a_login_is_named_by_its_number() -> None:
    assert user_name(UID_WITHOUT_LOGIN) == f"user {UID_WITHOUT_LOGIN}"


@pytest.mark.parametrize(
    ("uid", "uid_map", "overflow_uid", "name"),
    [
        (65_534, OWN_ONLY, "65534\n", UNKNOWN_USER),
        (65_534, OWN_ONLY, None, UNKNOWN_USER),
        (UID_WITHOUT_LOGIN, OWN_ONLY, f"{UID_WITHOUT_LOGIN}\n", UNKNOWN_USER),
        (0, OWN_ONLY, "65534\n", "root"),
        (65_534, ALL, "65534\n", "nobody"),
        (65_534, None, "65534\n", "nobody"),
        (65_534, "0 0 65536\n", "65534\n", UNKNOWN_USER),
    ],
)
def test_who_stands_for_all_others_in_a_user_namespace_is_unknown(
    tmp_path: Path, uid: int, uid_map: str | None, overflow_uid: str | None, name: str
) -> None:
    assert user_name(uid, proc(tmp_path, uid_map, overflow_uid)) == name
