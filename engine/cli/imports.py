"""`import`: files, folders, archives and media go to a receiver of the running engine."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from engine.api.status import ImportCounts
from engine.cli.context import actor, attached, receiver_named, settings_of, store_of
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
from engine.errors import AssociationRefused, EngineError, NotFound, PeerError, UnreadableObject
from engine.host import terminal
from engine.importing.found import BAD, FoundObject, Outcome
from engine.model.peer import AETitle, Peer, PeerDeadlines
from engine.model.tls import TlsSettings

if TYPE_CHECKING:
    import argparse
    import ssl
    from collections.abc import Callable, Sequence

    from engine.cli.tally import Tally
    from engine.dimse.acse import Context
    from engine.dimse.scu import OutgoingAssociation
    from engine.importing.found import Name
    from engine.importing.sources import Sources
    from engine.intake.rehearsal import RoutingDryRun, RoutingDryRunResult
    from engine.jobs.report import Report
    from engine.model.receiver import Receiver

CALLING_AE_TITLE = "IMPORT"
"""What the rows, events and files of imported objects say, unless ``--as`` names another one."""
_JOBS = 4
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
    add_paths(parser)
    add("--receiver", required=True, metavar="RECEIVER", help="an id, AE:PORT or AE title")
    add("--as", dest="calling", default=CALLING_AE_TITLE, metavar="AE",
        help=f"the AE title to call with (default: {CALLING_AE_TITLE})")  # fmt: skip
    add_sending(parser, _JOBS)
    add("--dry-run", action="store_true", help="show where each file would go, and send nothing")
    add("--show-values", action="store_true", help="with --dry-run: show subjects and sessions")
    shown = "for receivers that want a certificate: ours (PEM; default: the receiver's own)"
    add("--tls-certificate", default="", metavar="FILE", help=shown)
    add("--tls-key", default="", metavar="FILE", help="PEM file with its key")


def _import(arguments: argparse.Namespace) -> int:
    arguments.calling = str(AETitle.parse(arguments.calling, "as"))
    sources = sources_of(arguments, "the owner of the data directory")
    receiver = receiver_named(store_of(arguments).load().receivers, arguments.receiver)
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
        heading = {"receiver": receiver.label, "as": arguments.calling}
        report = resources.enter_context(report_of(arguments, "import", heading))
        note = partial(engine.monitoring.note_import, receiver.label, arguments.calling, actor())
        note(None)
        tally = tally_of(sources, report)
        try:
            _send(arguments, call, sources, tally, report)
        except AssociationRefused as error:
            raise _explained(error, arguments, receiver) from error
        finally:
            _print(arguments, receiver, tally)
            # The engine may be gone: then its journal has the end of the associations.
            with suppress(EngineError):
                note(_counts(tally))
    return exit_code(tally)


def _send(
    arguments: argparse.Namespace,
    call: Callable[[Sequence[Context]], OutgoingAssociation],
    sources: Sources,
    tally: Tally,
    report: Report | None,
) -> None:
    from engine.importing.outcomes import Outcomes
    from engine.importing.sender import Sender
    from engine.index.arrivals import Arrivals

    with closing(Arrivals(settings_of(arguments).index_file)) as arrivals:
        sender = Sender(call, Outcomes(arrivals), arguments.jobs)
        send_found(arguments, sender, sources, tally, report)


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


def _counts(tally: Tally) -> ImportCounts:
    """Return what the engine's journal keeps."""
    counts = tally.outcomes
    return ImportCounts(counts["stored"], counts["duplicate"], counts["filtered"], tally.failed)


def _print(arguments: argparse.Namespace, receiver: Receiver, tally: Tally) -> None:
    if not arguments.json:
        return tally.print(arguments.report, before="stored before")
    record = tally.to_record()
    record["stored_before"] = record.pop("done_before")
    return terminal.print_json({"receiver": receiver.label, "as": arguments.calling, **record})


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
