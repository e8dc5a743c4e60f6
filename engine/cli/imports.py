"""`import`: files, folders, archives and media go to a receiver of the running engine."""

from __future__ import annotations

import argparse
import threading
from collections import Counter
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine.api.status import ImportCounts
from engine.cli.context import actor, attached, receiver_named, settings_of, store_of
from engine.cli.options import FileRefused, set_run
from engine.cli.progress import ProgressLine, time_left
from engine.errors import AssociationRefused, EngineError, NotFound, PeerError, UnreadableObject
from engine.host import terminal
from engine.importing.found import BAD, FoundObject, Outcome
from engine.model.peer import AETitle, Peer, PeerDeadlines
from engine.model.tls import TlsSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from engine.dimse.acse import Context
    from engine.dimse.scu import OutgoingAssociation
    from engine.importing.found import Found, Name
    from engine.importing.outcomes import Result
    from engine.importing.report import Report
    from engine.importing.sources import Sources
    from engine.intake.rehearsal import RoutingDryRun, RoutingDryRunResult
    from engine.model.receiver import Receiver

CALLING_AE_TITLE = "IMPORT"
"""What the rows, events and files of imported objects say, unless ``--as`` names another one."""
NOT_ACCEPTED = 9
"""The exit code if files were not stored that should have been."""
_JOBS, _MOST_JOBS = 4, 64
_SHOWN_FAILURES = 20
_DEADLINES = PeerDeadlines(answer_seconds=600)
"""The engine is no stranger: a script, a processor or a disk may keep it busy."""


class NotImported(EngineError):
    """The receiver takes no objects, so nothing is imported."""

    title = "Nothing was imported"
    exit_code = NOT_ACCEPTED


def add_import(parser: argparse.ArgumentParser) -> None:
    """Add the options of `import`."""
    set_run(parser, _import)
    add = parser.add_argument
    what = "a DICOM file, a folder, a ZIP or tar archive, or the DICOMDIR of a medium"
    add("paths", nargs="+", type=Path, metavar="PATH", help=what)
    add("--receiver", required=True, metavar="RECEIVER", help="an id, AE:PORT or AE title")
    add("--as", dest="calling", default=CALLING_AE_TITLE, metavar="AE",
        help=f"the AE title to call with (default: {CALLING_AE_TITLE})")  # fmt: skip
    add("--report", type=Path, metavar="FILE", help="write a line of JSON for each file there")
    again = "go on with an import of that report: what was stored is not sent again"
    add("--resume", action="store_true", help=again)
    add("--jobs", type=_jobs, default=_JOBS, metavar="N",
        help=f"associations at once (default: {_JOBS}; most: {_MOST_JOBS})")  # fmt: skip
    add("--follow-links", action="store_true", help="follow symbolic links in folders")
    add("--dry-run", action="store_true", help="show where each file would go, and send nothing")
    add("--show-values", action="store_true", help="with --dry-run: show subjects and sessions")
    shown = "for receivers that want a certificate: ours (PEM; default: the receiver's own)"
    add("--tls-certificate", default="", metavar="FILE", help=shown)
    add("--tls-key", default="", metavar="FILE", help="PEM file with its key")


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= _MOST_JOBS):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no number from 1 to {_MOST_JOBS}")
    return int(text)


def _import(arguments: argparse.Namespace) -> int:
    from engine.importing.sources import Sources

    arguments.calling = str(AETitle.parse(arguments.calling, "as"))
    if arguments.resume and arguments.report is None:
        raise FileRefused("--resume needs the report of the import to go on with", "add --report")
    for path in arguments.paths:
        _require(path)
    receiver = receiver_named(store_of(arguments).load().receivers, arguments.receiver)
    paths = tuple(path.absolute() for path in arguments.paths)
    sources = Sources(paths, arguments.follow_links)
    if arguments.dry_run:
        return _rehearse(arguments, sources)
    if not receiver.enabled:
        remedy = f"enable it with: receivers enable {receiver.label}"
        raise NotImported(f"{receiver.label} is disabled", remedy)
    with ExitStack() as resources:
        engine = resources.enter_context(attached(settings_of(arguments)))
        if engine is None:
            raise NotFound("no engine runs on this data directory", "start it")
        call = _caller(arguments, receiver)
        report = resources.enter_context(_report(arguments, receiver))
        note = partial(engine.monitoring.note_import, receiver.label, arguments.calling, actor())
        note(None)
        tally = _Tally(sources, report)
        try:
            _send(arguments, sources, call, tally)
        except AssociationRefused as error:
            raise _explained(error, arguments, receiver) from error
        except (PeerError, KeyboardInterrupt):
            if report is not None:
                tally.hint = f"go on with: --report {arguments.report} --resume"
            raise
        finally:
            tally.end()
            _print(arguments, receiver, tally)
            # The engine may be gone: then its journal has the end of the associations.
            with suppress(EngineError):
                note(tally.to_counts())
    if not tally.files:
        raise FileRefused("there is no DICOM file", "name files, or folders that hold some")
    return NOT_ACCEPTED if tally.failed else 0


