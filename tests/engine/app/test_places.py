"""Which ports and addresses a service may listen at, and how its unit says so."""

from __future__ import annotations

import pytest

from engine.app.systemd_units import ListenPlace
from engine.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "place", "unit", "is_low"),
    [
        ("1", ListenPlace(1), "1", True),
        ("1023", ListenPlace(1023), "1023", True),
        ("1024", ListenPlace(1024), "1024", False),
        ("65535", ListenPlace(65535), "65535", False),
        ("127.0.0.1:8104", ListenPlace(8104, "127.0.0.1"), "127.0.0.1:8104", False),
        ("[::1]:104", ListenPlace(104, "::1"), "[::1]:104", True),
        ("[fe80::1%eth0]:8104", ListenPlace(8104, "fe80::1%eth0"), "[fe80::1]:8104%%eth0", False),
    ],
)
def test_a_place_is_a_port_alone_or_with_its_address(
    text: str, place: ListenPlace, unit: str, is_low: bool
) -> None:
    assert ListenPlace.parse(text) == place
    assert (place.listen_stream, place.is_low) == (unit, is_low)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no port"),
        ("dicom", "is no port"),
        (":8104", "is no port"),
        ("[]:8104", "is no port"),
        ("123456", "is no port"),
        ("8104\n", "is no port"),
        ("0", "is no port"),
        ("65536", "is no port"),
        ("1.2.3:8104", "is not an address"),
        ("[127.0.0.1\n]:8104", "is not an address"),
        ("[eth0]:8104", "is not an address"),
    ],
)
def test_anything_else_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        ListenPlace.parse(text)
    (problem,) = refused.value.problems
    assert (problem.field, bool(problem.remedy)) == ("port", True)


def test_what_is_refused_is_shown_in_part() -> None:
    with pytest.raises(ConfigurationError) as refused:
        ListenPlace.parse("x" * 999)
    assert refused.value.problems[0].value == "x" * 60
