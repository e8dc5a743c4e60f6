"""Delivers an alert as JSON to one target: to a command by standard input, to a webhook by POST.

Neither is trusted: both have a time limit, and no shell reads anything.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from base64 import b64encode
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore

from engine.errors import NotDelivered
from engine.model.alerts import AlertSettings
from engine.monitoring.alerts.throttle import Alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from urllib.parse import SplitResult

    from engine.model.alerts import AlertTarget


COMMAND_SECONDS = 30.0
POLL_SECONDS = 0.25
"""How often is looked whether a command is to be ended before its time."""
# No others: the engine's environment may hold secrets.
_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")


def deliver(target: AlertTarget, alert: Alert, cut_off: Callable[[], bool] = lambda: False) -> None:
    """Deliver an alert to a target, once.

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
            # A process group of its own, which can be killed with all that it started.
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
    """Deliver a test alert to a target; takes as long as its command or webhook.

    Raises:
        InvalidSite: if it is no target that could be saved.
        NotDelivered: in words that say why, without what may be secret.
    """
    AlertSettings.parse({"targets": [target.to_record()]})
    words = "this is a test; nothing is wrong"
    deliver(target, Alert("test", "", "Test", "INFO", words, at.isoformat()))


WEBHOOK_SECONDS = 10.0
"""From the call to the end of the answer's header; its body is not read."""

_FAILURES = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    OSError,
    ValueError,
)


def post(url: str, body: bytes) -> None:
    """Post JSON to an address, which may name a login.

    Raises:
        NotDelivered: in words that say why, without what may be secret.
    """
    until = time.monotonic() + WEBHOOK_SECONDS
    address, login = _without_login(urlsplit(url))
    headers: dict[bytes | str, bytes | str] = {
        "Host": address.netloc,  # httpcore's own lacks the brackets of an IPv6 address
        "Content-Type": "application/json",
        "User-Agent": "dicomdock",
        "Connection": "close",
    }
    if login is not None:
        headers["Authorization"] = f"Basic {b64encode(b':'.join(login)).decode()}"
    try:
        with (
            httpcore.ConnectionPool(
                ssl_context=_trust(address),
                proxy=_proxy_for(address),
                network_backend=_TimedBackend(until),
            ) as pool,
            pool.stream("POST", address.geturl(), headers=headers, content=body) as answer,
        ):
            status = answer.status
    except (httpcore.TimeoutException, TimeoutError):
        late = f"the webhook took longer than {WEBHOOK_SECONDS:g} s"
        raise NotDelivered(late, "let it answer first and work then") from None
    except _FAILURES as error:
        why = _in_words(error)
        raise NotDelivered(f"the webhook can't be reached: {why}", "check its address") from None
    # A redirection is not followed, and counts as a failure.
    if not 200 <= status < 300:
        raise NotDelivered(f"the webhook answered {status}", "check its address")


def _in_words(error: Exception) -> str:
    if isinstance(error, httpcore.RemoteProtocolError):
        return "it gave no HTTP answer"
    reason = error.__context__ or error  # httpcore's errors stand for those of the system
    return getattr(reason, "strerror", None) or type(reason).__name__


def _without_login(url: SplitResult) -> tuple[SplitResult, tuple[bytes, bytes] | None]:
    """Return an address as it is called, and the login that it names."""
    login, at, host = url.netloc.rpartition("@")
    user, _, password = (unquote_to_bytes(part) for part in login.partition(":"))
    return url._replace(netloc=host), (user, password) if at else None


def _trust(address: SplitResult) -> ssl.SSLContext | None:
    """Return the system's authorities; httpcore's own are those of a package."""
    return ssl.create_default_context() if address.scheme == "https" else None


def _proxy_for(address: SplitResult) -> httpcore.Proxy | None:
    """Return the proxy that the environment names for an address."""
    named = getproxies().get(address.scheme)
    if not named or proxy_bypass(address.netloc):
        return None
    proxy, login = _without_login(urlsplit(named if "://" in named else f"http://{named}"))
    return httpcore.Proxy(proxy.geturl(), auth=login, ssl_context=_trust(proxy))


class _TimedBackend(httpcore.SyncBackend):
    """Connects; whatever is done with a connection must be done by one moment."""

    def __init__(self, until: float) -> None:
        self._until = until

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect, as httpcore asks for it."""
        left = _left(self._until)
        stream = super().connect_tcp(host, port, left, local_address, socket_options)
        return _TimedStream(stream, self._until)


class _TimedStream(httpcore.NetworkStream):
    """A connection; the time that each step may take is what is left of the whole."""

    def __init__(self, stream: httpcore.NetworkStream, until: float) -> None:
        self._stream = stream
        self._until = until

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""
        return self._stream.read(max_bytes, _left(self._until))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write; an alert is less than the kernel takes at once, and can't be drawn out."""
        self._stream.write(buffer, _left(self._until))

    def close(self) -> None:
        """Close it."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Shake hands."""
        left = _left(self._until)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._until)

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows of itself."""
        return self._stream.get_extra_info(info)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
