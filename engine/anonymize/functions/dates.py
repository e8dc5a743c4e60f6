"""Functions that move dates and times, or make old patients younger (dicomedit 9.4)."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from pydicom.tag import BaseTag

from engine.anonymize.datasets.reading import text_of, vr_of
from engine.anonymize.datasets.writing import store
from engine.anonymize.errors import StatementFailure
from engine.anonymize.functions.function import (
    Argument,
    Function,
    change_each,
    hits_of,
    paths_in,
    whole_number,
)
from engine.anonymize.language.paths import Path, parse_path
from engine.anonymize.language.values import VOID, Void

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.anonymize.language.values import Value
    from engine.anonymize.run import ScriptRun


_DATE_TIME = re.compile(
    r"(?P<year>[0-9]{4})(?:(?P<month>[0-9]{2})(?:(?P<day>[0-9]{2})(?:(?P<hour>[0-9]{2})"
    r"(?:(?P<minute>[0-9]{2})(?:(?P<second>[0-9]{2})(?P<fraction>\.[0-9]{1,6})?)?)?)?)?)?"
    r"(?P<zone>[+-][0-9]{4})?"
)
_MIDDLES: Final = {3: (12, 0, 0), 4: (30, 0), 5: (30,), 6: ()}
"""The middle of a period, by the number of known parts (dicomedit 9.4)."""
_FORMATS: Final = ("%Y", "%m", "%d", "%H", "%M", "%S")
_PARTS: Final = ("year", "month", "day", "hour", "minute", "second")
# dicomedit 9.4: a year is 365 days, leap or not.
SECONDS_PER_UNIT: Final = {
    "years": 365 * 86_400,
    "days": 86_400,
    "hours": 3_600,
    "minutes": 60,
    "seconds": 1,
}


def moved(text: str, seconds: int) -> str:
    """Move a date, with or without time, by seconds; fraction and zone are copied.

    Raises:
        StatementFailure: if it is no date, or leaves the years 1 to 9999.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise StatementFailure("a value is no date: YYYYMMDD, shorter, or with HHMMSS behind it")
    parts = [int(match[name]) for name in _PARTS if match[name]]
    try:
        at = _middle(parts) + timedelta(seconds=seconds)
    except (ValueError, OverflowError) as error:
        raise StatementFailure("a date does not exist, or is moved out of the calendar") from error
    # strftime does not pad years before 1000 everywhere.
    shown = [f"{at.year:04d}", *(at.strftime(form) for form in _FORMATS[1 : len(parts)])]
    return "".join([*shown, match["fraction"] or "", match["zone"] or ""])


def _middle(parts: list[int]) -> datetime:
    """Return the middle of a year, month, day, hour or minute, or the second itself."""
    if len(parts) == 1:
        return datetime(parts[0], 7, 1)  # noqa: DTZ001 - DICOM's zone takes no part
    if len(parts) == 2:
        year, month = parts
        days = monthrange(year, month)[1]
        return datetime(year, month, 1) + timedelta(days=days / 2)  # noqa: DTZ001
    year, month, day, hour, minute, second = (*parts, *_MIDDLES[len(parts)])
    leap = second == 60  # PS3.5 6.2: 60 is a leap second
    at = datetime(year, month, day, hour, minute, second - leap)  # noqa: DTZ001
    return at + timedelta(seconds=leap)


def days_between(first: str, last: str) -> int | None:
    """Return the days from one DA value to another; None if one of them is no date."""
    try:
        start, end = (datetime.strptime(text, "%Y%m%d") for text in (first, last))  # noqa: DTZ007
    except ValueError:
        return None
    return (end - start).days


_STUDY_DATE: Final = BaseTag(0x00080020)
_BIRTH_DATE: Final = BaseTag(0x00100030)
_AGE: Final = BaseTag(0x00101010)
_OLDEST_DAYS: Final = 32_506
"""89 years of 365.24 days."""
_OLDEST_AGE: Final = "089Y"
_AGE_FORM = re.compile(r"[0-9]{3}[DWMY]")


def _shift_date(run: ScriptRun, arguments: tuple[Value, ...]) -> str:
    return _shifted(run, arguments, "days", ("DA",))


def _shift_date_time(run: ScriptRun, arguments: tuple[Value, ...]) -> str:
    return _shifted(run, arguments, "seconds", ("DA", "DT"))


