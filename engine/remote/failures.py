"""Errors as JSON, and back to the same class, or to `EngineError` if that is unknown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.errors import (
    AlreadyRunning,
    ChangedMeanwhile,
    ConfigurationError,
    EngineError,
    NotFound,
    OutOfResources,
    Problem,
    SessionError,
    StorageUnusable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FAULT = 500
_STATUSES: tuple[tuple[type[EngineError], int], ...] = (
    (NotFound, 404),
    (ChangedMeanwhile, 409),
    (SessionError, 409),
    (AlreadyRunning, 409),
    (ConfigurationError, 422),
    (OutOfResources, 507),
    (StorageUnusable, 507),
)
_WORDS = frozenset({"title", "detail", "remedy", "exit_code", "args"})
_PLAIN = (str, int, float, bool, type(None))


class EngineSilent(EngineError):
    """The engine does not answer, or its answer can't be read."""

    title = "The engine does not answer"
    exit_code = 8


class ReadOnly(EngineError):
    """The engine speaks another version of the protocol; nothing is changed through this one."""

    title = "Nothing can be changed here"
    exit_code = 8


def status_of(error: EngineError) -> int:
    """Return the HTTP status that goes with an error."""
    own = getattr(error, "http_status", None)
    if isinstance(own, int):
        return own
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 400)


def dump_error(error: EngineError) -> bytes:
    """Return an error as JSON: class, texts, and its other public attributes."""
    carried = {n: v for n, v in vars(error).items() if n not in _WORDS and not n.startswith("_")}
    record = {
        "error": type(error).__name__,
        "title": error.title,
        "detail": error.detail,
        "remedy": error.remedy,
        "exit_code": error.exit_code,
        "carries": {n: _plain(v) for n, v in carried.items() if _is_plain(v)},
    }
    return json.dumps(record).encode()


def load_error(content: bytes) -> EngineError:
    """Return the error that JSON describes; an `EngineError` if its class is not known here.

    Raises:
        ValueError: if it is no such JSON.
    """
    record = json.loads(content)
    if not isinstance(record, dict) or not isinstance(record.get("error"), str):
        raise ValueError("not an error")  # noqa: TRY004 - of what was received, not of a caller
    known = {cls.__name__: cls for cls in _classes(EngineError)}
    cls = known.get(record["error"], EngineError)
    # Not by its own constructor: that takes arguments which are not part of the JSON.
    error = cls.__new__(cls)
    EngineError.__init__(error, str(record.get("detail", "")), str(record.get("remedy", "")))
    error.title = str(record.get("title", cls.title))
    error.exit_code = int(record.get("exit_code", cls.exit_code))
    for name, value in dict(record.get("carries", {})).items():
        setattr(error, name, _carried(value))
    return error


def _classes(cls: type[EngineError]) -> Iterator[type[EngineError]]:
    yield cls
    for derived in cls.__subclasses__():
        yield from _classes(derived)


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(each, (*_PLAIN, Problem)) for each in value)
    return isinstance(value, _PLAIN)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Problem):
        names = ("field", "value", "message", "remedy", "line", "column")
        return {name: getattr(value, name) for name in names}
    return value


def _carried(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_carried(each) for each in value)
    return Problem(**value) if isinstance(value, dict) else value
