"""Groups, quantifiers and anchors of Java patterns, and how translated pieces are joined."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Flag, auto
from math import inf
from string import digits
from typing import TYPE_CHECKING, Final

from engine.routing.java.source import MODE_LETTERS, Mode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.routing.java.source import PatternSource


VALUE_UNITS: Final = 64
"""UTF-16 units of a value that a rule without replacement sees (XNAT 6.4)."""


class Trait(Flag):
    """Properties of a part that decide whether `regex` and Java treat it alike."""

    NONE = 0
    CAPTURES = auto()
    REFERS_BACK = auto()
    COMMITS = auto()
    """A possessive quantifier or an atomic group."""
    LOOPS_ALONE = auto()
    """An unbounded quantifier with nothing obligatory beside it.

    Repeated, it can divide a text in exponentially many ways: ``(a*)*``.
    """
    SEARCH_ANCHOR = auto()
    r"""``\G``"""
    CHOICE = auto()
    """More than one way through, which makes Java's look-behind lose count when repeated."""
    GROUPED = auto()
    """The part is one group of any kind."""
    CAPTURES_INSIDE = auto()
    """The part is one group, with capturing ones inside it."""
    MAY_CAPTURE = auto()
    """A group that some ways through do not pass."""
    STALE = auto()
    """A group whose text Java keeps after it has backtracked over this part."""


_OF_ONE_GROUP = Trait.GROUPED | Trait.CAPTURES_INSIDE


@dataclass(frozen=True, slots=True)
class Piece:
    """A translated part of a pattern; one atom for a quantifier unless it has no width."""

    text: str
    """In the dialect of `regex`, version 1."""
    least: int = 0
    """The least number of characters that it matches."""
    most: int | None = 0
    """The largest number of characters that it matches; None is no limit."""
    traits: Trait = Trait.NONE
    size: int = 1
    """Number of atoms once `regex` has expanded the obligatory repetitions."""


@dataclass(frozen=True, slots=True)
class Quantifier:
    """How often the part before it may come."""

    text: str
    low: int
    high: int | None
    counted: bool
    """Written with braces."""
    possessive: bool
    lazy: bool

    @property
    def optional(self) -> bool:
        """Tell whether it is a question mark, which is no loop."""
        return self.text.startswith("?")


def sequence(pieces: Sequence[Piece]) -> Piece:
    """Join parts that follow each other; the result is no atom."""
    least = sum(piece.least for piece in pieces)
    traits = _all_traits(pieces) & ~(Trait.LOOPS_ALONE | _OF_ONE_GROUP)
    # Only if all obligatory characters are inside the loop itself: anything beside it separates two
    # rounds of an outer loop, which then has one way only.
    if any(Trait.LOOPS_ALONE in piece.traits and piece.least == least for piece in pieces):
        traits |= Trait.LOOPS_ALONE
    most = _total([piece.most for piece in pieces])
    text = "".join(piece.text for piece in pieces)
    return Piece(text, least, most, traits, sum(piece.size for piece in pieces))


def alternatives(pieces: Sequence[Piece]) -> Piece:
    """Join parts of which one is taken; the result is no atom."""
    if len(pieces) == 1:
        return pieces[0]
    limits = [piece.most for piece in pieces]
    most = None if None in limits else max(limit for limit in limits if limit is not None)
    text = "|".join(piece.text for piece in pieces)
    size = sum(piece.size for piece in pieces)
    traits = _all_traits(pieces) | Trait.CHOICE
    # Another branch may be taken, and then the group has no text.
    if Trait.CAPTURES in traits:
        traits |= Trait.MAY_CAPTURE
    return Piece(text, min(p.least for p in pieces), most, traits, size)


def wrapped(piece: Piece, opening: str, traits: Trait = Trait.NONE) -> Piece:
    """Put a part into a group, which makes it an atom."""
    kept = piece.traits | Trait.GROUPED
    if Trait.CAPTURES in piece.traits:
        kept |= Trait.CAPTURES_INSIDE
    if Trait.COMMITS in traits:
        kept = _committed(kept & ~Trait.LOOPS_ALONE)
    return replace(piece, text=f"{opening}{piece.text})", traits=kept | traits)


def around(piece: Piece, opening: str) -> Piece:
    """Put a part into a look-around, which takes no characters."""
    kept = _committed(piece.traits) & ~(Trait.LOOPS_ALONE | Trait.CHOICE)
    return Piece(f"{opening}{piece.text})", 0, 0, kept, piece.size)


