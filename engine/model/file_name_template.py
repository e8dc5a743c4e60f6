"""Names of stored files: XNAT's file name template (XNAT 9.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import groupby, takewhile
from operator import mul
from typing import TYPE_CHECKING

from engine.errors import InvalidSite, Problem
from engine.model.identity import DEVICE_NAME, safe_part

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator

FIELD = "sessions.file_name_template"
DEFAULT_TEMPLATE = (
    "${StudyInstanceUID}-${SeriesNumber}-${InstanceNumber}-${HashSOPClassUIDWithSOPInstanceUID}"
)
MAX_TEMPLATE_CHARACTERS = 500
MAX_FILE_NAME_BYTES = 200
EXTENSION = ".dcm"
LAST_TAG = 0x7FDFFFFF
"""The last tag before the pixel data, which no name is made of."""

_VARIABLE = re.compile(r"\$\{([A-Za-z0-9]+)\}")
_EXTENSION = re.compile(r"\.[A-z0-9]+")  # the range is XNAT's
_LITERAL = re.compile(r"[A-Za-z0-9._-]*")
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9._-]")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_HASH, _WITH = "Hash", "With"
_RESERVED_EXTENSIONS = frozenset((".xml", ".part"))
"""Extensions of catalogs, and of files that are being written."""
_TAGS = {
    "SOPClassUID": 0x00080016,
    "SOPInstanceUID": 0x00080018,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
    "SeriesNumber": 0x00200011,
    "InstanceNumber": 0x00200013,
}
"""The keywords of the default template, known without loading the data dictionary."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
EMPTY_LIST_HASH = 1
"""Java's hash of a list without elements."""
_MASK = 0xFFFFFFFF
_LONGEST_UID = 64
_POWERS = tuple(31**power & _MASK for power in range(_LONGEST_UID, -1, -1))
"""Java's factors for the characters of a text; the last one is for the last character."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One ``${…}``: the elements whose values, or the hash of whose values, stand there."""

    keywords: tuple[str, ...]
    is_hash: bool
    begun: int = EMPTY_LIST_HASH
    """The hash of the values that come before those of `keywords`."""

    def filled(self, value_of: Callable[[int], str | None], tags: Container[int]) -> Variable | str:
        """Return the text, or the variable that is left when some elements are known."""
        known = list(takewhile(lambda keyword: _tag(keyword) in tags, self.keywords))
        if len(known) == len(self.keywords):
            return self.text(value_of)
        begun = java_list_hash((_value(keyword, value_of) for keyword in known), self.begun)
        return Variable(self.keywords[len(known) :], self.is_hash, begun)

    def text(self, value_of: Callable[[int], str | None]) -> str:
        """Return what stands in the name, as it is."""
        if not self.is_hash:
            return _value(self.keywords[0], value_of)
        values = [_value(keyword, value_of) for keyword in self.keywords]
        return hash_text(java_list_hash(values, self.begun))


@dataclass(frozen=True, slots=True)
class FileNameTemplate:
    """A template that was checked; its names are safe whatever the values are."""

    parts: tuple[str | Variable, ...]
    extension: str

    @property
    def last_tag(self) -> int:
        """The greatest tag whose value is needed."""
        variables = [part for part in self.parts if isinstance(part, Variable)]
        return max((_tag(k) for variable in variables for k in variable.keywords), default=0)

    def filled(
        self, value_of: Callable[[int], str | None], tags: Container[int]
    ) -> FileNameTemplate:
        """Return the template of the objects that have the same values of some elements.

        Args:
            value_of: as for `name`.
            tags: those elements.
        """
        parts = [p.filled(value_of, tags) if isinstance(p, Variable) else p for p in self.parts]
        return replace(self, parts=tuple(_joined(parts)))

    def name(self, value_of: Callable[[int], str | None]) -> str:
        """Return an object's file name.

        Args:
            value_of: gives the text of an element by its tag, None if it has none.
        """
        texts = [part if isinstance(part, str) else part.text(value_of) for part in self.parts]
        stem = "".join(texts)
        # Nearly all names are plain, which one match tells.
        if not _PLAIN.fullmatch(stem):
            # XNAT makes a folder of a value with a slash; here text of a peer is no path.
            stem = _NOT_IN_NAME.sub("_", stem).lstrip(".")
            if not stem or stem.startswith("-"):
                stem = "_" + stem[1:]
        if len(stem) + len(self.extension) > MAX_FILE_NAME_BYTES or DEVICE_NAME.fullmatch(stem):
            stem = safe_part(stem + self.extension + "/")  # never safe, so it becomes a hash
        return stem + self.extension


