"""The two senders: the compiled blaster, which is timed, and a caller that holds an association."""

from __future__ import annotations

import json
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.pdus import (
    RELEASE_REQUEST,
    Refused,
    associate_request,
    context_id,
    parse_accept,
    pdu_end,
    store_request,
)
from tests.bench.tape import CALLED, CALLING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from tests.bench.pdus import Accepted, Context, Encoded
    from tests.bench.tape import Tape

LOOPBACK = "127.0.0.1"
_SOURCE = Path(__file__).with_name("blaster.c")
_ANSWER_SECONDS = 60.0
_PDU_BYTES = 16_382
_STATUS_HEAD = bytes.fromhex("0000 0009 02000000")
"""Of the element Status (0000,0900) of a response (PS3.7 9.3.1)."""
_RUN_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Blast:
    """What the blaster measured in one run."""

    objects: int
    """Answered with success."""
    bytes: int
    """Of their data sets."""
    seconds: float
    """From the common start to the last answer, association set-up included."""
    p50_ms: float
    p99_ms: float
    set_up_ms: float
    """Mean time until an association was accepted."""
    sender_cpu_seconds: float
    failure: str
    """The first thing that went wrong; empty if nothing did."""


class Blaster:
    """The compiled sender (`blaster.c`)."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "blaster"
        command = ["cc", "-O2", "-std=gnu11", "-pthread", "-o", str(self._program), str(_SOURCE)]
        subprocess.run(command, check=True)

    def play(self, tape: Tape, port: int, associations: int, *, single: bool = False) -> Blast:
        """Send all objects of a tape, with that many associations side by side."""
        command = self.command(port, associations, single=single)
        with tape.path.open("rb") as recorded:
            ran = subprocess.run(
                command, stdin=recorded, stdout=subprocess.PIPE, timeout=_RUN_SECONDS, check=True
            )
        return read_blast(ran.stdout)

    def command(self, port: int, associations: int, *, single: bool = False) -> list[str]:
        """Return the command that plays the tape on its standard input."""
        return [str(self._program), str(port), str(associations), *["single"] * single]


def read_blast(output: bytes) -> Blast:
    """Turn what the blaster prints into figures."""
    record = json.loads(output)
    times = sorted(record["response_ns"])
    return Blast(
        objects=record["objects"],
        bytes=record["bytes"],
        seconds=record["elapsed_ns"] / 1e9,
        p50_ms=quantile(times, 0.50) / 1e6,
        p99_ms=quantile(times, 0.99) / 1e6,
        set_up_ms=record["set_up_ns"] / 1e6,
        sender_cpu_seconds=record["sender_cpu_seconds"],
        failure=record["failure"],
    )


def quantile(ordered: Sequence[float], part: float) -> float:
    """Return the value below which that part of the ordered values lies; 0 if there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


class Caller:
    """One association that is opened, held and released."""

    def __init__(self, port: int, contexts: Sequence[Context], called: str = CALLED) -> None:
        """Connect and negotiate.

        Raises:
            Refused: if the peer does not accept.
        """
        self._socket = socket.create_connection((LOOPBACK, port), timeout=_ANSWER_SECONDS)
        try:
            self._socket.sendall(associate_request(called, CALLING, contexts))
            self.accepted: Accepted = parse_accept(self._answer())
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._socket:
            self._socket.sendall(RELEASE_REQUEST)
            self._answer()

    def store(self, encoded: Encoded) -> int:
        """Send an object in the first context, and return the status of its answer.

        Raises:
            Refused: if the answer has none.
        """
        self._socket.sendall(store_request(encoded, 1, context_id(0), _PDU_BYTES))
        _, found, value = self._answer().partition(_STATUS_HEAD)
        if not found:
            raise Refused("the answer has no status")
        return int.from_bytes(value[:2], "little")

    def drop(self) -> None:
        """Close the connection without a word."""
        self._socket.close()

    def _answer(self) -> bytes:
        received = b""
        while len(received) < 6 or len(received) < pdu_end(received):
            more = self._socket.recv(65_536)
            if not more:
                raise Refused("the peer closed the connection")
            received += more
        return received


def longest_pdu(port: int, contexts: Sequence[Context], wanted: int) -> int:
    """Ask a receiver how long a PDU may be at most, and return the lower of both wishes.

    Raises:
        Refused: if it does not accept all presentation contexts.
    """
    with Caller(port, contexts) as caller:
        accepted = caller.accepted
    if len(accepted.context_ids) < len(contexts):
        raise Refused("not every presentation context was accepted")
    return min(wanted, accepted.maximum_length or wanted)
