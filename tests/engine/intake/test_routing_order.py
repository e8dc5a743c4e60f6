"""Receiver rules, then site rules, then defaults; what each is asked, and what a failure does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.errors import RoutingFailed
from engine.model.project import Project, ProjectRegistry
from engine.model.routing import SiteRouting
from tests import dicom
from tests.engine.identification.identifying import (
    explained,
    header_of,
    identified,
    receiver_with,
    routing_of,
    site_with,
)

PROJECTS = ProjectRegistry(
    (Project("OF_RECEIVER"), Project("OF_SITE"), Project("OF_DEFAULT", aliases=("alias",)))
)
EVERY = "(0020,000E):(.*):1 t:.+ r:{}"
COMMENT = "Project:OF_DEFAULT Subject:of_default Session:of_default AA:true"
SLOW = r"(0010,4000):((a|aa)+)!"
HOSTILE = "a" * 60


def every(value: str) -> str:
    """Return a rule that gives a value for every object."""
    return EVERY.format(value)


@pytest.mark.parametrize(
    ("receiver", "site", "value"),
    [
        ("of_receiver", "of_site", "of_receiver"),
        ("", "of_site", "of_site"),
        ("", "", "of_default"),
        ("of_receiver", "", "of_receiver"),
    ],
)
@pytest.mark.parametrize("attribute", ["project", "subject", "session"])
def test_the_receiver_is_asked_before_the_site_and_the_site_before_the_defaults(
    attribute: str, receiver: str, site: str, value: str
) -> None:
    if attribute == "project":
        receiver, site, value = receiver.upper(), site.upper(), value.upper()
    routing = routing_of(
        receiver_with(**{attribute: every(receiver)} if receiver else {}),
        site_with(**{attribute: every(site)} if site else {}),
        PROJECTS,
    )
    identity = identified(routing, PatientComments=COMMENT)
    assert getattr(identity, attribute).value == value


def test_the_source_names_who_decided_and_in_which_line() -> None:
    site = site_with(subject=f"\n{every('s')}")
    identity = identified(routing_of(site=site), PatientComments=COMMENT)
    assert identity.subject.source == "site rule in line 2, (0020,000E)"
    assert identity.session.source == "(0010,4000) PatientComments Session:"


@pytest.mark.parametrize(
    ("receiver", "site", "comment", "project"),
    [
        ("NOPE", "OF_SITE", COMMENT, "OF_SITE"),
        ("NOPE", "NOPE", COMMENT, "OF_DEFAULT"),
        ("alias", "OF_SITE", COMMENT, "OF_DEFAULT"),
        ("of_receiver", "of_site", COMMENT, "OF_DEFAULT"),
        ("NOPE", "NOPE", "Project:NOPE", None),
    ],
)
def test_a_project_that_does_not_exist_is_passed_over_wherever_it_comes_from(
    receiver: str, site: str, comment: str, project: str | None
) -> None:
    routing = routing_of(
        receiver_with(project=every(receiver)), site_with(project=every(site)), PROJECTS
    )
    assert identified(routing, PatientComments=comment).project.value == project


@pytest.mark.parametrize(
    ("rule", "comment", "auto_archive"),
    [
        (every("true"), "AA:false", True),
        (every("F"), "AA:true", False),
        (every("maybe"), "AA:true", None),
        ("(0010,4001):(.*)", "AA:true", True),
        ("", "AA:f", False),
        ("", "", None),
    ],
)
def test_auto_archive_is_what_the_first_value_says(
    rule: str, comment: str, auto_archive: bool | None
) -> None:
    routing = routing_of(site=site_with(auto_archive=rule))
    assert identified(routing, PatientComments=comment).auto_archive is auto_archive


def test_a_receivers_rules_are_in_force_only_while_routing_is_on() -> None:
    receiver = receiver_with(subject=every("s"))
    off = replace(receiver, routing_enabled=False)
    assert identified(routing_of(receiver)).subject.value == "s"
    assert identified(routing_of(off)).subject.value == "Doe_Jane"


LINES = "Project:OF_DEFAULT\r\nSubject:s\r\nSession:e\r\nAA:t"


def test_assignments_on_lines_of_their_own_count_only_for_a_tolerant_site() -> None:
    strict = identified(routing_of(projects=PROJECTS), StudyComments=LINES)
    assert (strict.project.value, strict.subject.value) == (None, "Doe_Jane")
    routing = routing_of(site=SiteRouting(tolerant_comments=True), projects=PROJECTS)
    tolerant = identified(routing, StudyComments=LINES)
    assert tolerant.labels == ("OF_DEFAULT", "s", "e")
    assert tolerant.auto_archive is True


@pytest.mark.parametrize("tag", [0xF2151050, 0x7FE10010, 0x00400275])
def test_what_is_read_reaches_as_far_as_any_rule_of_receiver_or_site(tag: int) -> None:
    rule = f"({tag >> 16:04X},{tag & 0xFFFF:04X}):(.*)"
    for routing in (
        routing_of(receiver_with(subject=rule)),
        routing_of(site=site_with(subject=rule)),
    ):
        late = dicom.Element(tag, "LO", "from afar")
        assert max(routing.tags) == max(tag, 0x00324000)
        assert identified(routing, late).subject.value == "from_afar"


@pytest.mark.parametrize("attribute", ["subject", "session", "auto_archive"])
def test_a_site_rule_that_fails_fails_the_object(attribute: str) -> None:
    routing = routing_of(site=site_with(**{attribute: SLOW}))
    with pytest.raises(RoutingFailed) as failed:
        identified(routing, PatientComments=HOSTILE)
    assert failed.value.status == 0xC000
    assert "took longer than 10 ms" in failed.value.detail


def test_a_project_rule_that_fails_leaves_the_object_unassigned_and_asks_no_other() -> None:
    routing = routing_of(receiver_with(project=SLOW), site_with(project=every("OF_SITE")), PROJECTS)
    identity = identified(routing, PatientComments=HOSTILE)
    assert identity.project.value is None
    assert "took longer than 10 ms" in identity.warning
    assert identity.subject.value == "Doe_Jane"


@pytest.mark.parametrize(
    ("rule", "values", "subject"),
    [
        ("(0008,0008):(.*)", {"ImageType": "ORIGINAL\\PRIMARY"}, "ORIGINAL"),
        ("(0020,0011):(.*)", {"SeriesNumber": "4"}, "4"),
        ("(0028,0010):(.*)", {"Rows": 512}, "512"),
        ("(0010,4000):(.*)", {"PatientComments": "a\\b"}, "a_b"),
        ("(0010,0010):(.*)", {"PatientName": "Doe^Jane^^^"}, "Doe_Jane"),
        ("(0010,0010):(.*)", {"PatientName": b"M\xfcller"}, "M_ller"),
        ("(0008,0060):(.*)", {"Modality": "  "}, "Doe_Jane"),
        ("(0008,1140):(.*)", {}, "Doe_Jane"),
        ("(0010,0020):(.*)", {"PatientID": "x" * 70}, "x" * 64),
    ],
)
def test_a_rule_sees_the_value_as_xnat_does(
    rule: str, values: dict[str, object], subject: str
) -> None:
    """XNAT 5.6: first value of several, whole texts, trimmed names, numbers as text."""
    sequence = dicom.Element(0x00081140, "SQ", [[dicom.element("SOPInstanceUID", "1.2")]])
    routing = routing_of(receiver_with(subject=rule))
    assert identified(routing, sequence, **values).subject.value == subject


def test_the_header_says_what_it_holds_and_how_far_it_was_read() -> None:
    header = header_of()
    assert 0x00100010 in header
    assert 0x00104000 not in header
    assert header.last_tag == 0x00324000


def test_a_failure_is_explained_instead_of_raised() -> None:
    found = explained(routing_of(site=site_with(session=SLOW)), PatientComments=HOSTILE)
    assert found.identity is None
    assert found.outcome == (None,)
    assert "took longer than 10 ms" in found.failure
