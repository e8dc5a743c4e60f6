"""What in a script of the older language DicomEdit 4 has another form in DicomEdit 6 (14)."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from engine.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_CHANGES: Final = 100
_SHOWN: Final = 80
_STRING: Final = re.compile(r'"[^"]*"?')
_CONDITIONAL: Final = re.compile(r"(?<=[^\s:]) *(:)(?!=)")
_PRIVATE: Final = re.compile(
    r"\((?P<group>[0-9A-Fa-fXx@#]{3}[13579BDFbdf#]),(?P<block>[0-9A-Fa-fXx@#]{2})"
    r"(?P<offset>[0-9A-Fa-fXx@#]{2})\)"
)
_NEW_UID: Final = re.compile(r"\bnew +UID\b")
_GONE: Final = re.compile(r"\burlEncode\b")


def needed_changes(lines: Iterable[str], name: str) -> tuple[Problem, ...]:
    """Return what to change in a script's lines, besides a version line; not all can be told."""
    return tuple(islice(_changes(lines, name), MOST_CHANGES))


def _changes(lines: Iterable[str], name: str) -> Iterator[Problem]:
    for number, line in enumerate(lines, start=1):
        # Strings keep their length, so that columns stay what they are.
        code = _STRING.sub(lambda match: '"' * len(match[0]), line).split("//", 1)[0]
        for column, value, message, remedy in sorted(_changes_in(line, code)):
            yield Problem(name, value, message, remedy, number, column + 1)


def _changes_in(line: str, code: str) -> Iterator[tuple[int, str, str, str]]:
    for match in _CONDITIONAL.finditer(code):
        at = match.start(1)
        mended = f"{line[:at].rstrip()} ? {line[at + 1 :].strip()}".strip()
        yield at, ":", "is a condition in the form of DicomEdit 4", f"write {mended[:_SHOWN]}"
    for match in _PRIVATE.finditer(code):
        group, offset = match["group"], match["offset"]
        remedy = (
            f"write ({group},{{CREATOR}}{offset}), with the creator that stands in "
            f"({group},00{match['block']})"
        )
        yield match.start(), match[0], "names a private element by number", remedy
    for match in _NEW_UID.finditer(code):
        yield match.start(), match[0], "is a UID in the form of DicomEdit 4", "write newUID[]"
    for match in _GONE.finditer(code):
        yield match.start(), match[0], "is no function of DicomEdit 6", "leave it out"
