"""The filter line above a list, and its language: words, `!word`, `field:value`; all must match.

A value matches anywhere in its field, ignoring case; `field:=value` must match the whole field.
Quotes keep words together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING

from textual.widgets import Input

from tui.keys import Scope, bindings, pressed
from tui.text import safe
from tui.widgets.completion import NameSuggester

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence


TERMS = re.compile(
    r'(?P<no>!)?(?:(?P<field>[A-Za-z_-]+):(?P<exact>=)?)?(?:"(?P<quoted>[^"]*)"?|(?P<word>\S+))'
)
"""One term; a quoted value may have spaces, and its closing quote may still be missing."""
_UNTYPED = re.compile(r'[^ -~]+|"')
"""Characters that are replaced: all but printable ASCII, and the quote that would end a value."""


@dataclass(frozen=True, slots=True)
class Term:
    """One condition."""

    word: str
    """In lower case; must occur somewhere."""
    field: str = ""
    """Where it must occur; empty means in any field."""
    excludes: bool = False
    """Whether it must not occur."""
    exact: bool = False
    """Whether it must be all of the field."""

    def holds(self, row: Mapping[str, str]) -> bool:
        """Tell whether a row, its values in lower case, fulfils it."""
        if self.exact:
            found = self.word == row.get(self.field, "")
        elif self.field:
            found = self.word in row.get(self.field, "")
        else:
            found = any(self.word in value for value in row.values())
        return found is not self.excludes


@dataclass(frozen=True, slots=True)
class RowFilter:
    """All conditions that a row must fulfil; without any it is false and matches everything."""

    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def matches(self, row: Mapping[str, str]) -> bool:
        """Tell whether a row is wanted; its values must be in lower case (see `folded`)."""
        return all(term.holds(row) for term in self.terms)


NO_FILTER = RowFilter()
NO_VALUES: Mapping[str, Sequence[str]] = MappingProxyType({})


def parse_filter(text: str, fields: Sequence[str]) -> RowFilter:
    """Return the filter that a line means.

    A ``field:`` that is none of `fields` belongs to the word, so that ``XNAT:8104`` is found. A
    field may be abbreviated as long as it is clear which is meant. A term that is not finished,
    such as ``level:`` or ``!``, asks for nothing yet.
    """
    terms = (_term(match, fields) for match in TERMS.finditer(text))
    return RowFilter(tuple(term for term in terms if term is not None))


def _term(match: re.Match[str], fields: Sequence[str]) -> Term | None:
    word = match["quoted"] if match["quoted"] is not None else match["word"]
    if is_unfinished(match, word, fields):
        return None
    field = ""
    if match["field"]:
        field = field_named(match["field"].casefold(), fields)
        if not field:
            word = f"{match['field']}:{match['exact'] or ''}{word}"
    exact = bool(field and match["exact"])
    return Term(word.casefold(), field, bool(match["no"]), exact) if word else None


def is_unfinished(match: re.Match[str], word: str, fields: Sequence[str]) -> bool:
    """Tell whether a term is only begun, such as ``level:``, ``level:=`` or ``!``."""
    if word == "!" and not match["no"]:
        return True
    if match["field"]:
        begun = match["field"] if word == "=" and not match["exact"] else ""
    else:
        begun = word[:-1] if word.endswith(":") else ""
    return bool(begun) and bool(field_named(begun.casefold(), fields))


def field_named(name: str, fields: Sequence[str]) -> str:
    """Return the field of a name, which may be abbreviated while it is clear; empty for none."""
    if name in fields:
        return name
    meant = [field for field in fields if field.startswith(name)]
    return meant[0] if len(meant) == 1 else ""


def doubts(text: str, fields: Sequence[str], values: Mapping[str, Sequence[str]]) -> str:
    """Return what of a line that matches nothing is perhaps not meant so; empty if nothing is.

    Args:
        text: the line.
        fields: the fields that rows have.
        values: the possible values, in lower case, of fields that have few.
    """
    for match in TERMS.finditer(text):
        name = (match["field"] or "").casefold()
        if not name:
            continue
        field = field_named(name, fields)
        if not field:
            known = ", ".join(f"{one}:" for one in fields)
            return f"“{safe(match['field'], 20)}:” is no field, those are {known}"
        word = (match["quoted"] if match["quoted"] is not None else match["word"]).casefold()
        possible = values.get(field, (word,))
        if not any(word in value for value in possible):
            return f"{field}: is one of {', '.join(possible)}"
    return ""


MOST_ROWS = 500
"""So many rows are looked at for values that complete a term."""
MOST_CHARACTERS = 40
"""Longer values are sentences, which complete nothing."""


def completed(
    text: str,
    fields: Sequence[str],
    values: Callable[[str], Iterable[str]],
    lists: Collection[str] = (),
) -> str:
    """Return the line with its last term completed; empty if nothing known begins like that.

    Args:
        text: the line.
        fields: the fields that rows have.
        values: gives the values of a field, in lower case.
        lists: the fields that take several values, with commas between them.
    """
    match = next((m for m in TERMS.finditer(text) if m.end() == len(text)), None)
    if match is None or (text.endswith('"') and match["quoted"]):
        return ""
    quoted, word = match["quoted"] is not None, match["quoted"] or match["word"] or ""
    name = match["field"] or ""
    if not name and not quoted and word.endswith(":"):
        name, word = word[:-1], ""
    if not name:
        if quoted or len(word) < LEAST_OF_FIELD:
            return ""
        named = _longer(word, fields)
        return f"{text}{named[len(word) :]}:" if named else ""
    field = field_named(name.casefold(), fields)
    if field in lists:
        word = word.rpartition(",")[2]
    found = _longer(word, (v for v in values(field) if _completes(v, quoted))) if field else ""
    end = '"' if quoted else ""
    return f"{text}{found[len(word) :]}{end}" if found else ""


LEAST_OF_FIELD = 2
"""So much of the name of a field must be typed: most words are none."""


def _longer(word: str, known: Iterable[str]) -> str:
    begun = word.casefold()
    return next((one for one in known if one.startswith(begun) and len(one) > len(word)), "")


def _completes(value: str, quoted: bool) -> bool:
    """Tell whether a value can be typed as it is, and is short enough to be a name."""
    return typed(value) == value and len(value) <= MOST_CHARACTERS and (quoted or " " not in value)


def folded(**values: object) -> dict[str, str]:
    """Return the values of a row as a filter reads them: text in lower case, by field."""
    return {field: str(value).casefold() for field, value in values.items()}


def typed(value: str) -> str:
    """Return the longest part of a value that can be typed into a filter line."""
    return max(_UNTYPED.split(value), key=len, default="").strip()


def term(field: str, value: str, *, exact: bool = False) -> str:
    """Return the term that asks for what can be typed of a value; empty if that is nothing.

    Args:
        field: where it is looked for.
        value: what a row has there.
        exact: whether rows with more than the value are not meant, as far as all can be typed.
    """
    word = typed(value)
    quoted = f'"{word}"' if " " in word or word.startswith(("!", "=")) else word
    whole = "=" if exact and word == value else ""
    return f"{field}:{whole}{quoted}" if word else ""


class FilterBar(Input):
    """Takes words, ``!word`` and ``field:value``; the screen asks for its `wanted` filter."""

    BINDINGS = bindings(Scope.FILTER)

    def __init__(
        self,
        fields: Sequence[str],
        *,
        blink: bool,
        placeholder: str,
        id: str = "filter",
        values: Mapping[str, Sequence[str]] = NO_VALUES,
        lists: Collection[str] = (),
    ) -> None:
        """Take the fields of rows, all values of those that have few, and those that take lists."""
        super().__init__(placeholder=placeholder, id=id, compact=True, select_on_focus=False)
        self.cursor_blink = blink
        self._fields = tuple(fields)
        self._values = values
        self._lists = lists
        self._parsed = ("", parse_filter("", self._fields))
        self._rows: Callable[[], Iterable[Mapping[str, str]]] = tuple
        self.suggester = NameSuggester(self._completed)

    def offer(self, rows: Callable[[], Iterable[Mapping[str, str]]]) -> None:
        """Take what gives the rows that there are, whose values complete what is typed.

        It is called when something is typed, and only as many are taken as `MOST_ROWS`.
        """
        self._rows = rows

    def _completed(self, text: str) -> str:
        return completed(text, self._fields, self._values_of, self._lists)

    def _values_of(self, field: str) -> Iterable[str]:
        if field in self._values:
            return self._values[field]
        seen = (row.get(field, "") for row in islice(self._rows(), MOST_ROWS))
        return dict.fromkeys(filter(None, seen))

    @property
    def wanted(self) -> RowFilter:
        """What is typed, as a filter."""
        if self._parsed[0] != self.value:
            self._parsed = (self.value, parse_filter(self.value, self._fields))
        return self._parsed[1]

    @property
    def active(self) -> bool:
        """Whether it is seen or keeps rows away."""
        return bool(self.display or self.value)

    def open(self) -> None:
        """Let the user type."""
        self.display = True
        self.focus()

    def close(self) -> None:
        """Hide the line; what is typed stays in force."""
        self.display = False

    def count(self, matching: int, total: int) -> str:
        """Return for a title how many rows match, safe text."""
        if not self.wanted:
            return f"{total:,}"
        return f"{matching:,} of {total:,} match “{safe(self.value.strip(), 40)}”"

    def empty(self, otherwise: str) -> str:
        """Return why there are no rows: the filter, else something else; safe text."""
        if not self.wanted:
            return otherwise
        doubt = doubts(self.value, self._fields, self._values)
        more = f"{doubt}; " if doubt else ""
        return f"no row matches the filter; {more}{pressed('view.back')} shows all"
