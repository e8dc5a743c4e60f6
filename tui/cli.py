"""The `dicomdock` command: the engine's commands, and the console when no command is given."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from engine import terminal
from engine.cli import actor, add_engine_options, build_parser, run, settings_of
from engine.control.attach import find_engine
from engine.errors import AlreadyRunning, EngineError
from tui.hangup import OnHangup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.control.client import RemoteEngine
    from engine.settings import EngineSettings
    from engine.view import EngineView
    from tui.hangup import Headless

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
    gone = "what becomes of the engine when the terminal is gone: headless or stop"
    parser.add_argument(
        "--on-hangup",
        type=OnHangup,
        choices=tuple(OnHangup),
        default=OnHangup.HEADLESS,
        metavar="HOW",
        help=f"{gone} (default: headless)",
    )
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
    settings = settings_of(arguments)
    running = find_engine(settings)
    if running is None:
        try:
            return _host(settings, arguments)
        except AlreadyRunning:
            # Somebody started one after we looked.
            running = find_engine(settings)
            if running is None:
                raise
    return _attach(running, arguments)


def _attach(engine: RemoteEngine, arguments: argparse.Namespace) -> int:
    """Open the console on an engine in another process, which goes on when it is closed."""
    from tui.app import ConsoleApp

    app = ConsoleApp(engine.view, refresh_hz=arguments.refresh, actor=actor("console"))
    try:
        app.run()
    finally:
        engine.close()
    return app.return_code or 0


def _host(settings: EngineSettings, arguments: argparse.Namespace) -> int:
    """Open the console on an engine in this process, and serve it to others."""
    from engine import Engine
    from tui.hangup import Headless

    engine = Engine(settings)
    engine.start()
    headless = Headless() if arguments.on_hangup is OnHangup.HEADLESS else None
    with ExitStack() as running:
        running.callback(engine.stop)

        def serve_others() -> None:
            from engine.control.host import serve

            running.callback(serve(engine, settings))

        return _show(engine, running, arguments, on_shown=serve_others, headless=headless)


def _demo(arguments: argparse.Namespace) -> int:
    from engine.demo import Demo, run_headless

    if not arguments.headless and not _has_terminal():
        terminal.say(f"No terminal: running without a console for {arguments.seconds:g} seconds.")
    if arguments.headless or not _has_terminal():
        print(json.dumps(run_headless(arguments.seconds), default=str))
        return 0
    with Demo() as demo, ExitStack() as running:
        running.callback(demo.close)
        return _show(demo.engine, running, arguments)


def _show(
    engine: EngineView,
    running: ExitStack,
    arguments: argparse.Namespace,
    *,
    on_shown: Callable[[], None] | None = None,
    headless: Headless | None = None,
) -> int:
    """Open the console; what runs is stopped once, whether it quits or breaks.

    Args:
        engine: what is shown.
        running: stops it.
        arguments: the command line.
        on_shown: called when the console is there, from a thread.
        headless: goes on with the engine when the terminal is gone; None stops it then.
    """
    from tui.app import ConsoleApp

    app = ConsoleApp(
        engine,
        refresh_hz=arguments.refresh,
        actor=actor(),
        on_quit=running.close,
        on_hangup=headless.begin if headless is not None else None,
        on_shown=on_shown,
        demo=arguments.command == "demo",
    )
    app.run()
    if headless is not None and headless.begun:
        headless.wait()
        return 0
    return app.return_code or 0


def _has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
