"""Reads the configuration of an XNAT over its REST resources, for `import-xnat`."""

from __future__ import annotations

import ssl
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpcore

from engine.config.xnat.receivers import read_json
from engine.config.xnat.site import FILTER_TOOL, RULES
from engine.errors import ConfigurationError, EngineError
from engine.host import terminal
from engine.remote.logins import COOKIE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from urllib.parse import SplitResult

MOST_BYTES = 16 * 1024 * 1024
"""Of one answer."""
_TIMEOUTS = {"connect": 10.0, "read": 60.0, "write": 10.0, "pool": 10.0}
"""In seconds, each from the last byte."""
_GOOD, _EMPTY, _MISSING = 200, 204, 404
_LOGIN = "/data/JSESSION"
_FAILURES = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    OSError,
)


class XnatUnreadable(EngineError):
    """An XNAT does not answer, or not as an XNAT does."""

    title = "The XNAT can't be read"
    exit_code = 2


@dataclass(frozen=True, slots=True)
class XnatLogin:
    """Where an XNAT is, and who reads it."""

    url: str
    user: str
    password: str
    allows_plain_http: bool = False
    """Whether the password may be sent in the clear beyond the loopback."""


def read_xnat(login: XnatLogin, say: Callable[[str], object]) -> dict[str, Any]:
    """Return the parts of an XNAT, as `engine.config.xnat.whole.read_export` takes them.

    Args:
        login: the XNAT; an administrator of it, for it shows scripts and processors to no other.
        say: is told which parts this XNAT does not have.

    Raises:
        XnatUnreadable: if it can't be reached, refuses the login, or answers something else.
    """
    with _session(login) as xnat:
        parts = {
            "siteConfig": xnat.json("/xapi/siteConfig"),
            "siteScript": xnat.text("/xapi/anonymize/site"),
            "siteRules": dict(_rules(xnat)),
            "projects": [_project(xnat, row) for row in _rows(xnat.json("/data/projects"))],
            "receivers": xnat.json("/xapi/dicomscp"),
            "processors": xnat.json("/xapi/processors/site/list"),
        }
    missing = [name for name, value in parts.items() if value is None]
    if missing:
        say(f"this XNAT has no {', '.join(missing)}")
    return {name: value for name, value in parts.items() if value is not None}


def _rules(xnat: _Xnat) -> Iterator[tuple[str, dict[str, object]]]:
    for name in RULES:
        for row in _rows(xnat.json(f"/data/config/dicom/{name}")):
            yield name, {"contents": row.get("contents"), "status": row.get("status")}


def _project(xnat: _Xnat, row: dict[str, Any]) -> dict[str, Any]:
    id = str(row.get("ID"))
    path = f"/data/projects/{quote(id, safe='')}"
    script = f"/xapi/anonymize/projects/{quote(id, safe='')}"
    found: dict[str, Any] = {
        "id": id,
        "title": str(row.get("name") or ""),
        "aliases": list(_aliases(xnat.json(path))),
        "prearchiveCode": xnat.text(f"{path}/prearchive_code"),
    }
    text = xnat.text(script)
    if text:  # XNAT shows only a script that is in force
        found |= {"script": text, "scriptEnabled": True}
    for config in _rows(xnat.json(f"{path}/config/{FILTER_TOOL}/config")):
        contents = str(config.get("contents") or "{}")
        record = read_json(contents, "filter", "correct it in XNAT")
        if isinstance(record, dict) and config.get("status") == "disabled":
            record["enabled"] = False
        found["filter"] = record
    return {name: value for name, value in found.items() if value is not None}


def _aliases(project: Any) -> Iterator[str]:
    for item in _members(project, "items"):
        for child in _members(item, "children"):
            if child.get("field") == "aliases/alias":
                fields = (alias.get("data_fields") for alias in _members(child, "items"))
                yield from (str(f["alias"]) for f in fields if isinstance(f, dict) and "alias" in f)


def _rows(table: Any) -> list[dict[str, Any]]:
    """Return the rows of one of XNAT's tables; none if there is no table."""
    return _members(table.get("ResultSet") if isinstance(table, dict) else None, "Result")