def repeated(piece: Piece, quantifier: Quantifier) -> Piece:
    """Put a quantifier behind an atom."""
    # An anchor may be two groups, one behind the other (`_LINE_START`): only together an atom.
    atom = piece.text if piece.most != 0 else f"(?:{piece.text})"
    high = quantifier.high
    most = None if high is None or piece.most is None else piece.most * high
    if Trait.CHOICE in piece.traits and quantifier.counted and not quantifier.possessive:
        most = None
    size = piece.size * max(quantifier.low, 1)
    least = piece.least * quantifier.low
    return Piece(atom + quantifier.text, least, most, _repeated_traits(piece, quantifier), size)


def is_simple_loop(piece: Piece, quantifier: Quantifier) -> bool:
    """Tell whether this is one character's free repetition."""
    is_character = piece.most == 1 and Trait.GROUPED not in piece.traits
    return is_character and quantifier.high is None


def choices_to_repeat(piece: Piece, quantifier: Quantifier) -> float:
    """Return in how many ways an atom can be repeated besides free loops; infinite for groups."""
    if quantifier.optional:
        return 2
    if piece.most != 1 or Trait.GROUPED in piece.traits:
        return inf
    low, high = quantifier.low, quantifier.high
    # Free loops are counted apart: they share the characters of one value.
    return 1 if high is None else min(high - low, VALUE_UNITS) + 1


def loops_in_fixed_shape(piece: Piece, quantifier: Quantifier) -> bool:
    """Tell whether Java runs this loop without remembering the groups inside its body."""
    inside = Trait.CAPTURES_INSIDE in piece.traits
    return inside and Trait.CHOICE not in piece.traits and not quantifier.optional


def _repeated_traits(piece: Piece, quantifier: Quantifier) -> Trait:
    traits = piece.traits & ~(Trait.LOOPS_ALONE | _OF_ONE_GROUP)
    if quantifier.low != quantifier.high:
        traits |= Trait.CHOICE
    if quantifier.low == 0 and Trait.CAPTURES in traits:
        traits |= Trait.MAY_CAPTURE
    if loops_in_fixed_shape(piece, quantifier):
        traits |= Trait.STALE
    if quantifier.possessive:
        return _committed(traits) | Trait.COMMITS
    if quantifier.high is None or Trait.LOOPS_ALONE in piece.traits:
        traits |= Trait.LOOPS_ALONE
    return traits


def _committed(traits: Trait) -> Trait:
    return traits | Trait.STALE if Trait.CAPTURES in traits else traits


def _all_traits(pieces: Sequence[Piece]) -> Trait:
    traits = Trait.NONE
    for piece in pieces:
        traits |= piece.traits
    return traits


def _total(limits: Sequence[int | None]) -> int | None:
    return None if None in limits else sum(limit for limit in limits if limit is not None)


_SIGNS: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_LARGEST = 2**31 - 1
_BRACES = "write {n}, {n,} or {n,m}, or \\{ for the sign itself"


def read_quantifier(source: PatternSource, mode: Mode) -> Quantifier | None:
    """Read the quantifier that follows an atom, if one does."""
    source.skip_comments(mode)
    sign = source.peek()
    start = source.offset
    if sign in _SIGNS:
        source.take()
        low, high = _SIGNS[sign]
        text = sign
    elif sign == "{":
        low, high = _counts(source)
        text = f"{{{low}}}" if low == high else f"{{{low},{'' if high is None else high}}}"
    else:
        return None
    source.skip_comments(mode)
    suffix = source.take() if source.peek() in ("?", "+") else ""
    source.skip_comments(mode)
    if source.peek() in ("*", "+", "?", "{"):
        remedy = "put brackets (?:…) around what is repeated"
        source.refuse("a quantifier can't follow a quantifier", remedy, start)
    kinds = {"counted": sign == "{", "possessive": suffix == "+", "lazy": suffix == "?"}
    return Quantifier(text + suffix, low, high, **kinds)


def _counts(source: PatternSource) -> tuple[int, int | None]:
    start = source.offset
    source.take()
    low = _number(source)
    high: int | None = low
    if source.accept(","):
        high = None if source.peek() == "}" else _number(source)
    if low is None or not source.accept("}"):
        source.refuse("this { starts no quantifier", _BRACES, start)
    if max(low, high or 0) > _LARGEST or (high is not None and high < low):
        source.refuse("the quantifier's numbers are not acceptable", _BRACES, start)
    return low, high


def _number(source: PatternSource) -> int | None:
    start = source.offset
    number = ""
    while (char := source.peek()) and char in digits:
        number += source.take()
    # Before `int`: it is larger than any that Java takes.
    if len(number) > 10:
        source.refuse("the quantifier's numbers are not acceptable", _BRACES, start)
    return int(number) if number else None


