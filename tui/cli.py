"""The `dicomdock` command: the engine's commands, and the console when no command is given."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from engine import terminal
from engine.cli import actor, add_engine_options, build_parser, run, settings_of
from engine.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.view import EngineView

DEFAULT_REFRESH_HZ = 4.0
DEFAULT_DEMO_SECONDS = 10.0


class NoTerminal(EngineError):
    """The console was asked for where there is nothing to draw on."""

    title = "The console needs a terminal"
    exit_code = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, or open the console, and return the exit code."""
    parser, commands = build_parser("dicomdock")
    parser.description = "A DICOM receiving dock. Without a command it opens the console."
    often = "how often the console looks, per second (default: 4)"
    rate: dict[str, Any] = {"type": _refresh_hz, "metavar": "HZ", "help": often}
    parser.add_argument("--refresh", default=DEFAULT_REFRESH_HZ, **rate)
    add_engine_options(parser)
    parser.set_defaults(run=_console)
    demo = commands.add_parser("demo", help="show the console with made-up senders")
    demo.add_argument("--headless", action="store_true", help="no console; JSON at the end")
    long = "how long --headless runs (default: 10)"
    demo.add_argument(
        "--seconds", type=_positive, default=DEFAULT_DEMO_SECONDS, metavar="N", help=long
    )
    # Without a default of its own, so that one given before the command counts.
    demo.add_argument("--refresh", default=argparse.SUPPRESS, **rate)
    demo.set_defaults(run=_demo)
    return run(parser, argv)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("use a number above 0")
    return number


def _refresh_hz(text: str) -> float:
    number = _positive(text)
    if not 0.1 <= number <= 30:
        raise argparse.ArgumentTypeError("use 0.1 to 30 times per second")
    return number


def _console(arguments: argparse.Namespace) -> int:
    if not _has_terminal():
        raise NoTerminal(
            "standard input or output is not a terminal",
            "run the engine without a console: dicomdock engine",
        )
    from engine import Engine

    engine = Engine(settings_of(arguments))
    engine.start()
    return _show(engine, engine.stop, arguments)


def _demo(arguments: argparse.Namespace) -> int:
    from engine.demo import Demo, run_headless

    if not arguments.headless and not _has_terminal():
        terminal.say(f"No terminal: running without a console for {arguments.seconds:g} seconds.")
    if arguments.headless or not _has_terminal():
        print(json.dumps(run_headless(arguments.seconds), default=str))
        return 0
    with Demo() as demo:
        return _show(demo.engine, demo.close, arguments)


def _show(engine: EngineView, stop: Callable[[], None], arguments: argparse.Namespace) -> int:
    """Open the console; the engine is stopped once, whether the console quits or breaks."""
    with ExitStack() as running:
        running.callback(stop)
        from tui.app import ConsoleApp

        app = ConsoleApp(
            engine,
            refresh_hz=arguments.refresh,
            actor=actor(),
            on_quit=running.close,
            demo=arguments.command == "demo",
        )
        app.run()
    return app.return_code or 0


def _has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
