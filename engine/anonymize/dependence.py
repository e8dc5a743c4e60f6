"""Finds out from a script which elements decide what it makes of an object.

Only for scripts whose statements are simple enough for a certain answer; for the others there is
none, and every object is edited by a run of the script.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.datadict import dictionary_VR

from engine.anonymize.language import syntax
from engine.anonymize.language.paths import Levels, TagStep
from engine.anonymize.language.syntax import flat, values_of
from engine.dicom.elements import PIXEL_VRS
from engine.dicom.repeated_edit import Dependence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.anonymize.language.paths import Path
    from engine.anonymize.language.syntax import Statement
    from engine.anonymize.script import Script

_DETERMINED: Final = frozenset(
    (
        *("concatenate", "format", "lowercase", "uppercase", "substring", "replace", "match"),
        *("ismatch", "normalizeString", "isPresent", "true", "false", "hashUID"),
        *("shiftDateByIncrement", "shiftDateTimeByIncrement"),
    )
)
"""Functions that change nothing, and whose result depends on nothing but their arguments."""
_META_GROUP: Final = 0x0002
_FIRST_PIXELS: Final = 0x7FE00000
_CHARACTER_SET: Final = 0x00080005
_PRIVATE: Final = (0x00010000, 0x00010000)
"""Mask and bits of the tags of private elements (PS3.5 7.8)."""


class _Uncertain(Exception):
    """A statement does what this module does not know."""


def dependence_of(scripts: Sequence[Script]) -> Dependence | None:
    """Return which elements decide what scripts, one after the other, make of an object."""
    statements = [statement for script in scripts for statement in script.statements]
    try:
        return _Search(statements).found()
    except _Uncertain:
        return None


class _Search:
    """Goes through the statements of some scripts."""

    def __init__(self, statements: list[Statement]) -> None:
        self._statements = statements
        self._read: set[int] = set()
        self._changed: set[int] = set()
        self._removed: list[tuple[int, int]] = []
        self._has_sequences = False

    def found(self) -> Dependence:
        """Return what was found."""
        hashes: list[tuple[int, int]] = []
        written: list[int | None] = []
        for statement in flat(self._statements):
            is_always_run = any(statement is each for each in self._statements)
            self._change(statement, always=is_always_run)
            written.append(_written(statement))
            hashed = _hash(statement) if is_always_run else None
            if hashed is None:
                self._read.update(map(_root, _paths(statement)))
            else:
                hashes.append(hashed)
        while doubtful := [each for each in hashes if self._is_doubtful(*each, written)]:
            hashes = [each for each in hashes if each not in doubtful]
            self._read.update(source for _, source in doubtful)
        return Dependence(
            frozenset(self._read),
            frozenset(self._changed),
            tuple(self._removed),
            tuple(hashes),
            self._has_sequences,
        )

    def _is_doubtful(self, target: int, source: int, written: list[int | None]) -> bool:
        """Tell whether another statement writes to or removes a hash or its UID, or reads it."""
        is_removed = any(t & mask == bits for mask, bits in self._removed for t in (target, source))
        others = written.count(target) > 1 or written.count(source) > (source == target)
        # What is made of a hash depends on its UID.
        return is_removed or others or (target in self._read and source not in self._read)

    def _change(self, statement: Statement, *, always: bool) -> None:
        match statement:
            case syntax.Assign(path):
                self._changed.add(_with_certain_vr(_root(path)))
            case syntax.AssignExisting(path):
                self._changed.add(_with_certain_vr(self._root_or_below(path)))
            case syntax.Delete(path):
                step = self._step(path)
                if always:
                    # What it was does not matter, nor whether it was there.
                    self._removed.append((step.mask, step.tag))
                elif step.exact:
                    self._changed.add(_editable(step.tag))
                else:
                    raise _Uncertain
            case syntax.RemovePrivate():
                if not always:
                    raise _Uncertain
                self._removed.append(_PRIVATE)
                self._has_sequences = True
            case syntax.SetVariable() | syntax.Echo() | syntax.Hint() | syntax.Choice():
                pass
            case _:
                raise _Uncertain

    def _root_or_below(self, path: Path) -> int:
        step = self._step(path)
        if not step.exact:
            raise _Uncertain
        return step.tag

    def _step(self, path: Path) -> TagStep:
        """Return the only step of a path, which may stand behind ``*/``."""
        *before, step = path.steps
        if before not in ([], [Levels.ANY]) or not isinstance(step, TagStep):
            raise _Uncertain
        if step.creator is not None or step.item is not None or step.every_item:
            raise _Uncertain
        if any(tag & step.mask == step.tag for tag in (_CHARACTER_SET, *PIXEL_VRS)):
            raise _Uncertain
        if any(group & step.mask >> 16 == step.tag >> 16 for group in (0, _META_GROUP)):
            raise _Uncertain
        # A pattern looks into the sequences that it means, and fails if one can't be read.
        self._has_sequences |= bool(before) or not step.exact
        return step


def _root(path: Path) -> int:
    if path.root_tag is None:
        raise _Uncertain
    return _with_certain_vr(path.root_tag)


def _editable(tag: int) -> int:
    """Refuse what other elements are read or stored by."""
    if tag >> 16 <= _META_GROUP or tag >= _FIRST_PIXELS or tag == _CHARACTER_SET:
        raise _Uncertain
    return tag


def _with_certain_vr(tag: int) -> int:
    """Refuse an element whose VR depends on others, such as that of Smallest Pixel Value."""
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        raise _Uncertain from None
    if len(vr) != len("UI"):
        raise _Uncertain
    return _editable(tag)


def _paths(statement: Statement) -> Iterator[Path]:
    """Yield the paths whose values a statement reads."""
    values = [*values_of(statement)]
    if isinstance(statement, syntax.Echo) and statement.value is not None:
        values += syntax.values_below(statement.value)
    for value in values:
        if isinstance(value, syntax.PathValue):
            yield value.path
        elif isinstance(value, syntax.ListValue) or (
            isinstance(value, syntax.Call) and value.name not in _DETERMINED
        ):
            raise _Uncertain


def _hash(statement: Statement) -> tuple[int, int] | None:
    """Return target and source of ``(gggg,eeee) := hashUID[(gggg,eeee)]``."""
    match statement:
        case syntax.Assign(path, syntax.Call("hashUID", (syntax.PathValue(source),))):
            target, wanted = _root(path), _root(source)
            if _is_uid(target) and _is_uid(wanted):
                return target, wanted
        case _:
            pass
    return None


def _is_uid(tag: int) -> bool:
    return dictionary_VR(tag) == "UI"


def _written(statement: Statement) -> int | None:
    match statement:
        case syntax.Assign(path) | syntax.AssignExisting(path) | syntax.Delete(path):
            step = path.steps[-1]
            return step.tag if isinstance(step, TagStep) and step.exact else None
        case _:
            return None
