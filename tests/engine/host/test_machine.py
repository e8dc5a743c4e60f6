"""The file system of a path comes from the mounts as the kernel lists them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.host.machine import file_system_of, is_clock_synchronized

MOUNTS = r"""
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:30 / /srv rw shared:1 - nfs4 host:/export rw
24 22 0:31 / /mnt/my\040disk rw master:2 propagate_from:3 - vfat /dev/sdb rw
25 22 0:32 / /srv rw - xfs /dev/sdc rw
26 22 0:33 / /media
garbage
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/dicomdock", "ext4"),
        ("/srv/dock", "xfs"),
        ("/srv", "xfs"),
        ("/srvx/dock", "ext4"),
        ("/mnt/my disk/dock", "vfat"),
        ("/", "ext4"),
    ],
)
def test_the_deepest_and_latest_mount_counts(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind


def test_this_machine_is_asked_and_may_not_know() -> None:
    assert file_system_of(Path("/proc")) == "proc"
    assert file_system_of(Path("/proc"), "") == ""
    assert is_clock_synchronized() in {True, False, None}
