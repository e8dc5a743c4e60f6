"""`echo` and `send`: test another AE with a C-ECHO, or with files."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from contextlib import ExitStack
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
    from collections.abc import Callable, Iterator, Sequence

    from engine.dimse.scu import OutgoingAssociation, SentObject
    from engine.model.peer import Peer

NOT_ACCEPTED = 9
"""The exit code if the peer answers but rejects what it was sent."""

COMMIT_SECONDS = 60.0

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
    asks = "ask for storage commitment afterwards, and wait for the report"
    parser.add_argument("--commit", action="store_true", help=asks)
    port = "a port of ours where the peer may report, if it calls back"
    parser.add_argument("--commit-port", type=_port, metavar="N", help=port)
    parser.add_argument("--commit-seconds", type=_seconds, default=COMMIT_SECONDS, metavar="N",
                        help="the longest wait for the report (default: 60)")  # fmt: skip


def _add_peer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("peer", metavar="AE@HOST:PORT", help="such as XNAT@127.0.0.1:8104")
    add_calling(parser)


def add_calling(parser: argparse.ArgumentParser, *, tls: bool = True) -> None:
    """Add the options for calling a peer; those of TLS only if they are not known."""
    parser.add_argument("--calling", default=OWN_AE_TITLE, metavar="AE",
                        help=f"our own AE title (default: {OWN_AE_TITLE})")  # fmt: skip
    parser.add_argument("--timeout", type=_seconds, default=ANSWER_SECONDS,
                        metavar="N", help="seconds for each answer (default: 30)")  # fmt: skip
    if not tls:
        return
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


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= 65535):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no port from 1 to 65535")
    return int(text)


def _peer(arguments: argparse.Namespace) -> Peer:
    files = (arguments.tls_ca, arguments.tls_certificate, arguments.tls_key)
    wanted = arguments.tls or arguments.tls_any_name or any(files)
    tls = CallingTls(*files, check_name=not arguments.tls_any_name) if wanted else None
    return parse_peer(arguments.peer, arguments.calling, tls)


def deadlines_of(arguments: argparse.Namespace) -> PeerDeadlines:
    """Return how long a peer may take, by the options."""
    seconds = arguments.timeout
    return PeerDeadlines(min(seconds, CONNECT_SECONDS), seconds)


def _echo(arguments: argparse.Namespace) -> int:
    from engine.dimse.scu import echo_peer

    peer, started = _peer(arguments), time.monotonic()
    status = echo_peer(peer, deadlines_of(arguments))
    print_echo(arguments, peer, status, started)
    return 0 if status == SUCCESS else NOT_ACCEPTED


def print_echo(arguments: argparse.Namespace, peer: Peer, status: int, started: float) -> None:
    """Print the answer to a C-ECHO that was sent at a moment of the monotonic clock."""
    milliseconds = round((time.monotonic() - started) * 1000)
    if arguments.json:
        terminal.print_json({"peer": str(peer), "status": status, "milliseconds": milliseconds})
    else:
        said = f"answered in {milliseconds} ms" if status == SUCCESS else status_in_words(status)
        terminal.print_table(("PEER", "C-ECHO"), [(peer, said)])


def _send(arguments: argparse.Namespace) -> int:
    from engine.dimse.scu import send_files

    peer, files = _peer(arguments), list(_found(arguments.files))
    if not files:
        raise FileRefused("there is no DICOM file", "name files, or folders that hold some")
    report = _Report(len(files), live=sys.stderr.isatty() and not arguments.json)
    wants_commitment = arguments.commit or arguments.commit_port is not None
    broken: PeerError | None = None
    with ExitStack() as resources:
        commit = _committing(arguments, report, resources) if wants_commitment else None
        try:
            send_files(peer, files, deadlines_of(arguments), report.add, commit)
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


def _committing(
    arguments: argparse.Namespace, report: _Report, resources: ExitStack
) -> Callable[[OutgoingAssociation, Sequence[SentObject]], None]:
    """Return what asks for storage commitment of what was stored on an association."""
    from engine.dimse.commitment import Reference
    from engine.dimse.commitment_scu import ReportListener, ask
    from engine.net.ports import listen_error

    report.asks_commitment = True
    port, listener = arguments.commit_port, None
    if port is not None:
        try:
            listener = resources.enter_context(ReportListener(port))
        except OSError as error:
            raise listen_error(error, "", port) from error

    def commit(association: OutgoingAssociation, stored: Sequence[SentObject]) -> None:
        by_name = {Reference(s.sop_class_uid, s.sop_instance_uid): s for s in stored}
        result = ask(association, tuple(by_name), arguments.commit_seconds, listener)
        for reference, sent in by_name.items():
            why = result.why_not(reference)
            if why:
                report.uncommitted.append((sent, why))
            else:
                report.committed += 1

    return commit


def _found(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the named files, and all DICOM files of named folders."""
    from engine.dicom.part10 import is_dicom_file

    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file() and is_dicom_file(p))
        elif not path.exists():
            raise FileRefused(f"{path} does not exist", "name a file or a folder")
        elif not is_dicom_file(path):
            remedy = "name DICOM files, or the folder: other files in it are skipped"
            raise FileRefused(f"{path} is no DICOM file, or can't be read", remedy)
        else:
            yield path


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
        self.asks_commitment = False
        self.committed = 0
        """The number of different objects that the peer has committed to."""
        self.uncommitted: list[tuple[SentObject, str]] = []
        """Those that it has not, with the reason."""

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
        """Whether the peer has stored all objects, and has committed to them if it was asked."""
        return self.stored == self._files and not self.uncommitted

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
            **(self._commitments() if self.asks_commitment else {}),
            "error": broken.detail if broken else None,
        }

    def _commitments(self) -> dict[str, object]:
        failures = [
            {"file": str(s.file), "sop_instance_uid": s.sop_instance_uid, "detail": why}
            for s, why in self.uncommitted
        ]
        return {"committed": self.committed, "not_committed": failures}

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
    for sent, why in report.uncommitted[:_SHOWN_FAILURES]:
        terminal.say(f"{sent.file}: not committed: {why}")
    if len(report.uncommitted) > _SHOWN_FAILURES:
        terminal.say(f"… and {len(report.uncommitted) - _SHOWN_FAILURES:,} more")
    heads = ["PEER", "STORED", "NOT TAKEN", "NOT SENT", "MB", "SECONDS"]
    row: list[object] = [peer, report.stored, len(report.failures), report.not_sent]
    row += [f"{report.bytes / 1e6:.1f}", f"{report.seconds:.1f}"]
    if report.asks_commitment:
        heads.append("COMMITTED")
        row.append(report.committed)
    terminal.print_table(heads, [row])
