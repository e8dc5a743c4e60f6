"""Fields that the site and a project both have: anonymization, and the series filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.anonymization import ENABLED, PROFILE, SITE_SCRIPT, ProfileSettings, Retain
from engine.model.identity import element_number
from engine.model.series_filter import FilterMode, Presence, filter_problems, parse_series_filter
from tui.settings.form import FieldKind, FieldSpec, Remark, number_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.model.series_filter import SeriesFilter
    from tui.settings.form import Values


PROFILE_ENABLED = "profile_enabled"
SHIFT = "shift_days"
_KEEP = "keep_"
_LABELS = {
    Retain.UIDS: "  Keep UIDs",
    Retain.DEVICE: "  Keep device",
    Retain.INSTITUTION: "  Keep institution",
    Retain.PATIENT_CHARACTERISTICS: "  Keep patient",
    Retain.DATES: "  Keep dates",
}
_KEPT = {
    Retain.UIDS: ("off: UIDs are replaced, each by always the same", "on: UIDs stay as they are"),
    Retain.DEVICE: ("off: station and serial numbers go", "on: station and serial numbers stay"),
    Retain.INSTITUTION: ("off: name and address go", "on: name and address of the hospital stay"),
    Retain.PATIENT_CHARACTERISTICS: ("off: age, size, weight go", "on: age, size, weight stay"),
    Retain.DATES: ("off: dates and times go, or move", "on: dates and times stay as they are"),
}
_SCRIPT_HELP = """A script in the language of XNAT's DicomEdit 6, such as

  version "6.1"
  (0010,0010) := subject
  (0010,0020) := session
  -(0010,1000)
  -(50XX,XXXX)

It is checked while it is typed; f8 goes to the next line
with a remark. Below it a recent object is shown before and
after, by the script as it stands here, without being saved.

  dicomdock script check FILE"""
_PROFILE_HELP = """The basic application confidentiality profile of
PS3.15 Annex E: it removes, empties or replaces some 600
elements and all private ones. It runs before the script."""


def anonymization_specs(when: str, off: str, *, script_needs: str = "") -> tuple[FieldSpec, ...]:
    """Return the fields.

    Args:
        when: a clause saying when they run.
        off: what an object is then if the script is off.
        script_needs: the switch that the script's text is only shown with, if any.
    """
    head = "Anonymization"
    return (
        FieldSpec(ENABLED, FieldKind.SWITCH, "Script", f"On: the script runs {when}.\nOff: {off}.",
                  section=head,
                  words=(f"off: {off}", f"on: runs {when}")),
        FieldSpec(PROFILE_ENABLED, FieldKind.SWITCH, "Profile", _PROFILE_HELP, section=head,
                  words=("off: only the script decides", "on: applied before any script")),
        *(
            FieldSpec(_KEEP + option.replace("-", "_"), FieldKind.SWITCH, _LABELS[option],
                      _PROFILE_HELP, section=head, needs=PROFILE_ENABLED, words=_KEPT[option])
            for option in Retain
        ),
        FieldSpec(SHIFT, FieldKind.NUMBER, "  Move dates by", "Dates are kept, but moved by so "
                  "many days, forward or,\nwith a minus, back; the days between them stay.",
                  section=head, needs=PROFILE_ENABLED, usual="not kept", hint="days; -30 is back"),
        FieldSpec(SITE_SCRIPT, FieldKind.SCRIPT, "Script text", _SCRIPT_HELP, section="Script text",
                  needs=script_needs, by_line=True),
    )  # fmt: skip


def anonymization_values(record: Mapping[str, object]) -> Values:
    """Return the raw values of a record of the site or a project."""
    profile = ProfileSettings.of(record[PROFILE])
    shift = profile.shift_days
    return {
        ENABLED: bool(record[ENABLED]),
        PROFILE_ENABLED: profile.enabled,
        **{_KEEP + option.replace("-", "_"): option in profile.retain for option in Retain},
        SHIFT: "" if shift is None else str(shift),
        SITE_SCRIPT: str(record[SITE_SCRIPT]),
    }


def anonymization_record(values: Mapping[str, str | bool]) -> dict[str, object]:
    """Return the members of a record that `anonymization_values` reads."""
    shift = str(values[SHIFT])
    profile = {
        "enabled": values[PROFILE_ENABLED],
        "retain": [str(o) for o in Retain if values[_KEEP + o.replace("-", "_")]],
        "shift_days": number_in(shift, 0) if shift.strip() else None,
    }
    return {ENABLED: values[ENABLED], SITE_SCRIPT: values[SITE_SCRIPT], PROFILE: profile}


def profile_of(values: Mapping[str, str | bool]) -> ProfileSettings | None:
    """Return the profile to try a script with; None if its fields are wrong."""
    record = anonymization_record(values)[PROFILE]
    shift = record["shift_days"] if isinstance(record, dict) else None
    return None if isinstance(shift, str) else ProfileSettings.of(record)


def field_of_profile(name: str) -> str:
    """Return the field that a problem of the profile is shown at."""
    return {"enabled": PROFILE_ENABLED, "retain": PROFILE_ENABLED, PROFILE: PROFILE_ENABLED}.get(
        name, name
    )


_MODES = {
    FilterMode.BLACKLIST: "what a line below applies to is discarded",
    FilterMode.WHITELIST: "only what a line below applies to is wanted",
}


def filter_remarks(text: str) -> tuple[Remark, ...]:
    """Return one remark per line: what it does, or why it is wrong."""
    lines = text.split("\n")
    wrong = _wrong_lines(text)
    kept = "\n".join("" if n in wrong else line for n, line in enumerate(lines, start=1))
    parsed = parse_series_filter(kept)
    return tuple(
        Remark(f"✗ {wrong[number]}", is_wrong=True)
        if number in wrong
        else _remark(number, line.strip(), parsed)
        for number, line in enumerate(lines, start=1)
    )


def _wrong_lines(text: str) -> dict[int, str]:
    """Return what is wrong, by 1-based line."""
    found = filter_problems("series_filter", text)
    return {p.line: f"{p.message}; {p.remedy}" for p in found if p.line is not None}


def _remark(number: int, line: str, parsed: SeriesFilter) -> Remark:
    if not line or line.startswith("#"):
        return Remark()
    if line.lower() in set(FilterMode):
        return Remark(f"✓ {_MODES[FilterMode(line.lower())]}", is_good=True)
    if line.startswith("["):
        return Remark("the lines below look at this element")
    found = next((known for known in parsed.lines if known.number == number), None)
    if found is None:  # XNAT's literal \\n makes several lines of one
        return Remark()
    means = {Presence.EXISTS: "is present", Presence.ABSENT: "is absent"}
    condition = found.condition
    what = means[condition] if isinstance(condition, Presence) else "contains a match"
    return Remark(f"✓ if {_name(found.tag)} {what}", is_good=True)


def _name(tag: int) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or element_number(tag)
