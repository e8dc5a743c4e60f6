"""What attacks need: another user's folder, a command given by root, a network of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NOBODY = 65534
"""The user of the service in these tests: has no rights and no files."""
SECONDS = 50
PYTHON = sys.executable
_OWN_NETWORK = ("unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


@pytest.fixture
def place() -> Iterator[Path]:
    """Give an empty folder below a folder that every user may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="dicomdock-hostile-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Service:
    """A data directory that belongs to the service's user, who is hostile here."""

    data: Path
    uid: int
    """The user: nobody if the tests run as root, else the user of the tests."""

    def run(
        self, *arguments: str, root: bool = True, **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Give a dicomdock command, as root (if the tests run as root) or as the user."""
        command = (PYTHON, "-m", "engine", "--data", str(self.data), *arguments)
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            **({} if root else self.rights()) | more,
        )

    def rights(self) -> dict[str, Any]:
        """Return the options of `subprocess` for a process of the user."""
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.uid, "extra_groups": ()}

    def own(self) -> None:
        """Give all that is in the directory to the user."""
        if os.geteuid() == 0:
            for path in (self.data, *self.data.rglob("*")):
                os.chown(path, self.uid, self.uid, follow_symlinks=False)

    def strangers(self) -> list[Path]:
        """Return all that belongs to another user."""
        paths = (self.data, *self.data.rglob("*"))
        return [path for path in paths if path.lstat().st_uid != self.uid]


@pytest.fixture
def service(place: Path) -> Service:
    """Give a service whose data directory is there and empty."""
    uid = NOBODY if os.geteuid() == 0 else os.geteuid()
    data = place / "data"
    data.mkdir(mode=0o750)
    made = Service(data, uid)
    made.own()
    return made


@cache
def can_run_code() -> bool:
    """Return whether another user may read this installation; a Python below /root is closed."""
    rights = {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if os.geteuid() == 0 else {}
    command = (PYTHON, "-c", "import engine.service.engine")
    try:
        return not subprocess.run(command, capture_output=True, cwd="/", **rights).returncode  # type: ignore[call-overload]
    except OSError:
        return False


@cache
def has_own_network() -> bool:
    """Return whether this user may have network namespaces."""
    try:
        return not subprocess.run(
            (*_OWN_NETWORK, "true"), capture_output=True, check=False
        ).returncode
    except OSError:
        return False


def in_own_network(command: Sequence[str]) -> tuple[str, ...]:
    """Return a command that runs another one where it reaches nothing but its own loopback.

    Where there are no network namespaces it is the command itself: attacks call the loopback only.
    """
    return (*_OWN_NETWORK, *command) if has_own_network() else tuple(command)
