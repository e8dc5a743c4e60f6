"""XNAT's resource for receivers, `/xapi/dicomscp`, so that scripts for XNAT work unchanged.

Paths, members and status codes are XNAT's (XNAT 1.2); errors are plain text that contains XNAT's
words (XNAT 1.3) and says what to do. What changes goes through the same calls as everything else.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from engine.api import ReceiverState
from engine.config.xnat import read_receiver, read_records, to_xnat
from engine.errors import ChangedMeanwhile, ConfigurationError, EngineError, NotFound
from engine.model.plugins import DEFAULT_IDENTIFIER
from engine.model.project import ProjectRegistry
from engine.model.receiver import ReceiverRules
from engine.remote import failures
from engine.remote.callers import actor_of
from engine.remote.protocol import JSON
from engine.remote.routes import read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from engine.api import EngineView
    from engine.errors import Problem
    from engine.model.receiver import Receiver


PREFIX = "Error [ConfigurationError]: "
_EXISTS = "exists already"


def xnat_message(error: EngineError) -> str:
    """Return an error as plain text, a line for each problem."""
    if isinstance(error, ConfigurationError):
        return "\n".join(f"{PREFIX}{_sentence(problem)}" for problem in error.problems)
    if isinstance(error, NotFound):
        return error.detail
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


BASE = "/xapi/dicomscp"
INTERFACE = "XNAT's interface"
MOST_DIGITS = 18
"""Most digits of an id that is looked up."""


def xnat_routes() -> tuple[BaseRoute, ...]:
    """Return the routes of the resource."""
    routes = [
        _route("/", _list, "GET"),
        _route("/", _create, "POST"),
        # Named paths before `/{id}`, which fits them too: Starlette takes the first that fits.
        _route("/start", partial(_switch, allowed=True), "PUT"),
        _route("/stop", partial(_switch, allowed=False), "PUT"),
        _route("/identifiers", _identifiers, "GET"),
        _route("/identifiers", _reset, "PUT"),
        _route("/identifiers/{bean}", _identifier, "GET"),
        _route("/identifiers/{bean}", _reset_one, "PUT"),
        _route("/title/{title}/{port}", _by_title, "GET"),
        _route("/{id}", _one, "GET"),
        _route("/{id}", _replace, "PUT"),
        _route("/{id}", _delete, "DELETE"),
        _route("/{id}/enabled", _enabled, "GET"),
        _route("/{id}/enabled/{flag}", _enable, "PUT"),
    ]
    # XNAT answers with and without the slash, and its clients do not follow redirections of PUT.
    bare = [Route(BASE, route.endpoint, methods=route.methods) for route in routes[:2]]
    return (*bare, Mount(BASE, routes=routes))


def _route(path: str, handler: Callable[[Request, bytes], Any], method: str) -> Route:
    async def respond(request: Request) -> Response:
        content = await read_body(request) if method == "POST" or handler is _replace else b""
        try:
            answer = await run_in_threadpool(handler, request, content)
        except EngineError as error:
            # The error may quote what was sent, which may be no valid Unicode.
            words = xnat_message(error).encode(errors="backslashreplace")
            return PlainTextResponse(words, status_of(error))
        if answer is None:
            return Response(status_code=200)
        return Response(json.dumps(answer), media_type=JSON)

    return Route(path, respond, methods=[method])


def _list(request: Request, _content: bytes) -> list[dict[str, object]]:
    return [_record(receiver) for receiver in _receivers(_engine(request))]


def _create(request: Request, content: bytes) -> dict[str, object]:
    record = _read(content)
    # XNAT 1.1: an id that does not exist means a new receiver.
    known = next((r for r in _receivers(_engine(request)) if r.id == record.get("id")), None)
    return _save(request, record, known)


def _one(request: Request, _content: bytes) -> dict[str, object]:
    return _record(_named(request))


def _replace(request: Request, content: bytes) -> dict[str, object]:
    return _save(request, _read(content), _named(request))


def _delete(request: Request, _content: bytes) -> None:
    _engine(request).delete_receiver(_named(request).id, _actor(request))


def _by_title(request: Request, _content: bytes) -> dict[str, object]:
    label = f"{request.path_params['title']}:{request.path_params['port']}"
    for receiver in _receivers(_engine(request)):
        if receiver.label == label:
            return _record(receiver)
    raise NotFound(f"Could not find DICOM SCP instance with the title and port {label[:80]!r}")


def _enabled(request: Request, _content: bytes) -> bool:
    return _named(request).enabled


def _enable(request: Request, _content: bytes) -> dict[str, object]:
    flag = request.path_params["flag"].lower()
    if flag not in ("true", "false"):
        raise EngineError(
            f"the flag {flag[:20]!r} is neither true nor false", "write true or false"
        )
    receiver = _named(request)
    saved = _engine(request).set_enabled(receiver.id, flag == "true", _actor(request))
    return _record(saved)


def _switch(request: Request, _content: bytes, *, allowed: bool) -> list[tuple[str, int, bool]]:
    """Turn the site's switch; which receivers are enabled is not touched (XNAT 3.5)."""
    engine = _engine(request)
    if engine.site().receivers_allowed is not allowed:
        engine.set_site(replace(engine.site(), receivers_allowed=allowed), _actor(request))
    return [
        (status.receiver.ae_title, status.receiver.port, status.state is ReceiverState.LISTENING)
        for status in engine.snapshot().receivers
    ]