def _require(path: Path) -> None:
    """Refuse a name that leads nowhere, before anything is sent."""
    try:
        path.stat()
    except OSError as error:
        remedy = "name a file or a folder that the owner of the data directory may read"
        raise FileRefused(f"{path}: {error.strerror}", remedy) from error


def _send(
    arguments: argparse.Namespace,
    sources: Sources,
    call: Callable[[Sequence[Context]], OutgoingAssociation],
    tally: _Tally,
) -> None:
    from engine.importing.outcomes import Outcomes
    from engine.importing.sender import Sender
    from engine.index.arrivals import Arrivals

    with closing(Arrivals(settings_of(arguments).index_file)) as arrivals, tally.counting():
        sender = Sender(call, Outcomes(arrivals), arguments.jobs)
        for result in sender.run(tally.left(sources.find())):
            tally.add(result)


@contextmanager
def _report(arguments: argparse.Namespace, receiver: Receiver) -> Iterator[Report | None]:
    from engine.importing.report import Report

    if arguments.report is None:
        yield None
        return
    heading = {"receiver": receiver.label, "as": arguments.calling}
    with Report(arguments.report.absolute(), heading, resume=arguments.resume) as report:
        yield report


def _caller(
    arguments: argparse.Namespace, receiver: Receiver
) -> Callable[[Sequence[Context]], OutgoingAssociation]:
    """Return what associates with the receiver as any peer does, from this host."""
    from engine.dimse.scu import call
    from engine.net.ports import calling_address, listening_address

    site = store_of(arguments).load().site
    host = calling_address(listening_address(receiver.bind_address or site.bind_address))
    peer = Peer(host, receiver.port, str(receiver.ae_title), arguments.calling)
    tls = _tls(arguments, receiver)
    return lambda contexts: call(peer, contexts, _DEADLINES, tls)


def _tls(arguments: argparse.Namespace, receiver: Receiver) -> ssl.SSLContext | None:
    from engine.certificates.tls_context import own_caller

    given = arguments.tls_certificate, arguments.tls_key
    if any(given) and not all(given):
        raise FileRefused("a certificate goes with its key", "name both files, or neither")
    if receiver.tls is None:
        return None
    return own_caller(TlsSettings(*given) if all(given) else receiver.tls)


def _explained(
    error: AssociationRefused, arguments: argparse.Namespace, receiver: Receiver
) -> PeerError:
    """Return an error with a remedy that fits a caller of this host."""
    if (error.source, error.reason) != (1, 3):
        return error
    remedy = (
        f"add a line for it and this host to the whitelist of {receiver.label}, such as "
        f"{arguments.calling}@127.0.0.1; or name an AE title that is allowed with --as"
    )
    return AssociationRefused(error.result, error.source, error.reason, error.detail, remedy)


class _Tally:
    """Counts and reports the outcomes, and shows the progress."""

    def __init__(self, sources: Sources, report: Report | None) -> None:
        self._line = ProgressLine()
        self._sources = sources
        self._report = report
        self._total_bytes = 0
        """Of all files; 0 until they are counted."""
        self._read_bytes = 0
        self._sent_bytes = 0
        self.outcomes: Counter[str] = Counter()
        self.failures: list[Result] = []
        """The first ones."""
        self.failed = 0
        self.hint = ""
        """What to do next, if it did not come to its end."""

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the bytes of all files meanwhile, for the time that is left."""
        ended = threading.Event()
        thread = threading.Thread(target=self._count, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _count(self, ended: threading.Event) -> None:
        total = 0
        for size in self._sources.sizes():
            total += size
            if ended.is_set():
                return
        self._total_bytes = total

    def left(self, found: Iterable[Found]) -> Iterable[Found]:
        """Return what an earlier import of the report has not stored."""
        return self._report.left(found) if self._report is not None else found

    @property
    def passed_over(self) -> int:
        """The number of files that an earlier import has stored."""
        return self._report.passed_over if self._report is not None else 0

    @property
    def files(self) -> int:
        """The number of files that are DICOM, as far as can be seen."""
        return sum(self.outcomes.values()) + self.passed_over - self.outcomes["not DICOM"]

    def add(self, result: Result) -> None:
        """Count and report what became of a file."""
        if self._report is not None:
            self._report.add(result)
        self.outcomes[str(result.outcome)] += 1
        self._sent_bytes += result.sent_bytes
        self._read_bytes += result.read_bytes
        if result.outcome in BAD:
            self.failed += 1
            if len(self.failures) < _SHOWN_FAILURES:
                self.failures.append(result)
        self._line.show(self._words)

    def _words(self) -> str:
        seconds = max(self._line.seconds, 0.001)
        words = (
            f"{terminal.counted(self.files, 'file')}, {self._sent_bytes / 1e6 / seconds:.1f} MB/s"
        )
        if self.failed:
            words += f", {self.failed:,} failed"
        # Not of what is passed over: it would count as the fastest work.
        passed_bytes = self._report.passed_bytes if self._report is not None else 0
        if self._total_bytes and self._read_bytes:
            left = time_left(seconds, self._read_bytes, self._total_bytes - passed_bytes)
            words += f", {left} left"
        return words

    def end(self) -> None:
        """Remove the line of the progress."""
        self._line.end()

    def to_counts(self) -> ImportCounts:
        """Return what the engine's journal keeps."""
        counts = self.outcomes
        return ImportCounts(counts["stored"], counts["duplicate"], counts["filtered"], self.failed)

    def to_record(self) -> dict[str, object]:
        """Return the summary as JSON."""
        return {
            "outcomes": dict(sorted(self.outcomes.items())),
            "stored_before": self.passed_over,
            "failed": self.failed,
            "bytes": self._sent_bytes,
            "seconds": round(self._line.seconds, 3),
        }