_PLAIN_OPENINGS = (":", "=", "!", ">", "<=", "<!")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")
# Syntax of Python or Perl that `regex` would understand and Java refuses.
_FOREIGN = {
    "P": ("(?P is not Java", "write (?<name>…) for a group and \\k<name> to refer to it"),
    "#": ("(?# is not Java", "remove the comment"),
    "(": ("Java has no conditional groups", "write the alternatives out"),
    "|": ("Java has no branch-reset groups", "write (?:…|…)"),
    "R": ("Java has no recursion", "write the pattern out"),
    "&": ("Java has no recursion", "write the pattern out"),
    "'": ("(?' is not Java", "write (?<name>…)"),
}
_FLAGS = "the flags are i, m, s, d, x, u and U"


@dataclass(frozen=True, slots=True)
class Opening:
    """The beginning of a group, up to its content."""

    text: str
    """In the dialect of `regex`; names are left out."""
    mode: Mode
    """The flags in force inside."""
    name: str = ""
    flags_only: bool = False
    """``(?i)``: no group, the flags hold until the group around ends."""


def read_opening(source: PatternSource, mode: Mode, start: int) -> Opening:
    """Read what follows an opening bracket at `start`."""
    source.skip_comments(mode)
    if not source.accept("?"):
        return Opening("(", mode)
    # Look-behind before the name of a group: both begin with `<`.
    for opening in _PLAIN_OPENINGS:
        if source.accept(opening):
            return Opening(f"(?{opening}", mode)
    if source.accept("<"):
        return Opening("(", mode, _name(source, start))
    if source.peek() in _FOREIGN:
        source.refuse(*_FOREIGN[source.peek()], start)
    return _flags(source, mode)


def _name(source: PatternSource, start: int) -> str:
    name = source.take_until(">")
    if name is None or not _NAME.fullmatch(name):
        remedy = "write (?<name>…) with letters and digits, a letter first"
        source.refuse("the group's name is not acceptable", remedy, start)
    return name


def _flags(source: PatternSource, mode: Mode) -> Opening:
    removing = False
    while (letter := source.peek()) not in (")", ":"):
        if letter == "-" and not removing:
            removing = True
        elif letter in MODE_LETTERS:
            changed = MODE_LETTERS[letter]
            mode = mode & ~changed if removing else mode | changed
        elif letter == "c":
            source.refuse("the flag c can't be translated", "remove it")
        else:
            source.refuse("the group starts with no Java syntax", _FLAGS)
        source.take()
    flags_only = source.take() == ")"
    return Opening("(?:", mode, flags_only=flags_only)


# Java never matches between CR and LF, and `^` never matches at the end of the input.
_ENDS_BUT_LF = r"[\r\x85\u2028\u2029]"
_LINE_START = r"(?:\A|(?<=[\n\x85\u2028\u2029])|(?<=\r)(?!\n))(?!\Z)"
_UNIX_LINE_START = r"(?:\A|(?<=\n))(?!\Z)"
_LINE_END = rf"(?:(?=\Z|{_ENDS_BUT_LF})|(?<!\r)(?=\n))"
_LAST_LINE_END = rf"(?:(?=(?:\r\n|{_ENDS_BUT_LF})?\Z)|(?<!\r)(?=\n\Z))"
_BASE = r"[\p{L}\p{Nd}]"


def line_start(mode: Mode) -> str:
    """Return ``^``."""
    if Mode.MULTI_LINE not in mode:
        # Without the flag m, `^` is the start of the input only.
        return r"\A"
    return _UNIX_LINE_START if Mode.UNIX_LINES in mode else _LINE_START


def line_end(mode: Mode) -> str:
    """Return ``$``."""
    if Mode.MULTI_LINE not in mode:
        return input_end(mode)
    return r"(?=\n|\Z)" if Mode.UNIX_LINES in mode else _LINE_END


def input_end(mode: Mode) -> str:
    r"""Return ``\Z``: the end, or the place before a line terminator that is the end."""
    return r"(?=\n?\Z)" if Mode.UNIX_LINES in mode else _LAST_LINE_END


def word_boundary(mode: Mode, *, negative: bool) -> str:
    r"""Return ``\b`` or ``\B``; a combining mark belongs to the word of its base character."""
    if Mode.UNICODE_CLASSES in mode:
        word = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]"
        before, after = rf"(?<={word})", rf"(?={word})"
    else:
        before = rf"(?<=_|{_BASE}\p{{Mn}}*)"
        after = rf"(?=_|{_BASE}|\p{{Mn}}(?<={_BASE}\p{{Mn}}*\p{{Mn}}))"
    not_before = before.replace("(?<=", "(?<!", 1)
    not_after = after.replace("(?=", "(?!", 1)
    if negative:
        return f"(?:{before}{after}|{not_before}{not_after})"
    return f"(?:{before}{not_after}|{not_before}{after})"
