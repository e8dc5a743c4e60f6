"""`health` and `metrics`: what monitoring systems ask, for those that run commands."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from engine import terminal
from engine.cli.live import running_engine
from engine.cli.options import set_run

if TYPE_CHECKING:
    import argparse

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
