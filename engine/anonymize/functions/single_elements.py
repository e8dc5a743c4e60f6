"""``set`` and ``delete``, which name elements by number, and ``alterPixels`` (9.6, 9.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.anonymize.errors import Failure, PathFault
from engine.anonymize.functions.function import Argument, Function
from engine.anonymize.paths import Path, plain_path
from engine.anonymize.pixels import Rectangle, blacken
from engine.anonymize.values import VOID, Void
from engine.anonymize.writing import assign, remove

if TYPE_CHECKING:
    from engine.anonymize.run import Run
    from engine.anonymize.values import Value


def _set(run: Run, arguments: tuple[Value, ...]) -> Void:
    path, text = _plain(arguments[0]), run.text(arguments[1])
    if text is not None:
        assign(run.ds, path, text)
    return VOID


def _delete(run: Run, arguments: tuple[Value, ...]) -> Void:
    for hit in reversed(run.find(_plain(arguments[0]))):
        remove(hit)
    return VOID


def _plain(value: Value) -> Path:
    if not isinstance(value, str):
        raise Failure("the path must be a text", "put it in quotes")
    try:
        return plain_path(value)
    except PathFault as fault:
        raise Failure(f"the path {fault.reason}", fault.remedy) from fault


def _alter_pixels(run: Run, arguments: tuple[Value, ...]) -> Void:
    shape, bounds, fill, value = (run.needed(argument) for argument in arguments)
    if shape.lower() != "rectangle":
        raise Failure("the shape is not known", 'write "rectangle"')
    if fill.lower() != "solid":
        raise Failure("the fill is not known", 'write "solid"')
    _check_fill(value)
    blacken(run.ds, Rectangle.parse(bounds), run.tick)
    return VOID


def _check_fill(value: str) -> None:
    """The value is read and then not used: XNAT fills with 0 whatever it says (9.8)."""
    name, equals, number = value.partition("=")
    if name.strip().lower() not in ("v", "value") or not equals or not number.strip():
        raise Failure("the fill value can't be read", 'write "v=0"; the fill is always 0')


_PLAIN, _TEXT = Argument.PLAIN_PATH, Argument.TEXT

FUNCTIONS: Final = {
    "set": Function(_set, 2, 2, (_PLAIN, _TEXT)),
    "delete": Function(_delete, 1, 1, (_PLAIN,)),
    "alterPixels": Function(_alter_pixels, 4, 4),
}