def _members(record: Any, name: str) -> list[dict[str, Any]]:
    listed = record.get(name) if isinstance(record, dict) else None
    return [each for each in listed or () if isinstance(each, dict)]


class _Xnat:
    """A logged-in session with an XNAT."""

    def __init__(self, pool: httpcore.ConnectionPool, base: SplitResult, cookie: str) -> None:
        self._pool = pool
        self._base = base
        self._headers: dict[bytes | str, bytes | str] = {
            "Host": base.netloc,
            "User-Agent": "dicomdock",
            "Cookie": cookie,
        }

    def json(self, path: str) -> Any:
        """Return an answer; None if there is no such resource."""
        text = self.text(f"{path}?format=json")
        try:
            return None if not text else read_json(text, path, "")
        except ConfigurationError as error:
            raise XnatUnreadable(
                f"GET {path} answered something else than JSON", "give the address of an XNAT"
            ) from error

    def text(self, path: str) -> str | None:
        """Return an answer as text; None if there is no such resource."""
        status, content = self.ask("GET", path)
        if status == _MISSING:
            return None
        if status not in (_GOOD, _EMPTY):
            remedy = "log in as an administrator of that XNAT"
            raise XnatUnreadable(f"GET {path} was answered with HTTP {status}", remedy)
        return content.decode("utf-8", "replace")

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, bytes]:
        """Return status and body of an answer; redirections are not followed."""
        url = self._base._replace(path=f"{self._base.path}{path}").geturl()
        content = bytearray()
        sent = self._headers | dict[bytes | str, bytes | str](headers.items())
        with self._pool.stream(
            method, url, headers=sent, extensions={"timeout": _TIMEOUTS}
        ) as answer:
            for part in answer.iter_stream():
                content += part
                if len(content) > MOST_BYTES:
                    message = f"{method} {path} is answered with more than {MOST_BYTES:,} bytes"
                    raise XnatUnreadable(message, "import the parts as a file")
            return answer.status, bytes(content)


@contextmanager
def _session(login: XnatLogin) -> Iterator[_Xnat]:
    """Log in, and out at the end: each request with a password would open a session of its own."""
    base = _base(login)
    shown = terminal.visible(base.netloc[:100])
    # The system's authorities; httpcore's own are those of a package.
    trust = ssl.create_default_context() if base.scheme == "https" else None
    try:
        with httpcore.ConnectionPool(ssl_context=trust) as pool:
            basic = b64encode(f"{login.user}:{login.password}".encode()).decode()
            status, name = _Xnat(pool, base, "").ask("POST", _LOGIN, Authorization=f"Basic {basic}")
            if status != _GOOD or not name.isalnum():
                message = f"{shown} refused the log-in of {terminal.visible(login.user)}"
                raise XnatUnreadable(f"{message} (HTTP {status})", "check user and password")
            xnat = _Xnat(pool, base, f"{COOKIE}={name.decode()}")
            try:
                yield xnat
            finally:
                xnat.ask("DELETE", _LOGIN)
    except _FAILURES as error:
        reason = error.__context__ or error  # httpcore's errors stand for those of the system
        why = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        why = terminal.visible(why[:200])
        raise XnatUnreadable(f"{shown} can't be reached: {why}", "check the address") from error


def _base(login: XnatLogin) -> SplitResult:
    try:
        url = urlsplit(login.url.rstrip("/"))
        host, _port = url.hostname, url.port
    except ValueError:
        url, host = urlsplit(""), None
    if url.scheme not in ("http", "https") or not host or "@" in url.netloc or url.query:
        shown = terminal.visible(login.url[:100])
        raise XnatUnreadable(f"{shown!r} is no address of an XNAT", "write https://HOST/PATH")
    if url.scheme == "http" and not login.allows_plain_http and not _is_loopback(host):
        message = f"the password would go to {terminal.visible(host)} in the clear"
        raise XnatUnreadable(message, "use https, or allow it with --plain-http")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
