"""The configuration as a whole: what the tables of a file mean and every fault at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.errors import ConfigurationError, CorruptConfiguration, NotFound
from engine.model.configuration import Configuration, parse_configuration
from engine.model.peer import AETitle
from engine.model.receiver import Receiver
from engine.model.site import SiteSettings

XNAT = {"ae_title": "XNAT", "port": 8104}
CT1 = {"ae_title": "CT1", "port": 8105}


def found(raw: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration(raw)
    assert all(problem.remedy for problem in caught.value.problems)
    return [(problem.field, problem.value) for problem in caught.value.problems]


def test_no_tables_are_the_defaults() -> None:
    assert parse_configuration({}) == Configuration()


def test_the_tables_of_a_file() -> None:
    configuration = parse_configuration(
        {
            "meta": {
                "1": {
                    "schema": 1,
                    "revision": 7,
                    "changed_by": "anna",
                    "changed_at": "2026-08-24T14:03:22+00:00",
                }
            },
            "site": {"1": {"bind_address": "127.0.0.1"}},
            "projects": {"1": {"id": "BRAIN", "aliases": ["b"]}},
            "receivers": {"10": CT1, "2": XNAT},
            "schedules": {"1": {"of": "a later version"}},
        }
    )
    assert configuration.revision == 7
    assert configuration.changed_by == "anna"
    assert configuration.changed_at == datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
    assert configuration.site == SiteSettings(bind_address="127.0.0.1")
    assert configuration.projects.find("b") == "BRAIN"
    assert [(r.id, r.label) for r in configuration.receivers] == [
        (10, "CT1:8105"),
        (2, "XNAT:8104"),
    ]


def test_a_receiver_is_found_by_its_id() -> None:
    receiver = Receiver(2, AETitle("XNAT"), 8104)
    configuration = Configuration(receivers=(receiver,))
    assert configuration.receiver(2) is receiver
    with pytest.raises(NotFound, match="no receiver with id 3"):
        configuration.receiver(3)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"receivers": []}, "receivers"),
        ({"projects": "none"}, "projects"),
        ({"site": 3}, "site"),
        ({"meta": None}, "meta"),
        ({"receivers": {"1": "XNAT"}}, "receivers[#1]"),
        ({"receivers": {"0": XNAT}}, "receivers[#0]"),
        ({"receivers": {"01": XNAT}}, "receivers[#01]"),
        ({"receivers": {"-1": XNAT}}, "receivers[#-1]"),
        ({"receivers": {"x": XNAT}}, "receivers[#x]"),
        ({"receivers": {"1": {**XNAT, "port": 80}}}, "receivers[XNAT:80].port"),
        ({"receivers": {"1": {**XNAT, "port": "x"}}}, "receivers[XNAT:x].port"),
        ({"receivers": {"1": {**XNAT, "enabled": "no"}}}, "receivers[XNAT:8104].enabled"),
        ({"receivers": {"1": {**XNAT, "prot": 80}}}, "receivers[XNAT:8104].prot"),
        ({"receivers": {"1": {**XNAT, "id": 2}}}, "receivers[XNAT:8104].id"),
        ({"receivers": {"4": {"port": 8104}}}, "receivers[#4].ae_title"),
        ({"receivers": {"1": XNAT, "2": XNAT}}, "receivers[XNAT:8104].ae_title"),
        (
            {"receivers": {"1": XNAT, "2": {**XNAT, "port": "8104"}}},
            "receivers[XNAT:8104].ae_title",
        ),
        ({"projects": {"1": {"id": "A B"}}}, "projects[A B].id"),
        ({"projects": {"1": {}}}, "projects[#1].id"),
        ({"projects": {"1": {"id": "A", "alias": []}}}, "projects[A].alias"),
        ({"projects": {"1": {"id": "A"}, "2": {"id": "A"}}}, "projects[A].id"),
        (
            {"projects": {"1": {"id": "A"}, "2": {"id": "B", "aliases": ["A"]}}},
            "projects[B].aliases",
        ),
        ({"projects": {"1": {"id": "A", "aliases": ["B"]}, "2": {"id": "B"}}}, "projects[B].id"),
        ({"site": {"1": {}, "2": {}}}, "site"),
        ({"site": {"1": {"bind_address": "here"}}}, "site.bind_address"),
        ({"site": {"1": {"low_ports": True}}}, "site.low_ports"),
        ({"meta": {"1": {"revision": "7"}}}, "meta.revision"),
        ({"meta": {"1": {"revision": -1}}}, "meta.revision"),
        ({"meta": {"1": {"schema": True}}}, "meta.schema"),
        ({"meta": {"1": {"changed_by": 3}}}, "meta.changed_by"),
        ({"meta": {"1": {"changed_at": "yesterday"}}}, "meta.changed_at"),
        ({"meta": {"1": {"changed_at": "2026-08-24T14:03:22"}}}, "meta.changed_at"),
        ({"meta": {"1": {"last_receiver_id": "3"}}}, "meta.last_receiver_id"),
    ],
)
def test_a_fault_is_named_by_table_record_and_field(raw: dict[str, Any], field: str) -> None:
    assert [name for name, _ in found(raw)] == [field]


def test_all_faults_of_a_file_are_reported_at_once() -> None:
    raw = {
        "receivers": {"1": {**XNAT, "port": 80}, "2": {**CT1, "ae_title": "A\\B"}, "3": "x"},
        "projects": {"1": {"id": ""}},
        "site": {"1": {"bind_address": "here"}},
        "meta": {"1": {"revision": None}},
    }
    assert {name for name, _ in found(raw)} == {
        "meta.revision",
        "site.bind_address",
        "projects[#1].id",
        "receivers[A\\B:8105].ae_title",
        "receivers[#3]",
    }


def test_the_site_settings_of_the_file_decide_about_its_ports() -> None:
    raw = {"receivers": {"1": {**XNAT, "port": 104}}, "site": {"1": {"allow_low_ports": True}}}
    assert parse_configuration(raw).receivers[0].port == 104


def test_a_file_of_a_newer_version_is_not_guessed_at() -> None:
    with pytest.raises(CorruptConfiguration, match="newer than this program"):
        parse_configuration({"meta": {"1": {"schema": 2}}, "receivers": {"1": "whatever"}})


def test_long_values_are_shortened_in_problems() -> None:
    (problem,) = found({"receivers": {"1": "x" * 10_000}})
    assert len(problem[1]) <= 40
