"""Values of any type that the engine's view has, made from its type hints."""

from __future__ import annotations

import enum
import itertools
import types
from collections.abc import Callable, Mapping
from dataclasses import Field, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from engine.events import Event
from engine.events.sessions import SessionArchived
from engine.remote.schema import hints_of

NUMBERS = itertools.count(1)
PLAIN: Mapping[Any, Callable[[int], Any]] = {
    bool: lambda n: bool(n % 2),
    int: lambda n: n,
    float: lambda n: n + 0.25,
    str: lambda n: f"text {n} [é] \x1b\\",
    bytes: lambda n: bytes([n % 256, 0, 255]),
    datetime: lambda n: datetime(2026, 8, 24, 14, 3, 22, n, tzinfo=UTC),
    date: lambda n: date(2026, 8, 1 + n % 28),
    timedelta: lambda n: timedelta(seconds=n, microseconds=5),
    Path: lambda n: Path(f"/srv/{n}/\udce9"),
    type(None): lambda n: None,
}


def sample(hint: Any, depth: int = 0) -> Any:
    """Make a value of a type in which every number, text and moment is another one."""
    if hint in PLAIN:
        return PLAIN[hint](next(NUMBERS))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, types.UnionType}:
        return sample(arguments[0], depth)
    if hint is None:
        return None
    if origin is Literal:
        return arguments[-1]
    if origin is tuple and arguments[-1] is ...:
        return tuple(sample(arguments[0], depth + 1) for _ in range(2 if depth < 7 else 0))
    if origin is tuple:
        return tuple(sample(argument, depth + 1) for argument in arguments)
    if origin is frozenset:
        return frozenset({sample(arguments[0], depth + 1)})
    if origin in {dict, Mapping}:
        return {sample(arguments[0], depth + 1): sample(arguments[1], depth + 1)}
    if issubclass(hint, enum.Enum):
        return list(hint)[-1]
    if hint is Event:
        return SessionArchived(session=next(NUMBERS), project="P", by="anna")
    if is_dataclass(hint):
        return sample_of_class(hint, depth)
    return hint(f"AE_{next(NUMBERS)}")


def sample_of_class(cls: Any, depth: int) -> Any:
    hints = hints_of(cls)
    named = {f.name: sample(hints[f.name], depth + 1) for f in fields(cls) if is_carried(f, hints)}
    return cls(**named)


def is_carried(field: Field[Any], hints: Mapping[str, Any]) -> bool:
    """Leave out what has no JSON form, and switches that would have texts of ours parsed."""
    hint = hints[field.name]
    callable_ = any(get_origin(argument) is Callable for argument in get_args(hint))
    return field.init and not callable_ and not (hint is bool and field.default is False)
