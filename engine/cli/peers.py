"""`echo` and `send`: test another AE with a C-ECHO, or with files."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from engine.cli.options import FileRefused, set_run
from engine.cli.sending import (
    NOT_ACCEPTED,
    add_paths,
    add_sending,
    exit_code,
    report_of,
    send_found,
    sources_of,
    tally_of,
)
from engine.dimse.commands import SUCCESS, status_in_words
from engine.errors import PeerError
from engine.host import terminal
from engine.importing.found import Outcome
from engine.model.peer import (
    ANSWER_SECONDS,
    CONNECT_SECONDS,
    OWN_AE_TITLE,
    CallingTls,
    PeerDeadlines,
    parse_peer,
)

if TYPE_CHECKING:
    from engine.cli.tally import Tally
    from engine.importing.commitment import Commitment
    from engine.importing.outcomes import Result
    from engine.model.peer import Peer

COMMIT_SECONDS = 60.0


def add_echo(parser: argparse.ArgumentParser) -> None:
    """Add the options of `echo`."""
    set_run(parser, _echo)
    _add_peer(parser)


def add_send(parser: argparse.ArgumentParser) -> None:
    """Add the options of `send`."""
    set_run(parser, _send)
    add_paths(parser)
    _add_peer(parser)
    add_sending(parser, 1, ", as a peer may allow few")
    asks = "ask for storage commitment of each 1,000 objects, and wait for the report"
    parser.add_argument("--commit", action="store_true", help=asks)
    port = "a port of ours where the peer may report, if it calls back"
    parser.add_argument("--commit-port", type=_port, metavar="N", help=port)
    parser.add_argument("--commit-seconds", type=_seconds, default=COMMIT_SECONDS, metavar="N",
                        help="the longest wait for one report (default: 60)")  # fmt: skip


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
    from engine.dimse.scu import call
    from engine.importing.sender import Sender

    peer, deadlines, sources = _peer(arguments), deadlines_of(arguments), sources_of(arguments)
    for path in sources.strangers():
        remedy = "name DICOM files, or the folder: other files in it are skipped"
        raise FileRefused(f"{path} is no DICOM file", remedy)
    asks = arguments.commit or arguments.commit_port is not None
    heading = {"peer": str(peer), "as": arguments.calling, "commit": "yes" if asks else "no"}
    statuses: Counter[int] = Counter()
    error: PeerError | None = None
    not_sent: int | None = None
    with ExitStack() as resources:
        commitment = _commitment(arguments, resources) if asks else None
        report = resources.enter_context(report_of(arguments, "send", heading))
        tally = tally_of(sources, report)
        associate = partial(call, peer, deadlines=deadlines)
        sender = Sender(associate, None, arguments.jobs, commitment)
        note = partial(_count, statuses)
        try:
            send_found(arguments, sender, sources, tally, report, note)
            not_sent = 0
        except PeerError as raised:
            error = raised
            raise
        finally:
            # What was stored before stays with the peer.
            if arguments.json:
                record = {"peer": str(peer), **_record(tally, statuses, asks=asks)}
                # What was not reached was not counted either.
                record |= {"not_sent": not_sent, "error": error.detail if error else None}
                terminal.print_json(record)
            else:
                tally.print(arguments.report, before="stored before")
    return exit_code(tally)


def _count(statuses: Counter[int], result: Result) -> None:
    if result.status is not None:
        statuses[result.status] += 1


def _commitment(arguments: argparse.Namespace, resources: ExitStack) -> Commitment:
    """Return what asks for storage commitment; it listens for reports if that is wanted."""
    from engine.dimse.commitment_scu import ReportListener
    from engine.importing.commitment import Commitment
    from engine.net.ports import listen_error

    port, listener = arguments.commit_port, None
    if port is not None:
        try:
            listener = resources.enter_context(ReportListener(port))
        except OSError as error:
            raise listen_error(error, "", port) from error
    return Commitment(arguments.commit_seconds, listener)


def _record(tally: Tally, statuses: Counter[int], *, asks: bool) -> dict[str, object]:
    """Return the summary as JSON; it names the first 10,000 failures, and the report has all."""
    record = tally.to_record()
    before = record.pop("done_before")
    stored, uncommitted = (tally.outcomes[o] for o in (Outcome.STORED, Outcome.NOT_COMMITTED))
    failures, not_committed = list[object](), list[object]()
    for line, found in tally.failures:
        one = {"file": line.name, "detail": line.reason}
        if line.outcome == Outcome.NOT_COMMITTED:
            not_committed.append(one | {"sop_instance_uid": found["sop_instance_uid"]})
        else:
            failures.append(one | {"status": found["status"], "outcome": line.outcome})
    return {
        "files": tally.files,
        "stored": stored + uncommitted,
        "stored_before": before,
        **record,
        "statuses": {f"0x{status:04X}": n for status, n in sorted(statuses.items())},
        "failures": failures,
        **({"committed": stored, "not_committed": not_committed} if asks else {}),
    }
