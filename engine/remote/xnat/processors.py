"""XNAT's resource for archive processors, `/xapi/processors` (XNAT 10.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from engine.config.xnat.processors import (
    REMAP_BY_STUDY,
    in_their_words,
    posted_processor,
    processor_to_xnat,
    their_class,
)
from engine.errors import InvalidProcessor, NotFound
from engine.remote.xnat.answers import Body, Call, record_of, resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.routing import BaseRoute

    from engine.model.processor import Processor

BASE = "/processors"


def processor_routes() -> tuple[BaseRoute, ...]:
    """Return the routes of the resource, below `/xapi`."""
    site = f"{BASE}/site"
    return (
        resource(f"{BASE}/classes", "GET", _classes),
        resource(f"{site}/list", "GET", lambda call: _records(_all(call))),
        resource(f"{site}/create", "POST", _create, Body.JSON),
        resource(f"{site}/id/{{id}}", "GET", lambda call: processor_to_xnat(_named(call))),
        resource(f"{site}/id/{{id}}", "PUT", _merge, Body.JSON),
        resource(f"{site}/id/{{id}}", "DELETE", _delete),
        resource(f"{site}/enabled", "GET", lambda call: _records(_enabled(call))),
        resource(f"{site}/enabled/summary", "GET", _summary),
        # An AE title may contain a slash.
        resource(f"{site}/enabled/receiver/{{label:path}}", "GET", _of_receiver),
        resource(f"{site}/canRemap/receiver/{{label:path}}", "GET", _can_remap),
    )


def _classes(call: Call) -> list[str]:
    return [their_class(known.id) for known in call.engine.processors.classes() if not known.error]


def _create(call: Call) -> dict[str, object]:
    return _saved(call, posted_processor(record_of(call), None), None)


def _merge(call: Call) -> dict[str, object] | Response:
    known = _named(call)
    processor = posted_processor(record_of(call), known)
    # XNAT 10.3: a PUT without changes.
    return Response(status_code=304) if processor == known else _saved(call, processor, known)


def _saved(call: Call, processor: Processor, known: Processor | None) -> dict[str, object]:
    try:
        saved = call.engine.processors.save(processor, call.actor, replacing=known)
    except InvalidProcessor as error:
        raise InvalidProcessor(*map(in_their_words, error.problems)) from error
    return processor_to_xnat(saved)


def _delete(call: Call) -> bool:
    call.engine.processors.delete(_named(call).id, call.actor)
    return True


def _summary(call: Call) -> list[dict[str, object]]:
    shown = ("location", "scope", "priority", "processorClass", "label")
    records = _records(_enabled(call))
    return [{name: record[name] for name in shown} for record in records]


def _of_receiver(call: Call) -> list[dict[str, object]]:
    label = call.part("label")
    return _records(p for p in _enabled(call) if p.admits_receiver(label))


def _can_remap(call: Call) -> bool:
    label = call.part("label")
    receivers = (status.receiver for status in call.engine.snapshot().receivers)
    receiver = next((each for each in receivers if each.label == label), None)
    if receiver is None:
        raise NotFound(f"Could not find the DICOM SCP receiver {label[:80]!r}")
    if not receiver.custom_processing:
        return False
    remaps = (p for p in _enabled(call) if p.processor_class == REMAP_BY_STUDY)
    return any(p.admits_receiver(label) for p in remaps)


def _all(call: Call) -> Iterator[Processor]:
    return (status.processor for status in call.engine.processors.list())


def _enabled(call: Call) -> Iterator[Processor]:
    return (processor for processor in _all(call) if processor.enabled)


def _records(processors: Iterator[Processor]) -> list[dict[str, object]]:
    return [processor_to_xnat(processor) for processor in processors]


def _named(call: Call) -> Processor:
    text = call.part("id")
    for processor in _all(call):
        if str(processor.id) == text:
            return processor
    raise NotFound(f"Could not find the archive processor {text[:40]}")
