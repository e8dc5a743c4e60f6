"""XNAT's resource for sessions that go directly into the archive, `/xapi/direct-archive` (9.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import NotFound
from engine.model.queries import SessionQuery
from engine.model.session import SessionArea, SessionStatus
from engine.remote.xnat.answers import Body, Call, InvalidCall, milliseconds, record_of, resource
from engine.remote.xnat.prearchive import delete, finished, rebuild

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from engine.model.session import Session

_S = SessionStatus
_UNDER_WAY = (_S.RECEIVING, _S.RECEIVING_INTERRUPT, _S.QUEUED_BUILDING, _S.BUILDING)
"""The states of a session in the archive that is not archived yet."""
_USUAL_SIZE, _MOST = 50, 1_000


def direct_archive_routes() -> tuple[BaseRoute, ...]:
    """Return the routes below `/xapi`."""
    base = "/direct-archive"
    session = f"{base}/{{project}}/{{tag}}/{{name}}"
    return (
        resource(base, "POST", _page, Body.JSON),
        resource(session, "GET", lambda call: _record(_named(call))),
        resource(session, "POST", _commit, Body.FIELDS),
        resource(f"{base}/{{id}}", "DELETE", _delete),
    )


def _page(call: Call) -> list[dict[str, object]]:
    """Return a page of the sessions, the newest first, of one project if a filter names it."""
    wanted = record_of(call)
    page, size = _number(wanted, "page", 1), _number(wanted, "size", _USUAL_SIZE)
    project = _project_in(wanted.get("filtersMap") or wanted.get("filters"))
    query = SessionQuery(area=SessionArea.ARCHIVE, statuses=_UNDER_WAY, project=project)
    found = call.engine.sessions.list(query, offset=(page - 1) * size, limit=size)
    return [_record(session) for session in found.sessions]


def _number(record: Mapping[str, Any], name: str, usual: int) -> int:
    value = record.get(name, usual)
    # A bool is an int in Python: true would be taken for 1.
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise InvalidCall(f"{name} {str(value)[:20]!r} is not possible", f"use 1 to {_MOST:,}")
    return value


def _project_in(filters: object) -> str | None:
    """Return the project that XNAT's filter record names; None if it names none."""
    project = filters.get("project") if isinstance(filters, dict) else None
    value = project.get("value") if isinstance(project, dict) else project
    if value is not None and not isinstance(value, str):
        raise InvalidCall("the filter of project has no text as value", "name one project")
    return value


def _commit(call: Call) -> Response:
    """Archive a session now, without waiting for more objects."""
    return finished(call, _named(call), rebuild)


def _delete(call: Call) -> Response:
    """Move a session to the trash, where XNAT forgets its row."""
    text = call.part("id")
    session = next((s for s in _under_way(call) if str(s.id) == text), None)
    if session is None:
        raise NotFound(f"Could not find a direct archive session with ID {text[:40]}")
    return finished(call, session, delete)


def _named(call: Call) -> Session:
    project, tag, name = (call.part(part) for part in ("project", "tag", "name"))
    for session in _under_way(call, name):
        if (session.project, session.study_instance_uid, session.label) == (project, tag, name):
            return session
    where = f"{project[:64]}/{tag[:64]}/{name[:64]}"
    raise NotFound(f"Could not find a direct archive session {where!r}")


def _under_way(call: Call, *words: str) -> Iterator[Session]:
    query = SessionQuery(area=SessionArea.ARCHIVE, statuses=_UNDER_WAY, words=words)
    offset, total = 0, 1
    while offset < total:
        page = call.engine.sessions.list(query, offset=offset, limit=_MOST)
        offset, total = offset + _MOST, page.total.sessions
        yield from page.sessions


def _record(session: Session) -> dict[str, object]:
    """Return a session as XNAT's `SessionData` has it."""
    return {
        "id": session.id,
        "project": session.project,
        "tag": session.study_instance_uid,
        "name": session.label,
        "folderName": session.folder.rpartition("/")[2],
        "subject": session.subject or "",
        "status": str(session.status),
        "url": f"/archive/{session.folder}",
        "uploaded": milliseconds(session.first_object_at),
        "lastmod": milliseconds(session.last_object_at),
    }
