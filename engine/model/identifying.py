"""Which elements may tell who a patient is; one pure rule for every place that shows values.

It hides names of persons, what PS3.15 table E.1-1 removes because it leads to a person, free text
that anybody may have typed anything into, and all private values but their creators.
"""

from __future__ import annotations

from typing import Final

MASK: Final = "••••••••"

_PATIENT_GROUP: Final = 0x0010
_OF_PATIENT_HARMLESS: Final = frozenset(
    (
        *(0x00100000, 0x00100022, 0x00100024, 0x00100026),  # type and issuer of an ID
        *(0x00100040, 0x00101010, 0x00101020, 0x00101030),  # sex, age, size, weight
        *(0x00100082, 0x00100101, 0x00100102, 0x001021C0, 0x00102201, 0x00102202),
    )
)
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


def is_private(tag: int) -> bool:
    """Tell whether an element belongs to a private group (PS3.5 7.8)."""
    return bool(tag >> 16 & 1)


def is_identifying(tag: int, vr: str) -> bool:
    """Tell whether the value of an element may lead to the patient or another person."""
    group, element = tag >> 16, tag & 0xFFFF
    if vr == "SQ":
        return False  # its items are judged one by one
    if is_private(tag):
        return not 0x10 <= element <= 0xFF
    if vr == "PN" or vr in _LONG_TEXTS:
        return True
    if group == _PATIENT_GROUP:
        return tag not in _OF_PATIENT_HARMLESS
    return tag in _ELSEWHERE
