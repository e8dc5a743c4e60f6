"""`echo` and `send`: test another AE with a C-ECHO, or with files."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.options import FileRefused, set_run
from engine.dimse.commands import SUCCESS, status_in_words
from engine.errors import PeerError
from engine.host import terminal
from engine.model.peer import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    OWN_AE_TITLE,
    CallingTls,
    PeerDeadlines,
    parse_peer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.dimse.scu import SentObject
    from engine.model.peer import Peer

NOT_ACCEPTED = 9
"""The exit code if the peer answers but rejects what it was sent."""

_SHOWN_FAILURES = 20
_PROGRESS_SECONDS = 0.1


def add_echo(parser: argparse.ArgumentParser) -> None:
    """Add the options of `echo`."""
    set_run(parser, _echo)
    _add_peer(parser)


def add_send(parser: argparse.ArgumentParser) -> None:
    """Add the options of `send`."""
    set_run(parser, _send)
    what = "a DICOM file or folder"
    parser.add_argument("files", nargs="+", type=Path, metavar="PATH", help=what)
    _add_peer(parser)


def _add_peer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("peer", metavar="AE@HOST:PORT", help="such as XNAT@127.0.0.1:8104")
    add_calling(parser)


def add_calling(parser: argparse.ArgumentParser) -> None:
    """Add the options for calling a peer."""
    parser.add_argument("--calling", default=OWN_AE_TITLE, metavar="AE",
                        help=f"our own AE title (default: {OWN_AE_TITLE})")  # fmt: skip
    parser.add_argument("--timeout", type=_seconds, default=ANSWER_SECONDS,
                        metavar="N", help="seconds for each answer (default: 30)")  # fmt: skip
    parser.add_argument("--tls", action="store_true", help="speak TLS; so do the options below")
    authorities = "PEM file with the peer's authorities (default: the system's)"
    parser.add_argument("--tls-ca", default="", metavar="FILE", help=authorities)
    parser.add_argument("--tls-certificate", default="", metavar="FILE",
                        help="PEM file with our certificate, if the peer asks for one")  # fmt: skip
    parser.add_argument("--tls-key", default="", metavar="FILE", help="PEM file with its key")
    parser.add_argument("--tls-any-name", action="store_true",
                        help="take a certificate that is for another name than HOST")  # fmt: skip


def _seconds(text: str) -> float:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 3600):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number of seconds from 1 to 3600")
    return float(text)


def _peer(arguments: argparse.Namespace) -> Peer:
    files = (arguments.tls_ca, arguments.tls_certificate, arguments.tls_key)
    wanted = arguments.tls or arguments.tls_any_name or any(files)
    tls = CallingTls(*files, check_name=not arguments.tls_any_name) if wanted else None
    return parse_peer(arguments.peer, arguments.calling, tls)


def _deadlines(arguments: argparse.Namespace) -> PeerDeadlines:
    seconds = arguments.timeout
    return PeerDeadlines(min(seconds, CONNECT_SECONDS), seconds)


def _echo(arguments: argparse.Namespace) -> int:
    from engine.dimse.scu import echo_peer

    peer, started = _peer(arguments), time.monotonic()
    status = echo_peer(peer, _deadlines(arguments))
    milliseconds = round((time.monotonic() - started) * 1000)
    if arguments.json:
        terminal.print_json({"peer": str(peer), "status": status, "milliseconds": milliseconds})
    else:
        said = f"answered in {milliseconds} ms" if status == SUCCESS else status_in_words(status)
        terminal.print_table(("PEER", "C-ECHO"), [(peer, said)])
    return 0 if status == SUCCESS else NOT_ACCEPTED


def _send(arguments: argparse.Namespace) -> int:
    from engine.dimse.scu import send_files

    peer, files = _peer(arguments), list(_found(arguments.files))
    if not files:
        raise FileRefused("there is no DICOM file", "name files, or folders that hold some")
    report = _Report(len(files), live=sys.stderr.isatty() and not arguments.json)
    broken: PeerError | None = None
    try:
        send_files(peer, files, _deadlines(arguments), report.add)
    except PeerError as error:
        broken = error
    report.end()
    if arguments.json:
        terminal.print_json({"peer": str(peer), **report.to_record(broken)})
    else:
        _print(peer, report)
    # After the report: what was stored before stays with the peer.
    if broken is not None:
        raise broken
    return 0 if report.is_complete else NOT_ACCEPTED


def _found(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the named files, and all DICOM files of named folders."""
    from engine.dicom.part10 import is_dicom_file

    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file() and is_dicom_file(p))
        # A file that is named is tried, whatever it is; folders may hold other files as well.
        elif path.exists():
            yield path
        else:
            raise FileRefused(f"{path} does not exist", "name a file or a folder")


class _Report:
    """Counts the outcomes of the files, and shows progress."""

    def __init__(self, files: int, *, live: bool) -> None:
        self._files = files
        self._live = live
        self._started = time.monotonic()
        self._shown_at = 0.0
        self.statuses: Counter[int] = Counter()
        self.bytes = 0
        self.failures: list[SentObject] = []

    @property
    def stored(self) -> int:
        """The number of objects that the peer has stored."""
        return sum(self.statuses.values()) - sum(f.status is not None for f in self.failures)

    @property
    def seconds(self) -> float:
        """The time since the start."""
        return time.monotonic() - self._started

    @property
    def is_complete(self) -> bool:
        """Whether the peer has stored all objects."""
        return self.stored == self._files

    @property
    def not_sent(self) -> int:
        """The number of files that were not sent."""
        return self._files - self.stored - len(self.failures)

    def add(self, sent: SentObject) -> None:
        """Count the outcome of one file."""
        self.bytes += sent.size_bytes
        if sent.status is not None:
            self.statuses[sent.status] += 1
        if not sent.is_stored:
            self.failures.append(sent)
        if self._live and time.monotonic() - self._shown_at > _PROGRESS_SECONDS:
            self._shown_at = time.monotonic()
            self._show()

    def end(self) -> None:
        """End the line of the progress."""
        if self._live:
            self._show()
            sys.stderr.write("\n")

    def to_record(self, broken: PeerError | None) -> dict[str, object]:
        """Return the report as JSON."""
        return {
            "files": self._files,
            "stored": self.stored,
            "statuses": {f"0x{status:04X}": n for status, n in sorted(self.statuses.items())},
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "failures": [
                {"file": str(f.file), "status": f.status, "detail": f.detail} for f in self.failures
            ],
            "not_sent": self.not_sent,
            "error": broken.detail if broken else None,
        }

    def _show(self) -> None:
        failed = f", {len(self.failures):,} not taken" if self.failures else ""
        rate = self.bytes / 1e6 / max(self.seconds, 0.001)
        line = f"{self.stored:,} of {self._files:,} stored{failed}, {rate:.1f} MB/s"
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()


def _print(peer: Peer, report: _Report) -> None:
    for failure in report.failures[:_SHOWN_FAILURES]:
        terminal.say(f"{failure.file}: {failure.detail}")
    if len(report.failures) > _SHOWN_FAILURES:
        terminal.say(f"… and {len(report.failures) - _SHOWN_FAILURES:,} more")
    heads = ("PEER", "STORED", "NOT TAKEN", "NOT SENT", "MB", "SECONDS")
    row = (peer, report.stored, len(report.failures), report.not_sent)
    terminal.print_table(heads, [(*row, f"{report.bytes / 1e6:.1f}", f"{report.seconds:.1f}")])
