"""`commands`: the queue of programs that run for sessions; with or without an engine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.cli.context import actor, record, settings_of, store_of
from engine.cli.options import add_verb, add_verbs, add_yes, whole_number
from engine.errors import NotFound
from engine.host import terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from engine.model.processor import Processor
    from engine.processing.command.queue import QueuedRun, RunQueue


def add_queue(command: argparse.ArgumentParser) -> None:
    """Add the commands for the queue of Command processors."""
    verbs = add_verbs(command)
    listed = add_verb(verbs, "list", _list, "list queued and running commands, the oldest first")
    listed.add_argument("processor", nargs="?", metavar="PROCESSOR", help="an id or label")
    drop = add_verb(verbs, "drop", _drop, "drop queued runs; a running command goes on")
    drop.add_argument("processor", metavar="PROCESSOR", help="an id or label")
    drop.add_argument("--run", dest="runs", type=whole_number, action="append", default=[],
                      metavar="ID", help="only this one; repeat for more")  # fmt: skip
    add_yes(drop)


@contextmanager
def _queue(arguments: argparse.Namespace) -> Iterator[RunQueue | None]:
    """Yield the queue; None if no engine has made one."""
    from engine.processing.command.queue import RunQueue

    settings = settings_of(arguments)
    # To open the queue would make its file.
    if not any(file.exists() for file in (settings.state_file, *settings.earlier_state_files)):
        yield None
        return
    with RunQueue(settings.state_file) as queue:
        yield queue


def _processors(arguments: argparse.Namespace) -> dict[int, Processor]:
    from engine.processing.command.processor import CLASS_ID

    processors = store_of(arguments).load().processors
    return {p.id: p for p in processors if p.processor_class == CLASS_ID}


def _named(known: dict[int, Processor], name: str) -> Processor:
    found = [p for p in known.values() if p.label == name] or [
        p for p in known.values() if str(p.id) == name
    ]
    if not found:
        remedy = "list them with: processors list"
        raise NotFound(f"there is no Command processor {name[:80]!r}", remedy)
    return found[0]


def _list(arguments: argparse.Namespace) -> None:
    known = _processors(arguments)
    chosen = _named(known, arguments.processor).id if arguments.processor else None
    with _queue(arguments) as queue:
        runs = [run for run in queue.items() if chosen in {None, run.processor}] if queue else []
    if arguments.json:
        return terminal.print_json({"runs": [_record(run, known) for run in runs]})
    heads = ("RUN", "PROCESSOR", "SESSION", "BECAME", "AT", "BEGUN")
    rows = [tuple(_record(run, known).values()) for run in runs]
    return terminal.print_table(heads, rows)


def _record(run: QueuedRun, known: dict[int, Processor]) -> dict[str, object]:
    label = known[run.processor].label if run.processor in known else f"#{run.processor}"
    return {
        "id": run.id,
        "processor": label,
        "session": run.session,
        "status": str(run.status),
        "finished_at": run.finished_at,
        "begun": run.begun,
    }


def _drop(arguments: argparse.Namespace) -> None:
    from engine.events.delivery import RunsDropped

    processor = _named(_processors(arguments), arguments.processor)
    terminal.confirm(f"Forget what {processor.label} has to run?", already=arguments.yes)
    with _queue(arguments) as queue:
        count = queue.drop(processor.id, arguments.runs, waiting=True) if queue else 0
    if count:
        record(
            settings_of(arguments), RunsDropped(runs=count, processor=processor.label, by=actor())
        )
    if arguments.json:
        return terminal.print_json({"dropped": count})
    return terminal.say(f"{terminal.counted(count, 'run')} dropped")
