"""Drops root: commands act as the owner of the data directory.

The owner of a data directory decides which programs run and where its folders lead. So root never
works there as root, and everything that a command creates there belongs to the owner.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
import struct
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import NotTheOwner

if TYPE_CHECKING:
    from collections.abc import Iterator


ROOT = 0
CALLER = "SUDO_USER"
"""The variable that names the login of the caller, as sudo sets it."""
ON_BEHALF = "DICOMDOCK_ON_BEHALF"
"""The variable by which an engine says for which user it runs a command."""
_CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid: Linux' ``struct ucred``."""
# As the kernel: path_resolution(7).
_MOST_LINKS = 40
_left: list[int] = []
"""The user id of this process before it became the owner."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A user of the system, or a number without one."""

    uid: int
    gid: int
    name: str = ""
    """Empty if the system has no user of that number."""
    home: str = "/"

    @property
    def group(self) -> str:
        """The name of its group; the number, if the system knows no name."""
        try:
            return grp.getgrgid(self.gid).gr_name
        except KeyError:
            return str(self.gid)

    def __str__(self) -> str:
        return self.name or f"user {self.uid}"


def owner_of(directory: Path) -> Owner:
    """Return the owner of a directory, or of the nearest existing one above it."""
    for path in (directory, *directory.parents):
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            break
        return user(found.st_uid, found.st_gid)
    return user(os.geteuid(), os.getegid())


def user(uid: int, gid: int = 0) -> Owner:
    """Return a user by number.

    Args:
        uid: the number.
        gid: the group, if the system does not know the user.
    """
    try:
        known = pwd.getpwuid(uid)
    except KeyError:
        return Owner(uid, gid)
    return Owner(uid, known.pw_gid, known.pw_name, known.pw_dir)


def identity_for(directory: Path, uid: int) -> Owner | None:
    """Return the user that a process of `uid` must become; None if it stays as it is.

    Raises:
        NotTheOwner: if the directory belongs to root, but another user can replace it.
    """
    if uid != ROOT:
        return None
    owner = owner_of(directory)
    if owner.uid != ROOT:
        return owner
    for path in _on_the_way(directory):
        found = path.lstat()
        # In a folder with the sticky bit, such as /tmp, only the owner of an entry can replace it.
        open_to_all = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
        if found.st_uid != ROOT or open_to_all:
            who = "anybody" if open_to_all else str(owner_of(path))
            raise NotTheOwner(
                f"{directory} belongs to root, but {who} may replace it: see {path}",
                f"give it to the user that the engine runs as: chown -R USER {directory}",
            )
    return None


def become_owner(directory: Path) -> None:
    """As root, become the owner of a data directory, for good; other users keep theirs.

    Must be the first step of a command, before threads and child processes. `HOME` and similar
    variables are set for the owner; `SUDO_USER` still names the caller.

    Raises:
        NotTheOwner: if root can't become that user, or if that user can't read our code.
    """
    owner = identity_for(directory, os.geteuid())
    if owner is None:
        return
    # Before the change: root can see folders that the owner can't.
    code, before = _folders_of_code(), os.getuid()
    try:
        _take_groups(owner)
        # Groups and group before the user: afterwards there is no right to change them. All three
        # ids, so that nothing can go back to root.
        os.setresgid(owner.gid, owner.gid, owner.gid)
        os.setresuid(owner.uid, owner.uid, owner.uid)
    except OSError as error:
        remedy = f"give the command as that user: runuser -u {owner} -- dicomdock ..."
        detail = f"{directory} belongs to {owner}, and root can't become that user"
        raise NotTheOwner(f"{detail}: {error.strerror}", remedy) from error
    _left.append(before)
    _set_environment(owner)
    # More of our code is imported later, as the owner: it would fail in the middle of work.
    closed = [folder for folder in sorted(code) if not os.access(folder, os.R_OK | os.X_OK)]
    if closed:
        raise NotTheOwner(
            f"{directory} belongs to {owner}, and {closed[0]} is closed to that user",
            "install dicomdock elsewhere, such as with: python3 -m venv /opt/dicomdock",
        )


