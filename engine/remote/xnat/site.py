"""XNAT's resources for the site and projects: settings, scripts, and site-wide routing rules."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from engine import __version__
from engine.config.xnat.site import (
    FILTER_TOOL,
    RULES,
    changed_rules,
    changed_script,
    changed_site,
    filter_record,
    posted_filter,
    site_config,
)
from engine.errors import NotFound
from engine.model.project import AutoArchive, Project, ProjectRegistry
from engine.remote.protocol import JSON
from engine.remote.xnat.answers import (
    Body,
    Call,
    InvalidCall,
    flag_of,
    json_text,
    record_of,
    resource,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.routing import BaseRoute

    from engine.model.site import SiteSettings

# The version is ours: clients of XNAT ask for it to see whether something is there.
_BUILD = {"application": "dicomdock", "version": __version__}


def site_routes() -> tuple[BaseRoute, ...]:
    """Return the routes below `/xapi`."""
    config, scripts = "/siteConfig", "/anonymize"
    return (
        resource(config, "GET", lambda call: site_config(call.engine.site())),
        *(resource(config, method, _set_members, Body.JSON) for method in ("POST", "PUT")),
        resource(f"{config}/buildInfo", "GET", lambda _call: _BUILD),
        resource(f"{config}/buildInfo/version", "GET", lambda _call: __version__),
        resource(f"{config}/{{name}}", "GET", _member),
        *(
            resource(f"{config}/{{name}}", method, _set_member, Body.TEXT)
            for method in ("POST", "PUT")
        ),
        resource(f"{scripts}/default", "GET", lambda call: call.engine.scripts.default_script()),
        resource(f"{scripts}/site", "GET", lambda call: call.engine.site().script.text),
        resource(f"{scripts}/site", "PUT", _set_script, Body.TEXT),
        resource(f"{scripts}/site/enabled", "GET", lambda c: c.engine.site().script.enabled),
        resource(f"{scripts}/site/enabled", "PUT", _enable_script, Body.TEXT),
        resource(f"{scripts}/projects/{{project}}", "GET", _project_script),
        resource(f"{scripts}/projects/{{project}}", "PUT", _set_project_script, Body.TEXT),
        resource(f"{scripts}/projects/{{project}}/enabled", "GET", _project_script_enabled),
        resource(
            f"{scripts}/projects/{{project}}/enabled", "PUT", _enable_project_script, Body.TEXT
        ),
    )


def project_routes() -> tuple[BaseRoute, ...]:
    """Return the routes below `/data`."""
    project = "/projects/{project}"
    rules = "/config/dicom/{name}"
    series_filter = f"{project}/config/{FILTER_TOOL}/config"
    return (
        resource("/projects", "GET", lambda call: _result(map(_row, call.engine.projects()))),
        resource(project, "GET", lambda call: _item(_project(call))),
        resource(project, "PUT", _put_project),
        resource(f"{project}/prearchive_code", "GET", _archive_code),
        resource(f"{project}/prearchive_code/{{code}}", "PUT", _set_archive_code),
        resource(f"{project}/config/anon", "GET", _project_script_history),
        resource(series_filter, "GET", _project_filter),
        resource(series_filter, "PUT", _set_project_filter, Body.TEXT),
        resource(rules, "GET", _rules),
        resource(rules, "PUT", _set_rules, Body.TEXT),
    )


def _set_members(call: Call) -> None:
    _change_site(call, lambda site: changed_site(site, record_of(call)))


def _member(call: Call) -> Any:
    name, members = call.part("name"), site_config(call.engine.site())
    if name not in members:
        raise NotFound(f"siteConfig has no {name[:40]!r} here", f"it has {', '.join(members)}")
    return members[name]


def _set_member(call: Call) -> None:
    name, value = call.part("name"), _value(call)
    _change_site(call, lambda site: changed_site(site, {name: value}))


def _set_script(call: Call) -> None:
    text = _value(call)
    _change_site(call, lambda site: changed_script(site, text=str(text)))


def _enable_script(call: Call) -> None:
    enabled = _switch(call)
    _change_site(call, lambda site: changed_script(site, enabled=enabled))


def _change_site(call: Call, change: Callable[[SiteSettings], SiteSettings]) -> None:
    before = call.engine.site()
    after = change(before)
    if after != before:
        call.engine.set_site(after, call.actor, replacing=before)


def _project_script(call: Call) -> str | Response:
    project = _project(call)
    text = project.anonymization_script if project.anonymization_script_enabled else ""
    # XNAT answers so for a project without a script, and for one whose script is off.
    return text or Response(status_code=204)


def _project_script_history(call: Call) -> Response:
    """Return the script of a project, in force or not; XNAT has all former ones here too."""
    project = _project(call)
    if not project.anonymization_script:
        raise NotFound(f"the project {project.id} has no anonymization script", "PUT one first")
    enabled = project.anonymization_script_enabled
    return _config(call, "anon", "script", project.anonymization_script, enabled)


def _set_project_script(call: Call) -> None:
    project, text = _project(call), str(_value(call))
    # XNAT brings a new script of a project into force.
    _save(
        call,
        project,
        replace(project, anonymization_script=text, anonymization_script_enabled=True),
    )


def _project_script_enabled(call: Call) -> bool:
    return _project(call).anonymization_script_enabled


def _enable_project_script(call: Call) -> None:
    project = _project(call)
    _save(call, project, replace(project, anonymization_script_enabled=_switch(call)))


def _put_project(call: Call) -> str | Response:
    """Add a project, or give a known one another title."""
    project_id, title = call.part("project"), call.request.query_params.get("name")
    known = next((p for p in call.engine.projects() if p.id == project_id), None)
    if known is not None:
        _save(call, known, known if title is None else replace(known, title=title))
        return project_id
    code = call.engine.site().new_project_auto_archive
    project = Project(project_id, title or "", auto_archive=code)
    call.engine.save_project(project, call.actor)
    return Response(project_id, 201, media_type="text/plain")


def _archive_code(call: Call) -> str:
    return str(int(_project(call).auto_archive))


def _set_archive_code(call: Call) -> None:
    project, text = _project(call), call.part("code")
    codes = {str(int(code)): code for code in AutoArchive}
    if text not in codes:
        remedy = f"use {', '.join(codes)}"
        raise InvalidCall(f"the prearchive code {text[:20]!r} does not exist here", remedy)
    _save(call, project, replace(project, auto_archive=codes[text]))


def _project_filter(call: Call) -> Response:
    text = _project(call).series_import_filter
    return _config(call, FILTER_TOOL, "config", json_text(filter_record(text)), bool(text))


def _set_project_filter(call: Call) -> None:
    project, (text, enabled) = _project(call), _config_of(call)
    if text is None and enabled:
        raise InvalidCall("the filter has no contents", "send them with the switch")
    wanted = posted_filter(text or "{}") if enabled is not False else ""
    _save(call, project, replace(project, series_import_filter=wanted))


def _rules(call: Call) -> Response:
    attribute, routing = _attribute(call), call.engine.site().routing
    text, enabled = routing.text(attribute), routing.is_enabled(attribute)
    if not text and not enabled:
        raise NotFound(f"there are no {call.part('name')}", "PUT them first")
    return _config(call, "dicom", call.part("name"), text, enabled)


def _set_rules(call: Call) -> None:
    _attribute(call)
    name, (text, enabled) = call.part("name"), _config_of(call)
    _change_site(call, lambda site: changed_rules(site, name, text, enabled))


def _attribute(call: Call) -> str:
    name = call.part("name")
    if name not in RULES:
        raise NotFound(f"there are no rules {name[:40]!r}", f"there are {', '.join(RULES)}")
    return RULES[name]


def _config(call: Call, tool: str, path: str, contents: str, enabled: bool) -> Response:
    """Return an answer of XNAT's config service."""
    if call.request.query_params.get("contents", "").lower() == "true":
        return Response(contents, media_type="text/plain")
    status = "enabled" if enabled else "disabled"
    row = {"tool": tool, "path": path, "contents": contents, "status": status}
    return Response(json_text(_result([row])), media_type=JSON)


