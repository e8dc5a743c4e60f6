"""`import-xnat` and `export-xnat`: the configuration of an XNAT, and receivers for one."""

from __future__ import annotations

import shlex
from getpass import getpass
from typing import TYPE_CHECKING

from engine.cli import differences as told
from engine.cli.context import actor, installed_identifiers, receivers_named, store_of
from engine.cli.options import STANDARD_STREAM, read_text, set_run, write_text
from engine.cli.receivers import receiver_record
from engine.config.xnat.receivers import (
    ImportItem,
    ImportKind,
    ImportOutcome,
    objections,
    read_records,
    to_xnat,
)
from engine.config.xnat.whole import XnatExport, plan_whole, read_export
from engine.errors import EngineError
from engine.host import terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from engine.model.processor import ProcessorRules


class NotImported(EngineError):
    """Some records can't be represented here, so that none was imported."""

    title = "Nothing was imported"
    exit_code = 2


def add_import_xnat(read: argparse.ArgumentParser) -> None:
    """Add the options of `import-xnat`."""
    set_run(read, _import)
    read.set_defaults(needs_data=False)
    source = read.add_mutually_exclusive_group(required=True)
    what = "receivers (the answer of GET /xapi/dicomscp), or a whole XNAT; '-' reads stdin"
    source.add_argument("file", metavar="FILE", nargs="?", help=what)
    address = "read a whole XNAT: site, projects, receivers and processors"
    source.add_argument("--url", metavar="URL", help=address)
    read.add_argument("--user", metavar="NAME", default="admin", help="of --url (default: admin)")
    password = "the user's password, '-' reads stdin (default: ask for it)"
    read.add_argument("--password-file", metavar="FILE", help=password)
    plain = "send the password in the clear beyond this machine"
    read.add_argument("--plain-http", action="store_true", help=plain)
    keep = "also write what was read from --url, to be edited and imported"
    read.add_argument("--save", metavar="FILE", help=keep)
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
    identifiers, processors = installed_identifiers(), _processor_rules()
    store = store_of(arguments, identifiers, processors)
    text = _text(arguments)
    export = read_export(text) or XnatExport(receivers=read_records(text))
    before = store.load()
    plan = plan_whole(export, before, identifiers, processors)
    wanted = sum(item.is_wanted for item in plan.items)
    refused = sum(item.outcome is ImportOutcome.REFUSED for item in plan.items)
    applies = arguments.apply and (not refused or arguments.skip_refused)
    # Saved before it is printed: a failed import must not look like a good one.
    saved = store.save_plan(plan.after, before, actor()) if applies and wanted else before
    _print_plan(arguments, plan.items, saved.revision, applies)
    if refused and not arguments.skip_refused:
        raise NotImported(
            f"{refused} of {_counted(plan.items, len(plan.items))} can't be represented",
            "correct them in the file, or import the others with --skip-refused",
        )
    _say_outcome(arguments, plan.items, saved.revision)


def _text(arguments: argparse.Namespace) -> str:
    if not arguments.url:
        return read_text(_file(arguments))
    from engine.remote.xnat.reader import XnatLogin, read_xnat  # an HTTP client, slow to import

    password = _password(arguments)
    login = XnatLogin(arguments.url, arguments.user, password, arguments.plain_http)
    text = terminal.json_text(read_xnat(login, terminal.say))
    if arguments.save:
        write_text(arguments.save, text)
        terminal.say(f"wrote what was read to {arguments.save}")
    return text


def _file(arguments: argparse.Namespace) -> str:
    return str(arguments.file)


def _password(arguments: argparse.Namespace) -> str:
    if arguments.password_file:
        return read_text(arguments.password_file).rstrip("\r\n")
    return getpass(f"password of {terminal.visible(arguments.user)}: ")


def _processor_rules() -> ProcessorRules:
    from engine.processing.installed import load_processors, rules_of  # the code of plugins

    return rules_of(load_processors())


def _print_plan(
    arguments: argparse.Namespace, items: Sequence[ImportItem], revision: int, applied: bool
) -> None:
    if not arguments.json:
        kinds = {item.kind for item in items}
        if kinds <= {ImportKind.RECEIVER}:
            rows = [row for item in items for row in _rows(item)]
            return terminal.print_table(("RECEIVER", "OUTCOME", "DETAIL"), rows)
        named = [(item.kind if row[1] else "", *row) for item in items for row in _rows(item)]
        return terminal.print_table(("WHAT", "NAME", "OUTCOME", "DETAIL"), named)
    plan: dict[str, object] = {"revision": revision, "applied": applied}
    for name, kind in _LISTS.items():
        of_kind = [_record(item) for item in items if item.kind is kind]
        if of_kind or kind is ImportKind.RECEIVER:
            plan[name] = of_kind
    return terminal.print_json(plan)


_LISTS = {
    "site": ImportKind.SITE,
    "projects": ImportKind.PROJECT,
    "receivers": ImportKind.RECEIVER,
    "processors": ImportKind.PROCESSOR,
}


def _rows(item: ImportItem) -> Iterator[tuple[str, str, str]]:
    """Yield one row per difference or problem."""
    said = told.sentences(item.differences)
    said += [problem.sentence() for problem in item.problems]
    if item.outcome is ImportOutcome.CHANGED and not said:
        said = ["only line ends of the rules differ"]
    yield item.label, item.outcome, said[0] if said else ""
    yield from (("", "", sentence) for sentence in said[1:])


def _record(item: ImportItem) -> dict[str, object]:
    record: dict[str, object] = {
        "label": item.label,
        "outcome": item.outcome,
        "differences": told.records(item.differences),
        "problems": [terminal.problem_record(problem) for problem in item.problems],
    }
    if item.kind is ImportKind.RECEIVER:
        record["receiver"] = receiver_record(item.receiver) if item.receiver else None
    return record


def _say_outcome(arguments: argparse.Namespace, items: Sequence[ImportItem], revision: int) -> None:
    wanted = sum(item.is_wanted for item in items)
    if not wanted:
        terminal.say("there is nothing to change")
    elif arguments.apply:
        terminal.say(f"saved {_counted(items, wanted)} as revision {revision}")
    else:
        words = ["import-xnat", *_source(arguments), "--apply"]
        words += ["--skip-refused"] if arguments.skip_refused else []
        command = shlex.join(words)
        terminal.say(f"nothing was changed; save {_counted(items, wanted)} with: {command}")


def _source(arguments: argparse.Namespace) -> list[str]:
    if not arguments.url or arguments.save:
        # What was read and shown is what is saved.
        return [arguments.save or _file(arguments)]
    return ["--url", arguments.url, "--user", arguments.user]


def _counted(items: Sequence[ImportItem], number: int) -> str:
    only_receivers = all(item.kind is ImportKind.RECEIVER for item in items)
    return terminal.counted(number, "receiver" if only_receivers else "record")


def _export(arguments: argparse.Namespace) -> None:
    receivers = receivers_named(store_of(arguments).expected().receivers, arguments.receivers)
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
