"""`--show-secrets`: output is masked unless it is given, and who gives it is in the audit log."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from engine.cli.audited import record
from engine.cli.context import actor, settings_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def add_show_secrets(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    words = "show passwords and other secrets; the audit log keeps who saw them"
    parser.add_argument("--show-secrets", action="store_true", help=words)


def shows_secrets(arguments: argparse.Namespace, command: str) -> bool:
    """Tell whether secrets are to be shown; if so, the audit log keeps who sees them.

    Raises:
        AlreadyRunning: if an engine runs and does not answer, so that nothing can be kept.
    """
    if not arguments.show_secrets:
        return False
    from engine.control.attach import find_engine

    settings = settings_of(arguments)
    engine = find_engine(settings)
    if engine is not None:
        with closing(engine):
            engine.view.monitoring.note_secrets_shown(command, actor())
        return True
    from engine.events import SecretsShown

    record(settings, SecretsShown(by=actor(), what=command))
    return True


def shown(record: Mapping[str, object], *, secrets: bool) -> dict[str, object]:
    """Return a record as it is printed: without secrets, unless they are wanted."""
    from engine.model.secrets import without_secrets

    return {n: v if secrets else without_secrets(n, v) for n, v in record.items()}
