"""Posts an alert to a webhook, in a time that the other end can't make longer.

Redirections are not followed, for they could lead to addresses that nobody configured.
"""

from __future__ import annotations

import io
import ssl
import time
from base64 import b64encode
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote_to_bytes, urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)

from engine.errors import EngineError

if TYPE_CHECKING:
    import socket


class NotDelivered(EngineError):
    """A target could not be told."""

    title = "The alert was not delivered"


WEBHOOK_SECONDS = 10.0
"""From the call to the end of the answer's header; its body is not read."""


def post(url: str, body: bytes) -> None:
    """Post JSON to an address, which may name a login.

    Raises:
        NotDelivered: in words that say why, without what may be secret.
    """
    headers = {"Content-Type": "application/json", "User-Agent": "dicomdock"}
    url, login = _without_login(url)
    if login:
        headers["Authorization"] = f"Basic {b64encode(login).decode()}"
    request = Request(url, body, headers, method="POST")
    until = time.monotonic() + WEBHOOK_SECONDS
    try:
        with _opener(until).open(request, timeout=WEBHOOK_SECONDS):
            return
    except HTTPError as error:
        with error:
            raise NotDelivered(f"the webhook answered {error.code}", "check its address") from None
    except (URLError, OSError, ValueError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            late = f"the webhook took longer than {WEBHOOK_SECONDS:g} s"
            raise NotDelivered(late, "let it answer first and work then") from None
        why = getattr(reason, "strerror", None) or type(reason).__name__
        raise NotDelivered(f"the webhook can't be reached: {why}", "check its address") from None


def _without_login(url: str) -> tuple[str, bytes]:
    """Return an address as it is called, and the login that it names; nothing for none."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    user, _, password = (unquote_to_bytes(part) for part in login.partition(":"))
    return parts._replace(netloc=host).geturl(), user + b":" + password if at else b""


def _opener(until: float) -> OpenerDirector:
    return build_opener(_NoRedirection, _Plain(until), _Secure(until))


class _NoRedirection(HTTPRedirectHandler):
    """Leaves a redirection as the answer that it is."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow none."""


class _Plain(HTTPHandler):
    """Calls ``http:`` addresses."""

    def __init__(self, until: float) -> None:
        super().__init__()
        self._until = until

    def http_open(self, request: Request) -> Any:
        """Open an address, as `OpenerDirector` asks for it."""
        return self.do_open(partial(_timed, HTTPConnection, self._until), request)


class _Secure(HTTPSHandler):
    """Calls ``https:`` addresses."""

    def __init__(self, until: float) -> None:
        super().__init__()
        self._until = until

    def https_open(self, request: Request) -> Any:
        """Open an address, as `OpenerDirector` asks for it."""
        made = partial(_timed, HTTPSConnection, self._until, context=ssl.create_default_context())
        return self.do_open(made, request)


def _timed(kind: type[HTTPConnection], until: float, host: str, **options: Any) -> HTTPConnection:
    """Return a connection whose answer is read until a moment and no longer."""
    connection = kind(host, **options)
    connection.response_class = partial(_TimedResponse, until)  # type: ignore[assignment]
    return connection


class _TimedResponse(HTTPResponse):
    """An answer of which every byte must be there in time."""

    def __init__(self, until: float, sock: socket.socket, *rest: Any, **options: Any) -> None:
        super().__init__(sock, *rest, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReader(sock, until))


class _TimedReader(io.RawIOBase):
    """Reads from a socket; the time that a read may take is what is left of the whole."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._socket = sock
        self._until = until

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._socket.recv_into(buffer)
