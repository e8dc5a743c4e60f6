"""`engine` and `status`: run without a console, and look at what runs."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import threading
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from engine import Durability, terminal
from engine.cli.context import settings_of
from engine.cli.options import add_verb
from engine.errors import ConfigurationError

if TYPE_CHECKING:
    from engine.cli.options import Commands
    from engine.events import RecordedEvent
    from engine.status import EngineStatus
    from engine.view import ReceiverStatus

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def add_engine(commands: Commands) -> None:
    """Add the command that runs the engine."""
    parser = commands.add_parser("engine", help="run the engine without a console")
    add_engine_options(parser)
    parser.set_defaults(run=_engine)


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that runs an engine in its process."""
    add = partial(parser.add_argument, default=argparse.SUPPRESS)
    flushed = "full, file or none: what is flushed before an object is confirmed (default: full)"
    add("--durability", type=_durability, metavar="HOW", help=flushed)
    marked = "a file in the data directory that is missing if its storage is not mounted"
    add("--marker", type=_file_name, metavar="NAME", help=marked)
    drained = "how long a stop waits for open associations (default: 10)"
    add("--drain-seconds", type=_seconds, metavar="N", help=drained)
    listens = "serve the control API there too, for clients that show the token (default: nowhere)"
    add("--control-tcp", metavar="[ADDRESS:]PORT", help=listens)
    add("--control-certificate", metavar="FILE", help="with TLS: its certificate (PEM)")
    add("--control-key", metavar="FILE", help="and its private key")


def add_status(commands: Commands) -> None:
    """Add the command that tells what runs."""
    add_verb(commands, "status", _status, "show what runs and what is configured")


def _durability(text: str) -> Durability:
    try:
        return Durability(text)
    except ValueError as error:
        wanted = ", ".join(Durability)
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is none of {wanted}") from error


def _file_name(text: str) -> str:
    if not text or "/" in text or text in {".", ".."}:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no file name")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no duration; use 0 to 86400 seconds")
    return seconds


def _engine(arguments: argparse.Namespace) -> None:
    from engine import Engine
    from engine.control.host import serve
    from engine.dimse.inherited import InheritedSockets

    stopping = threading.Event()

    def stop(number: int, _frame: object) -> None:
        if stopping.is_set():
            # What was confirmed is on disk already; nothing is left that must be tidied.
            os._exit(128 + number)
        stopping.set()

    for number in _STOP_SIGNALS:
        signal.signal(number, stop)
    settings = settings_of(arguments)
    engine = Engine(settings, inherited=InheritedSockets.from_environment())
    engine.start()
    with ExitStack() as running:
        running.callback(engine.stop)
        running.callback(serve(engine, settings))
        gc.freeze()  # what is here now stays: collections need not look at it again and again
        for receiver in engine.snapshot().receivers:
            terminal.say(_state_in_words(receiver))
        engine.subscribe(_say_event)
        stopping.wait()
        terminal.say("stopping; open associations may finish, a second signal aborts them")


def _state_in_words(status: ReceiverStatus) -> str:
    where = f" on {status.address}" if status.address else ""
    why = f": {status.failure.reason}; {status.failure.remedy}" if status.failure else ""
    return f"{status.receiver.label} {status.state}{where}{why}"


def _say_event(recorded: RecordedEvent) -> None:
    event = recorded.event
    terminal.say(f"{event.severity} {event.receiver} {event.sentence()}")


def _status(arguments: argparse.Namespace) -> int:
    from engine.control.status import current_status

    settings = settings_of(arguments)
    status = current_status(settings)
    if arguments.json:
        terminal.print_json(asdict(status))
    else:
        _print_status(terminal.visible(str(settings.data_dir)), status)
    return ConfigurationError.exit_code if status.configuration_problem else 0


def _print_status(data_dir: str, status: EngineStatus) -> None:
    enabled = sum(receiver.enabled for receiver in status.receivers)
    summary = [
        ("engine", f"running, {status.running}" if status.running else "not running"),
        ("revision", status.revision),
        ("receivers", f"{len(status.receivers)}, {enabled} enabled"),
        ("today", f"{status.objects_today} objects"),
        ("sessions", f"{status.sessions_receiving} receiving"),
    ]
    terminal.print_table(("STATUS", data_dir), summary)
    if status.configuration_problem:
        return terminal.say(f"The configuration file is not valid: {status.configuration_problem}")
    rows = [(r.label, r.enabled, r.state, r.since, r.reason) for r in status.receivers]
    return terminal.print_table(("RECEIVER", "ENABLED", "STATE", "SINCE", "REASON"), rows)
