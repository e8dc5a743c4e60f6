"""`import-xnat` and `export-xnat`: receivers in XNAT's JSON."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from engine.cli import revisions as told
from engine.cli.context import actor, installed_identifiers, receivers_named, store_of
from engine.cli.options import STANDARD_STREAM, read_text, set_run, write_text
from engine.cli.receivers import receiver_record
from engine.config.xnat.receivers import (
    ImportItem,
    ImportOutcome,
    objections,
    plan_import,
    read_records,
    to_xnat,
)
from engine.errors import EngineError
from engine.host import terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence


class NotImported(EngineError):
    """Some records can't become receivers, so that none was imported."""

    title = "Nothing was imported"
    exit_code = 2


def add_import_xnat(read: argparse.ArgumentParser) -> None:
    """Add the options of `import-xnat`."""
    set_run(read, _import)
    what = "the answer of GET /xapi/dicomscp; '-' reads stdin"
    read.add_argument("file", metavar="FILE", help=what)
    read.add_argument("--apply", action="store_true", help="save them, as one revision")
    only = "import the rest if some are not representable"
    read.add_argument("--skip-refused", action="store_true", help=only)


def add_export_xnat(write: argparse.ArgumentParser) -> None:
    """Add the options of `export-xnat`."""
    set_run(write, _export)
    name = "an id, AE:PORT or AE title; default: all"
    write.add_argument("receivers", metavar="RECEIVER", nargs="*", help=name)
    write.add_argument("-o", "--output", metavar="FILE", default=STANDARD_STREAM)


def _import(arguments: argparse.Namespace) -> None:
    identifiers = installed_identifiers()
    store = store_of(arguments, identifiers)
    records = read_records(read_text(arguments.file))
    before = store.load()
    items = plan_import(records, before, identifiers)
    wanted = [i.receiver for i in items if i.receiver and i.outcome is not ImportOutcome.EQUAL]
    refused = sum(item.outcome is ImportOutcome.REFUSED for item in items)
    applies = arguments.apply and (not refused or arguments.skip_refused)
    # Saved before it is printed: a failed import must not look like a good one.
    revision = (store.save_receivers(wanted, actor()) if applies and wanted else before).revision
    _print_plan(arguments, items, revision, applies)
    if refused and not arguments.skip_refused:
        raise NotImported(
            f"{refused} of {terminal.counted(len(items), 'receiver')} can't be represented",
            "mend them in the file, or import the others with --skip-refused",
        )
    _say_outcome(arguments, len(wanted), revision)


def _print_plan(
    arguments: argparse.Namespace, items: Sequence[ImportItem], revision: int, applied: bool
) -> None:
    if not arguments.json:
        rows = [row for item in items for row in _rows(item)]
        return terminal.print_table(("RECEIVER", "OUTCOME", "DETAIL"), rows)
    records = [_record(item) for item in items]
    plan = {"revision": revision, "applied": applied, "receivers": records}
    return terminal.print_json(plan)


def _rows(item: ImportItem) -> Iterator[tuple[str, str, str]]:
    """Yield one row per difference or problem."""
    said = told.sentences(item.differences)
    said += [problem.sentence() for problem in item.problems]
    if item.outcome is ImportOutcome.CHANGED and not said:
        said = ["only line ends of the rules differ"]
    yield item.label, item.outcome, said[0] if said else ""
    yield from (("", "", sentence) for sentence in said[1:])


def _record(item: ImportItem) -> dict[str, object]:
    return {
        "label": item.label,
        "outcome": item.outcome,
        "differences": told.records(item.differences),
        "problems": [terminal.problem_record(problem) for problem in item.problems],
        "receiver": receiver_record(item.receiver) if item.receiver else None,
    }


def _say_outcome(arguments: argparse.Namespace, wanted: int, revision: int) -> None:
    receivers = terminal.counted(wanted, "receiver")
    if not wanted:
        terminal.say("there is nothing to change")
    elif arguments.apply:
        terminal.say(f"saved {receivers} as revision {revision}")
    else:
        skipping = " --skip-refused" if arguments.skip_refused else ""
        command = f"import-xnat {shlex.quote(arguments.file)} --apply{skipping}"
        terminal.say(f"nothing was changed; save {receivers} with: {command}")


def _export(arguments: argparse.Namespace) -> None:
    receivers = receivers_named(store_of(arguments).load().receivers, arguments.receivers)
    records = [to_xnat(receiver) for receiver in receivers]
    content = records[0] if len(arguments.receivers) == 1 else records
    if arguments.output == STANDARD_STREAM:
        terminal.print_json(content)
    else:
        write_text(arguments.output, terminal.json_text(content))
        terminal.say(f"wrote {terminal.counted(len(records), 'receiver')} to {arguments.output}")
    for receiver in receivers:
        for problem in objections(receiver):
            terminal.say(f"{receiver.label} {problem.sentence()}")
