"""The identity of an object: project, subject and session, with the element each came from."""

from __future__ import annotations

import re
from base64 import b32encode
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime


MASK: Final = "••••••••"

_PATIENT_GROUP: Final = 0x0010
# The attributes of group 0010 that do not identify the patient.
_OF_PATIENT_HARMLESS: Final = frozenset(
    (
        *(0x00100000, 0x00100022, 0x00100024, 0x00100026),  # type and issuer of an ID
        *(0x00100040, 0x00101010, 0x00101020, 0x00101030),  # sex, age, size, weight
        *(0x00100082, 0x00100101, 0x00100102, 0x001021C0, 0x00102201, 0x00102202),
    )
)
# Attributes of other groups that name persons, places or orders, or hold free text.
_ELSEWHERE: Final = frozenset(
    (
        *(0x00080050, 0x00080051, 0x00080080, 0x00080081, 0x00080082, 0x00080092, 0x00080094),
        *(0x00081048, 0x00081049, 0x00081050, 0x00081052, 0x00081060, 0x00081062, 0x00081070),
        *(0x00081080, 0x00081084, 0x00082111, 0x00084000, 0x00184000, 0x00204000),
        *(0x00321032, 0x00321033, 0x00324000, 0x00380010, 0x00380011, 0x00380014, 0x00380300),
        *(0x00380400, 0x00380500, 0x00384000, 0x00401001, 0x00401400, 0x00402001, 0x00402016),
        *(0x00402017, 0x00402400, 0x00402008, 0x00402010, 0x00403001, 0x0040A123, 0x0040A160),
        *(0x00880904, 0x40000010, 0x40004000, 0x00400244, 0x00400280, 0x00081040, 0x00081010),
        *(0x00081195, 0x00400006, 0x00400241, 0x00400242, 0x00420011, 0x00181000, 0x00189367),
        *(0x00189369, 0x0018936A, 0x00209158, 0x4008010B, 0x40080115, 0x40080300, 0x40084000),
    )
)
_LONG_TEXTS: Final = frozenset(("LT", "ST", "UT"))
_TIMES: Final = frozenset(("AS", "DA", "DT", "TM"))
_PART_CHARACTERS: Final = 4
"""Shorter parts of a value may stand in any text by chance."""
_MOST_PIECES: Final = 500
_LONGEST_PIECE: Final = 256
"""Both limited: a peer decides how many values there are, and how long they are."""
_CREATOR: Final = re.compile(r"(?<=\{)[^{}]+(?=\})")
_NUMBER: Final = re.compile(r"[-+.0-9eE]+")


def is_private(tag: int) -> bool:
    """Tell whether an element belongs to a private group (PS3.5 7.8)."""
    return bool(tag >> 16 & 1)


def is_identifying(tag: int, vr: str) -> bool:
    """Tell whether the value of an element may lead to the patient or another person."""
    group, element = tag >> 16, tag & 0xFFFF
    if vr == "SQ":
        return False  # its items are judged one by one
    if is_private(tag):
        # PS3.5 7.8.1: these name the creator of a private block.
        return not 0x10 <= element <= 0xFF
    # Whatever the element: free text may quote the patient's name.
    if vr == "PN" or vr in _LONG_TEXTS:
        return True
    if group == _PATIENT_GROUP:
        return tag not in _OF_PATIENT_HARMLESS
    return tag in _ELSEWHERE


def identifies_anywhere(tag: int, vr: str) -> bool:
    """Tell whether the value of an element identifies a person also in other texts.

    Of dates and times only those of the patient do: others are alike in many objects.
    """
    if vr in _TIMES and tag >> 16 != _PATIENT_GROUP:
        return False
    return is_identifying(tag, vr)


class IdentifyingValue(NamedTuple):
    """One value of an element that `is_identifying`."""

    text: str
    vr: str
    is_private: bool = False
    """Whether it is of a private element: numbers and short words of these identify nobody."""


