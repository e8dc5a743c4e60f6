"""What all of XNAT's resources share: call, body, answer, and errors in XNAT's words."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.config.xnat.receivers import read_json
from engine.errors import ChangedMeanwhile, ConfigurationError, EngineError, NotFound
from engine.host import terminal
from engine.remote import failures
from engine.remote.callers import actor_of, user_of
from engine.remote.protocol import JSON
from engine.remote.routes import RequestRefused, read_body, read_content

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from starlette.requests import Request

    from engine.api import EngineView
    from engine.errors import Problem

PREFIX = "Error [ConfigurationError]: "
INTERFACE = "XNAT's interface"
_EXISTS = "exists already"
_logger = logging.getLogger(__name__)


class InvalidCall(EngineError):
    """A request that the resource can't understand (HTTP 400)."""

    title = "The request is not valid"
    exit_code = 2


class Body(Enum):
    """The body that a resource takes."""

    NONE = "none"
    JSON = "json"
    TEXT = "text"
    """Of any content type: XNAT's clients send scripts as ``text/plain`` or without a type."""
    FIELDS = "fields"
    """None, or the fields of a form."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a resource."""

    request: Request
    content: bytes

    @property
    def engine(self) -> EngineView:
        """The engine that is served."""
        engine: EngineView = self.request.app.state.engine
        return engine

    @property
    def user(self) -> str:
        """The user name that the client gives; nothing verifies it."""
        return user_of(self.request.scope, self.request.app.state.logins)

    @property
    def actor(self) -> str:
        """The actor of changes."""
        return actor_of(self.request.scope, self.user, through=INTERFACE)

    def part(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[name])

    def json(self) -> Any:
        """Return what the body says.

        Raises:
            InvalidCall: if it is no JSON, or no UTF-8.
        """
        return read_json(self.text(), "body", "send a record as XNAT does")

    def text(self) -> str:
        """Return the body as text.

        Raises:
            InvalidCall: if it is not UTF-8.
        """
        try:
            return self.content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidCall("the body is not UTF-8", "send text in UTF-8") from error


def milliseconds(moment: datetime) -> int:
    """Return a time as XNAT's records have it, since 1970."""
    return round(moment.timestamp() * 1000)


def record_of(call: Call) -> Mapping[str, Any]:
    """Return the body, which must be one JSON object.

    Raises:
        InvalidCall: if it is something else.
    """
    record = call.json()
    if not isinstance(record, dict):
        raise InvalidCall("the body is not one record", "send one JSON object")
    return record


def flag_of(text: str, name: str = "flag") -> bool:
    """Return a switch of a path or query.

    Raises:
        InvalidCall: if it is neither true nor false.
    """
    if text.lower() not in ("true", "false"):
        raise InvalidCall(
            f"the {name} {text[:20]!r} is neither true nor false", "write true or false"
        )
    return text.lower() == "true"


def resource(
    path: str, method: str, handler: Callable[[Call], Any], takes: Body = Body.NONE
) -> Route:
    """Return the route of one method of a resource.

    The handler runs on another thread. A `Response` is sent as it is, None as an empty answer, a
    `str` as plain text, and everything else as JSON.
    """

    async def respond(request: Request) -> Response:
        try:
            call = Call(request, await _content(request, takes))
            return _answer(await run_in_threadpool(handler, call))
        except EngineError as error:
            return error_response(error)
        except Exception as error:  # the border: the server goes on
            _logger.exception("%s %s failed", method, path)
            return error_response(terminal.fault(error), status=500)

    return Route(path, respond, methods=[method])


def error_response(error: EngineError, status: int | None = None) -> Response:
    """Return an error as plain text, with XNAT's status."""
    # The error may quote what was sent: control characters, or no valid Unicode.
    lines = map(terminal.visible, xnat_message(error).split("\n"))
    words = "\n".join(lines).encode(errors="backslashreplace")
    headers = {"connection": "close"} if isinstance(error, RequestRefused) else None
    return PlainTextResponse(words, status or status_of(error), headers)


async def _content(request: Request, takes: Body) -> bytes:
    if takes is Body.NONE:
        return b""
    if takes is Body.JSON:
        return await read_body(request)
    # A web page can make a browser send forms here without asking first (CORS), with the cookie
    # of a log-in; then the browser says so. Other methods than POST are always asked first.
    if request.method == "POST" and "origin" in request.headers:
        raise RequestRefused(403, "web pages may not send this", "send it from a script")
    return await read_content(request)


def _answer(value: object) -> Response:
    if isinstance(value, Response):
        return value
    if value is None:
        return Response(status_code=200)
    if isinstance(value, str):
        return PlainTextResponse(value)
    return Response(json_text(value), media_type=JSON)


def json_text(value: object) -> str:
    """Return JSON as XNAT writes it: shell scripts search it for ``"aeTitle":"XNAT"``."""
    return json.dumps(value, separators=(",", ":"))


def xnat_message(error: EngineError) -> str:
    """Return an error as plain text, a line for each problem."""
    if isinstance(error, ConfigurationError):
        return "\n".join(f"{PREFIX}{_sentence(problem)}" for problem in error.problems)
    if isinstance(error, NotFound):
        return error.detail + (f"; {error.remedy}" if error.remedy else "")
    return f"{error.title}: {error.detail}" + (f"; {error.remedy}" if error.remedy else "")


def status_of(error: EngineError) -> int:
    """Return the HTTP status with which XNAT answers such an error."""
    if isinstance(error, ConfigurationError):
        return 400
    return 409 if isinstance(error, ChangedMeanwhile) else failures.status_of(error)


def _sentence(problem: Problem) -> str:
    theirs = _phrase(problem)
    return f"{theirs}; {problem.sentence()}" if theirs else problem.sentence()


def _phrase(problem: Problem) -> str:
    match problem.field:
        case "aeTitle" if problem.message.endswith(_EXISTS):
            return (
                "Tried to create or update a DICOM SCP receiver with the title and port "
                f"{problem.value}, but one with these exists already"
            )
        case "aeTitle":
            return f"Invalid AE-title: {problem.value}"
        case "whitelist":
            return _whitelist_phrase(problem.value)
        case _:
            return ""


def _whitelist_phrase(item: str) -> str:
    ae_title, at, address = item.partition("@")
    if not at or "@" in address:
        return f"Invalid item in whitelist: {item}"
    if not ae_title.strip():
        return f"Invalid AE-title in whitelist: {ae_title}"
    return f"Invalid Ip Address in whitelist: {address}"
