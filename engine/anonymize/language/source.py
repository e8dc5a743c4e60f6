"""Prepares a script's text for the grammar: joins lines, removes comments, keeps positions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from engine.anonymize.errors import MissingVersion, ScriptError
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
    """Return what else to change in a script without a version line, as far as it can be found."""
    return tuple(islice(_changes(lines, name), MOST_CHANGES))


def _changes(lines: Iterable[str], name: str) -> Iterator[Problem]:
    for number, line in enumerate(lines, start=1):
        # Strings keep their length, so that columns stay right.
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


MAX_SCRIPT_CHARACTERS: Final = 512 * 1024
MAX_NESTING: Final = 40
# The number switches nothing: all of them have all functions, as in XNAT.
SUPPORTED_VERSIONS: Final = frozenset(f"6.{minor}" for minor in range(8))
_LINE = re.compile(r"\r?\n")


@dataclass(frozen=True, slots=True)
class ScriptSource:
    """The prepared text, and for each of its lines the places of its parts in the original."""

    name: str
    text: str
    lines: tuple[str, ...]
    """As written."""
    parts: tuple[tuple[tuple[int, int], ...], ...]
    """For each prepared line: where in it (0-based) which original line (1-based) begins."""

    def place(self, line: int, column: int) -> tuple[int, int]:
        """Return the original 1-based line and column of a place in the prepared text."""
        if not self.parts:
            return 1, 1
        parts = self.parts[min(line, len(self.parts)) - 1]
        # A joined line has parts of several lines: the last one that begins before the column.
        start, original = max(part for part in parts if part[0] <= max(column - 1, 0))
        return original, column - start

    def line_text(self, line: int) -> str:
        """Return an original line without the blanks around it."""
        return self.lines[line - 1].strip() if line <= len(self.lines) else ""


def prepare(text: str, name: str) -> ScriptSource:
    """Check the version line, join continued lines and drop comments (2.1).

    Raises:
        MissingVersion: if no line begins with ``version``.
        ScriptError: if the version is not supported or the text is too long or too deep.
    """
    if len(text) > MAX_SCRIPT_CHARACTERS:
        message = f"is longer than {MAX_SCRIPT_CHARACTERS:,} characters ({len(text):,})"
        raise ScriptError(1, 1, "", message, "split the script", name)
    # Some editors write a byte order mark.
    lines = tuple(_LINE.split(text.removeprefix("\ufeff")))
    _check_version(lines, name)
    joined = _joined(lines)
    stripped = [without_comment(line) for line, _ in joined]
    source = ScriptSource(
        name, "\n".join([*stripped, ""]), lines, tuple(parts for _, parts in joined)
    )
    _check_nesting(source)
    return source


def _check_version(lines: tuple[str, ...], name: str) -> None:
    """Check the version, which XNAT reads from raw lines, and only in the first column."""
    for number, line in enumerate(lines, start=1):
        if line.startswith("version"):
            version = "".join(line.split()[1:2]).replace('"', "")
            check_supported(version, number, 1, name)
            return
    raise MissingVersion(name, needed_changes(lines, name))


def check_supported(version: str, line: int, column: int, name: str) -> None:
    """Check that a version is one of 6.0 to 6.7.

    Raises:
        ScriptError: naming the version.
    """
    if version not in SUPPORTED_VERSIONS:
        remedy = 'write version "6.1", with a blank; 6.0 to 6.7 are supported'
        raise ScriptError(line, column, version[:40], "is not a supported version", remedy, name)


def _joined(lines: tuple[str, ...]) -> list[tuple[str, tuple[tuple[int, int], ...]]]:
    """Join each line that ends in a backslash with the next one."""
    joined: list[tuple[str, tuple[tuple[int, int], ...]]] = []
    pieces: list[str] = []
    parts: list[tuple[int, int]] = []
    length = 0
    for number, line in enumerate(lines, start=1):
        continued = line.endswith("\\")
        parts.append((length, number))
        # dicomedit 2.1: nothing is inserted, so that a string may go on in the next line.
        pieces.append(line[:-1] if continued else line)
        length += len(pieces[-1])
        if not continued:
            joined.append(("".join(pieces), tuple(parts)))
            pieces, parts, length = [], [], 0
    return [*joined, ("".join(pieces), tuple(parts))] if pieces else joined


def without_comment(line: str) -> str:
    """Cut a joined line at ``//`` outside quotes, unless ``http:`` or ``https:`` stands before."""
    if "//" not in line:
        return line
    quoted = False
    for index, character in enumerate(line):
        if character == '"':
            quoted = not quoted
        elif line.startswith("//", index) and not (
            quoted or line.endswith(("http:", "https:"), 0, index)
        ):
            return line[:index]
    return line


def _check_nesting(source: ScriptSource) -> None:
    depth, quoted, line, column = 0, False, 1, 0
    for character in source.text:
        column += 1
        if character == '"':
            quoted = not quoted
        elif character == "\n":
            line, column = line + 1, 0
        elif not quoted and character in "[]{}":
            depth += 1 if character in "[{" else -1
            # Transforming, checking and running call themselves for each level.
            if depth > MAX_NESTING:
                message = f"is nested more than {MAX_NESTING} deep"
                remedy = "use variables for the inner parts"
                raise ScriptError(*source.place(line, column), character, message, remedy,
                                  source.name)  # fmt: skip