def _print(arguments: argparse.Namespace, receiver: Receiver, tally: _Tally) -> None:
    record = tally.to_record()
    if arguments.json:
        terminal.print_json({"receiver": receiver.label, "as": arguments.calling, **record})
        return
    for failure in tally.failures:
        terminal.say(f"{failure.name}: {failure.outcome}: {failure.reason}")
    if tally.failed > len(tally.failures):
        where = "" if arguments.report is None else f"; {arguments.report} has all"
        terminal.say(f"… and {tally.failed - len(tally.failures):,} more{where}")
    rows: list[tuple[object, ...]] = [(o, f"{n:,}") for o, n in tally.outcomes.most_common()]
    if tally.passed_over:
        rows.append(("stored before", f"{tally.passed_over:,}"))
    if rows:
        terminal.print_table(("OUTCOME", "FILES"), rows)
    if tally.hint:
        terminal.say(tally.hint)


def _rehearse(arguments: argparse.Namespace, sources: Sources) -> int:
    """Print a line for each file as it is found: where it would go, or why it would not."""
    from engine.cli.route import destination_of, rehearsal_of

    # What the dry run of files takes besides: rules that are not saved yet.
    arguments.rules = None
    outcomes: Counter[str] = Counter()
    failed = 0
    with rehearsal_of(arguments) as rehearsal, TemporaryDirectory(prefix="dicomdock-") as folder:
        for one in sources.find():
            if isinstance(one, FoundObject):
                try:
                    tried = _tried(rehearsal, one, Path(folder, "object.dcm"))
                except UnreadableObject as error:
                    outcome, where = str(Outcome.UNREADABLE), error.detail
                else:
                    shown = tried if arguments.show_values else tried.masked(str(one.name))
                    outcome, where = "would go", destination_of(shown)
                finally:
                    one.close()
            else:
                outcome, where = str(one.outcome), one.reason
            outcomes[outcome] += 1
            failed += outcome in BAD
            _print_destination(arguments, one.name, outcome, where)
    counted = (f"{number:,} {outcome}" for outcome, number in outcomes.most_common())
    terminal.say(f"nothing was sent: {', '.join(counted)}" if outcomes else "nothing was found")
    return NOT_ACCEPTED if failed else 0


def _tried(rehearsal: RoutingDryRun, one: FoundObject, copy: Path) -> RoutingDryRunResult:
    """Return where an object would go; members of archives need a copy for that.

    Raises:
        UnreadableObject: if the engine would refuse it for its content.
    """
    from engine.dicom.part10 import FileMeta, is_dicom_file
    from engine.dimse.contexts import name_of, supported_syntaxes

    head = one.head
    if head.transfer_syntax_uid not in supported_syntaxes(head.sop_class_uid):
        sop_class, syntax = map(name_of, one.context)
        raise UnreadableObject(f"receivers do not accept {sop_class} in {syntax}")
    # Read where it is, if it is a file as PS3.10 wants it.
    if not one.name.member and is_dicom_file(Path(one.name.source)):
        return rehearsal.of(Path(one.name.source))
    meta = FileMeta(head.sop_class_uid, head.transfer_syntax_uid, CALLING_AE_TITLE, "")
    try:
        with copy.open("wb") as file:
            file.write(meta.preamble(head.sop_instance_uid))
            file.writelines(one.data_set())
    except OSError as error:
        raise UnreadableObject(f"can't be copied: {error.strerror}") from error
    return rehearsal.of(copy)


def _print_destination(arguments: argparse.Namespace, name: Name, outcome: str, where: str) -> None:
    if arguments.json:
        record = {"source": name.source, "member": name.member}
        terminal.print_line({**record, "outcome": outcome, "where": where})
    elif outcome != Outcome.NOT_DICOM:
        # A member of an archive may have any name.
        shown = terminal.visible(str(name))
        terminal.print_text(f"{shown}\t{where if outcome == 'would go' else f'{outcome}: {where}'}")
