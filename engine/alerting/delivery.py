"""Tells one target: a command gets the alert on its input, a webhook gets it posted, both as JSON.

Neither is trusted: both have a time limit, and no shell reads anything.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from engine.alerting.failure import NotDelivered
from engine.alerting.webhook import post

if TYPE_CHECKING:
    from engine.alerting.ledger import Alert
    from engine.model.alerts import AlertTarget

COMMAND_SECONDS = 30.0
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")


def deliver(target: AlertTarget, alert: Alert) -> None:
    """Tell a target, once.

    Raises:
        NotDelivered: in words that say why, without what may be secret.
    """
    body = json.dumps({"host": socket.gethostname(), **asdict(alert)}).encode()
    if target.command:
        _run(target.command, body, alert)
    else:
        post(target.webhook, body)


def _run(command: tuple[str, ...], body: bytes, alert: Alert) -> None:
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
            process.communicate(body, COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            # With whatever it has started.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            raise NotDelivered(
                f"the command took longer than {COMMAND_SECONDS:g} s", "let it go on by itself"
            ) from None
    if process.returncode:
        raise NotDelivered(f"the command ended with exit code {process.returncode}", "run it")
