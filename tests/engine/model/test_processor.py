"""Processor instances: what is accepted, whom they see, and in what order they act."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.errors import ConfigurationError, InvalidProcessor, Problem
from engine.model.configuration import Configuration, parse_configuration
from engine.model.configuration_diff import differences
from engine.model.processor import (
    Location,
    ParameterKind,
    Processor,
    ProcessorClass,
    ProcessorParameter,
    ProcessorRules,
    parse_processor,
)
from engine.model.project import Project, ProjectRegistry

PROJECTS = ProjectRegistry((Project("A", aliases=("alpha",)), Project("B")))
SEND = ProcessorClass(
    "send",
    "Send",
    locations=(Location.AFTER_PROJECT_SET, Location.AFTER_SESSION_CREATED),
    parameters=(
        ProcessorParameter("host", "Host", "name the host", required=True),
        ProcessorParameter(
            "port", "Port", "", ParameterKind.NUMBER, default="104", minimum=1, maximum=65535
        ),
        ProcessorParameter("tls", "TLS", "", ParameterKind.SWITCH),
        ProcessorParameter("how", "How", "", ParameterKind.CHOICE, choices=("fast", "safe")),
        ProcessorParameter("table", "Table", "write a path", ParameterKind.FILE),
        ProcessorParameter("notes", "Notes", "", ParameterKind.LINES),
    ),
)
BROKEN = ProcessorClass("broken", "broken", error="ImportError: no module")
GOOD: dict[str, Any] = {
    "label": "To PACS",
    "processor_class": "send",
    "location": "after_project_set",
    "parameters": {"host": "pacs"},
}
RULES = ProcessorRules((SEND, BROKEN), (Processor(7, "Other", "send"),), PROJECTS)


def parsed(**members: object) -> Processor:
    return parse_processor({**GOOD, **members}, RULES)


def faults(**members: object) -> list[str]:
    with pytest.raises(InvalidProcessor) as caught:
        parsed(**members)
    assert all(problem.remedy for problem in caught.value.problems)
    return [f"{problem.field}: {problem.message}" for problem in caught.value.problems]


def test_a_record_becomes_a_processor_and_a_record_again() -> None:
    processor = parsed(
        id=3,
        enabled=False,
        priority="5",
        receivers_allowed=["XNAT:8104", "XNAT:8104"],
        receivers_denied=["DQR:8104"],
        projects=["alpha"],
        parameters={"host": " pacs ", "port": 11112, "tls": True, "how": None},
    )
    assert processor.priority == 5
    assert processor.receivers_allowed == ("XNAT:8104",)
    assert dict(processor.parameters) == {"host": " pacs ", "port": "11112", "tls": "true"}
    assert parse_processor(processor.to_record(), RULES) == processor


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"label": ""}, "label: is empty"),
        ({"label": []}, "label: is not a text of one line"),
        ({"processor_class": {}}, "processor_class: is not a text of one line"),
        ({"label": "two\nlines"}, "label: is not a text of one line"),
        ({"label": "Other"}, "label: names another processor"),
        ({"processor_class": "nope"}, "processor_class: is not installed"),
        ({"processor_class": "broken"}, "processor_class: can't be used: ImportError: no module"),
        ({"enabled": "yes"}, "enabled: is not a switch"),
        ({"location": "later"}, "location: is not a location"),
        ({"location": "after_stored"}, "location: is no place for Send"),
        ({"priority": True}, "priority: is not a whole number in the allowed range"),
        ({"receivers_allowed": ["XNAT"]}, "receivers_allowed: is not a receiver"),
        ({"receivers_denied": "XNAT:1"}, "receivers_denied: is not a list of names"),
        ({"projects": ["C"]}, "projects: names no project"),
        ({"projects": [3]}, "projects: is not a name"),
        ({"parameters": "host=a"}, "parameters: is not a record"),
        ({"parameters": {}}, "parameters.host: is empty"),
        ({"parameters": {"host": ["a"]}}, "parameters.host: is neither text, number nor switch"),
        (
            {"parameters": {"host": "a", "hots": "b"}},
            "parameters.hots: is no parameter of this class",
        ),
        ({"parameters": {"host": "a\x07"}}, "parameters.host: contains a control character"),
        (
            {"parameters": {"host": "a" * 1001}},
            "parameters.host: is longer than 1000 characters (1001)",
        ),
        ({"parameters": {"host": "a", "port": 0}}, "parameters.port: is out of range"),
        ({"parameters": {"host": "a", "port": "x"}}, "parameters.port: is not a whole number"),
        ({"parameters": {"host": "a", "tls": "on"}}, "parameters.tls: is not a switch"),
        ({"parameters": {"host": "a", "how": "x"}}, "parameters.how: is not among the choices"),
        (
            {"parameters": {"host": "a", "table": "x.csv"}},
            "parameters.table: is not an absolute path",
        ),
        (
            {"parameters": {"host": "a", "notes": "\x07"}},
            "parameters.notes: is a control character",
        ),
        ({"scope": "site"}, "scope: is not a processor's field"),
    ],
)
def test_each_fault_names_its_field(members: dict[str, object], fault: str) -> None:
    assert fault in faults(**members)


def test_projects_are_not_allowed_where_none_is_known() -> None:
    everywhere = replace(RULES, classes=None)
    with pytest.raises(InvalidProcessor, match="no project is known after_dicom_read"):
        parse_processor({**GOOD, "location": "after_dicom_read", "projects": ["A"]}, everywhere)


def test_the_class_is_asked_only_about_what_is_right_in_itself() -> None:
    rules = replace(RULES, check=lambda p: [Problem("parameters.host", p.label, "is odd", "mend")])
    with pytest.raises(InvalidProcessor, match="is odd"):
        parse_processor(GOOD, rules)
    with pytest.raises(InvalidProcessor, match="is empty") as caught:
        parse_processor({**GOOD, "label": ""}, rules)
    assert "is odd" not in caught.value.detail


@pytest.mark.parametrize(
    ("allowed", "denied", "projects", "receiver", "project", "seen"),
    [
        ((), (), (), "XNAT:8104", None, True),
        (("XNAT:8104",), (), ("A",), "XNAT:8104", "A", True),
        (("XNAT:8104",), (), ("A",), "XNAT:8104", "B", False),
        (("XNAT:8104",), (), ("A",), "DQR:8104", "A", False),
        (("XNAT:8104",), ("XNAT:8104",), (), "XNAT:8104", "A", False),
        ((), ("DQR:8104",), (), "DQR:8104", "A", False),
        ((), ("DQR:8104",), (), "XNAT:8104", "A", True),
        ((), (), ("alpha",), "XNAT:8104", "A", True),
        ((), (), ("A",), "XNAT:8104", None, False),
        ((), (), ("gone",), "XNAT:8104", None, False),
        (("A:B:8104",), (), (), "A:B:8104", None, True),
    ],
)
def test_whose_objects_a_processor_sees(
    allowed: tuple[str, ...],
    denied: tuple[str, ...],
    projects: tuple[str, ...],
    receiver: str,
    project: str | None,
    seen: bool,
) -> None:
    processor = Processor(1, "P", "send", receivers_allowed=allowed, receivers_denied=denied,
                          projects=projects)  # fmt: skip
    admits = processor.admits_receiver(receiver) and processor.admits_project(project, PROJECTS)
    assert admits is seen


def test_processors_act_by_location_then_priority_then_age() -> None:
    late, early = Location.AFTER_SESSION_CREATED, Location.AFTER_DICOM_READ
    processors = [
        Processor(1, "d", "send", location=late, priority=-5),
        Processor(2, "b", "send", location=early, priority=10),
        Processor(3, "c", "send", location=early, priority=10),
        Processor(4, "a", "send", location=early, priority=2),
    ]
    assert [p.label for p in sorted(processors, key=lambda p: p.order)] == ["a", "b", "c", "d"]


def test_the_file_is_checked_but_not_for_what_is_installed() -> None:
    tables = {"processors": {"4": {**GOOD, "processor_class": "of another host"}}}
    (processor,) = parse_configuration(tables).processors
    assert (processor.id, processor.label) == (4, "To PACS")
    twice = {"processors": {"1": GOOD, "2": GOOD}}
    with pytest.raises(ConfigurationError, match=r"processors\[To PACS\]\.label"):
        parse_configuration(twice)


def test_changes_are_told_field_by_field() -> None:
    before = Configuration(processors=(parsed(id=1),))
    changed = parsed(id=1, enabled=False, parameters={"host": "a", "notes": "x\ny"})
    assert [d.sentence() for d in differences(before, Configuration(processors=(changed,)))] == [
        "processor To PACS enabled: on → off",
        "processor To PACS parameters.host: pacs → a",
        "processor To PACS parameters.notes: +x, +y",
    ]
