"""Values of expressions: text, null, a path, a list, or no value (dicomedit 4.1)."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from engine.anonymize.errors import StatementFailure
from engine.anonymize.language.paths import Path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Void(Enum):
    """The result of a procedure, which can't be stored or compared."""

    VOID = auto()


Value = str | None | Path | tuple["Value", ...] | Void
VOID: Final = Void.VOID
MOST_CHARACTERS: Final = 16 * 1024**2
"""The longest text. Without a limit, 24 lines that each double a text would fill the disk."""
TRUE: Final = "true"
FALSE: Final = "false"


def joined(pieces: Iterable[str]) -> str:
    """Return texts as one.

    Raises:
        StatementFailure: if that is longer than a text may be.
    """
    kept, length = [], 0
    for piece in pieces:
        length += len(piece)
        require_length(length)
        kept.append(piece)
    return "".join(kept)


def require_length(characters: int) -> None:
    """Refuse a text that is longer than a text may be.

    Raises:
        StatementFailure: if it is.
    """
    if characters > MOST_CHARACTERS:
        remedy = "let the script make shorter ones"
        raise StatementFailure(f"a text is longer than {MOST_CHARACTERS:,} characters", remedy)


def boolean(value: bool) -> str:
    """Return a truth value as the text that a script sees."""
    return TRUE if value else FALSE


def is_true(value: str) -> bool:
    """Tell whether a text counts as true."""
    # dicomedit 4.1: letter case does not count.
    return value.lower() == TRUE


def flattened(values: Iterable[Value]) -> Iterator[Value]:
    """Yield the values with those of nested lists in their place."""
    for value in values:
        if isinstance(value, tuple):
            yield from flattened(value)
        else:
            yield value


def scalar(value: Value) -> str | None:
    """Return a value that must be a single text or null.

    Raises:
        StatementFailure: if it is a list or nothing.
    """
    if isinstance(value, tuple):
        raise StatementFailure(
            "a list is no value for this", "use collectValues, or a single value"
        )
    if isinstance(value, Void):
        raise StatementFailure("a function without a result is used as a value")
    if isinstance(value, Path):
        raise StatementFailure("a tag path is no value for this")
    return value
