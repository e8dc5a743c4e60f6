"""XNAT's resource for receivers, `/xapi/dicomscp` (XNAT 1.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.api import ReceiverState
from engine.api.history import ReceiverTimes
from engine.config.xnat.receivers import (
    DQR_IDENTIFIER,
    STUDY_ROUTING,
    merged_receiver,
    posted_id,
    posted_receiver,
    to_xnat,
)
from engine.errors import NotFound
from engine.model.plugins import DEFAULT_IDENTIFIER, offered_identifiers
from engine.model.project import ProjectRegistry
from engine.model.receiver import ReceiverRules
from engine.remote.xnat.answers import Body, Call, flag_of, milliseconds, record_of, resource
from engine.remote.xnat.prearchive import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.routing import BaseRoute

    from engine.api import EngineView
    from engine.model.plugins import IdentifierInfo
    from engine.model.receiver import Receiver

BASE = "/dicomscp"
FORM = "application/x-www-form-urlencoded"
MOST_DIGITS = 18
"""Most digits of an id that is looked up."""


def receiver_routes() -> tuple[BaseRoute, ...]:
    """Return the routes of the resource, below `/xapi`."""
    return (
        resource(BASE, "GET", _list),
        resource(BASE, "POST", _create, Body.TEXT),
        # Named paths before `/{id}`, which fits them too: Starlette takes the first that fits.
        resource(f"{BASE}/start", "PUT", lambda call: _switch(call, allowed=True)),
        resource(f"{BASE}/stop", "PUT", lambda call: _switch(call, allowed=False)),
        resource(f"{BASE}/identifiers", "GET", _offered),
        resource(f"{BASE}/identifiers", "PUT", _reset),
        resource(f"{BASE}/identifiers/{{bean}}", "GET", _identifier),
        resource(f"{BASE}/identifiers/{{bean}}", "PUT", _reset_one),
        # An AE title may contain a slash.
        resource(f"{BASE}/title/{{title:path}}/{{port}}", "GET", _by_title),
        resource(f"{BASE}/{{id}}", "GET", lambda call: _record(call, _named(call))),
        resource(f"{BASE}/{{id}}", "PUT", _merge, Body.TEXT),
        resource(f"{BASE}/{{id}}", "DELETE", _delete),
        resource(f"{BASE}/{{id}}/enabled", "GET", lambda call: _named(call).enabled),
        resource(f"{BASE}/{{id}}/enabled/{{flag}}", "PUT", _enable),
    )


def _list(call: Call) -> list[dict[str, object]]:
    return _records(call, _receivers(call.engine))


def _create(call: Call) -> dict[str, object]:
    record = _posted(call)
    # XNAT 1.1: an id that does not exist means a new receiver.
    wanted = posted_id(record)
    known = next((r for r in _receivers(call.engine) if r.id == wanted), None)
    receiver = posted_receiver(record, known, _rules(call.engine))
    return _record(call, call.engine.save_receiver(receiver, call.actor, replacing=known))


def _merge(call: Call) -> dict[str, object]:
    known = _named(call)
    receiver = merged_receiver(_posted(call), known, _rules(call.engine))
    # A merge keeps what it does not name, so that must not have changed since it was read.
    return _record(call, call.engine.save_receiver(receiver, call.actor, replacing=known))


def _posted(call: Call) -> Mapping[str, Any]:
    """Return the record of a body: JSON of any content type, or the fields of a form."""
    text = call.text()
    kind = call.request.headers.get("content-type", "")
    # `curl -d` sends JSON with the type of a form, and XNAT reads it.
    if not kind.startswith(FORM) or text.lstrip().startswith("{"):
        return record_of(call)
    fields = fields_of(call)
    last = {name: each[-1] for name, each in fields.items()}
    record: dict[str, Any] = {name: _VALUES.get(text, text) for name, text in last.items()}
    if len(fields.get("whitelist", ())) > 1:
        record["whitelist"] = fields["whitelist"]
    return record


_VALUES = {"true": True, "false": False}


def _delete(call: Call) -> None:
    call.engine.delete_receiver(_named(call).id, call.actor)


def _by_title(call: Call) -> dict[str, object]:
    label = f"{call.part('title')}:{call.part('port')}"
    for receiver in _receivers(call.engine):
        if receiver.label == label:
            return _record(call, receiver)
    raise NotFound(f"Could not find DICOM SCP instance with the title and port {label[:80]!r}")


def _enable(call: Call) -> dict[str, object]:
    enabled = flag_of(call.part("flag"))
    return _record(call, call.engine.set_enabled(_named(call).id, enabled, call.actor))


def _switch(call: Call, *, allowed: bool) -> list[tuple[str, int, bool]]:
    """Turn the site's switch; which receivers are enabled is not touched (XNAT 3.5)."""
    engine, site = call.engine, call.engine.site()
    if site.receivers_allowed is not allowed:
        changed = replace(site, receivers_allowed=allowed)
        engine.set_site(changed, call.actor, replacing=site)
    return [
        (status.receiver.ae_title, status.receiver.port, status.state is ReceiverState.LISTENING)
        for status in engine.snapshot().receivers
    ]


