"""Tapes: what a run sends, as the very bytes that go over the wire; `blaster.c` plays them."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING

from tests.bench.pdus import associate_request, context_id, store_request

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.bench.pdus import Context, Encoded

MAGIC = b"BLAST 1\n"
CALLED, CALLING = "BENCH", "BLASTER"
HEAD = Struct("<8sQQQQ")
"""Magic, number of objects, place and length of the A-ASSOCIATE-RQ, place of the table."""
ENTRY = Struct("<QQQQ")
"""Place and length of one request, length of its data set, message id."""


@dataclass(frozen=True, slots=True)
class Tape:
    """A tape on disk."""

    path: Path
    objects: int
    data_set_bytes: int
    """Of all objects together."""
    contexts: tuple[Context, ...]
    """What the A-ASSOCIATE-RQ proposes."""


def write_tape(path: Path, objects: Iterable[Encoded], pdu_bytes: int) -> Tape:
    """Write a tape whose P-DATA PDUs are as long as allowed, and describe it."""
    ids: dict[Context, int] = {}
    entries = []
    with path.open("wb") as file:
        file.write(bytes(HEAD.size))
        for number, encoded in enumerate(objects):
            message_id = number % 65_535 + 1
            context = ids.setdefault(encoded.context, context_id(len(ids)))
            request = store_request(encoded, message_id, context, pdu_bytes)
            entries.append((file.tell(), len(request), len(encoded.data_set), message_id))
            file.write(request)
        associate, associate_at = associate_request(CALLED, CALLING, list(ids)), file.tell()
        file.write(associate)
        file.write(bytes(-file.tell() % ENTRY.size))
        table_at = file.tell()
        file.writelines(ENTRY.pack(*entry) for entry in entries)
        file.seek(0)
        file.write(HEAD.pack(MAGIC, len(entries), associate_at, len(associate), table_at))
    return Tape(path, len(entries), sum(entry[2] for entry in entries), tuple(ids))
