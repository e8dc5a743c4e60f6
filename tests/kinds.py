"""Of which classes a value is made, which `==` does not tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def kinds_in(value: Any) -> Any:
    """Return the classes of a value and of all that is in it: a text may equal an enum's member."""
    if is_dataclass(value):
        return type(value), [kinds_in(getattr(value, f.name)) for f in fields(value)]
    if isinstance(value, Mapping):
        return type(value), {kinds_in(k): kinds_in(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [kinds_in(each) for each in value]
    return type(value)
