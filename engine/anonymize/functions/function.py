"""A DicomEdit function: its code, and the checks of its arguments before it runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from engine.anonymize.datasets.reading import WHOLE_TEXTS, text_of, vr_of
from engine.anonymize.datasets.writing import store
from engine.anonymize.errors import PathFault, StatementFailure
from engine.anonymize.language.paths import Path, parse_path
from engine.anonymize.language.values import flattened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from engine.anonymize.datasets.tree import Hit
    from engine.anonymize.language.values import Value
    from engine.anonymize.run import ScriptRun


class Argument(Enum):
    """The kinds of arguments, by which literals are checked."""

    TEXT = auto()
    """A value; a path is read, so it must name one element."""
    ANY = auto()
    """A value or path that is not read as it stands."""
    PATHS = auto()
    """Paths, texts of paths, and lists of them."""
    ONE_PATH = auto()
    """A path that names one element."""
    PLAIN_PATH = auto()
    """The text of a path by numbers."""
    PATTERN = auto()
    """A Java regular expression."""
    WHOLE_NUMBER = auto()


@dataclass(frozen=True, slots=True)
class Function:
    """A function; the last kind of argument holds for all further ones."""

    run: Callable[[ScriptRun, tuple[Value, ...]], Value]
    least: int
    most: int | None
    arguments: tuple[Argument, ...] = (Argument.TEXT,)

    def argument(self, index: int) -> Argument:
        """Return what the 0-based argument means."""
        return self.arguments[min(index, len(self.arguments) - 1)]

    @property
    def arity(self) -> str:
        """How many arguments it takes, in words."""
        if self.most is None:
            return f"{self.least} or more arguments"
        if self.least == self.most:
            return f"{self.least} argument{'s' * (self.least != 1)}"
        return f"{self.least} to {self.most} arguments"


def paths_in(values: Iterable[Value]) -> list[Path]:
    """Return the paths among arguments, lists and texts of paths.

    Raises:
        StatementFailure: if something is no path.
    """
    return [_as_path(value) for value in flattened(values)]


def _as_path(value: Value) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise StatementFailure("an argument is no tag path")
    try:
        return parse_path(value)
    except PathFault as fault:
        remedy = "keep a path in a variable as a list: name := {(gggg,eeee)}"
        raise StatementFailure(f"an argument is no tag path: it {fault.reason}", remedy) from fault


def whole_number(text: str | None) -> int:
    """Return a number that is written without a fraction.

    Raises:
        StatementFailure: if it is none.
    """
    digits = (text or "").removeprefix("-").removeprefix("+")
    # isdecimal alone takes digits of other scripts; int() refuses thousands of digits.
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 15):
        raise StatementFailure(
            "an argument is no whole number", "write a number without a fraction"
        )
    return int(text or "")


def hits_of(run: ScriptRun, paths: Iterable[Path]) -> list[Hit]:
    """Return the elements that any of the paths means, each once; no items and no sequences."""
    found = {
        # Two paths may mean one element: a date must not move twice.
        (id(hit.level.ds), hit.tag): hit
        for path in paths
        for hit in run.find(path)
        if hit.item is None and vr_of(hit.level.ds, hit.tag) != "SQ"
    }
    return list(found.values())


def change_each(run: ScriptRun, paths: Iterable[Path], change: Callable[[str], str]) -> None:
    """Replace every value that is not empty; VRs are kept."""
    for hit in hits_of(run, paths):
        run.tick()
        text = text_of(hit.level.ds, hit.tag)
        if not text:
            continue
        whole = vr_of(hit.level.ds, hit.tag) in WHOLE_TEXTS
        values = [text] if whole else text.split("\\")
        changed = "\\".join(change(value) if value else value for value in values)
        if changed != text:
            store(hit, changed)