def caller_uid() -> int:
    """Return the user id that started this process, also after `become_owner`."""
    return _left[0] if _left else os.getuid()


def act_for_caller(engine_pid: int | None) -> None:
    """Take the user that the engine names as the caller of this process.

    Args:
        engine_pid: the process that holds the data directory. Only a child of it is believed.
    """
    named = os.environ.pop(ON_BEHALF, "")
    if named.isdecimal() and engine_pid == os.getppid():
        _left.append(int(named))


def belongs_to_another(directory: Path) -> bool:
    """Tell whether a directory exists and belongs to another user than this process's."""
    try:
        return directory.stat().st_uid != os.geteuid()
    except OSError:
        return False


def peer_process(connected: socket.socket) -> tuple[int, int]:
    """Return process and user id of the other end of a UNIX socket.

    Raises:
        OSError: if the kernel has no credentials of it.
    """
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _gid = _CREDENTIALS.unpack(raw)
    return pid, uid


@contextmanager
def as_owner(directory: Path) -> Iterator[None]:
    """Read a data directory with its owner's rights until the block ends.

    Only the effective ids change, so the process can return to root: no code of the owner may
    run inside the block.

    Raises:
        NotTheOwner: if root can't become that user.
    """
    owner = identity_for(directory, os.geteuid())
    if owner is None:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    try:
        _take_groups(owner)
        os.setegid(owner.gid)
        os.seteuid(owner.uid)
    except OSError as error:
        raise NotTheOwner(f"root can't become {owner}: {error.strerror}") from error
    try:
        yield
    finally:
        # The user first: only root may set groups.
        os.seteuid(ROOT)
        os.setegid(gid)
        os.setgroups(groups)


def _take_groups(owner: Owner) -> None:
    if owner.name:
        os.initgroups(owner.name, owner.gid)
    else:
        os.setgroups([owner.gid])


def _set_environment(owner: Owner) -> None:
    """Set the variables that lead to the files of a user."""
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[name]
    os.environ.update(HOME=owner.home, USER=str(owner), LOGNAME=str(owner))
    os.environ.setdefault(CALLER, "root")


def _folders_of_code() -> set[str]:
    """Return the folders that our code and its libraries are loaded from."""
    files = (getattr(module, "__file__", None) for module in [*sys.modules.values()])
    return {os.path.dirname(file) for file in files if file}  # noqa: PTH120 - thousands of them


def _on_the_way(directory: Path) -> Iterator[Path]:
    """Yield every folder on the way to a directory, through symbolic links too.

    The owner of any of them can make the path lead elsewhere.
    """
    left, path, links = [*reversed(directory.absolute().parts[1:])], Path("/"), 0
    while left:
        yield path
        part = left.pop()
        path = path.parent if part == ".." else path / part
        try:
            target = path.readlink()
        except FileNotFoundError:
            return
        except OSError:  # not a link
            continue
        links += 1
        if links > _MOST_LINKS:
            return
        path = Path("/") if target.is_absolute() else path.parent
        left += [part for part in reversed(target.parts) if part != "/"]


UNKNOWN_USER = "user unknown"
"""The name of a user that the kernel can't report in our user namespace."""
SAYS = ", says: "
"""Separates a name from the kernel and an unchecked claim of the user's program."""
_PROC = Path("/proc")
_DEFAULT_OVERFLOW_UID = 65_534


def user_name(uid: int, proc: Path = _PROC) -> str:
    """Return a login, `user 1234` for a uid without one, or `UNKNOWN_USER`.

    In a user namespace that maps only some users, as `PrivateUsers=yes` makes it, the kernel
    reports all others as one uid, which belongs to "nobody". That name would be wrong.
    """
    if uid == _overflow_uid(proc) and not _maps_all_users(proc):
        return UNKNOWN_USER
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _overflow_uid(proc: Path) -> int:
    try:
        return int((proc / "sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return _DEFAULT_OVERFLOW_UID


def _maps_all_users(proc: Path) -> bool:
    """Tell whether our user namespace is the machine's own (user_namespaces(7))."""
    try:
        return (proc / "self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    except FileNotFoundError:
        return True  # this kernel has no user namespaces
    except OSError:
        return False