def _identifiers(request: Request, _content: bytes) -> dict[str, str]:
    return {info.id: info.name for info in _engine(request).identifiers() if not info.error}


def _identifier(request: Request, _content: bytes) -> str:
    bean = request.path_params["bean"]
    for info in _engine(request).identifiers():
        # XNAT 1.2: `default` is accepted for the default identifier.
        if info.id == bean or (bean == "default" and info.id == DEFAULT_IDENTIFIER):
            return info.name
    raise NotFound(f"Could not find a DICOM Object Identifier with ID {bean[:80]!r}")


def _reset(_request: Request, _content: bytes) -> None:
    """Do nothing: identifiers have no state to reset."""


def _reset_one(request: Request, content: bytes) -> None:
    _identifier(request, content)


def _save(request: Request, record: Mapping[str, Any], known: Receiver | None) -> dict[str, object]:
    engine = _engine(request)
    others = tuple(_receivers(engine))
    projects = ProjectRegistry(engine.projects())
    rules = ReceiverRules(engine.site(), engine.identifiers(), others, projects)
    receiver = read_receiver(record, known, rules)
    return _record(engine.save_receiver(receiver, _actor(request)))


def _read(content: bytes) -> Mapping[str, Any]:
    try:
        records = read_records(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise EngineError("the body is not UTF-8", "send JSON in UTF-8") from error
    try:
        # JSON may name half of a surrogate pair, which UTF-8 can't hold.
        json.dumps(records, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = rf"the body has half of a surrogate pair, such as \ud800: {error.reason}"
        raise EngineError(half, "send whole characters") from error
    if len(records) != 1 or content.lstrip().startswith(b"["):
        raise EngineError("the body is not one receiver record", "send one JSON object")
    return records[0]


def _named(request: Request) -> Receiver:
    text = request.path_params["id"]
    is_number = text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS
    for receiver in _receivers(_engine(request)) if is_number else ():
        if receiver.id == int(text):
            return receiver
    raise NotFound(f"Could not find DICOM SCP instance with ID {text[:40]}")


def _receivers(engine: EngineView) -> list[Receiver]:
    return [status.receiver for status in engine.snapshot().receivers]


def _record(receiver: Receiver) -> dict[str, object]:
    """Return a record as ``GET`` gives it, without times: those are in the history."""
    # XNAT 1.1: `disabled` is an inherited column that its receivers do not use.
    stamps = {"created": None, "timestamp": None, "disabled": 0}
    return {"id": receiver.id, **stamps, **to_xnat(receiver), "label": receiver.label}


def _engine(request: Request) -> EngineView:
    engine: EngineView = request.app.state.engine
    return engine


def _actor(request: Request) -> str:
    return actor_of(request.scope, through=INTERFACE)
