"""What is unwise is said with a remedy; nothing is said of an installation that is all right."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.monitoring.advice import TROUBLES, Facts, advise

NOW = datetime(2026, 12, 2, 6, 0, tzinfo=UTC)
GOOD = Facts(
    NOW,
    data_dir="/srv/dock",
    synchronized=True,
    file_system="ext4",
    free_bytes=9,
    low_bytes=9,
    has_sessions=True,
    last_backup=NOW - timedelta(days=8),
    version="1.0.0",
    installed_version="1.0.0",
    libraries={"SQLite": (3, 51, 3)},
)


def test_an_installation_that_is_all_right_gets_no_advice() -> None:
    assert advise(GOOD) == ()
    # What can't be known is not said either.
    assert advise(replace(GOOD, synchronized=None, file_system="", installed_version="")) == ()
    assert advise(replace(GOOD, has_sessions=False, last_backup=None)) == ()


@pytest.mark.parametrize(
    ("facts", "about", "what", "remedy"),
    [
        (
            {"readable": ("/srv/dock", "/etc/key.pem")},
            "permissions",
            "every user can read /srv/dock, /etc/key.pem",
            "chmod o-rwx /srv/dock /etc/key.pem",
        ),
        ({"clock_ahead": timedelta(hours=2)}, "clock", "jumped 120 minutes ahead", "date"),
        ({"synchronized": False}, "clock", "no time service sets the clock", "chrony"),
        ({"file_system": "nfs4"}, "disk", "/srv/dock is on nfs4, a network", "local disk"),
        ({"file_system": "tmpfs"}, "disk", "all is lost when the machine stops", "local disk"),
        ({"file_system": "overlay"}, "disk", "the layer of a container", "volume"),
        ({"file_system": "exfat"}, "disk", "no hard links", "ext4"),
        ({"low_bytes": 12_000_000}, "disk", "0 MB are free, less than 12 MB", "archive"),
        ({"free_files_percent": 4}, "disk", "only 4 % more files", "inodes"),
        ({"durability": "none"}, "disk", "a power cut can lose objects", "--durability"),
        ({"last_backup": None}, "backup", "there never was a backup", "dicomdock backup -o FILE"),
        (
            {"last_backup": NOW - timedelta(days=9)},
            "backup",
            "no backup for 9 days",
            "back-up-and-restore.md",
        ),
        (
            {"certificates": (("XNAT:8104", "the certificate has expired; renew it"),)},
            "certificate",
            "XNAT:8104: the certificate has expired",
            "renew it",
        ),
        (
            {"open_receivers": ("A:1", "B:2", "C:3", "D:4", "E:5")},
            "callers",
            "A:1, B:2, C:3 and 2 more: any caller is accepted, at every address",
            "receivers edit A:1 --whitelist",
        ),
        (
            {"as_received": ("XNAT:8104",)},
            "anonymization",
            "XNAT:8104: anonymization is on, but no script is in force",
            "receivers edit XNAT:8104 --no-anonymization",
        ),
        (
            {"installed_version": "1.0.1"},
            "version",
            "dicomdock 1.0.1 is installed, 1.0.0 still runs",
            "restart the engine",
        ),
        ({"libraries": {"SQLite": (3, 46, 1)}}, "version", "SQLite 3.46.1 can", "updates"),
    ],
)
def test_what_is_unwise_is_said_once_with_its_remedy(
    facts: dict[str, Any], about: str, what: str, remedy: str
) -> None:
    (advice,) = advise(replace(GOOD, **facts))
    assert advice.about == about
    assert what in advice.what
    assert remedy in advice.remedy


@pytest.mark.parametrize(
    ("version", "has_trouble"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 50, 8), False),
        ((3, 51, 2), True),
        ((4, 0, 0), False),
    ],
)
def test_a_repair_in_an_older_branch_counts(version: tuple[int, ...], has_trouble: bool) -> None:
    assert TROUBLES[0].library == "SQLite"
    assert bool(advise(replace(GOOD, libraries={"SQLite": version}))) == has_trouble
