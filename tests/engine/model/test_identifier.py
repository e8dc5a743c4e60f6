"""What a receiver tells its identifier is checked against the fields that it declares."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import InvalidReceiver
from engine.model.plugins import DEFAULT_IDENTIFIERS, IdentifierField, IdentifierInfo
from engine.model.receiver import Receiver, ReceiverRules, parse_receiver


def _is_upper(value: str) -> str:
    return "" if value.isupper() else "is not in capitals"


FIELDS = (
    IdentifierField("project", "Project", "write the id of a project", check=_is_upper),
    IdentifierField("note", "Note", "write anything", required=False),
)
FIXED = IdentifierInfo("fixed", "One project for all", can_route=False, fields=FIELDS)
RULES = ReceiverRules(identifiers=(*DEFAULT_IDENTIFIERS, FIXED))


def parse(settings: Any, identifier: str = "fixed") -> Receiver:
    raw = {"ae_title": "CT1", "port": 8105, "identifier": identifier}
    return parse_receiver({**raw, "identifier_settings": settings}, RULES)


def problems(settings: Any, identifier: str = "fixed") -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidReceiver) as caught:
        parse(settings, identifier)
    return [(p.field, p.message, p.remedy) for p in caught.value.problems]


def test_good_settings_are_kept_trimmed_and_read_back() -> None:
    receiver = parse({"project": " P1 ", "note": ""})
    assert receiver.identifier_settings == (("project", "P1"),)
    assert parse_receiver(receiver.to_record(), RULES) == receiver


@pytest.mark.parametrize("settings", [{}, {"project": "  "}, None])
def test_what_is_required_must_be_there(settings: Any) -> None:
    assert problems(settings) == [
        ("identifier_settings.project", "is empty", "write the id of a project")
    ]


def test_a_value_must_pass_the_identifiers_own_check() -> None:
    assert problems({"project": "p1"}) == [
        ("identifier_settings.project", "is not in capitals", "write the id of a project")
    ]


def test_a_value_may_not_be_endless() -> None:
    ((field, message, _),) = problems({"project": "P1", "note": "x" * 1001})
    assert (field, message) == (
        "identifier_settings.note",
        "is longer than 1000 characters (1001)",
    )


def test_settings_that_the_identifier_does_not_know_are_refused() -> None:
    assert problems({"project": "P1", "color": "red"}) == [
        (
            "identifier_settings.color",
            "is not known to the identifier fixed",
            "use project, note",
        )
    ]
    ((_, message, remedy),) = problems({"project": "P1"}, "dicomObjectIdentifier")
    assert message == "is not known to the identifier dicomObjectIdentifier"
    assert remedy == "remove it"


@pytest.mark.parametrize("settings", ["project=P1", ["P1"], {"project": 3}])
def test_settings_are_a_record_of_texts(settings: Any) -> None:
    fields = {field.partition(".")[0] for field, _, _ in problems(settings)}
    assert fields == {"identifier_settings"}
