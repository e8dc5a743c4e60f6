"""All paths of XNAT's that there are here, with and without a slash at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Router

from engine.errors import NotFound
from engine.host import terminal
from engine.remote.xnat.answers import error_response
from engine.remote.xnat.direct_archive import direct_archive_routes
from engine.remote.xnat.login import login_routes, user_routes
from engine.remote.xnat.prearchive import prearchive_routes
from engine.remote.xnat.processors import processor_routes
from engine.remote.xnat.receivers import receiver_routes
from engine.remote.xnat.site import project_routes, site_routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute
    from starlette.types import Receive, Scope, Send


def xnat_routes() -> tuple[BaseRoute, ...]:
    """Return the routes of all resources."""
    xapi = (*receiver_routes(), *processor_routes(), *site_routes(), *user_routes())
    xapi += direct_archive_routes()
    data = (*login_routes(), *project_routes(), *prearchive_routes())
    return Mount("/xapi", app=_Tree(xapi)), Mount("/data", app=_Tree(data))


class _Tree:
    """Resources below one path; what is not there is answered with a sentence."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._router = Router(routes, redirect_slashes=False, default=_nothing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # XNAT answers with and without the slash, and its clients do not follow redirections of
        # PUT.
        scope["path"] = scope["path"].rstrip("/")
        try:
            await self._router(scope, receive, send)
        except HTTPException as error:
            words = f"{scope['method']} is not possible here"
            response = PlainTextResponse(words, error.status_code, error.headers)
            await response(scope, receive, send)


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    path = terminal.visible(scope["path"][:200])
    remedy = "docs/developers/xnat.md lists the resources of XNAT that there are"
    response = error_response(NotFound(f"dicomdock has no {path}", remedy))
    await response(scope, receive, send)
