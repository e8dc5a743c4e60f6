"""Parts of a translated pattern, with what must be known about them to join them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Flag, auto
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


VALUE_UNITS: Final = 64
"""UTF-16 units of a value that a rule without replacement looks at."""


class Trait(Flag):
    """What a part contains."""

    NONE = 0
    CAPTURES = auto()
    REFERS_BACK = auto()
    COMMITS = auto()
    """A possessive quantifier or an atomic group."""
    LOOPS_ALONE = auto()
    """An unbounded quantifier with nothing obligatory beside it: slow if repeated."""
    SEARCH_ANCHOR = auto()
    r"""``\G``"""
    CHOICE = auto()
    """More than one way through, which makes Java's look-behind lose count when repeated."""
    GROUPED = auto()
    """The part is one group of any kind."""
    CAPTURES_INSIDE = auto()
    """The part is one group, with capturing ones inside it."""
    MAY_CAPTURE = auto()
    """A group that not every way through passes."""
    STALE = auto()
    """A group whose text Java does not take back when it gives up this part."""


_OF_ONE_GROUP = Trait.GROUPED | Trait.CAPTURES_INSIDE


@dataclass(frozen=True, slots=True)
class Piece:
    """A part that is one atom for a quantifier unless it has no width."""

    text: str
    """In the dialect of `regex`, version 1."""
    least: int = 0
    """Characters it takes at least."""
    most: int | None = 0
    """Characters it takes at most; None is no limit."""
    traits: Trait = Trait.NONE
    size: int = 1
    """Atoms after `regex` has written out the obligatory repetitions."""


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
