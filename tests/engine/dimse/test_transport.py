"""The memory that a connection is read into."""

from __future__ import annotations

from pathlib import Path

from engine.dimse.transport import Memory

PAGE_BYTES = 4096
SIZE_BYTES = 64 * 1024 * 1024


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def test_memory_is_only_taken_as_far_as_it_is_written_to() -> None:
    before = resident_bytes()
    memory = Memory(SIZE_BYTES)
    memory.view[: SIZE_BYTES // 4] = bytes(SIZE_BYTES // 4)
    assert SIZE_BYTES // 8 < resident_bytes() - before < SIZE_BYTES // 2
