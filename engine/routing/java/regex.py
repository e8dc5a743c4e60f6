"""Java patterns translated to the `regex` package, version 1 (java.util.regex of Java 17).

The translation is explicit: it uses no flag of `regex`, so that classes are ASCII and line
terminators are Java's. What would not mean the same is refused with its place and a remedy.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, inf
from string import digits
from typing import TYPE_CHECKING, Final

from engine.routing.errors import PatternFault
from engine.routing.java import pieces as anchors
from engine.routing.java.classes import (
    CLASS_LETTERS,
    LINE_BREAKS,
    character,
    class_items,
    escaped,
    parse_class,
)
from engine.routing.java.pieces import (
    VALUE_UNITS,
    Opening,
    Piece,
    Trait,
    alternatives,
    around,
    choices_to_repeat,
    is_simple_loop,
    loops_in_fixed_shape,
    read_opening,
    read_quantifier,
    repeated,
    sequence,
    wrapped,
)
from engine.routing.java.source import Mode, PatternSource, variants

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import regex

    from engine.routing.java.pieces import Quantifier


Difference = tuple[str, str]
"""Reason and remedy."""

# A matched text is the same in both engines; what a group reports may not be. A rule takes a group,
# so this would file objects under another label than XNAT does.
_STALE = (
    "Java may report what a group in here held before the pattern took another way",
    "use (?:…) for the group, or capture outside of this part",
)
_STRICT = Trait.CAPTURES | Trait.COMMITS


def of_repetition(atom: Piece, quantifier: Quantifier) -> Difference | None:
    """Return where the engines differ for an atom with a quantifier; None if they agree."""
    stale = Trait.STALE in atom.traits or loops_in_fixed_shape(atom, quantifier)
    if stale and quantifier.low != quantifier.high:
        return _STALE
    may_capture = Trait.MAY_CAPTURE if quantifier.low else Trait.CAPTURES
    if quantifier.possessive and may_capture in atom.traits:
        return _STALE
    return _of_empty_repetition(atom, quantifier)


def _of_empty_repetition(atom: Piece, quantifier: Quantifier) -> Difference | None:
    if atom.least > 0:
        return None
    if atom.most == 0 and Trait.CAPTURES in atom.traits:
        return "a group that is always empty is repeated", "remove the quantifier"
    if (quantifier.counted or quantifier.possessive) and Trait.GROUPED in atom.traits:
        reason = "a group that may be empty is repeated by count or possessively"
        return reason, "make a part of the group obligatory, or use *, + or ? behind it"
    if quantifier.lazy and Trait.CAPTURES in atom.traits:
        reason = "a group that may be empty is repeated lazily"
        return reason, "make a part of the group obligatory, or remove the ? behind the quantifier"
    return None


def of_alternatives(branches: Sequence[Piece]) -> Difference | None:
    """Return where the engines differ for alternatives; None if they agree."""
    stale = any(Trait.STALE in branch.traits for branch in branches)
    return _STALE if stale and len(branches) > 1 else None


def of_atomic_group(inside: Piece) -> Difference | None:
    """Return where the engines differ for an atomic group; None if they agree."""
    return _STALE if Trait.MAY_CAPTURE in inside.traits else None


def of_look_around(inside: Piece, *, negative: bool, behind: bool) -> Difference | None:
    """Return where the engines differ for a look-around; None if they agree."""
    # Java refuses it, `regex` would take it (XNAT 6.6).
    if behind and (inside.most is None or Trait.REFERS_BACK in inside.traits):
        remedy = "use bounded quantifiers such as {0,10} and no back-references"
        return "the look-behind has no maximum length", remedy
    if behind and inside.least != inside.most and inside.traits & _STRICT:
        remedy = "give it a fixed length, or use (?:…) and no possessive quantifier"
        return "a group in a look-behind of open length", remedy
    if negative and Trait.CAPTURES in inside.traits:
        return _STALE
    return _STALE if Trait.MAY_CAPTURE in inside.traits else None


# Patterns come from a configuration, which may be imported: no text in it may take the memory, the
# stack or seconds of time. `regex` expands obligatory repetitions, so `MAX_SIZE` counts those.
MAX_PATTERN_CHARACTERS: Final = 1000
MAX_DEPTH: Final = 30
MAX_SIZE: Final = 10_000
_ESCAPE_IT = "escape it with a backslash if it is meant literally"


@dataclass(frozen=True, slots=True)
class JavaPattern:
    """A compiled pattern; its groups have numbers only, their names are in `names`."""

    compiled: regex.Pattern[str]
    groups: int
    names: Mapping[str, int]
    nested_loop: int | None
    """0-based place of a repeated group that itself repeats freely; None if there is none."""
    ways: float
    """The most ways through the pattern for 64 characters; infinite if not known."""


def compile_java(pattern: str) -> JavaPattern:
    """Translate and compile a Java pattern.

    Raises:
        PatternFault: if Java refuses it, or if it can't be translated exactly.
    """
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        reason = f"is longer than {MAX_PATTERN_CHARACTERS} characters ({len(pattern)})"
        raise PatternFault(MAX_PATTERN_CHARACTERS, reason, "split the rule or shorten the pattern")
    import regex  # slow to import, and only rules need it

    translation = _Translation(PatternSource(pattern))
    piece = translation.whole()
    try:
        compiled = regex.compile(piece.text, regex.VERSION1)
    # What passed all checks compiles as a rule; a pattern must never raise anything else here.
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        raise PatternFault(0, "can't be translated", "simplify the pattern") from error
    groups = translation.groups
    return JavaPattern(
        compiled, groups, translation.names, translation.nested_loop, translation.ways
    )


class _Translation:
    """One pass over one pattern, from the outermost alternatives down to the atoms."""

    def __init__(self, source: PatternSource) -> None:
        self._source = source
        self._mode = Mode.PLAIN
        self._depth = 0
        self._open: set[int] = set()
        self.groups = 0
        self.names: dict[str, int] = {}
        self.nested_loop: int | None = None
        self._loops = 0
        self._choices = 1.0

    def whole(self) -> Piece:
        """Read everything."""
        piece = self._alternatives()
        if not self._source.at_end:
            self._source.refuse("this ) closes nothing", _ESCAPE_IT)
        if Trait.SEARCH_ANCHOR in piece.traits and piece.least == 0:
            self._source.refuse(r"\G in a pattern that can match nothing", r"use \A or ^", 0)
        return piece

    @property
    def ways(self) -> float:
        """The number of ways to divide a value among the loops, times the number of choices."""
        return comb(VALUE_UNITS + self._loops, self._loops) * self._choices

    def _alternatives(self) -> Piece:
        start = self._source.offset
        pieces = [self._sequence()]
        while self._source.accept("|"):
            pieces.append(self._sequence())
        self._check(of_alternatives(pieces), start)
        # An upper bound: choices are multiplied as if each could be combined with each.
        self._choices *= len(pieces)
        return alternatives(pieces)

    def _sequence(self) -> Piece:
        pieces: list[Piece] = []
        while True:
            self._source.skip_comments(self._mode)
            if self._source.at_end or self._source.peek() in ("|", ")"):
                return sequence(pieces)
            start = self._source.offset
            atom = self._atom()
            if atom is not None:
                pieces.append(self._quantified(atom, start))

    def _quantified(self, atom: Piece, start: int) -> Piece:
        quantifier = read_quantifier(self._source, self._mode)
        if quantifier is None:
            return atom
        self._check(of_repetition(atom, quantifier), start)
        piece = repeated(atom, quantifier)
        self._loops += is_simple_loop(atom, quantifier)
        self._choices *= choices_to_repeat(atom, quantifier)
        if piece.size > MAX_SIZE:
            remedy = f"stay below {MAX_SIZE:,} obligatory repetitions in all"
            self._source.refuse("is repeated too often", remedy, start)
        endless = quantifier.high is None and not quantifier.possessive
        if endless and Trait.LOOPS_ALONE in atom.traits and self.nested_loop is None:
            self.nested_loop = start
        return piece

    def _check(self, difference: Difference | None, start: int) -> None:
        if difference is not None:
            self._source.refuse(*difference, start)

    def _atom(self) -> Piece | None:
        """Read one atom; None for what only changes the flags."""
        start = self._source.offset
        syntax = self._source.peek()
        char = self._source.take()
        if syntax == "(":
            return self._group(start)
        if syntax == "[":
            return Piece(f"[{parse_class(self._source, self._mode)}]", 1, 1)
        if syntax == "\\":
            return self._escape(start)
        if syntax in _ANCHORS:
            return Piece(_ANCHORS[syntax](self._mode))
        if syntax == ".":
            return Piece(self._dot(), 1, 1)
        if syntax in ("*", "+", "?", "{"):
            self._source.refuse(f"nothing to repeat before {syntax}", _ESCAPE_IT, start)
        return self._literal(char)

    def _dot(self) -> str:
        if Mode.DOT_ALL in self._mode:
            # A flag of its own: the whole pattern has none.
            return "(?s:.)"
        return r"[^\n]" if Mode.UNIX_LINES in self._mode else r"[^\n\r\x85\u2028\u2029]"

    def _literal(self, char: str) -> Piece:
        chars = "".join(map(escaped, variants(char, self._mode)))
        return Piece(chars if chars == escaped(char) else f"[{chars}]", 1, 1)

    def _group(self, start: int) -> Piece | None:
        outer = self._mode
        opening = read_opening(self._source, outer, start)
        self._mode = opening.mode
        if opening.flags_only:
            return None
        number = self._enter(opening, start)
        piece = self._alternatives()
        if not self._source.accept(")"):
            self._source.refuse("the group is not closed", f"add a ), or {_ESCAPE_IT}", start)
        self._depth -= 1
        self._open.discard(number)
        # Flags that were set inside a group end with it.
        self._mode = outer
        return self._closed(piece, opening, start)

    def _enter(self, opening: Opening, start: int) -> int:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._source.refuse("groups are nested too deeply", "simplify the pattern", start)
        if opening.text != "(":
            return 0
        self.groups += 1
        self._open.add(self.groups)
        if opening.name in self.names:
            remedy = "give every group a name of its own"
            self._source.refuse(f"the name {opening.name} is taken", remedy, start)
        if opening.name:
            self.names[opening.name] = self.groups
        return self.groups

    def _closed(self, piece: Piece, opening: Opening, start: int) -> Piece:
        if opening.text == "(":
            return wrapped(piece, "(", Trait.CAPTURES)
        if opening.text == "(?:":
            return wrapped(piece, "(?:")
        # Atomic groups and look-arounds start searches of their own, which are not counted here.
        self._choices = inf
        if opening.text == "(?>":
            self._check(of_atomic_group(piece), start)
            return wrapped(piece, "(?>", Trait.COMMITS | Trait.CHOICE)
        negative = opening.text.endswith("!")
        behind = opening.text.startswith("(?<")
        self._check(of_look_around(piece, negative=negative, behind=behind), start)
        return around(piece, opening.text)

    def _escape(self, start: int) -> Piece:
        letter = self._source.peek()
        if letter in _ESCAPED_ANCHORS:
            self._source.take()
            return self._escaped_anchor(letter, start)
        if letter in tuple("123456789"):
            return self._back_reference(self._reference_number(start), start)
        if letter == "k":
            return self._named_reference(start)
        if letter == "R":
            self._source.take()
            return Piece(rf"(?:\r\n|[{LINE_BREAKS}])", 1, 2)
        if letter == "X":
            self._source.refuse(r"\X can't be translated", r"use (?:\P{M}\p{M}*)", start)
        if letter in tuple(CLASS_LETTERS):
            return Piece(f"[{class_items(self._source, self._mode)}]", 1, 1)
        return self._literal(character(self._source))

    def _escaped_anchor(self, letter: str, start: int) -> Piece:
        if letter == "b" and self._source.peek() == "{":
            self._source.refuse(r"\b{g} can't be translated", r"use \b", start)
        traits = Trait.SEARCH_ANCHOR if letter == "G" else Trait.NONE
        return Piece(_ESCAPED_ANCHORS[letter](self._mode), traits=traits)

    def _reference_number(self, start: int) -> int:
        number = int(self._source.take())
        if number > self.groups:
            self._refuse_reference(str(number), start)
        while (digit := self._source.peek()) and digit in digits:
            # Java takes a further digit only as long as there is a group of that number.
            if number * 10 + int(digit) > self.groups:
                break
            number = number * 10 + int(self._source.take())
        return number

    def _named_reference(self, start: int) -> Piece:
        self._source.take()
        name = self._source.take_until(">") if self._source.accept("<") else None
        if name is None:
            self._source.refuse(r"\k needs a group name", r"write \k<name>", start)
        if name not in self.names:
            self._refuse_reference(name, start)
        return self._back_reference(self.names[name], start)

    def _refuse_reference(self, name: str, start: int) -> None:
        remedy = "refer only to groups that are closed before this place"
        self._source.refuse(f"there is no group {name} yet", remedy, start)

    def _back_reference(self, number: int, start: int) -> Piece:
        if number in self._open:
            self._refuse_reference(str(number), start)
        self._choices = inf
        text = rf"(?:\g<{number}>)"
        if Mode.IGNORE_CASE in self._mode:
            # Java compares ASCII letters only here, `regex` all scripts.
            if Mode.UNICODE_CASE not in self._mode:
                remedy = "write (?-i:…) around it, or (?iu) if letters of all scripts are meant"
                self._source.refuse("a back-reference under the flag i", remedy, start)
            # Without full case folding: Java compares character by character, so ß is not ss.
            text = rf"(?i-f:\g<{number}>)"
        return Piece(text, 0, None, Trait.REFERS_BACK)


_ANCHORS = {"^": anchors.line_start, "$": anchors.line_end}
_ESCAPED_ANCHORS: dict[str, Callable[[Mode], str]] = {
    "A": lambda _mode: r"\A",
    # Python's `\Z` is the absolute end, which is `\z` in Java.
    "z": lambda _mode: r"\Z",
    "Z": anchors.input_end,
    "G": lambda _mode: r"\G",
    "b": lambda mode: anchors.word_boundary(mode, negative=False),
    "B": lambda mode: anchors.word_boundary(mode, negative=True),
}
