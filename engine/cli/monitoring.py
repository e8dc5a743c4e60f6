"""`health`, `metrics` and `support-bundle`: for monitoring systems and for support."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.context import settings_of, store_of
from engine.cli.live import running_engine
from engine.cli.options import set_run
from engine.errors import ConfigurationError, EngineError, NotFound
from engine.host import terminal
from engine.host.clock import SystemClock

if TYPE_CHECKING:
    import argparse

    from engine.model.configuration import Configuration
    from engine.sessions.audit import Audit


_NOT_WELL = 1


def add_health(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes that asks whether all is well."""
    set_run(parser, _health)


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes that prints what was counted."""
    set_run(parser, _metrics)


def _health(arguments: argparse.Namespace) -> int:
    with running_engine(arguments) as engine:
        health = engine.monitoring.health()
    if arguments.json:
        terminal.print_json({"ok": health.ok, **asdict(health)})
    else:
        told = [("alive", health.alive), ("listening", f"{health.listening} of {health.enabled}")]
        told += [("problem", problem) for problem in health.problems]
        terminal.print_table(("HEALTH", "ok" if health.ok else "not well"), told)
    return 0 if health.ok else _NOT_WELL


def _metrics(arguments: argparse.Namespace) -> None:
    with running_engine(arguments) as engine:
        if arguments.json:
            return terminal.print_json(asdict(engine.monitoring.counters()))
        return terminal.print_text(engine.monitoring.metrics().decode())


def add_support_bundle(parser: argparse.ArgumentParser) -> None:
    """Add the command that writes an archive for support."""
    set_run(parser, _support_bundle)
    where = "where to (default: dicomdock-support-TIME.tar.gz here)"
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help=where)
    skipped = "leave out the check of index and disk, which takes long on a large archive"
    parser.add_argument("--no-check", action="store_true", help=skipped)


def _support_bundle(arguments: argparse.Namespace) -> None:
    from engine.app.support_bundle import collect, write_bundle

    settings, now = settings_of(arguments), SystemClock().now()
    if not settings.data_dir.is_dir():
        raise NotFound(f"there is no data directory {settings.data_dir}", "name it with --data")
    audit = None if arguments.no_check else _audit(arguments)
    files = collect(settings, _configuration(arguments), audit)
    path = arguments.output or Path(f"dicomdock-support-{now:%Y%m%d-%H%M%S}.tar.gz")
    write_bundle(path, files, now)
    if arguments.json:
        return terminal.print_json({"file": str(path.absolute()), "contains": list(files)})
    terminal.print_text(str(path))
    return terminal.say("texts, addresses and UIDs in it are hashed; look through it all the same")


def _configuration(arguments: argparse.Namespace) -> Configuration | None:
    try:
        return store_of(arguments).load()
    except ConfigurationError as error:
        terminal.say(f"the settings are left out: {error.title}")
        return None


def _audit(arguments: argparse.Namespace) -> Audit | None:
    from engine.cli.check import run_audit

    try:
        return run_audit(settings_of(arguments))
    except (EngineError, OSError) as error:
        terminal.say(f"the check is left out: {error}")
        return None
