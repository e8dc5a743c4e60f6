"""``set`` and ``delete``, which name elements by number, and ``alterPixels`` (9.6, 9.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.anonymize.datasets.pixels import Rectangle, blacken
from engine.anonymize.datasets.writing import assign, remove
from engine.anonymize.errors import PathFault, StatementFailure
from engine.anonymize.functions.function import Argument, Function
from engine.anonymize.language.paths import Path, plain_path
from engine.anonymize.language.values import VOID, Void

if TYPE_CHECKING:
    from engine.anonymize.language.values import Value
    from engine.anonymize.run import ScriptRun


def _set(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    path, text = _plain(arguments[0]), run.text(arguments[1])
    if text is not None:
        assign(run.ds, path, text)
    return VOID


def _delete(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    for hit in reversed(run.find(_plain(arguments[0]))):
        remove(hit)
    return VOID


def _plain(value: Value) -> Path:
    if not isinstance(value, str):
        raise StatementFailure("the path must be a text", "put it in quotes")
    try:
        return plain_path(value)
    except PathFault as fault:
        raise StatementFailure(f"the path {fault.reason}", fault.remedy) from fault


def _alter_pixels(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    shape, bounds, fill, value = (run.needed(argument) for argument in arguments)
    if shape.lower() != "rectangle":
        raise StatementFailure("the shape is not known", 'write "rectangle"')
    if fill.lower() != "solid":
        raise StatementFailure("the fill is not known", 'write "solid"')
    _check_fill(value)
    blacken(run.ds, Rectangle.parse(bounds), run.tick)
    return VOID


def _check_fill(value: str) -> None:
    """The value is read and then not used: XNAT fills with 0 whatever it says (9.8)."""
    name, equals, number = value.partition("=")
    if name.strip().lower() not in ("v", "value") or not equals or not number.strip():
        raise StatementFailure("the fill value can't be read", 'write "v=0"; the fill is always 0')


_PLAIN, _TEXT = Argument.PLAIN_PATH, Argument.TEXT

FUNCTIONS: Final = {
    "set": Function(_set, 2, 2, (_PLAIN, _TEXT)),
    "delete": Function(_delete, 1, 1, (_PLAIN,)),
    "alterPixels": Function(_alter_pixels, 4, 4),
}
