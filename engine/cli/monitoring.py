"""`health` and `metrics`: what monitoring systems ask, for those that run commands."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine import terminal
from engine.cli.live import running_engine
from engine.cli.options import add_verb

if TYPE_CHECKING:
    import argparse

    from engine.cli.options import Commands

_NOT_WELL = 1


def add_monitoring(commands: Commands) -> None:
    """Add the commands for monitoring systems."""
    add_verb(commands, "health", _health, "say whether all is well with the running engine")
    counted = "print what the running engine has counted, as Prometheus reads it"
    add_verb(commands, "metrics", _metrics, counted)


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
