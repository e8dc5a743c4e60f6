"""The router: rules of the configuration in force, slow rules, shared identities, previews."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dicom.dataset import read_complete
from engine.dicom.part10 import FileMeta
from engine.errors import RoutingFailed, UnreadableObject
from engine.events import RuleFailed
from engine.events.journal import Journal
from engine.identification.builtin import DefaultIdentifier
from engine.identification.caches import HEADERS_PER_RECEIVER, MAX_HEADER_BYTES
from engine.identification.identifiers import explain
from engine.intake.object import AssociationContext
from engine.intake.rule_failures import TIMEOUTS_TO_SUSPENSION, RuleKey, SlowRules
from engine.intake.rules import ObjectRouter
from engine.model.configuration import Configuration
from engine.model.file_sample import FileSample
from engine.model.identity import Attribute, Decision, Identity
from engine.model.peer import AETitle
from engine.model.project import Project, ProjectRegistry
from engine.model.receiver import Receiver
from engine.model.site import SessionSettings, SiteSettings
from tests import dicom
from tests.engine.identification.identifying import header_of, receiver_with, site_with
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from engine.dicom.header import HeaderView
    from engine.events import Event
    from engine.identification.evaluation import RoutingEvaluation
    from engine.identification.identifiers import Identifier

PROJECTS = ProjectRegistry((Project("NEURO"), Project("CARDIO")))
SLOW = r"(0010,4000):((a|aa)+)!"
HOSTILE = "a" * 60


@dataclass
class Desk:
    """A router with a configuration that can be changed."""

    configuration: Configuration
    identifier: Identifier
    clock: FixedClock

    def __post_init__(self) -> None:
        self.journal = Journal(self.clock)
        identifiers = {self.identifier.info.id: self.identifier}
        self.router = ObjectRouter(
            identifiers, lambda: self.configuration, self.journal, self.clock
        )

    def identify(self, header: HeaderView, receiver: Receiver | None = None) -> Identity:
        receiver = receiver or self.configuration.receivers[0]
        source = AssociationContext(receiver, "CT_1", "10.0.0.1:4711", "A-1", {})
        return self.router.identify(header, self.router.receiver_policy(receiver), source)

    def told(self) -> list[RuleFailed]:
        page = self.journal.events_since(0, 1000)
        return [r.event for r in page.events if isinstance(r.event, RuleFailed)]


def desk_with(
    *receivers: Receiver, site: SiteSettings | None = None, identifier: Identifier | None = None
) -> Desk:
    configuration = Configuration(
        site=site or SiteSettings(), projects=PROJECTS, receivers=receivers or (receiver_with(),)
    )
    return Desk(configuration, identifier or DefaultIdentifier(), FixedClock())


def test_a_changed_configuration_is_in_force_for_the_next_object() -> None:
    desk = desk_with()
    header = header_of(StudyDescription="LUNG")
    assert desk.identify(header).project.value is None
    more = ProjectRegistry((*PROJECTS.projects, Project("LUNG")))
    desk.configuration = replace(desk.configuration, projects=more)
    assert desk.identify(header).project.value == "LUNG"
    site = SiteSettings(routing=site_with(project="(0020,000E):(.*) t:.+ r:CARDIO"))
    desk.configuration = replace(desk.configuration, site=site)
    assert desk.identify(header).project.value == "CARDIO"


def test_an_object_keeps_the_receiver_it_began_to_arrive_at() -> None:
    before, after = receiver_with(subject="(0008,0060):(.*)"), receiver_with()
    desk = desk_with(after)
    assert desk.identify(header_of(), before).subject.value == "CT"
    assert desk.identify(header_of(), after).subject.value == "Doe_Jane"


def test_each_receiver_has_rules_of_its_own() -> None:
    one = replace(receiver_with(subject="(0008,0060):(.*)"), id=1)
    two = replace(receiver_with(), id=2, port=8105)
    desk = desk_with(one, two)
    assert desk.identify(header_of(), one).subject.value == "CT"
    assert desk.identify(header_of(), two).subject.value == "Doe_Jane"


def test_how_far_to_read_is_known_before_the_header() -> None:
    deep = replace(receiver_with(subject="(F215,1050):(.*)"), id=2)
    desk = desk_with(receiver_with(), deep)
    assert desk.router.receiver_policy(desk.configuration.receivers[0]).last_tag == 0x00324000
    assert desk.router.receiver_policy(deep).last_tag == 0xF2151050


@pytest.mark.parametrize(
    "sessions",
    [
        SessionSettings(series_filter="[4008,0040]\nx"),
        SessionSettings(file_name_template="${ResultsID}"),
    ],
)
def test_filters_and_file_names_say_how_far_to_read_too(sessions: SessionSettings) -> None:
    desk = desk_with(site=SiteSettings(sessions=sessions))
    assert desk.router.receiver_policy(desk.configuration.receivers[0]).last_tag == 0x40080040


@pytest.mark.parametrize("attribute", ["subject", "session"])
def test_a_rule_that_times_out_is_told_and_suspended_after_five_times(attribute: str) -> None:
    desk = desk_with(receiver_with(**{attribute: SLOW}))
    for number in range(TIMEOUTS_TO_SUSPENSION + 2):
        with pytest.raises(RoutingFailed):
            desk.identify(header_of(PatientComments=HOSTILE, SeriesNumber=str(number)))
    told = desk.told()
    assert [event.times for event in told] == [1, 2, 3, 4, 5]
    assert [event.suspended for event in told] == [False] * 4 + [True]
    assert told[0].urgent
    assert told[0].receiver == "XNAT:8104"
    assert told[0].sentence() == (
        f"the {attribute} decision failed at the receiver rule in line 1, (0010,4000): "
        f"the rule took longer than 10 ms"
    )
    assert told[4].sentence().endswith("; the rule is suspended until the configuration changes")


def test_a_suspended_rule_fails_objects_and_never_counts_as_no_match() -> None:
    desk = desk_with(receiver_with(session=SLOW))
    for _ in range(TIMEOUTS_TO_SUSPENSION):
        with pytest.raises(RoutingFailed):
            desk.identify(header_of(PatientComments=HOSTILE))
    with pytest.raises(RoutingFailed) as failed:
        desk.identify(header_of(PatientComments="harmless"))
    assert "suspended for being slow" in failed.value.detail
    assert desk.identify(header_of()).session.value == "P-0001"  # the element is not there


def test_a_suspended_project_rule_leaves_objects_unassigned_and_says_why() -> None:
    desk = desk_with(receiver_with(project=SLOW))
    header = header_of(PatientComments=HOSTILE, StudyDescription="NEURO")
    for _ in range(TIMEOUTS_TO_SUSPENSION):
        desk.identify(header)
    identity = desk.identify(header)
    assert identity.project.value is None
    assert "suspended for being slow" in identity.warning


def test_each_rule_that_fails_on_an_object_is_told() -> None:
    desk = desk_with(receiver_with(project=SLOW, session=SLOW))
    for _ in range(TIMEOUTS_TO_SUSPENSION):
        with pytest.raises(RoutingFailed):
            desk.identify(header_of(PatientComments=HOSTILE))
    told = [(event.attribute, event.times, event.suspended) for event in desk.told()]
    assert told == [
        (attribute, times, times == TIMEOUTS_TO_SUSPENSION)
        for times in range(1, TIMEOUTS_TO_SUSPENSION + 1)
        for attribute in ("project", "session")
    ]


def test_a_changed_configuration_gives_a_suspended_rule_another_chance() -> None:
    desk = desk_with(receiver_with(session=SLOW))
    for _ in range(TIMEOUTS_TO_SUSPENSION):
        with pytest.raises(RoutingFailed):
            desk.identify(header_of(PatientComments=HOSTILE))
    desk.configuration = replace(desk.configuration, revision=2)
    assert desk.identify(header_of(PatientComments="harmless")).session.value == "P-0001"


def test_the_rules_of_another_receiver_are_not_suspended_with_it() -> None:
    other = replace(receiver_with(session=SLOW), id=2, port=8105)
    desk = desk_with(receiver_with(session=SLOW), other)
    for _ in range(TIMEOUTS_TO_SUSPENSION):
        with pytest.raises(RoutingFailed):
            desk.identify(header_of(PatientComments=HOSTILE))
    harmless = header_of(PatientComments="harmless")
    assert desk.identify(harmless, other).session.value == "P-0001"


def failures(*noted: tuple[RuleKey, bool]) -> tuple[SlowRules, list[Event]]:
    """Return what counts failures after some of them, and what it has reported."""
    told: list[Event] = []
    rules = SlowRules(told.append)
    make = partial(RuleFailed, attribute="subject", rule="line 1", reason="slow")
    for rule, timed_out in noted:
        rules.note(rule, make, timed_out=timed_out)
    return rules, told


def rule_of(revision: int) -> RuleKey:
    return RuleKey(revision, 1, Attribute.SUBJECT, 0, SLOW)


def test_rules_that_together_take_too_long_are_told_at_1_to_5_10_100_times() -> None:
    rules, told = failures(*[(rule_of(1), False)] * 101)
    assert [getattr(event, "times", 0) for event in told] == [1, 2, 3, 4, 5, 10, 100]
    assert rules.suspended == frozenset()


def test_a_rule_stays_suspended_while_a_process_may_still_use_the_configuration_before() -> None:
    slow = [(rule_of(7), True)] * TIMEOUTS_TO_SUSPENSION
    assert failures(*slow, (rule_of(8), True))[0].suspended == {rule_of(7)}
    assert failures(*slow, (rule_of(9), True))[0].suspended == frozenset()


class CountingIdentifier(DefaultIdentifier):
    """The default identifier, counting how often it is asked."""

    def __init__(self, *, is_settled_by_header: bool = True) -> None:
        self.is_settled_by_header = is_settled_by_header
        self.asked = 0

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        self.asked += 1
        return super().identify(evaluation)


def test_objects_of_a_series_share_one_identification() -> None:
    identifier = CountingIdentifier()
    desk = desk_with(identifier=identifier)
    identities = [
        desk.identify(header_of(SOPInstanceUID=f"1.2.{n}", InstanceNumber=str(n)))
        for n in range(10)
    ]
    assert identifier.asked == 1
    assert len(set(identities)) == 1


def test_an_identifier_that_looks_elsewhere_too_is_asked_for_every_object() -> None:
    identifier = CountingIdentifier(is_settled_by_header=False)
    desk = desk_with(identifier=identifier)
    for _ in range(3):
        desk.identify(header_of())
    assert identifier.asked == 3


def test_several_studies_that_arrive_in_turn_are_asked_for_once_each() -> None:
    identifier = CountingIdentifier()
    desk = desk_with(identifier=identifier)
    for number in range(20):
        identity = desk.identify(header_of(PatientID=f"P{number % 4}"))
        assert identity.session.value == f"P{number % 4}"
    assert identifier.asked == 4


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"PatientID": "A"}, {"PatientID": "AB"}),
        ({"PatientID": "AB"}, {"PatientID": "A"}),
        ({"PatientID": "AB"}, {"PatientID": None}),
        ({"PatientID": None}, {"PatientID": "AB"}),
        ({"PatientID": "A"}, {"PatientID": "B"}),
        (
            {"PatientID": b"\xc3\xbc", "SpecificCharacterSet": "ISO_IR 100"},
            {"PatientID": b"\xc3\xbc", "SpecificCharacterSet": "ISO_IR 192"},
        ),
        ({"PatientID": "x" * 5000}, {"PatientID": "x" * 4999 + "y"}),
    ],
)
def test_objects_that_differ_in_what_decides_are_identified_apart(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    desk = desk_with()
    for values in (first, second, first):
        header = header_of(**values)
        routing = desk.router.receiver_policy(desk.configuration.receivers[0]).routing
        assert desk.identify(header) == explain(DefaultIdentifier(), header, routing).identity


_IDS = st.sampled_from(["", "A", "AB", "NEURO", "CARDIO", "Project:NEURO", "Session:x"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(_IDS, _IDS, _IDS, st.sampled_from(dicom.UNCOMPRESSED)), max_size=12))
def test_sharing_changes_no_identity(objects: list[tuple[str, str, str, str]]) -> None:
    desk = desk_with(receiver_with(subject="(0008,1030):(.).*"))
    routing = desk.router.receiver_policy(desk.configuration.receivers[0]).routing
    for comment, description, patient_id, syntax in objects:
        data_set = dicom.image(
            syntax,
            PatientComments=comment or None,
            StudyDescription=description,
            PatientID=patient_id,
        )
        header = read_complete(data_set, syntax)
        assert desk.identify(header) == explain(DefaultIdentifier(), header, routing).identity


def test_the_last_20_objects_of_a_receiver_are_tried_newest_first() -> None:
    desk = desk_with()
    for number in range(HEADERS_PER_RECEIVER + 5):
        desk.identify(header_of(PatientID=f"P{number}"))
        desk.clock.advance(1)
    previews = desk.router.preview(desk.configuration.receivers[0], shown=True)
    labels = [p.saved.identity.session_label for p in previews if p.saved.identity]
    assert labels == [f"P{number}" for number in range(24, 4, -1)]
    assert {(p.receiver, p.calling_ae_title) for p in previews} == {("XNAT:8104", "CT_1")}
    assert not any(preview.changes for preview in previews)


def test_a_preview_shows_what_drafted_rules_would_change_and_changes_nothing() -> None:
    desk = desk_with()
    desk.identify(header_of(StudyDescription="NEURO"))
    draft = receiver_with(project="(0008,0060):CT:0 t:CT r:CARDIO")
    (preview,) = desk.router.preview(draft)
    assert preview.changes
    assert preview.saved.identity is not None
    assert preview.draft.identity is not None
    assert preview.saved.identity.project == Decision("NEURO", "(0008,1030) StudyDescription")
    assert preview.draft.identity.project.value == "CARDIO"
    assert preview.draft.trace.steps[0].rule == "(0008,0060):CT:0 t:CT r:CARDIO"
    assert desk.identify(header_of(StudyDescription="NEURO")).project.value == "NEURO"


def test_a_preview_tries_drafted_site_rules_too() -> None:
    desk = desk_with()
    desk.identify(header_of())
    site = SiteSettings(routing=site_with(session="(0008,0060):(.*)"))
    (preview,) = desk.router.preview(desk.configuration.receivers[0], site, shown=True)
    assert preview.draft.outcome == ("Unassigned", "Doe_Jane", "CT", None)


def file_sample(most: int | None = None, **values: Any) -> FileSample:
    meta = FileMeta(dicom.CT_IMAGE_STORAGE, dicom.EXPLICIT_VR_LITTLE_ENDIAN, "CT_1", "XNAT")
    content = meta.preamble("1.2.826.0.1.3680043.8.498.1") + dicom.image(**values)
    return FileSample(content[:most], len(content))


def test_a_file_is_tried_by_drafted_rules_and_masked_until_it_is_shown() -> None:
    desk = desk_with()
    draft = receiver_with(project="(0008,0060):CT:0 t:CT r:CARDIO", subject="(0010,0020):(.*)")
    sample = file_sample(StudyDescription="NEURO", PatientID="S0042")
    shown = desk.router.preview_file(draft, None, sample, shown=True)
    assert (shown.is_file, shown.changes, shown.receiver) == (True, True, "XNAT:8104")
    assert shown.draft.outcome[:2] == ("CARDIO", "S0042")
    assert shown.saved.outcome[0] == "NEURO"
    masked = desk.router.preview_file(draft, None, sample)
    assert "S0042" not in repr(masked)
    assert masked.changes
    assert desk.router.recent() == ()


def test_of_a_huge_file_the_beginning_is_enough() -> None:
    whole = file_sample(StudyDescription="NEURO")
    cut = FileSample(whole.content[:-20], 50_000_000_000)
    found = desk_with().router.preview_file(receiver_with(), None, cut, shown=True)
    assert found.draft.outcome[0] == "NEURO"


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (FileSample(b"", 0), "is not a DICOM file"),
        (FileSample(b"x" * 2000, 2000), "is not a DICOM file"),
        (file_sample(140), "file meta"),
        (FileSample(file_sample(600).content, 50_000_000), "only its first 600 bytes were read"),
    ],
)
def test_what_is_no_file_to_be_tried_says_why_and_what_to_do(sample: FileSample, why: str) -> None:
    with pytest.raises(UnreadableObject) as caught:
        desk_with().router.preview_file(receiver_with(), None, sample)
    assert caught.value.detail.startswith("the file can't be tried: ")
    assert why in caught.value.detail
    assert "choose another" in caught.value.remedy


def test_a_new_receiver_is_tried_on_the_objects_of_all() -> None:
    two = replace(receiver_with(), id=2, port=8105)
    desk = desk_with(receiver_with(), two)
    for receiver in desk.configuration.receivers:
        desk.identify(header_of(), receiver)
        desk.clock.advance(1)
    new = replace(receiver_with(subject="(0008,0060):(.*)"), id=0, port=8106)
    previews = desk.router.preview(new)
    assert [preview.receiver for preview in previews] == ["XNAT:8105", "XNAT:8104"]
    assert all(preview.changes for preview in previews)


def test_an_object_that_failed_is_there_to_be_tried_again() -> None:
    desk = desk_with(receiver_with(session=SLOW))
    with pytest.raises(RoutingFailed):
        desk.identify(header_of(PatientComments=HOSTILE))
    (preview,) = desk.router.preview(receiver_with())
    assert preview.saved.identity is None
    assert preview.draft.identity is not None
    assert preview.changes


def test_headers_of_deleted_receivers_and_very_large_ones_are_not_kept() -> None:
    desk = desk_with()
    receiver = desk.configuration.receivers[0]
    half = "x" * (MAX_HEADER_BYTES // 2)
    desk.identify(header_of(PatientComments=half, StudyComments=half))
    assert desk.router.preview(receiver) == ()
    desk.identify(header_of())
    assert len(desk.router.preview(receiver)) == 1
    desk.configuration = replace(desk.configuration, receivers=())
    other = Receiver(7, AETitle("OTHER"), 8107)
    desk.identify(header_of(), other)
    assert len(desk.router.preview(replace(receiver, id=0))) == 1


def test_many_threads_get_what_each_would_get_alone_while_the_configuration_changes() -> None:
    desk = desk_with(receiver_with(subject="(0008,1030):(.).*"))
    receiver = desk.configuration.receivers[0]
    routing = desk.router.receiver_policy(receiver).routing
    wrong: list[tuple[Identity | None, Identity]] = []

    def identify(thread: int) -> None:
        for number in range(100):
            header = header_of(
                PatientID=f"P{thread}{number // 20}",
                StudyDescription=("NEURO", "CARDIO")[number % 2],
                SOPInstanceUID=f"1.2.{thread}.{number}",
            )
            identity = desk.identify(header, receiver)
            alone = explain(DefaultIdentifier(), header, routing).identity
            if identity != alone:
                wrong.append((alone, identity))

    threads = [threading.Thread(target=identify, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for revision in range(50):
        desk.configuration = replace(desk.configuration, revision=revision)
        desk.router.preview(receiver)
    for thread in threads:
        thread.join(30)
    assert wrong == []


_TEXT = st.text(max_size=80).map(lambda text: text.encode("utf-8"))
_KEYWORDS = (
    "PatientName",
    "PatientID",
    "PatientComments",
    "StudyComments",
    "StudyDescription",
    "AccessionNumber",
)
_ANY_RULES = "\n".join(
    f"({number:04X},{element:04X}):{pattern}"
    for number, element in ((0x0010, 0x0010), (0x0010, 0x4000), (0x0008, 0x1030))
    for pattern in (r"(\w+)\^.*", "(?s)(?i:.*)(x.*)", r"([^\s]*) (.*):2 t:\W r:_")
)


@settings(max_examples=150, deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(_KEYWORDS, _TEXT)), st.sampled_from(["", "192", "100"]))
def test_no_text_in_a_header_leads_to_anything_but_labels(
    values: dict[str, Any], charset: str
) -> None:
    desk = desk_with(
        receiver_with(_ANY_RULES, _ANY_RULES, _ANY_RULES),
        site=SiteSettings(routing=site_with(auto_archive=_ANY_RULES)),
    )
    header = header_of(**values, SpecificCharacterSet=f"ISO_IR {charset}" if charset else None)
    identity = desk.identify(header)
    assert identity.project.value in {None, "NEURO", "CARDIO"}
    for label in (identity.subject.value or "_", identity.session_label):
        assert re.fullmatch("[A-Za-z0-9_-]+", label)
