"""`engine` and `status`: run an engine without a console, and show its status."""

from __future__ import annotations

import argparse
import gc
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from engine import Durability
from engine.cli.context import settings_of
from engine.cli.options import (
    metrics_address,
    metrics_network,
    seconds,
    set_run,
    severity,
    whole_number,
)
from engine.errors import ConfigurationError, EngineError
from engine.events import Severity
from engine.host import terminal
from engine.settings import MOST_USUAL_PROCESSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.api import ReceiverStatus
    from engine.app.status import EngineStatus
    from engine.events import RecordedEvent
    from engine.settings import EngineSettings

_WATCH_SECONDS = 2.0
_MOST_HELD_MIB = 256
_MOST_PROCESSES = 64


class NotStarted(EngineError):
    """The configuration is invalid; the text has nothing of the file, because it goes into logs."""

    exit_code = ConfigurationError.exit_code

    def __init__(self, error: ConfigurationError) -> None:
        super().__init__(error.without_values(), error.remedy_without_values)
        self.title = error.title


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add the command that runs the engine."""
    add_engine_options(parser)
    parser.set_defaults(run=_engine, needs_data=False)


def add_engine_options(
    parser: argparse.ArgumentParser, drain_seconds: int = 10
) -> list[argparse.Action]:
    """Add the options of a command that runs an engine in its process, and return them.

    Args:
        parser: of the command.
        drain_seconds: the default of a stop, for the help.
    """
    added = []

    def add(*names: str, **more: Any) -> None:
        added.append(parser.add_argument(*names, default=argparse.SUPPRESS, **more))

    declares = "a TOML document that declares the configuration, which is read-only otherwise"
    add("--config", type=_document, metavar="FILE", dest="config_source", help=declares)
    flushed = "full, file or none: what is flushed before an object is confirmed (default: full)"
    add("--durability", type=_durability, metavar="HOW", help=flushed)
    marked = "a file in the data directory that is missing if its storage is not mounted"
    add("--marker", type=_file_name, metavar="NAME", help=marked)
    held = "headers up to this are in memory until they are anonymized (default: 8; most: 256)"
    add("--held-header", type=_mebibytes, metavar="MIB", dest="held_header_mib", help=held)
    drained = f"how long a stop waits for open associations (default: {drain_seconds})"
    add("--drain-seconds", type=seconds, metavar="N", help=drained)
    told = "hours in which the result of a storage commitment is tried to be told (default: 168)"
    add("--commitment-hours", type=whole_number, metavar="N", help=told)
    listens = "serve the control API there too, for clients that show the token (default: off)"
    add("--control-tcp", metavar="[ADDRESS:]PORT", help=listens)
    with_tls = "with TLS, which it must have beyond the loopback: its certificate (PEM)"
    add("--control-certificate", metavar="FILE", help=with_tls)
    add("--control-key", metavar="FILE", help="and its private key")
    scraped = "where metrics and health are read over HTTP, such as 127.0.0.1:9404 (default: off)"
    add("--metrics", type=metrics_address, metavar="ADDRESS", help=scraped)
    free = "a network, such as 10.1.2.0/24, whose clients read them without the token; repeatable"
    add("--metrics-allow", type=metrics_network, metavar="NETWORK", action="append", help=free)
    shared = "receive by N processes; 0: by the engine's own (default: one a core, at most"
    shared = f"{shared} {MOST_USUAL_PROCESSES}, 0 on one core; most: {_MOST_PROCESSES})"
    add("--receiving-processes", type=_processes, metavar="N", help=shared)
    least = f"the least severity that the event log keeps: {', '.join(Severity)} (default: INFO)"
    add("--log-level", type=severity, metavar="LEVEL", help=least)
    return added


def engine_words(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the options of an engine that a command was given, as `dicomdock engine` takes them.

    Paths are absolute: a service has another folder. How long a stop waits is left out.
    """
    given = vars(arguments)
    for option in add_engine_options(argparse.ArgumentParser()):
        if option.dest == "drain_seconds" or not given.get(option.dest):
            continue
        value = given[option.dest]
        for one in value if isinstance(value, list) else [value]:
            text = str(Path(one).absolute()) if option.metavar == "FILE" else str(one)
            yield from (option.option_strings[0], text)


def add_status(parser: argparse.ArgumentParser) -> None:
    """Add the command that shows the status."""
    set_run(parser, _status)
    again = "show it again every N seconds (default: 2) until interrupted; without a terminal, and"
    parser.add_argument("--watch", type=_interval, metavar="N", nargs="?", const=_WATCH_SECONDS,
                        help=f"{again} with --json, whenever it has changed")  # fmt: skip


def _document(text: str) -> Path:
    from engine.config.document import document_at

    return document_at(Path(text).absolute())


def _durability(text: str) -> Durability:
    try:
        return Durability(text)
    except ValueError as error:
        wanted = ", ".join(Durability)
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is none of {wanted}") from error


