"""Constructs after which Java's groups and those of `regex` would hold different texts.

Java does not take back what a group held when it gives up a look-around, an atomic or possessive
part, or a loop over a body of one fixed shape, and counts empty repetitions in its own way. Each
function names the difference and a remedy, or returns None if there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.routing.java_pieces import Trait, loops_in_fixed_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.routing.java_pieces import Piece, Quantifier

Difference = tuple[str, str]
"""Reason and remedy."""

_STALE = (
    "Java may report what a group in here held before the pattern took another way",
    "use (?:…) for the group, or capture outside of this part",
)
_STRICT = Trait.CAPTURES | Trait.COMMITS


def of_repetition(atom: Piece, quantifier: Quantifier) -> Difference | None:
    """Compare the engines for an atom with a quantifier behind it."""
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
    """Compare the engines for parts of which one is taken."""
    stale = any(Trait.STALE in branch.traits for branch in branches)
    return _STALE if stale and len(branches) > 1 else None


def of_atomic_group(inside: Piece) -> Difference | None:
    """Compare the engines for an atomic group."""
    return _STALE if Trait.MAY_CAPTURE in inside.traits else None


def of_look_around(inside: Piece, *, negative: bool, behind: bool) -> Difference | None:
    """Compare the engines for a look-around."""
    if behind and (inside.most is None or Trait.REFERS_BACK in inside.traits):
        remedy = "use bounded quantifiers such as {0,10} and no back-references"
        return "the look-behind has no maximum length", remedy
    if behind and inside.least != inside.most and inside.traits & _STRICT:
        remedy = "give it a fixed length, or use (?:…) and no possessive quantifier"
        return "a group in a look-behind of open length", remedy
    if negative and Trait.CAPTURES in inside.traits:
        return _STALE
    return _STALE if Trait.MAY_CAPTURE in inside.traits else None