class IdentifyingValues:
    """The identifying values of one object, used to mask them in free text."""

    def __init__(self, values: Iterable[IdentifyingValue] = ()) -> None:
        """Take the values of the object as it arrived."""
        # Public elements first: they matter most if there are more pieces than are kept.
        known = sorted(values, key=lambda value: value.is_private)
        self._whole = frozenset(v.text.strip().casefold() for v in known if not v.is_private)
        self._short = tuple(
            v.text.casefold() for v in known if v.vr not in _LONG_TEXTS and not v.is_private
        )
        pieces = dict.fromkeys(piece for value in known for piece in _pieces(value))
        kept = islice(pieces, _MOST_PIECES)
        # The first alternative that matches counts: a whole name before its parts.
        longest_first = sorted(kept, key=lambda piece: (-len(piece), piece))
        found = "|".join(map(_as_found, longest_first))
        self._pattern = re.compile(found, re.IGNORECASE) if found else None

    def hide(self, text: str) -> str:
        """Return a text with every occurrence of a value masked."""
        # Short values are found only as a whole or as words: else they would mask parts of other
        # words.
        if self._is_whole(text):
            return MASK
        return self._pattern.sub(MASK, text) if self._pattern else text

    def hide_in_path(self, path: str) -> str:
        """Return the path of an element, masked: only names of private creators hold values."""
        return _CREATOR.sub(lambda found: self.hide(found[0]), path)

    def appear_in(self, text: str) -> bool:
        """Tell whether a text is, contains or is a part of one of the values."""
        if self.hide(text) != text:
            return True
        part = text.strip().casefold()
        return len(part) >= _PART_CHARACTERS and any(part in value for value in self._short)

    def _is_whole(self, text: str) -> bool:
        whole = text.strip().casefold()
        return bool(whole) and whole in self._whole


def _pieces(value: IdentifyingValue) -> Iterator[str]:
    """Yield the parts of a value that identify as well: each single value, each part of a name."""
    # PS3.5 6.2: the backslash separates values, ^ and = the parts of a PN.
    for piece in (value.text, *re.split(r"[\\^=]", value.text)):
        found = piece.strip()[:_LONGEST_PIECE]
        shortest = _PART_CHARACTERS if value.is_private else 2
        if len(found) >= shortest and not (value.is_private and _NUMBER.fullmatch(found)):
            yield found


def _as_found(piece: str) -> str:
    """Return what finds a piece: anywhere, or only as a word if it is short."""
    found = re.escape(piece)
    return found if len(piece) >= _PART_CHARACTERS else rf"(?<!\w){found}(?!\w)"


NO_VALUES: Final = IdentifyingValues()
"""Of an object without identifying values."""


_MASK = "•"


class Attribute(StrEnum):
    """The decisions about an object, in this order."""

    PROJECT = "project"
    SUBJECT = "subject"
    SESSION = "session"
    AUTO_ARCHIVE = "auto-archive"