def _shifted(run: ScriptRun, arguments: tuple[Value, ...], unit: str, vrs: tuple[str, ...]) -> str:
    _check_vr(run, arguments[0], vrs)
    text = run.needed(arguments[0])
    unit = run.needed(arguments[2]) if len(arguments) > 2 else unit
    seconds = _seconds(run.text(arguments[1]), unit)
    # XNAT fails for several values; here each of them is moved (dicomedit 9.4).
    return "\\".join(moved(value, seconds) for value in text.split("\\"))


def _check_vr(run: ScriptRun, value: Value, vrs: tuple[str, ...]) -> None:
    hit = run.locate(value) if isinstance(value, Path) else None
    if hit is not None and vr_of(hit.level.ds, hit.tag) not in vrs:
        raise StatementFailure(f"{hit.tag} is not of VR {' or '.join(vrs)}")


def _seconds(number: str | None, unit: str) -> int:
    scale = SECONDS_PER_UNIT.get(unit.lower())
    if scale is None:
        raise StatementFailure("the unit is not known", f"use {', '.join(SECONDS_PER_UNIT)}")
    return whole_number(number) * scale


def _shift_sequence(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    seconds = whole_number(run.text(arguments[0]))
    # dicomedit 9.4: what is no date stays here, and is an error in shiftDateTimeListByIncrement.
    _change_dates(run, paths_in(arguments[1:]), lambda text: _moved_or_same(text, seconds))
    return VOID


def _shift_list(run: ScriptRun, arguments: tuple[Value, ...]) -> Void:
    seconds = _seconds(run.text(arguments[1]), run.needed(arguments[2]))
    change_each(run, paths_in(arguments[:1]), lambda text: moved(text, seconds))
    return VOID


def _change_dates(run: ScriptRun, paths: list[Path], change: Callable[[str], str]) -> None:
    """Change all values but those of VR TM: some times look like dates, such as 101112."""
    for hit in hits_of(run, paths):
        if vr_of(hit.level.ds, hit.tag) != "TM":
            text = text_of(hit.level.ds, hit.tag) or ""
            changed = "\\".join(change(value) if value else value for value in text.split("\\"))
            if changed != text:
                store(hit, changed)


def _moved_or_same(text: str, seconds: int) -> str:
    try:
        return moved(text, seconds)
    except StatementFailure:
        return text


def _scale_age(run: ScriptRun, _arguments: tuple[Value, ...]) -> Void:
    """Make patients above 89 years 89: the root decides, all depths follow (dicomedit 9.4)."""
    birth, study, age = (text_of(run.ds, tag) or "" for tag in (_BIRTH_DATE, _STUDY_DATE, _AGE))
    # As in XNAT: without a study date nothing changes, not even the age.
    if birth and not study:
        return VOID
    if age and not _AGE_FORM.fullmatch(age):
        raise StatementFailure("the patient's age is not of the form nnnD, nnnW, nnnM or nnnY")
    too_old = (days_between(birth, study) or 0) - _OLDEST_DAYS
    if too_old > 0:
        seconds = too_old * SECONDS_PER_UNIT["days"]
        _change_dates(run, [_BIRTH_DATES], lambda text: _moved_or_same(text, seconds))
    if _above_oldest(age):
        change_each(run, [_AGES], lambda text: _OLDEST_AGE if _above_oldest(text) else text)
    return VOID


def _above_oldest(age: str) -> bool:
    # Three digits compare as text. Days, weeks and months stay as they are (dicomedit 9.4).
    return bool(_AGE_FORM.fullmatch(age)) and age.endswith("Y") and age > _OLDEST_AGE


_BIRTH_DATES: Final = parse_path("*/(0010,0030)")
_AGES: Final = parse_path("*/(0010,1010)")
_TEXT, _NUMBER, _PATHS = Argument.TEXT, Argument.WHOLE_NUMBER, Argument.PATHS

FUNCTIONS: Final = {
    "shiftDateByIncrement": Function(_shift_date, 2, 3, (_TEXT, _NUMBER, _TEXT)),
    "shiftDateTimeByIncrement": Function(_shift_date_time, 2, 3, (_TEXT, _NUMBER, _TEXT)),
    "shiftDateTimeSequenceByIncrement": Function(_shift_sequence, 2, None, (_NUMBER, _PATHS)),
    "shiftDateTimeListByIncrement": Function(_shift_list, 3, 3, (_PATHS, _NUMBER, _TEXT)),
    "scalePatientAgeAndDobFromStudyDate": Function(_scale_age, 0, 0),
}
