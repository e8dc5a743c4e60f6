"""The mark of objects that `dicomdock selftest` sends: UIDs below a root of our own."""

from __future__ import annotations

TEST_ROOT = "2.25.235022223827495242976505035687323014033.9."
"""Below the implementation class UID, of which no other object has one."""


def is_test_object(sop_instance_uid: str) -> bool:
    """Tell whether an object was made for a self-test."""
    return sop_instance_uid.startswith(TEST_ROOT)
