"""Delivers an alert as JSON to one target: to a command by standard input, to a webhook by POST.

Neither is trusted: both have a time limit, and no shell reads anything.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.errors import NotDelivered
from engine.model.alerts import AlertSettings
from engine.monitoring.alerts.throttle import Alert

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.model.alerts import AlertTarget


COMMAND_SECONDS = 30.0
POLL_SECONDS = 0.25
"""How often is looked whether a command is to be ended before its time."""
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")


def deliver(target: AlertTarget, alert: Alert, cut_off: Callable[[], bool] = lambda: False) -> None:
    """Tell a target, once.

    Args:
        target: whom.
        alert: what.
        cut_off: whether a command that still runs is to be ended now.

    Raises:
        NotDelivered: in words that say why, without what may be secret.
    """
    body = json.dumps({"host": socket.gethostname(), **asdict(alert)}).encode()
    if target.command:
        _run(target.command, body, alert, cut_off)
    else:
        from engine.monitoring.alerts.webhook import post

        post(target.webhook, body)


def _run(command: tuple[str, ...], body: bytes, alert: Alert, cut_off: Callable[[], bool]) -> None:
    variables = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    variables |= {"DICOMDOCK_ALERT": alert.kind, "DICOMDOCK_RESOLVED": str(int(alert.resolved))}
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=variables,
            cwd="/",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise NotDelivered(f"the command can't be run: {why}", "check its path") from error
    with process:
        try:
            _write_input(process, body, cut_off)
        except NotDelivered:
            # With whatever it has started.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise NotDelivered(f"the command ended with exit code {process.returncode}", "run it")


def _write_input(
    process: subprocess.Popen[bytes], body: bytes, cut_off: Callable[[], bool]
) -> None:
    """Write its input and wait for its end."""
    until, given = time.monotonic() + COMMAND_SECONDS, False
    while True:
        left = until - time.monotonic()
        try:
            process.communicate(None if given else body, max(0.0, min(left, POLL_SECONDS)))
        except subprocess.TimeoutExpired:
            given = True
        else:
            return
        if cut_off():
            raise NotDelivered("the engine stops", "start it again")
        if left <= 0:
            raise NotDelivered(
                f"the command took longer than {COMMAND_SECONDS:g} s", "let it go on by itself"
            )


def send_test_alert(target: AlertTarget, at: datetime) -> None:
    """Tell a target that this is a test; takes as long as its command or webhook.

    Raises:
        InvalidSite: if it is no target that could be saved.
        NotDelivered: in words that say why, without what may be secret.
    """
    AlertSettings.parse({"targets": [target.to_record()]})
    words = "this is a test; nothing is wrong"
    deliver(target, Alert("test", "", "Test", "INFO", words, at.isoformat()))
