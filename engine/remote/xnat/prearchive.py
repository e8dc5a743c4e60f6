"""XNAT's resources for sessions in the prearchive: list, build, archive, move, delete (XNAT 9.5).

XNAT answers when the work is done. So do these, after a minute at most; what is not done by then
is answered with 202.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote

from starlette.responses import PlainTextResponse, Response

from engine.api.sessions import SessionOutcome
from engine.errors import NotFound, SessionConflict, SessionError
from engine.model.identity import UNASSIGNED
from engine.model.queries import SessionQuery
from engine.model.session import Session, SessionArea, SessionStatus
from engine.remote.xnat.answers import Body, Call, InvalidCall, resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.routing import BaseRoute

WAIT_SECONDS = 60.0
MOST_SOURCES = 100
_PAGE = 1_000
_DONE, _MOVED = 200, 301
Ask = Callable[[Call, Session], SessionOutcome]


class SessionFailed(SessionError):
    """The work on a session was begun and failed; its status is ERROR."""

    http_status = 500


def prearchive_routes() -> tuple[BaseRoute, ...]:
    """Return the routes below `/data`."""
    base = "/prearchive"
    session = f"{base}/projects/{{project}}/{{timestamp}}/{{session}}"
    services = "/services"
    return (
        resource(base, "GET", lambda call: _table(_all(call, None))),
        resource(f"{base}/projects", "GET", lambda call: _table(_all(call, None))),
        resource(f"{base}/projects/{{project}}", "GET", _of_project),
        resource(session, "GET", lambda call: _table([_named(call)])),
        resource(session, "POST", _act, Body.FIELDS),
        resource(session, "DELETE", lambda call: finished(call, _named(call), delete)),
        resource(f"{session}/scans", "GET", _scans),
        resource(f"{services}/archive", "POST", _archive_source, Body.FIELDS),
        resource(f"{services}/prearchive/move", "POST", _move_sources, Body.FIELDS),
        resource(f"{services}/prearchive/delete", "POST", _each(delete), Body.FIELDS),
        resource(f"{services}/prearchive/rebuild", "POST", _each(rebuild), Body.FIELDS),
    )


def _act(call: Call) -> Response:
    action = _field(call, "action").lower()
    session = _named(call)
    if action in ("build", "rebuild"):
        return finished(call, session, rebuild)
    if action == "move":
        project = _new_project(call)
        return _moved(finished(call, session, lambda call, one: _move(call, one, project)))
    if action == "commit":
        return _commit(call, session)
    remedy = "use build, rebuild, commit or move"
    raise InvalidCall(f"the action {action[:20]!r} is not possible here", remedy)


def _commit(call: Call, session: Session) -> Response:
    """Build a session, which archives it if its project wants that; with AA in any case."""
    built = finished(call, session, rebuild)
    if built.status_code != _DONE:
        return built
    now = call.engine.sessions.settled(session.id, wait_seconds=0).session
    if now is None or now.area is SessionArea.ARCHIVE:
        return _moved(built)
    asks = _field(call, "AA").lower() == "true"
    return _moved(finished(call, session, _archive)) if asks else built


def _moved(response: Response) -> Response:
    """Return an answer with XNAT's status for a session that is elsewhere now.

    Its clients do not follow it, as it has no location.
    """
    response.status_code = _MOVED if response.status_code == _DONE else response.status_code
    return response


def _archive_source(call: Call) -> Response:
    """Archive a session; under other labels or in another project if ``dest`` says so."""
    (session,) = _sources(call, most=1)
    names = _new_names(session, _field(call, "dest"))
    if not names:
        return finished(call, session, _archive)
    # Refused here, before anything has changed.
    call.engine.sessions.preview_edit(session.id, **names)
    renamed = finished(
        call, session, lambda call, one: call.engine.sessions.edit(one.id, call.actor, **names)
    )
    now = call.engine.sessions.settled(session.id, wait_seconds=0).session
    # Its project may have archived it by itself.
    if renamed.status_code != _DONE or now is None or now.area is SessionArea.ARCHIVE:
        return renamed
    return finished(call, now, _archive)


def _new_names(session: Session, target: str) -> dict[str, str]:
    """Return what a destination names otherwise than the session, as `edit` takes it."""
    path = target.strip("/").removeprefix("data/")
    parts = [unquote(part) for part in path.split("/")] if path else []
    kinds = {
        "projects": ("project", session.project),
        "subjects": ("subject", session.subject),
        "experiments": ("label", session.label),
    }
    names = {}
    for kind, wanted in zip(parts[1::2], parts[2::2], strict=False):
        name, known = kinds.get(kind, ("", wanted))
        if wanted != known:
            names[name] = wanted
    return names


def _move_sources(call: Call) -> Response:
    project = _new_project(call)
    return _each(lambda call, session: _move(call, session, project))(call)


def _new_project(call: Call) -> str:
    project = _field(call, "newProject")
    if not project:
        raise InvalidCall("newProject is missing", "name the project that the session moves to")
    return project


def _each(ask: Ask) -> Callable[[Call], Response]:
    """Return the handler that asks for each session of a form, and answers with their URIs."""

    def handler(call: Call) -> Response:
        # All are looked up before anything is asked for.
        answers = [finished(call, session, ask) for session in _sources(call, MOST_SOURCES)]
        lines = "".join(f"{bytes(answer.body).decode()}\n" for answer in answers)
        return PlainTextResponse(lines, max(answer.status_code for answer in answers))

    return handler


def _archive(call: Call, session: Session) -> SessionOutcome:
    overwrite = _field(call, "overwrite").lower()
    if overwrite not in ("", "none", "append", "delete", "true", "false"):
        remedy = "use none, append or delete"
        raise InvalidCall(f"overwrite {overwrite[:20]!r} is unknown", remedy)
    # XNAT 12.9: append adds to an archived session, delete replaces its objects too.
    replaces = overwrite in ("delete", "true")
    merges = replaces or overwrite == "append"
    return call.engine.sessions.archive(session.id, call.actor, merge=merges, overwrite=replaces)


def _move(call: Call, session: Session, project: str) -> SessionOutcome:
    return call.engine.sessions.move(session.id, project, call.actor)


def delete(call: Call, session: Session) -> SessionOutcome:
    """Ask for a session to be moved to the trash."""
    return call.engine.sessions.delete(session.id, call.actor)


def rebuild(call: Call, session: Session) -> SessionOutcome:
    """Ask for a session to be built now."""
    return call.engine.sessions.rebuild(session.id, call.actor)


def finished(call: Call, session: Session, ask: Ask) -> Response:
    """Ask for an action, wait for its end, and answer with where the session is then.

    Raises:
        SessionError: if it ended in a conflict or failed (HTTP 409 and 500, as in XNAT).
    """
    ask(call, session)
    outcome = call.engine.sessions.settled(session.id, wait_seconds=WAIT_SECONDS)
    after = outcome.session
    if not outcome.settled:
        return PlainTextResponse(_uri(after or session), 202)
    if after is None:  # merged into an archived session
        return PlainTextResponse(_archive_uri(session))
    if after.status is SessionStatus.CONFLICT:
        raise SessionConflict(after.reason or outcome.text)
    if after.status is SessionStatus.ERROR:
        raise SessionFailed(after.reason or outcome.text, "see the session's log")
    return PlainTextResponse(_uri(after))


def _of_project(call: Call) -> dict[str, object]:
    return _table(_all(call, call.part("project")))


def _scans(call: Call) -> dict[str, object]:
    scans = call.engine.sessions.detail(_named(call).id).scans
    return _result(
        {"ID": scan.id, "xsiType": scan.modality, "series_description": scan.description}
        for scan in scans
    )


def _all(call: Call, project: str | None, *, label: str = "") -> Iterator[Session]:
    """Yield the sessions in the prearchive, of one project if it is named."""
    words = (label,) if label else ()
    query = SessionQuery(area=SessionArea.PREARCHIVE, project=_spelled(project), words=words)
    offset, total = 0, 1
    while offset < total:
        page = call.engine.sessions.list(query, offset=offset, limit=_PAGE)
        offset, total = offset + _PAGE, page.total.sessions
        # A query takes `*` for anything.
        yield from (s for s in page.sessions if project is None or _project(s) == _spelled(project))


def _spelled(project: str | None) -> str | None:
    # XNAT takes this one name in any case.
    is_unassigned = project is not None and project.lower() == UNASSIGNED.lower()
    return UNASSIGNED if is_unassigned else project


def _named(call: Call) -> Session:
    return _found(call, *(call.part(name) for name in ("project", "timestamp", "session")))


def _found(call: Call, project: str, timestamp: str, name: str) -> Session:
    # First those of the label, which are few. XNAT's clients name the label or the folder.
    for label in (name, ""):
        for session in _all(call, project, label=label):
            folder = PurePosixPath(session.folder)
            if folder.parent.name == timestamp and name in (folder.name, session.label):
                return session
    where = f"{project[:64]}/{timestamp[:32]}/{name[:64]}"
    raise NotFound(f"there is no session {where!r} in the prearchive")


def _sources(call: Call, most: int) -> list[Session]:
    """Return the sessions that a form names as ``src``."""
    named = fields_of(call).get("src", [])
    if not 1 <= len(named) <= most:
        raise InvalidCall(f"src is given {len(named)} times", f"name 1 to {most} sessions")
    return [_source(call, source) for source in named]


def _source(call: Call, source: str) -> Session:
    parts = [unquote(part) for part in source.strip("/").removeprefix("data/").split("/")]
    if len(parts) != 5 or parts[:2] != ["prearchive", "projects"]:
        remedy = "write /prearchive/projects/PROJECT/TIMESTAMP/SESSION"
        raise InvalidCall(f"src {source[:120]!r} is no session of the prearchive", remedy)
    return _found(call, *parts[2:])


def _field(call: Call, name: str) -> str:
    return fields_of(call).get(name, [""])[-1]


def fields_of(call: Call) -> dict[str, list[str]]:
    """Return the fields of query and form."""
    query = call.request.url.query
    body = call.text()
    try:
        return parse_qs(f"{query}&{body}" if body else query, max_num_fields=1_000)
    except ValueError as error:
        raise InvalidCall("there are too many fields", "send fewer") from error


def _table(sessions: Iterator[Session] | list[Session]) -> dict[str, object]:
    return _result(map(_row, sessions))


def _row(session: Session) -> dict[str, object]:
    """Return a row of XNAT's list."""
    folder = PurePosixPath(session.folder)
    return {
        "project": _project(session),
        "timestamp": folder.parent.name,
        "folderName": folder.name,
        "name": session.label,
        "subject": session.subject or "",
        "tag": session.study_instance_uid,
        "status": str(session.status),
        "lastmod": f"{session.last_object_at:%Y-%m-%d %H:%M:%S}",
        "uploaded": f"{session.first_object_at:%Y-%m-%d %H:%M:%S}",
        "scan_date": "",
        "autoarchive": _CODES[session.auto_archive],
        "url": _uri(session).removeprefix("/data"),
    }


_CODES = {None: "", True: "AutoArchive", False: "Manual"}


def _result(rows: Iterator[dict[str, object]]) -> dict[str, object]:
    listed = list(rows)
    return {"ResultSet": {"totalRecords": str(len(listed)), "Result": listed}}


def _project(session: Session) -> str:
    return session.project or UNASSIGNED


def _uri(session: Session) -> str:
    if session.area is SessionArea.ARCHIVE:
        return _archive_uri(session)
    folder = PurePosixPath(session.folder)
    return "/data/prearchive/projects/" + "/".join(
        quote(part, safe="") for part in (_project(session), folder.parent.name, folder.name)
    )


def _archive_uri(session: Session) -> str:
    parts = (_project(session), session.subject or "", session.label)
    project, subject, label = (quote(part, safe="") for part in parts)
    return f"/data/archive/projects/{project}/subjects/{subject}/experiments/{label}"
