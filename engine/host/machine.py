"""What can be known of the machine: the type of a file system, and whether the clock is set."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_TIMESYNCD = Path("/run/systemd/timesync")
_TIME_ERROR = 5
"""Of adjtimex(2): the clock is not synchronized."""
_TIMEX_BYTES = 512
"""More than ``struct timex`` has on any machine; zeros only read."""


def file_system_of(path: Path, mounts: str | None = None) -> str:
    """Return the type of the file system that a path is on, such as ``ext4``; empty if unknown.

    Args:
        path: need not exist.
        mounts: the text of ``/proc/self/mountinfo``; None to read it.
    """
    try:
        text = _MOUNTS.read_text("utf-8", "surrogateescape") if mounts is None else mounts
    except OSError:
        return ""
    wanted = os.path.realpath(path)
    found, longest = "", -1
    for line in text.splitlines():
        # proc_pid_mountinfo(5): the fields behind the dash begin with the type.
        before, _, behind = line.partition(" - ")
        fields, kinds = before.split(" "), behind.split(" ")
        if len(fields) < 5:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])
        is_above = wanted == point or wanted.startswith(point.rstrip("/") + "/")
        # The later one of two at the same place hides the other.
        if is_above and len(point) >= longest:
            found, longest = kinds[0], len(point)
    return found


def is_clock_synchronized() -> bool | None:
    """Return whether a time service sets the clock; None if that can't be known."""
    state = _adjtimex()
    if state >= 0:
        return state != _TIME_ERROR
    # A service of systemd may not ask the kernel (ProtectClock=); other time services leave no
    # sign, so that a missing file says nothing where timesyncd does not run.
    return (_TIMESYNCD / "synchronized").exists() if _TIMESYNCD.is_dir() else None


def _adjtimex() -> int:
    import ctypes  # slow to import, and needed by nothing else

    try:
        return int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    except (OSError, AttributeError):
        return -1