def _config_of(call: Call) -> tuple[str | None, bool | None]:
    """Return contents and switch of a PUT to XNAT's config service; None for what is not given."""
    text: str | None = call.text()
    status = call.request.query_params.get("status")
    record = _json_or_none(text or "")
    # The dialog of XNAT sends both as one record, scripts send the contents alone.
    if isinstance(record, dict) and record.keys() & {"contents", "status"}:
        text, status = record.get("contents"), record.get("status", status)
    if status not in (None, "enabled", "disabled"):
        raise InvalidCall(f"the status {str(status)[:20]!r} is unknown", "use enabled or disabled")
    if not isinstance(text, str | None):
        raise InvalidCall("the contents are not text", "send text")
    if text in (None, "") and status is None:
        raise InvalidCall("neither contents nor a status is given", "send one of them")
    return text or None, None if status is None else status == "enabled"


def _value(call: Call) -> Any:
    """Return the value of a body: what its JSON says, or its text."""
    kind = call.request.headers.get("content-type", "")
    if not kind.lower().startswith(JSON):
        return call.text()
    value = _json_or_none(call.text())
    # XNAT's clients send plain text with the type of JSON too.
    return call.text() if value is None or isinstance(value, dict | list) else value


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _switch(call: Call) -> bool:
    """Return the switch that a query or a body says; XNAT takes none as true."""
    text = call.request.query_params.get("enable", call.text().strip().strip('"'))
    return True if text in ("", "null") else flag_of(text, "switch")


def _project(call: Call) -> Project:
    projects = ProjectRegistry(call.engine.projects())
    return projects.project(call.part("project"))


def _save(call: Call, before: Project, after: Project) -> None:
    if after != before:
        call.engine.save_project(after, call.actor, replacing=before)


def _row(project: Project) -> dict[str, str]:
    name = project.title or project.id
    uri = f"/data/projects/{project.id}"
    return {"ID": project.id, "name": name, "secondary_ID": project.id, "URI": uri}


def _item(project: Project) -> dict[str, object]:
    """Return one project as XNAT has single items."""
    aliases = [{"data_fields": {"alias": alias}} for alias in project.aliases]
    children = [{"field": "aliases/alias", "items": aliases}] if aliases else []
    return {"items": [{"data_fields": _row(project), "children": children}]}


def _result(rows: Any) -> dict[str, object]:
    """Return rows as XNAT's tables have them."""
    listed = list(rows)
    return {"ResultSet": {"totalRecords": str(len(listed)), "Result": listed}}
