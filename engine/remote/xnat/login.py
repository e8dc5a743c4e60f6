"""XNAT's log-in: `/data/JSESSION` and its cookie (XNAT 1.2a)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from engine.remote.logins import COOKIE, Logins, cookie_of
from engine.remote.xnat.answers import Body, Call, InvalidCall, resource

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute


def login_routes() -> tuple[BaseRoute, ...]:
    """Return the routes of the log-in, below `/data`."""
    return (
        resource("/JSESSION", "POST", _begin, Body.FIELDS),
        resource("/JSESSION", "GET", _current),
        resource("/JSESSION", "DELETE", _end),
    )


def user_routes() -> tuple[BaseRoute, ...]:
    """Return the route by which clients ask who they are, below `/xapi`."""
    return (resource("/users/username", "GET", lambda call: call.user or "token"),)


def _begin(call: Call) -> Response:
    user = call.user
    if not user.isprintable():
        raise InvalidCall("the user name contains a control character", "remove it")
    return _answer(call, _logins(call).begin(user))


def _current(call: Call) -> Response:
    name = cookie_of(call.request.scope)
    return _begin(call) if _logins(call).user_of(name) is None else _answer(call, name)


def _end(call: Call) -> None:
    _logins(call).end(cookie_of(call.request.scope))


def _answer(call: Call, name: str) -> Response:
    response = PlainTextResponse(name)
    is_secure = call.request.url.scheme == "https"
    response.set_cookie(COOKIE, name, httponly=True, samesite="strict", secure=is_secure)
    return response


def _logins(call: Call) -> Logins:
    logins: Logins = call.request.app.state.logins
    return logins
