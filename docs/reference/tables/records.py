"""Events, errors, metrics, and states: what an engine says."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

import engine.events
from engine.errors import EngineError
from engine.events.event import Event, Severity, UnknownEvent
from engine.metrics import Counters
from engine.model.session import TRANSITIONS, ObjectState, SessionStatus
from engine.monitoring.exposition import _Collector
from tables.markdown import code, field_texts, sentence, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import Enum

T = TypeVar("T")

_OF_ALL = {field.name for field in fields(Event)}
_OURS = ("engine", "tui")
_HAS_ERRORS = re.compile(r"^class \w+\(\w*(Error|Refused|Failed|Unreachable)\):", re.MULTILINE)
"""Other modules are not imported: some are programs."""
ROOT = Path(__file__).parents[3]


def events() -> str:
    """Return all kinds of events."""
    for module in pkgutil.iter_modules(engine.events.__path__):
        importlib.import_module(f"engine.events.{module.name}")
    kinds = sorted(set(_below(Event)) - {UnknownEvent}, key=lambda kind: kind.__name__)
    rows = [
        (code(k.__name__), _severity(k), k.topic, sentence(k.__doc__), _own_fields(k))
        for k in kinds
    ]
    return table(("kind", "level", "what", "meaning", "fields"), rows)


def _severity(kind: type[Event]) -> str:
    # A kind whose events have a severity each has a slot in its place.
    severity: object = kind.severity
    return str(severity) if isinstance(severity, Severity) else "any"


def _own_fields(kind: type[Event]) -> str:
    return ", ".join(code(f.name) for f in fields(kind) if f.name not in _OF_ALL)


def errors() -> str:
    """Return all errors by exit code."""
    for path in (path for package in _OURS for path in sorted((ROOT / package).rglob("*.py"))):
        if _HAS_ERRORS.search(path.read_text("utf-8")):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    classes = sorted(_below(EngineError), key=lambda each: (each.exit_code, each.__name__))
    rows = [
        (str(c.exit_code), code(c.__name__), c.title, sentence(c.__doc__), _status(c))
        for c in classes
        if c.__module__.split(".")[0] in _OURS and not c.__name__.startswith("_")
    ]
    return table(("exit code", "error", "title", "meaning", "C-STORE status"), rows)


def _status(cls: type) -> str:
    status = getattr(cls, "status", None)
    return code(f"0x{status:04X}") if isinstance(status, int) else ""


def _below(cls: type[T]) -> Iterator[type[T]]:
    for each in cls.__subclasses__():
        # A dataclass with slots is made twice; the first one has no fields of its own.
        if inspect.getmodule(each) is not None and _is_current(each):
            yield each
        yield from _below(each)


def _is_current(cls: type) -> bool:
    return getattr(importlib.import_module(cls.__module__), cls.__qualname__, None) is cls


def metrics() -> str:
    """Return all metrics."""
    storage = SimpleNamespace(total_bytes=0, free_bytes=0)
    snapshot: Any = SimpleNamespace(
        version="",
        durability="",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        revision=0,
        configuration_problem="",
        storage=storage,
        processes=(SimpleNamespace(number=0, associations=0, objects=0, cpu_seconds=0.0,
                                   memory_bytes=0),),
        receivers=(),
        maximum_associations=0,
    )  # fmt: skip
    families = _Collector(snapshot, Counters()).collect()
    rows = [
        (code(f.name + _SUFFIXES.get(f.type, "")), f.type, _labels(f), f.documentation)
        for f in sorted(families, key=lambda family: family.name)
    ]
    return table(("metric", "type", "labels", "meaning"), rows)


_SUFFIXES = {"counter": "_total", "info": "_info"}


def _labels(family: object) -> str:
    names = [*getattr(family, "_labelnames", ())]
    names += sorted({name for s in getattr(family, "samples", ()) for name in s.labels})
    return ", ".join(code(name) for name in dict.fromkeys(names))


def session_states() -> str:
    """Return the states of a session."""
    return _states(SessionStatus)


def object_states() -> str:
    """Return the final states of an object."""
    return _states(ObjectState)


def _states(cls: type[Enum]) -> str:
    texts = field_texts(cls)
    return table(("state", "meaning"), [(code(m.value), texts.get(m.name, "")) for m in cls])


def transitions() -> str:
    """Return which state of a session may follow which."""
    rows = [
        (code(before), ", ".join(code(after) for after in SessionStatus if after in following))
        for before, following in TRANSITIONS.items()
    ]
    return table(("from", "to"), rows)
