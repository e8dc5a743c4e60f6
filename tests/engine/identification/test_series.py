"""What a series shares: remembered for its other objects, never for those of another one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.identification.caches import MOST_SERIES, SeriesCache, SeriesDestination
from engine.model.file_name_template import DEFAULT_TEMPLATE, parse_template
from engine.model.identity import Decision, Identity
from engine.storage.placement import file_name
from tests.engine.identification.identifying import header_of

DECIDED = Decision("X", "a test")
IDENTITY = Identity(DECIDED, DECIDED, DECIDED)
TEMPLATES = (DEFAULT_TEMPLATE, "${StudyDescription}-x-${HashStudyInstanceUIDWithModality}")
VALUES: dict[str, list[Any]] = {
    "SOPInstanceUID": ["1.2.1", "1.2.22"],
    "InstanceNumber": ["1", "2", None],
    "SOPClassUID": ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"],
    "StudyInstanceUID": ["1.3.1", "1.3.2"],
    "SeriesInstanceUID": ["1.4.1", "1.4.2"],
    "SeriesNumber": ["4", "5", None],
    "AccessionNumber": ["A1", "A2"],
    "PatientID": ["P1", ""],
    "Modality": ["CT", "MR"],
    "StudyDescription": ["Head", "Foot"],
}
OBJECTS = st.fixed_dictionaries({name: st.sampled_from(v) for name, v in VALUES.items()})


@given(st.lists(OBJECTS, min_size=2, max_size=12), st.sampled_from(TEMPLATES))
def test_what_is_remembered_is_what_would_be_found_out(
    objects: list[dict[str, Any]], text: str
) -> None:
    template, memory = parse_template(text), SeriesCache(())
    for values in objects:
        header = header_of(**values)
        known, found = memory.find(header), SeriesDestination.of(header, IDENTITY, template)
        if known is None:
            memory.put(header, found)
        else:
            assert known == found
            assert file_name(header, known.template) == file_name(header, template)


def test_the_next_object_of_a_series_is_recognized_and_the_last_series_are_kept() -> None:
    memory, template = SeriesCache(()), parse_template(DEFAULT_TEMPLATE)
    first = header_of(SOPInstanceUID="1.2.1")
    memory.put(first, SeriesDestination.of(first, IDENTITY, template))
    assert memory.find(header_of(SOPInstanceUID="1.2.2", InstanceNumber="7")) is not None
    for number in range(MOST_SERIES):
        other = header_of(SeriesNumber=str(number), SeriesInstanceUID=f"1.4.{number}")
        memory.put(other, SeriesDestination.of(other, IDENTITY, template))
    assert memory.find(first) is None