@cache
def parse_template(text: str) -> FileNameTemplate:
    """Return the template that a text describes.

    Raises:
        InvalidSite: naming the problem and its column.
    """
    if not text or len(text) > MAX_TEMPLATE_CHARACTERS:
        raise _fault(text, "is empty or too long", f"use 1 to {MAX_TEMPLATE_CHARACTERS} characters")
    # XNAT 9.3: the template decides on the extension, not the name that is made of it.
    dot = text.rfind(".")
    has_extension = dot >= 0 and _EXTENSION.fullmatch(text, dot) is not None
    stem, extension = (text[:dot], text[dot:]) if has_extension else (text, EXTENSION)
    # Such an object would be taken for a catalog, or swept as a part that a crash left.
    if extension.lower() in _RESERVED_EXTENSIONS or not _LITERAL.fullmatch(extension):
        raise _fault(extension, "can't be the extension of objects", "use .dcm")
    parts = tuple(_parts(stem))
    if not any(isinstance(part, Variable) for part in parts):
        raise _fault(text, "has no ${…}, so that all objects had one name", "add ${SOPInstanceUID}")
    return FileNameTemplate(parts, extension)


def _parts(text: str) -> Iterator[str | Variable]:
    position = 0
    for found in _VARIABLE.finditer(text):
        yield from _literal(text, position, found.start())
        yield _variable(found[1], found.start(1))
        position = found.end()
    yield from _literal(text, position, len(text))


def _literal(text: str, begin: int, end: int) -> Iterator[str]:
    literal = _LITERAL.match(text, begin, end)
    assert literal is not None
    if literal.end() < end:
        remedy = "use letters, digits, '.', '_', '-' and ${Keyword}"
        raise _fault(text[literal.end()], "can't stand in a file name", remedy, literal.end())
    if literal[0]:
        yield literal[0]


def _variable(name: str, position: int) -> Variable:
    is_hash = name.startswith(_HASH) and not _is_known(name)
    keywords = tuple(name.removeprefix(_HASH).split(_WITH)) if is_hash else (name,)
    if is_hash and len(keywords) < 2:
        remedy = "write such as ${HashSOPClassUIDWithSOPInstanceUID}"
        raise _fault(name, "is a hash of less than two elements", remedy, position)
    for keyword in keywords:
        if not _is_known(keyword):
            remedy = "use a keyword such as SOPInstanceUID"
            raise _fault(keyword, "is no DICOM keyword of a header element", remedy, position)
    return Variable(keywords, is_hash)


def _joined(parts: Iterable[str | Variable]) -> Iterator[str | Variable]:
    """Yield parts, those that stand side by side as texts in one."""
    for is_text, some in groupby(parts, lambda part: isinstance(part, str)):
        if is_text:
            yield "".join(map(str, some))
        else:
            yield from some


def _value(keyword: str, value_of: Callable[[int], str | None]) -> str:
    # XNAT 9.3: the text for a missing value, which is hashed too.
    return value_of(_tag(keyword)) or f"no-value-for-{keyword}"


def _is_known(keyword: str) -> bool:
    return 0 < _tag(keyword) <= LAST_TAG


@cache
def _tag(keyword: str) -> int:
    """Return a keyword's tag, 0 if it has none."""
    if keyword in _TAGS:
        return _TAGS[keyword]
    from pydicom.datadict import tag_for_keyword

    return tag_for_keyword(keyword) or 0


def _fault(value: str, message: str, remedy: str, position: int | None = None) -> InvalidSite:
    column = None if position is None else position + 1
    return InvalidSite(Problem(FIELD, value[:80], message, remedy, None, column))


def java_list_hash(values: Iterable[str], begun: int = EMPTY_LIST_HASH) -> int:
    """Return Java's hash of a list of strings, unsigned.

    Args:
        values: the strings.
        begun: the hash of those that come before them in the list.
    """
    total = begun
    for value in values:
        total = (31 * total + _java_hash(value)) & _MASK
    return total


def hash_text(number: int) -> str:
    """Return a hash as it stands in names: in base 36 (XNAT 9.3)."""
    high, low = divmod(number, len(_PAIRS) ** 2)
    first, second = divmod(high, len(_PAIRS))
    third, fourth = divmod(low, len(_PAIRS))
    digits = _PAIRS[first] + _PAIRS[second] + _PAIRS[third] + _PAIRS[fourth]
    # As Java writes a number: without zeros in front.
    return digits.lstrip("0") or "0"


def _java_hash(text: str) -> int:
    """Return Java's hash of a string.

    Up to the last dot it is cached: UIDs of one origin share all but their last component.
    """
    shared, dot, last = text.rpartition(".")
    if len(text) > _LONGEST_UID or not last.isascii():
        return _hash_units(text)
    # hash(a + b) = hash(a) * 31**len(b) + hash(b).
    shifted: int = _shared_hash(shared + dot) * _POWERS[-len(last) - 1]
    return (shifted + _hash_units(last)) & _MASK


def _hash_units(text: str) -> int:
    """Return Java's hash of a string, which counts UTF-16 code units."""
    units = text.encode("ascii") if text.isascii() else _utf16_units(text)
    total = 0
    if len(units) < len(_POWERS):
        total = sum(map(mul, units, _POWERS[-len(units) :]))
    else:
        for unit in units:
            total = (31 * total + unit) & _MASK
    return total & _MASK


@lru_cache(maxsize=1024)
def _shared_hash(text: str) -> int:
    return _hash_units(text)


def _utf16_units(text: str) -> list[int]:
    # A string of Java may hold lone surrogates, as a text of ours may.
    return memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H").tolist()