def _mebibytes(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= _MOST_HELD_MIB:
        wanted = f"a whole number from 1 to {_MOST_HELD_MIB}"
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not {wanted}")
    return int(text)


def _processes(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text[:9]) > _MOST_PROCESSES:
        wanted = f"a whole number from 0 to {_MOST_PROCESSES}"
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not {wanted}")
    return int(text)


def _file_name(text: str) -> str:
    if not text or "/" in text or text in {".", ".."}:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no file name")
    return text


def _engine(arguments: argparse.Namespace) -> None:
    from engine.app.headless import Signals, run
    from engine.app.systemd_notify import Notifier

    signals, notifier = Signals(), Notifier.from_environment()
    # Before the start, which may take a while: a signal in it is not lost.
    signals.install()
    settings = settings_of(arguments)
    load_ahead(settings)
    # The whole engine: neither the help nor `status` must wait for it.
    from engine import Engine
    from engine.net.ports import InheritedSockets
    from engine.remote.host import require_tls, serve
    from engine.remote.metrics import serve_metrics

    require_tls(settings)  # before any port is opened
    engine = Engine(settings, inherited=InheritedSockets.from_environment())
    try:
        engine.start()
    except ConfigurationError as error:
        raise error if sys.stderr.isatty() else NotStarted(error) from None
    with ExitStack() as running:
        running.callback(engine.stop)
        # Metrics are served while the engine drains, the control API is not.
        engine.before_closing(serve_metrics(engine, settings, engine.record))
        running.callback(serve(engine, settings, report=engine.record))
        gc.freeze()  # what exists now stays: the garbage collector need not scan it again and again
        for receiver in engine.snapshot().receivers:
            terminal.say(_state_in_words(receiver))
        engine.subscribe(_say_event)
        run(engine, signals, notifier, terminal.say, running.close)


def load_ahead(settings: EngineSettings) -> None:
    """Load what receiving processes are forked from, while this process loads the engine."""
    if settings.receiving_processes:
        from engine.workers.start import load_receiving_ahead

        load_receiving_ahead()


def _state_in_words(status: ReceiverStatus) -> str:
    where = f" on {status.address}" if status.address else ""
    why = f": {status.failure.reason}; {status.failure.remedy}" if status.failure else ""
    return f"{status.receiver.label} {status.state}{where}{why}"


def _say_event(recorded: RecordedEvent) -> None:
    event = recorded.event
    terminal.say(f"{event.severity} {event.receiver} {event.sentence()}")


def _interval(text: str) -> float:
    interval = seconds(text)
    if not interval:
        raise argparse.ArgumentTypeError("use more than 0 seconds")
    return interval


def _status(arguments: argparse.Namespace) -> int:
    if arguments.watch is not None:
        _watch(arguments)
    return _show_status(arguments, _read_status(arguments))


def _watch(arguments: argparse.Namespace) -> NoReturn:
    """Repeat the status until the command is interrupted or its output is closed."""
    shown = None
    on_terminal = sys.stdout.isatty() and not arguments.json
    while True:
        status = _read_status(arguments)
        if on_terminal:
            terminal.clear()
        if on_terminal or status != shown:
            _show_status(arguments, status)
            terminal.flush()
        shown = status
        time.sleep(arguments.watch)


def _read_status(arguments: argparse.Namespace) -> EngineStatus:
    from engine.remote.status import current_status

    return current_status(settings_of(arguments))


def _show_status(arguments: argparse.Namespace, status: EngineStatus) -> int:
    if arguments.json:
        record = asdict(status)
        terminal.print_json(record) if arguments.watch is None else terminal.print_line(record)
    else:
        _print_status(terminal.visible(str(settings_of(arguments).data_dir)), status)
    return ConfigurationError.exit_code if status.configuration_problem else 0


def _print_status(data_dir: str, status: EngineStatus) -> None:
    enabled = sum(receiver.enabled for receiver in status.receivers)
    summary = [
        ("engine", f"running, {status.running}" if status.running else "not running"),
        ("revision", status.revision),
        *([("declared by", terminal.visible(status.declared_by))] if status.declared_by else []),
        ("receivers", f"{len(status.receivers)}, {enabled} enabled"),
        ("today", f"{status.objects_today} objects"),
        ("sessions", f"{status.sessions_receiving} receiving"),
        ("index", f"{status.index_bytes / 1e6:,.1f} MB"),
    ]
    if status.sessions_waiting:
        summary.append(("", f"{status.sessions_waiting} waiting to be worked on"))
    if status.recovery is not None:
        summary.append(("recovery", str(status.recovery)))
    terminal.print_table(("STATUS", data_dir), summary)
    if status.configuration_problem:
        return terminal.say(f"The configuration file is not valid: {status.configuration_problem}")
    if status.processes:
        processes = [
            (
                p.number,
                p.associations,
                p.objects,
                f"{p.cpu_seconds:.1f} s",
                f"{p.memory_bytes / 1e6:.0f} MB",
            )
            for p in status.processes
        ]
        heads = ("PROCESS", "ASSOCIATIONS", "OBJECTS", "CPU", "MEMORY")
        terminal.print_table(heads, processes)
    rows = [(r.label, r.enabled, r.state, r.since, r.reason) for r in status.receivers]
    return terminal.print_table(("RECEIVER", "ENABLED", "STATE", "SINCE", "REASON"), rows)
