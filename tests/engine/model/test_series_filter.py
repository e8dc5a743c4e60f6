"""Series import filters: XNAT's text, what it lets pass, and what is refused at save."""

from __future__ import annotations

import pytest
from pydicom.datadict import tag_for_keyword

from engine.errors import InvalidProject, InvalidSite
from engine.model.project import Project
from engine.model.series_filter import (
    FilterMode,
    filter_problems,
    joined_filter,
    parse_series_filter,
    split_filter,
)
from engine.model.site import SessionSettings
from engine.routing import RuleTimeout


def is_stored(text: str, **values: str) -> bool:
    tags = {name: tag_for_keyword(name) for name in values} | {"private": 0x0051100D}
    present = {tags[name]: value for name, value in values.items()}
    return not parse_series_filter(text).excludes(present.get)


FIVE_SECTIONS = """
[SOPInstanceUID]
^1\\.2\\.3$
^1\\.2\\.4$
[0020,0013]
^4$
[(0018,1250)]
EXISTS
[BeatRejectionFlag]
!EXISTS
[ImageType]
MODIFIED\\\\DERIVED
^MIP
"""


@pytest.mark.parametrize(
    ("text", "values", "stored"),
    [
        ("^.*T1.*$", {"SeriesDescription": "t1_mpr"}, False),
        ("whitelist\n^.*T1.*$", {"SeriesDescription": "FLAIR"}, False),
        ("whitelist\n^.*T1.*$", {"SeriesDescription": "x T1"}, True),
        ("Whitelist\n[Rows]\n^128$", {"Rows": "128"}, True),
        ("WHITELIST\n[Rows]\n^128$", {"Rows": "64"}, False),
        ("whitelist\n[0008,0018]\n1\\.2\\.3", {"SOPInstanceUID": "9.1.2.3.4"}, True),
        ("[(0018,1250)]\nEXISTS", {"ReceiveCoilName": "HEAD"}, False),
        ("[(0018,1250)]\nEXISTS", {"ReceiveCoilName": ""}, False),
        ("[(0018,1250)]\nEXISTS", {}, True),
        ("whitelist\n[0018,1080]\n!EXISTS", {}, True),
        ("whitelist\n[0018,1080]\n!EXISTS", {"BeatRejectionFlag": "Y"}, False),
        ("[ImageType]\nMODIFIED\\\\DERIVED", {"ImageType": "MODIFIED\\DERIVED"}, False),
        ("whitelist\n[(0051,100d)]\n^SP R79\\.3$", {"private": "SP R79.3"}, True),
        ("[0028,0301]\nYES\n[0010,0033]\nEXISTS", {"BurnedInAnnotation": "YES"}, False),
        ("[0028,0301]\nYES", {"BurnedInAnnotation": "NO"}, True),
        ("# T1\n\n  \n", {"SeriesDescription": "T1"}, True),
        ("T2\\nT1", {"SeriesDescription": "T1"}, False),
        ("", {"SeriesDescription": "T1"}, True),
        ("whitelist", {"SeriesDescription": "T1"}, True),
        ("T1", {"SeriesDescription": "x" * 300 + "T1"}, True),
        ("T1", {}, True),
        *(
            (FIVE_SECTIONS, {"BeatRejectionFlag": "N"} | values, stored)
            for values, stored in [
                ({}, True),
                ({"SOPInstanceUID": "1.2.4"}, False),
                ({"SOPInstanceUID": "1.2.5"}, True),
                ({"InstanceNumber": "4"}, False),
                ({"InstanceNumber": "40"}, True),
                ({"ReceiveCoilName": "C"}, False),
                ({"ImageType": "mip\\X"}, False),
            ]
        ),
        (FIVE_SECTIONS, {}, False),
    ],
)
def test_a_filter_lets_pass_what_xnat_lets_pass(
    text: str, values: dict[str, str], stored: bool
) -> None:
    """XNAT 11.2, I1 to I4, I6, I7."""
    assert is_stored(text, **values) is stored


def test_the_line_that_excludes_is_named() -> None:
    found = parse_series_filter("# no T1\n^T1").excludes({0x0008103E: "T1"}.get)
    assert found == "line 2: ^T1"


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("T1\n(a", 2, None), ("[Nonsense]\nx", 1, None), ("[7FE0,0010]\nEXISTS", 1, None)],
)
def test_a_text_that_is_no_filter_is_refused_with_its_line(
    text: str, line: int, column: int | None
) -> None:
    (problem,) = filter_problems("f", text)
    assert (problem.field, problem.line) == ("f", line)
    with pytest.raises(InvalidSite, match=r"sessions\.series_filter"):
        SessionSettings.parse({"series_filter": text})
    with pytest.raises(InvalidProject, match="series_import_filter"):
        Project.parse({"id": "A", "series_import_filter": text})


def test_a_pattern_is_marked_where_it_is_wrong() -> None:
    (problem,) = filter_problems("f", "ab[z-a]")
    assert problem.column is not None
    assert problem.column >= 3
    assert filter_problems("f", 7)[0].message == "is not text"


def test_a_pattern_without_end_is_cut_off() -> None:
    catastrophe = parse_series_filter("((a+)+)+((a+)+)+b")
    with pytest.raises(RuleTimeout):
        catastrophe.excludes({0x0008103E: "a" * 300}.get)


@pytest.mark.parametrize(
    ("text", "mode", "patterns"),
    [
        ("", "blacklist", ""),
        ("^T1", "blacklist", "^T1"),
        ("blacklist\n^T1", "blacklist", "^T1"),
        ("# a\n\n Whitelist \r\n^T1\n# b", "whitelist", "# a\n\n^T1\n# b"),
        ("whitelist\\n^T1", "whitelist", "^T1"),
        ("^T1\nwhitelist", "blacklist", "^T1\nwhitelist"),
        ("blacklist\nwhitelist", "blacklist", "whitelist"),
    ],
)
def test_the_mode_is_taken_off_a_filter_and_put_back(text: str, mode: str, patterns: str) -> None:
    assert split_filter(text) == (mode, patterns)
    joined = joined_filter(FilterMode(mode), patterns)
    assert split_filter(joined) == (mode, patterns)
    assert parse_series_filter(joined).mode is parse_series_filter(text).mode
