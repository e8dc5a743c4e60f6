"""Whose rights a command takes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from engine.errors import NotTheOwner
from engine.host import owner
from engine.host.owner import (
    Owner,
    as_owner,
    become_owner,
    caller_uid,
    identity_for,
    owner_of,
    user,
)

UNKNOWN = 4_000_000_000


def test_only_root_becomes_another_user(tmp_path: Path) -> None:
    if os.getuid() == 0:
        os.chown(tmp_path, 65534, 65534)
    assert identity_for(tmp_path, 1000) is None


def test_root_becomes_the_owner_also_of_what_is_still_to_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "ROOT", UNKNOWN)  # whoever owns the folder is another user
    me = user(os.getuid())
    assert identity_for(tmp_path, UNKNOWN) == me
    assert identity_for(tmp_path / "not" / "there", UNKNOWN) == me
    assert str(me) == me.name


def test_a_user_without_a_name_is_a_number() -> None:
    assert user(UNKNOWN, 7) == Owner(UNKNOWN, 7)
    assert str(user(UNKNOWN)) == f"user {UNKNOWN}"


def test_root_stays_root_where_only_root_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert identity_for(Path("/usr"), 0) is None
    assert owner_of(Path("/usr")).uid == 0


@pytest.mark.parametrize("through", ["folder", "link", "relative link"])
def test_root_refuses_its_own_folder_where_another_user_could_put_another(
    tmp_path: Path, through: str
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    directory = tmp_path / "open" / "data"
    if through == "folder":
        directory.mkdir()
        if os.getuid() != 0:  # the folder is not root's; any way there shows the same
            directory = tmp_path / "open" / "link"
    if through != "folder" or os.getuid() != 0:
        target = (
            Path("/usr")
            if through != "relative link"
            else Path(os.path.relpath("/usr", tmp_path / "open"))
        )
        directory.symlink_to(target)
    with pytest.raises(NotTheOwner, match=r"belongs to root, but .* may replace it"):
        identity_for(directory, 0)


def test_root_keeps_its_own_folder_where_all_may_write_and_none_may_replace() -> None:
    assert Path("/tmp").stat().st_mode & stat.S_ISVTX
    assert identity_for(Path("/tmp/not-there/data"), 0) is None


@pytest.mark.parametrize("is_open", [True, False])
def test_who_may_replace_a_folder_of_roots_is_named(tmp_path: Path, is_open: bool) -> None:
    folder, other = tmp_path / "folder", os.getuid()
    folder.mkdir()
    if os.getuid() == 0:
        other = 0 if is_open else 65534
        os.chown(folder, other, -1)
    if is_open:
        folder.chmod(0o777)
    (folder / "link").symlink_to("/usr")
    who = "anybody" if is_open and other == 0 else str(user(other))
    with pytest.raises(NotTheOwner, match=f"belongs to root, but {who} may replace it"):
        identity_for(folder / "link", 0)


def test_who_is_the_owner_already_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "mine")
    before = dict(os.environ)
    become_owner(tmp_path)
    assert dict(os.environ) == before
    assert caller_uid() == os.getuid()


def test_whose_a_folder_is_that_can_not_be_looked_at_is_ours(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert owner_of(tmp_path / "loop" / "data") == user(os.geteuid(), os.getegid())


def test_a_link_that_never_ends_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert len(list(owner._on_the_way(tmp_path / "loop"))) < 1000


def test_the_way_back_is_a_part_of_the_way(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    way = list(owner._on_the_way(tmp_path / "one" / ".." / "data"))
    assert way[-3:] == [tmp_path, tmp_path / "one", tmp_path]


@pytest.mark.parametrize("number", [40, 41])
def test_as_many_links_are_followed_as_the_system_follows(tmp_path: Path, number: int) -> None:
    (tmp_path / "0").mkdir()
    for link in range(number):
        (tmp_path / f"{link + 1}").symlink_to(f"{link}")
    directory = tmp_path / f"{number}" / "data"
    is_reached = number == 40
    with nullcontext() if is_reached else pytest.raises(OSError, match="Too many levels"):
        directory.parent.stat()
    assert (tmp_path / "0" in owner._on_the_way(directory)) is is_reached


def test_what_can_t_be_done_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Owner) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(owner, "identity_for", lambda *_: user(UNKNOWN))
    monkeypatch.setattr(owner, "_take_groups", refuse)
    with pytest.raises(NotTheOwner, match=f"root can't become .*{UNKNOWN}|root can't become"):
        become_owner(tmp_path)
    with pytest.raises(NotTheOwner, match="root can't become"), as_owner(tmp_path):
        pass


def in_process(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-c", f"import os, sys\n{code}", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def test_becoming_the_owner_takes_groups_and_home_and_keeps_the_caller(tmp_path: Path) -> None:
    if os.getuid() == 0:
        os.chown(tmp_path, 65534, 65534)
    code = """
from pathlib import Path
from engine.host import owner
owner._folders_of_code = set
os.environ.pop("SUDO_USER", None)
os.environ["XDG_CONFIG_HOME"] = "/root/.config"
owner.become_owner(Path(sys.argv[1]))
print(os.getresuid(), os.getgroups(), os.environ["HOME"], "XDG_CONFIG_HOME" in os.environ,
      os.environ.get("SUDO_USER"), owner.caller_uid())
"""
    done = in_process(code, str(tmp_path))
    if os.getuid() != 0:
        assert done.stdout.startswith(str(os.getresuid()))
        return
    nobody = user(65534)
    expected = f"(65534, 65534, 65534) [{nobody.gid}] {nobody.home} False root 0\n"
    assert (done.stdout, done.stderr) == (expected, "")


def test_root_becomes_an_owner_that_the_system_does_not_know(tmp_path: Path) -> None:
    if os.getuid() == 0:
        os.chown(tmp_path, 54321, 54322)
    code = """
from pathlib import Path
from engine.host import owner
owner._folders_of_code = set
owner.become_owner(Path(sys.argv[1]))
print(os.getresuid(), os.getresgid(), os.getgroups(), os.environ["HOME"], os.environ["USER"])
"""
    done = in_process(code, str(tmp_path))
    assert done.stderr == ""
    if os.getuid() == 0:
        ids = "(54321, 54321, 54321) (54322, 54322, 54322) [54322]"
        assert done.stdout == f"{ids} / user 54321\n"


def test_code_that_is_closed_to_the_owner_is_named(tmp_path: Path) -> None:
    code = """
from pathlib import Path
from engine.host import owner
owner.identity_for = lambda *_: owner.user(os.getuid(), os.getgid())
owner._take_groups = lambda _: None
owner._folders_of_code = lambda: {sys.argv[1] + "/closed"}
owner.become_owner(Path(sys.argv[1]))
"""
    done = in_process(code, str(tmp_path))
    assert f"{tmp_path}/closed is closed to that user" in done.stderr


def test_root_is_root_again_after_it_has_read_as_the_owner(tmp_path: Path) -> None:
    if os.getuid() == 0:
        os.chown(tmp_path, 65534, 65534)
    before = (os.geteuid(), os.getegid(), os.getgroups())
    with as_owner(tmp_path):
        assert os.geteuid() == (65534 if before[0] == 0 else before[0])
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
