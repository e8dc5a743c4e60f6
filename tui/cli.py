"""The `dicomdock` command: runs an engine command, or opens the console if none is given."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from engine.cli import actor, add_engine_options, build_parser, run, settings_of
from engine.errors import AlreadyRunning, EngineError
from engine.host import terminal
from engine.remote.attach import find_engine
from tui.console_settings import settings_path
from tui.handover import stand_in_front
from tui.late_engine import loading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine import Engine
    from engine.api import EngineView
    from engine.app.headless import Signals
    from engine.remote.client import RemoteEngine
    from engine.settings import EngineSettings
    from tui.app import ConsoleApp
    from tui.handover import Front


class OnHangup(StrEnum):
    """What becomes of an engine whose console loses its terminal."""

    HEADLESS = "headless"
    """The engine runs until it is stopped; a later console can attach to it."""
    STOP = "stop"


def run_without_console(
    engine: Engine, signals: Signals, front: Front, stop: Callable[[], None]
) -> None:
    """Keep an engine running until a signal ends it.

    Args:
        engine: it goes on.
        signals: installed when the console was left.
        front: ends, so that the shell gives its prompt.
        stop: stops the engine, and what uses it before.
    """
    from engine.app.headless import run
    from engine.app.systemd_notify import Notifier

    terminal.say(
        f"the engine goes on without a console (pid {os.getpid()}); "
        "dicomdock attaches to it, SIGTERM stops it"
    )
    front.let_go()
    run(engine, signals, Notifier(), terminal.say, stop)


DEFAULT_REFRESH_HZ = 4.0
SLOW_REFRESH_HZ = 1.0
SLOW_LINK = {"TEXTUAL_FPS": "10", "TEXTUAL_ANIMATIONS": "none"}
"""Environment that Textual reads when it is imported."""
DEFAULT_DEMO_SECONDS = 10.0
THEME_NAMES = ("dark", "light", "high-contrast", "colour-blind")
"""As in `tui.theme`, which would bring Textual into every command."""


class NoTerminal(EngineError):
    """The console was asked for where there is nothing to draw on."""

    title = "The console needs a terminal"
    exit_code = 2


class NoEngine(EngineError):
    """A read-only console was asked for, and no engine runs."""

    title = "No engine runs"
    exit_code = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, or open the console, and return the exit code."""
    return run(console_parser(), argv)


def console_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole program: the engine's commands, the console and the demo."""
    parser, commands = build_parser("dicomdock")
    parser.description = "A DICOM receiving dock. Without a command it opens the console."
    often = "how often the console looks, per second (default: 4)"
    rate: dict[str, Any] = {"type": _refresh_hz, "metavar": "HZ", "help": often}
    parser.add_argument("--refresh", default=None, **rate)
    add_engine_options(parser)
    gone = "what becomes of the engine when the terminal is gone: headless or stop"
    parser.add_argument("--on-hangup", type=_on_hangup, default=OnHangup.HEADLESS, metavar="HOW",
                        help=f"{gone} (default: headless)")  # fmt: skip
    _add_look_options(parser, default=None)
    parser.set_defaults(run=_console)
    demo = commands.add_parser("demo", help="show the console with made-up senders")
    demo.add_argument("--headless", action="store_true", help="no console; JSON at the end")
    long = "how long --headless runs (default: 10)"
    demo.add_argument(
        "--seconds", type=_positive, default=DEFAULT_DEMO_SECONDS, metavar="N", help=long
    )
    # Without a default of its own, so that one given before the command counts.
    demo.add_argument("--refresh", default=argparse.SUPPRESS, **rate)
    _add_look_options(demo, default=argparse.SUPPRESS)
    demo.set_defaults(run=_demo, as_caller=True)
    return parser


def _add_look_options(parser: argparse.ArgumentParser, *, default: str | None) -> None:
    """Add how the console looks; `default` keeps options given before the command."""
    options = {
        "--read-only": "show everything, change nothing",
        "--slow-link": "look once a second and draw less often, for slow connections",
        "--no-mouse": "leave the mouse to the terminal",
    }
    for option, text in options.items():
        usual: Any = False if default is None else default
        parser.add_argument(option, action="store_true", default=usual, help=text)
    names = "colors: dark, light, high-contrast, colour-blind (default: the one chosen last)"
    parser.add_argument("--theme", choices=THEME_NAMES, default=default, help=names)


def _on_hangup(text: str) -> OnHangup:
    try:
        return OnHangup(text)
    except ValueError as error:
        wanted = ", ".join(OnHangup)
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is none of {wanted}") from error


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
    found = find_engine(settings)
    if found is None and arguments.read_only:
        raise NoEngine(
            f"none runs on {settings.data_dir}, and a read-only console starts none",
            "start one: dicomdock engine",
        )
    if found is None:
        try:
            return _host(settings, arguments)
        except AlreadyRunning:
            # Somebody started one after we looked.
            found = find_engine(settings)
            if found is None:
                raise
    return _attach(found, settings, arguments)