class Source(StrEnum):
    """Where a decision comes from; asked in this order (XNAT 5.1)."""

    RECEIVER = "receiver"
    SITE = "site"
    DEFAULT = "default"
    PROCESSOR = "processor"
    """A processor that assigned a label; it comes before all others."""
    IDENTIFIER = "identifier"
    """An identifier that decides by itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """One look at one element."""

    attribute: Attribute
    source: Source
    line: int | None
    """1-based line of the rule in its text; None for a default."""
    rule: str
    """The rule as written, or what a default looks for."""
    tag: int | None
    """None where an identifier decides without an element."""
    keyword: str
    """The element's keyword; empty if the data dictionary has none."""
    value: str | None
    """The value as the rule saw it; None if the object has none."""
    cut: bool
    """Whether that is only the beginning of the element's value."""
    captured: str | None
    """The captured part of the value, before ``t:`` and ``r:``."""
    given: str | None
    """The result of the rule, which may still be no project's name."""
    result: str | None
    """The decision; None if a later step had to decide."""
    why_not: str = ""
    """A sentence if this step decided nothing, or nothing clear."""
    failed: bool = False
    """Whether the rule failed, so that nothing after it was asked."""

    @property
    def decided(self) -> bool:
        """Tell whether this step settled its attribute."""
        return self.result is not None

    @property
    def element(self) -> str:
        """Name the element as ``(gggg,eeee) Keyword``."""
        return "" if self.tag is None else f"{element_number(self.tag)} {self.keyword}".rstrip()

    def masked(self) -> Step:
        """Return the step with nothing of the object's values but their length."""
        why_not = self.why_not
        if self.given:
            why_not = why_not.replace(repr(self.given), repr(masked(self.given)))
        return replace(
            self,
            value=masked(self.value),
            captured=masked(self.captured),
            given=masked(self.given),
            result=masked(self.result),
            why_not=why_not,
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """Every step that was taken, in order; the last of each attribute is the one that counts."""

    steps: tuple[Step, ...] = ()

    def of(self, attribute: Attribute) -> tuple[Step, ...]:
        """Return the steps towards one attribute."""
        return tuple(step for step in self.steps if step.attribute is attribute)

    def deciding(self, attribute: Attribute) -> Step | None:
        """Return the step that settled an attribute; None if nothing did."""
        return next((step for step in self.of(attribute) if step.decided), None)

    def masked(self) -> Trace:
        """Return the trace without values of the object."""
        return Trace(tuple(step.masked() for step in self.steps))


def element_number(tag: int) -> str:
    """Return a tag as ``(gggg,eeee)``."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def masked(text: str | None) -> str | None:
    """Return a text with nothing left of it but its length."""
    return None if text is None else _MASK * len(text)


UNASSIGNED = "Unassigned"
DEFAULT_SESSION_LABEL = "dicom_upload"

_NOT_LABEL = re.compile(r"[^A-Za-z0-9_-]")
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,64}")
LABEL_REMEDY: Final = "use 1 to 64 letters, digits, '_' or '-'"
"""For a text that is no label."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decided attribute and where its value came from."""

    value: str | None
    source: str
    """Such as ``(0008,1030) StudyDescription`` or ``nothing matched``."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Project, subject and session of one object, each with its source."""

    project: Decision
    """The project's id; None means Unassigned."""
    subject: Decision
    session: Decision
    auto_archive: bool | None = None
    """Whether the header asks for the archive; None leaves it to the project."""
    warning: str = ""
    """Why something could not be decided as configured; kept with the object."""

    @property
    def labels(self) -> tuple[str, str, str]:
        """Project, subject and session as they are filed; a subject may be empty."""
        return self.project.value or UNASSIGNED, self.subject.value or "", self.session_label

    @property
    def session_label(self) -> str:
        """The session's label, never empty."""
        return self.session.value or DEFAULT_SESSION_LABEL


@dataclass(frozen=True, slots=True)
class Identification:
    """The result of identifying an object, with every step on the way."""

    identity: Identity | None
    """None if a rule failed so that the object would be refused."""
    failure: str
    """Why, if it would."""
    trace: Trace

    @property
    def outcome(self) -> tuple[object, ...]:
        """All that becomes of the object: equal if nothing would change."""
        if self.identity is None:
            return (None,)
        return (*self.identity.labels, self.identity.auto_archive)

    def masked(self, known: IdentifyingValues = NO_VALUES) -> Identification:
        """Return the same without subject, session and any value of the object.

        Args:
            known: the identifying values of the object; a reason in words may quote them.
        """
        identity = self.identity
        # The project stays readable: it is one of the site's names, not a value of the object.
        if identity is not None:
            subject = replace(identity.subject, value=masked(identity.subject.value))
            session = replace(identity.session, value=masked(identity.session.value))
            identity = replace(identity, subject=subject, session=session)
        return Identification(identity, known.hide(self.failure), self.trace.masked())


def to_label(text: str) -> str:
    """Replace every character outside ``[A-Za-z0-9_-]`` by ``_`` (XNAT 5.4)."""
    return _NOT_LABEL.sub("_", text)


def is_label(text: str) -> bool:
    """Tell whether a text may be the label of a subject or session as it is."""
    return _LABEL.fullmatch(text) is not None


# No dot in front (`..`, hidden files) or at the end (Windows drops it), no hyphen (an option).
_SAFE = re.compile(r"(?![.-])[A-Za-z0-9._-]{1,64}(?<!\.)")
DEVICE_NAME = re.compile(
    r"(?:CON|PRN|AUX|NUL|COM[0-9]|LPT[0-9])(?:\..*)?", re.IGNORECASE | re.DOTALL
)
_SERIES_NUMBER = re.compile(r"[A-Za-z0-9_.-]+")


def safe_part(text: str) -> str:
    """Return a text as a name of one folder: itself if it is safe, else a hash of it."""
    if _SAFE.fullmatch(text) and not is_device(text):
        return text
    # 20 characters are 100 bits: two texts have the same ones never by chance.
    # Text of a peer may hold lone surrogates, which strict UTF-8 refuses.
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    return "h-" + b32encode(digest)[:20].decode("ascii").lower()


TIMESTAMP = re.compile(r"[0-9]{8}_[0-9]{9}")
"""The form of the texts that `timestamp` returns."""


def timestamp(moment: datetime) -> str:
    """Return a moment in local time as ``yyyyMMdd_HHmmssSSS`` (XNAT 9.1)."""
    local = moment.astimezone()
    return f"{local:%Y%m%d_%H%M%S}{local.microsecond // 1000:03d}"


def scan_name(series_number: str | None, series_instance_uid: str | None) -> str:
    """Return a scan's name: series number, else series UID, else NA (XNAT 9.3)."""
    number = series_number or ""
    # XNAT 9.3, as its newer versions do.
    if number.startswith("+"):
        number = "_" + number[1:]
    if _SERIES_NUMBER.fullmatch(number):
        return safe_part(number)
    return safe_part(to_label(series_instance_uid or "NA"))


def is_device(text: str) -> bool:
    """Tell whether some operating system takes a name for a device."""
    return DEVICE_NAME.fullmatch(text) is not None
