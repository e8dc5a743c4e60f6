"""Bracketed character classes of Java patterns as sets of the `regex` package (version 1).

Unions, intersections and negations nest as in Java 9 and later, where ``[^a[b]]`` negates all of
it. The result is explicit: no flag of `regex` changes its meaning.
"""

from __future__ import annotations

from engine.routing.java_case import outside_range, variants
from engine.routing.java_escapes import CLASS_LETTERS, character, class_items, escaped
from engine.routing.java_source import BLANKS, Mode, Source

MAX_DEPTH = 30
_ESCAPE_IT = "escape the sign with a backslash"


def parse_class(source: Source, mode: Mode) -> str:
    """Read a class after its opening bracket; return the inside of an equal set."""
    return _Class(source, mode).read(source.offset - 1, depth=1)


class _Class:
    """One pass over one class, nested ones included."""

    def __init__(self, source: Source, mode: Mode) -> None:
        self._source = source
        self._mode = mode

    def read(self, start: int, depth: int) -> str:
        """Read up to and including the closing bracket that belongs to `start`."""
        if depth > MAX_DEPTH:
            self._source.refuse("classes are nested too deeply", "simplify the pattern", start)
        negative = self._source.accept("^")
        operands: list[str] = []
        while True:
            operands.append(self._operand(start, depth, first=not operands))
            if not self._source.accept("&&"):
                break
        self._source.take()
        items = operands[0] if len(operands) == 1 else "&&".join(f"[{o}]" for o in operands)
        if len(operands) > 1:
            items = f"[{items}]"
        return f"[^{items}]" if negative else items

    def _operand(self, start: int, depth: int, *, first: bool) -> str:
        items = ""
        kinds = ""
        while not (self._closes(start) and (items or not first)) and not self._intersects():
            if self._source.peek() == "[":
                opening = self._source.offset
                self._source.take()
                items += f"[{self.read(opening, depth + 1)}]"
                kinds += "n"
            else:
                self._check_sign(first=first, leading=not items)
                items += self._item()
                kinds += "p"
        if not items:
            self._source.refuse("nothing on one side of &&", "write [a-z&&[^aeiou]]")
        if not first and kinds.startswith("n") and "p" in kinds and self._source.peek() == "&":
            remedy = "put the part between && and && into brackets of its own"
            self._source.refuse("Java reads this mixture from right to left", remedy)
        return items

    def _closes(self, start: int) -> bool:
        if self._source.at_end:
            self._source.refuse("the class is not closed", "add a ], or write \\[", start)
        return self._source.peek() == "]"

    def _intersects(self) -> bool:
        return self._source.peek() == "&" and self._source.peek(1) == "&"

    def _check_sign(self, *, first: bool, leading: bool = False) -> None:
        sign = self._source.peek()
        if sign == self._source.peek(1) and sign in ("-", "~"):
            remedy = "write [a-z&&[^aeiou]] for a difference; for the sign itself use a backslash"
            self._source.refuse(f"Java has no {sign}{sign} between classes", remedy)
        if not first and (sign == "&" or (sign == "^" and leading)):
            self._source.refuse(f"Java takes {sign} after && as itself", _ESCAPE_IT)
        if Mode.COMMENTS in self._mode and (sign == "#" or sign in tuple(BLANKS)):
            self._source.refuse("the flag x drops blanks and # inside a class", _ESCAPE_IT)

    def _item(self) -> str:
        start = self._source.offset
        if self._class_escape_comes():
            self._source.take()
            return class_items(self._source, self._mode)
        char = self._character()
        if self._source.peek() != "-" or self._source.peek(1) in ("[", "]", ""):
            return "".join(map(escaped, variants(char, self._mode)))
        if self._source.peek(2) != "]":
            self._check_sign(first=True)
        self._source.take()
        return self._range(char, start)

    def _range(self, first: str, start: int) -> str:
        last = "" if self._class_escape_comes(in_range=True) else self._character()
        if last < first:
            remedy = "put the smaller character first; write \\- for the sign itself"
            self._source.refuse("the range is no range", remedy, start)
        others = "".join(map(escaped, outside_range(first, last, self._mode)))
        return f"{escaped(first)}-{escaped(last)}{others}"

    def _class_escape_comes(self, *, in_range: bool = False) -> bool:
        letter = self._source.peek(1)
        if self._source.peek() != "\\" or letter not in tuple(CLASS_LETTERS):
            return False
        # Java keeps the old meaning of \v, one vertical tab, at both ends of a range.
        return letter != "v" or not (in_range or self._source.peek(2) == "-")

    def _character(self) -> str:
        if not self._source.accept("\\"):
            return self._source.take()
        return "\x0b" if self._source.accept("v") else character(self._source)