def _attach(engine: RemoteEngine, settings: EngineSettings, arguments: argparse.Namespace) -> int:
    """Open the console on an engine in another process, which goes on when it is closed."""
    with ExitStack() as running:
        running.callback(engine.close)
        engine.meet()
        arguments.read_only = arguments.read_only or bool(engine.channel.counterpart.mismatch)
        app = _app(
            engine.view,
            arguments,
            actor("console"),
            hosting=False,
            obstacle=partial(_obstacle, settings),
        )
        code = _run(app, arguments)
    if app.wants_engine:
        # A new program: this one has threads, and `stand_in_front` must come before the first.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return code


def _obstacle(settings: EngineSettings) -> str:
    """Return why this console can't start an engine; empty if it can."""
    from engine.host.lock import EngineLock

    service, holder = _service(settings), EngineLock.holder(settings.lock_file)
    if service:
        command = f"systemctl start {service}"
        return f"The service {service} is installed for this data directory. Run: {command}"
    if holder is not None:
        return f"{holder} holds the data directory but does not answer. Stop that process first."
    return ""


def _host(settings: EngineSettings, arguments: argparse.Namespace) -> int:
    """Open the console on an engine in this process, and serve it to others."""
    from engine.app.headless import Signals
    from tui.late_engine import LazyEngine

    if settings.control_tcp:
        from engine.remote.host import require_tls

        require_tls(settings)
    front = stand_in_front()
    engine, signals = LazyEngine(settings), Signals()
    with ExitStack() as running:
        running.callback(engine.stop)
        stays = arguments.on_hangup is OnHangup.HEADLESS
        app = _app(
            cast("EngineView", engine),
            arguments,
            on_start=engine.start,
            on_quit=engine.stop,
            on_hangup=signals.install if stays else None,
            on_keep=signals.install,
            on_shown=engine.serve,
            hosting=True,
            service=partial(_service, settings),
        )
        code = _run(app, arguments)
        if app.start_failure is not None:
            raise app.start_failure
        goes_on = engine.started() if app.goes_on else None
        if goes_on is not None:
            engine.serve()  # not done yet if the terminal went during the start
            run_without_console(goes_on, signals, front, engine.stop)
        return code


def _service(settings: EngineSettings) -> str:
    """Return the name of the service that is installed for the data directory, if there is one."""
    from engine.app.systemd_units import installed_for

    return installed_for(settings.data_dir)


def _demo(arguments: argparse.Namespace) -> int:
    from engine.app.demo.demo import Demo, run_headless

    if not arguments.headless and not _has_terminal():
        terminal.say(f"No terminal: running without a console for {arguments.seconds:g} seconds.")
    if arguments.headless or not _has_terminal():
        print(json.dumps(run_headless(arguments.seconds), default=str))
        return 0
    with Demo() as demo, ExitStack() as running:
        running.callback(demo.close)
        return _run(_app(demo.engine, arguments, on_quit=running.close), arguments)


def _app(
    engine: EngineView,
    arguments: argparse.Namespace,
    who: str = "",
    *,
    on_start: Callable[[], None] | None = None,
    on_quit: Callable[[], None] | None = None,
    on_hangup: Callable[[], None] | None = None,
    on_keep: Callable[[], None] | None = None,
    on_shown: Callable[[], None] | None = None,
    obstacle: Callable[[], str] | None = None,
    hosting: bool | None = None,
    service: Callable[[], str] = str,
) -> ConsoleApp:
    """Make a console as the command line says; `who` makes changes, the user by default."""
    if arguments.slow_link:
        # Before Textual is loaded, which reads its environment when it is imported.
        os.environ.update(SLOW_LINK)
    with loading():
        from tui.app import ConsoleApp

    usual = SLOW_REFRESH_HZ if arguments.slow_link else DEFAULT_REFRESH_HZ
    return ConsoleApp(
        engine,
        refresh_hz=arguments.refresh or usual,
        actor=who or actor(),
        demo=arguments.command == "demo",
        read_only=arguments.read_only,
        settings_path=settings_path(),
        usual_refresh=arguments.refresh is None and not arguments.slow_link,
        theme_name=arguments.theme or "",
        on_start=on_start,
        on_quit=on_quit,
        on_hangup=on_hangup,
        on_keep=on_keep,
        on_shown=on_shown,
        obstacle=obstacle,
        hosting=hosting,
        service=service,
    )


def _run(app: ConsoleApp, arguments: argparse.Namespace) -> int:
    app.run(mouse=not arguments.no_mouse)
    if app.fault is not None:
        from tui.fault import report

        return report(app.fault, settings_path().parent)
    return app.return_code or 0


def _has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
