"""Recorded sessions of DCMTK's senders with a few bytes changed; what once broke something is kept.

MUTATION_SECONDS sets how long new mutations are tried, MUTATION_SEED where they begin. A stream
that breaks the engine is written to `seeds`, and replayed by every run from then on.
"""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.dicom import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    JPEG_BASELINE,
    image,
)
from tests.peers.dock import Dock
from tests.peers.pdus import part_10
from tests.peers.peer import Peer
from tests.recording import Relay, data_sets_of
from tests.running import LOOPBACK, run_dcmtk

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = float(os.environ.get("MUTATION_SECONDS", "20"))
FIRST_SEED = int(os.environ.get("MUTATION_SEED", "0"))
SEEDS = Path(__file__).parent / "seeds"
BATCH = 20
SETTLE_SECONDS = 3.0
ENDS_WITHIN_SECONDS = 5.0
CAPS = {
    "negotiation_seconds": 1.0,
    "pdu_seconds": 1.0,
    "unassociated_peers": 100,
    "unassociated_peers_per_address": 100,
}
EXTREMES = (0, 1, 2, 5, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)

NOBODY: dict[str, Any] = {"PatientName": "A^B", "PatientID": "C"}
"""A patient whose name may get anywhere, such as into an AE title, by a mutation."""

SENDERS = {
    "echo": ("echoscu",),
    "echo-all-contexts": ("echoscu", "-ppc", "20", "-pts", "10"),
    "echo-abort": ("echoscu", "--abort"),
    "store": ("storescu", "-R", "-xe", "FILES"),
    "store-implicit": ("storescu", "-R", "-xi", "FILES"),
    "store-jpeg": ("storescu", "-R", "-xy", "JPEG"),
    "store-repeat": ("storescu", "-R", "--repeat", "3", "FILES"),
    "store-abort": ("storescu", "-R", "--abort", "FILES"),
    "store-small-pdus": ("storescu", "-R", "--max-send-pdu", "4096", "LARGE"),
    "store-identity": ("storescu", "-R", "-usr", "anna", "-pwd", "x", "FILES"),
    "dcmsend": ("dcmsend", "FILES"),
}


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with Dock(tmp_path / "data", CAPS) as dock:
        yield dock


def replay(port: int, stream: bytes) -> int:
    """Send a stream, hang up half, wait for the end, and return the confirmed objects."""
    with Peer(port) as peer:
        return peer.send(stream).half_close().drain(ENDS_WITHIN_SECONDS).confirmed


def require_unharmed(dock: Dock, streams: list[bytes]) -> None:
    """Replay streams, after which the engine must be as before and no success a lie (★)."""
    with dock.unharmed(settle=SETTLE_SECONDS):
        before = dock.engine.snapshot().totals
        confirmed = sum(replay(dock.port, stream) for stream in streams)
        after = dock.engine.snapshot().totals
        on_disk = after.stored + after.duplicates - before.stored - before.duplicates
        assert confirmed <= on_disk


def kept() -> list[Path]:
    return sorted(SEEDS.glob("*.bin"))


@pytest.mark.parametrize("seed", kept(), ids=lambda path: path.stem)
def test_what_once_broke_something_breaks_nothing_any_more(dock: Dock, seed: Path) -> None:
    require_unharmed(dock, [seed.read_bytes()])


def test_a_recorded_session_may_be_sent_in_one_go(dock: Dock, tmp_path: Path) -> None:
    for sender, stream in recorded(dock, tmp_path).items():
        with dock.unharmed():
            confirmed = replay(dock.port, stream)
            assert confirmed == len(data_sets_of(stream)) or sender.endswith("abort")


@pytest.mark.timeout(60 + 2 * SECONDS + BATCH * (SETTLE_SECONDS + ENDS_WITHIN_SECONDS))
@pytest.mark.no_cover  # as of all random tests
def test_no_mutation_of_a_recorded_session_harms_the_engine(tmp_path: Path) -> None:
    with Dock(tmp_path / "data", CAPS) as dock:
        sessions = list(recorded(dock, tmp_path).values())
        until, seed = time.monotonic() + SECONDS, FIRST_SEED
        while time.monotonic() < until:
            batch = [mutated(sessions, random.Random(seed + n)) for n in range(BATCH)]
            try:
                require_unharmed(dock, batch)
            except AssertionError as error:
                names = keep([s for n, s in enumerate(batch) if harms(tmp_path / f"{n}", s)])
                raise AssertionError(f"from seed {seed} on, kept as {names}: {error}") from error
            seed += BATCH


