"""Names of users of this machine, as the kernel and the user database report them."""

from __future__ import annotations

import pwd
from pathlib import Path

UNKNOWN_USER = "user unknown"
"""For a user whom the kernel can't report in our user namespace."""
SAYS = ", says: "
"""Between a name that the kernel reports and what the user's program says, unchecked."""
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
