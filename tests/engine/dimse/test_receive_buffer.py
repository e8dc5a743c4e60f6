"""The memory that all connections of a loop are read into."""

from __future__ import annotations

from pathlib import Path

from engine.dimse.pdata import ReceiveBuffer

PAGE_BYTES = 4096
SIZE_BYTES = 64 * 1024 * 1024


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def test_memory_is_only_taken_as_far_as_it_is_written_to() -> None:
    before = resident_bytes()
    memory = ReceiveBuffer(SIZE_BYTES)
    memory.view[: SIZE_BYTES // 4] = bytes(SIZE_BYTES // 4)
    assert SIZE_BYTES // 8 < resident_bytes() - before < SIZE_BYTES // 2


def test_what_is_left_over_is_what_another_use_begins_with() -> None:
    memory = ReceiveBuffer(PAGE_BYTES)
    memory.begin(b"consumed, left over")
    memory.low = len(b"consumed, ")
    rest = memory.rest()
    memory.view[:] = bytes(PAGE_BYTES)
    assert rest == b"left over"
    memory.begin(rest)
    assert memory.rest() == b"left over"
    memory.begin()
    assert memory.rest() == b""