def harms(data_dir: Path, stream: bytes) -> bool:
    """Tell whether a stream harms an engine of its own."""
    with Dock(data_dir, CAPS) as dock:
        try:
            require_unharmed(dock, [stream])
        except AssertionError:
            return True
        return False


def keep(streams: list[bytes]) -> str:
    """Write streams among the seeds and return their names."""
    names = [sha256(stream).hexdigest()[:12] for stream in streams]
    for name, stream in zip(names, streams, strict=True):
        (SEEDS / f"{name}.bin").write_bytes(stream)
    return ", ".join(names) or "nothing: none of them harms alone"


def recorded(dock: Dock, folder: Path) -> dict[str, bytes]:
    """Return what each sender sends in a whole session."""
    little, jpeg = EXPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE
    files = {
        "FILES": part_10(image(little, **NOBODY), little),
        "JPEG": part_10(image(jpeg, **NOBODY), jpeg),
        "LARGE": part_10(image(little, bytes(9_000), **NOBODY), little),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    streams = {}
    for sender, (tool, *arguments) in SENDERS.items():
        options = [a for a in arguments if a not in files]
        paths = [str(folder / a) for a in arguments if a in files]
        with Relay((LOOPBACK, dock.port)) as relay:
            sent = run_dcmtk(tool, *options, "-aec", "XNAT", LOOPBACK, str(relay.port), *paths)
        assert sent.returncode == 0 or "--abort" in options, sent.stdout + sent.stderr
        (streams[sender],) = relay.recorded
    return streams


Mutation = Callable[[bytearray, list[bytes], random.Random], None]


def mutated(sessions: list[bytes], chance: random.Random) -> bytes:
    """Return one of the sessions with one to four changes."""
    stream = bytearray(chance.choice(sessions))
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        chance.choice(MUTATIONS)(stream, sessions, chance)
    return bytes(stream)


def _flip_a_bit(stream: bytearray, _: list[bytes], chance: random.Random) -> None:
    if stream:
        stream[chance.randrange(len(stream))] ^= 1 << chance.randrange(8)


def _set_a_number(stream: bytearray, _: list[bytes], chance: random.Random) -> None:
    size, order = chance.choice((1, 2, 4)), chance.choice(("big", "little"))
    number = chance.choice(EXTREMES) % (1 << 8 * size)
    position = _place(stream, chance)
    stream[position : position + size] = number.to_bytes(size, order)  # type: ignore[arg-type]


def _insert(stream: bytearray, _: list[bytes], chance: random.Random) -> None:
    position = _place(stream, chance)
    stream[position:position] = chance.randbytes(chance.choice((1, 2, 6, 100)))


def _delete(stream: bytearray, _: list[bytes], chance: random.Random) -> None:
    position = _place(stream, chance)
    del stream[position : position + chance.choice((1, 2, 6, 100))]


def _cut_off(stream: bytearray, _: list[bytes], chance: random.Random) -> None:
    del stream[_place(stream, chance) :]


def _go_on_with_another(stream: bytearray, sessions: list[bytes], chance: random.Random) -> None:
    other = chance.choice(sessions)
    stream[_place(stream, chance) :] = other[chance.randrange(len(other)) :]


def _rearrange_pdus(stream: bytearray, _: list[bytes], chance: random.Random) -> None:
    pdus, position = [], 0
    while position + 6 <= len(stream):
        (length,) = struct.unpack_from(">2xI", stream, position)
        pdus.append(bytes(stream[position : position + 6 + length]))
        position += 6 + length
    if pdus:
        pdus.insert(chance.randrange(len(pdus)), pdus.pop(chance.randrange(len(pdus))))
        pdus += chance.choices(pdus, k=chance.choice((0, 1)))
        stream[:] = b"".join(pdus)


def _place(stream: bytearray, chance: random.Random) -> int:
    return chance.randrange(len(stream) + 1)


MUTATIONS: tuple[Mutation, ...] = (
    _flip_a_bit,
    _set_a_number,
    _insert,
    _delete,
    _cut_off,
    _go_on_with_another,
    _rearrange_pdus,
)