def _offered(call: Call) -> dict[str, str]:
    """Return the identifiers to choose from; clients take the only one without being told."""
    used = {receiver.identifier for receiver in _receivers(call.engine)}
    everything = call.engine.site().offer_all_identifiers
    return _names(offered_identifiers(call.engine.identifiers(), used, everything=everything))


def _names(identifiers: Iterable[IdentifierInfo]) -> dict[str, str]:
    names = {info.id: info.name for info in identifiers if not info.error}
    if STUDY_ROUTING in names:
        # XNAT 7.4: clients look for it here before they save a receiver that uses it.
        names.setdefault(DQR_IDENTIFIER, names[STUDY_ROUTING])
    return names


def _identifier(call: Call) -> dict[str, str] | str:
    bean = call.part("bean")
    # XNAT 1.2: `default` is accepted for the default identifier.
    name = _names(call.engine.identifiers()).get(DEFAULT_IDENTIFIER if bean == "default" else bean)
    if name is None:
        raise NotFound(f"Could not find a DICOM Object Identifier with ID {bean[:80]!r}")
    return name


def _reset(_call: Call) -> None:
    """Do nothing: identifiers have no state to reset."""


def _reset_one(call: Call) -> None:
    _identifier(call)


def _rules(engine: EngineView) -> ReceiverRules:
    projects = ProjectRegistry(engine.projects())
    return ReceiverRules(engine.site(), engine.identifiers(), _receivers(engine), projects)


def _named(call: Call) -> Receiver:
    text = call.part("id")
    is_number = text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS
    for receiver in _receivers(call.engine) if is_number else ():
        if receiver.id == int(text):
            return receiver
    raise NotFound(f"Could not find DICOM SCP instance with ID {text[:40]}")


def _receivers(engine: EngineView) -> tuple[Receiver, ...]:
    return tuple(status.receiver for status in engine.snapshot().receivers)


def _record(call: Call, receiver: Receiver) -> dict[str, object]:
    return _records(call, (receiver,))[0]


def _records(call: Call, receivers: Iterable[Receiver]) -> list[dict[str, object]]:
    """Return records as ``GET`` gives them."""
    times = {one.receiver_id: one for one in call.engine.history.receiver_times()}
    return [_with_stamps(one, times.get(one.id, ReceiverTimes(one.id))) for one in receivers]


def _with_stamps(receiver: Receiver, times: ReceiverTimes) -> dict[str, object]:
    stamps = {
        "created": times.added_at and milliseconds(times.added_at),
        "timestamp": times.changed_at and milliseconds(times.changed_at),
        # XNAT 1.1: an inherited column that its receivers do not use.
        "disabled": 0,
    }
    return {"id": receiver.id, **stamps, **to_xnat(receiver), "label": receiver.label}
