"""XNAT's own routing scenarios (XNAT 12.1, 12.4, 12.5) with a real sender and a real engine."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from engine.cli import main
from engine.errors import InvalidReceiver
from engine.events import RuleFailed
from engine.identification.builtin import DefaultIdentifier
from engine.identification.installed import load_identifiers
from engine.model.plugins import IDENTIFIERS, IdentifierInfo, PluginInfo
from engine.model.project import Project
from engine.model.routing import SiteRouting
from engine.plugins.loading import Plugin
from engine.service import storage
from engine.settings import Durability, EngineSettings
from tests.engine.service.test_service import NotingEngine
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, configure, free_port, make_receiver, object_rows, sessions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.identification.identifiers import Identifier
    from engine.model.receiver import Receiver

JUNK = "notPatternOrProject"
COMMENT = "Project:P Subject:subj Session:sess"
ROUTED = "Project:P_rtd Subject:subj_rtd Session:sess_rtd"
_PATTERN = r"(0014,0046):Project:(\w+)\s*Subject:(\w+)\s*Session:(\w+)"
RULES: dict[str, Any] = {
    "project_routing": f"{_PATTERN}:1",
    "subject_routing": f"{_PATTERN}:2",
    "session_routing": f"{_PATTERN}:3",
}
CONSTANT = "(0020,000E):(.*):1 t:.+ r:{}"
PROJECTS = tuple(map(Project, ("P", "P_rtd", "497x8489412x", "0R220790", "SIEx")))
"""Those that the scenarios route to."""


def image(**values: Any) -> Dataset:
    """Return XNAT's sample MR image, so far as routing looks at it."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = MRImageStorage, generate_uid(prefix=None)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.840.1", "1.2.840.1.4"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "MR", 4, 1
    ds.StudyDate, ds.Manufacturer = "20061214", "SIEMENS"
    ds.PatientName, ds.PatientID = "Sample Patient", "Sample ID"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def routed_image() -> Dataset:
    """Return the object of XNAT 12.1."""
    ds = image(PatientComments=COMMENT)
    ds.add_new(0x00140046, "LT", ROUTED)
    return ds


class Dock:
    """A running engine with XNAT's receiver, changed through its own interface."""

    def __init__(self, running: NotingEngine, settings: EngineSettings, port: int) -> None:
        self.engine = running
        self.data = settings.data_dir
        self.port = port

    def save(self, receiver: Receiver | None = None, **changes: Any) -> Receiver:
        receiver = receiver or self.engine.snapshot().receivers[0].receiver
        return self.engine.save_receiver(replace(receiver, **changes), "test")

    def set_site_routing(self, **members: Any) -> None:
        routing = SiteRouting.parse(members)
        self.engine.set_site(replace(self.engine.site(), routing=routing), "test")

    def send(self, *objects: Dataset, called: str = "XNAT") -> list[int | None]:
        to = Destination(LOOPBACK, self.port, called, "SCANNER")
        with SendingAssociation(to, [MRImageStorage]) as peer:
            return [peer.send(ds) for ds in objects]

    def labels_of(self, ds: Dataset, called: str = "XNAT") -> tuple[str, str | None, str]:
        """Send an object and tell under which labels it has been filed."""
        assert self.send(ds, called=called) == [0]
        newest = max(sessions(self.data), key=lambda session: session.id)
        return newest.project or "Unassigned", newest.subject, newest.label


@contextmanager
def running_dock(data: Path) -> Iterator[Dock]:
    port = free_port()
    configure(data, make_receiver("XNAT", port), projects=PROJECTS)
    settings = EngineSettings(data, durability=Durability.NONE)
    running = NotingEngine(settings)
    running.start()
    try:
        yield Dock(running, settings, port)
    finally:
        running.stop(drain_seconds=0)


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with running_dock(tmp_path / "data") as dock:
        yield dock


class QueryRetrieve(DefaultIdentifier):
    """An identifier that can't route, under the name of XNAT's plug-in."""

    info = IdentifierInfo("dqrObjectIdentifier", "Query/retrieve", can_route=False)


@pytest.fixture
def dqr_dock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dock]:
    dqr = PluginInfo(IDENTIFIERS, QueryRetrieve.info.id, "dqr:QueryRetrieve", "dqr", "1.0")
    made: Plugin[Identifier] = Plugin(dqr, QueryRetrieve())
    installed = (*load_identifiers(), made)
    monkeypatch.setattr(storage, "load_identifiers", lambda: installed)
    with running_dock(tmp_path / "data") as dock:
        yield dock


def test_r1_an_unknown_identifier_is_refused(
    dock: Dock, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "unknown DICOM Object Identifier 'unknownIdentifier'"
    with pytest.raises(InvalidReceiver, match=words):
        dock.save(identifier="unknownIdentifier")
    command = ["receivers", "add", "--ae-title", "NEW", "--port", str(free_port())]
    code = main(["--data", str(dock.data), *command, "--identifier", "unknownIdentifier"])
    assert code == 2
    assert words in capsys.readouterr().err


def test_r2_a_rule_on_a_high_group_is_saved_and_works(dock: Dock) -> None:
    dock.save(routing_enabled=True, project_routing=r"(F215,1050):Project:(\w+):1")
    ds = image()
    ds.add_new(0xF2151050, "LO", "Project:P")
    assert dock.labels_of(ds)[0] == "P"


def test_r3_an_identifier_that_can_not_route_may_keep_rules_that_are_off(dqr_dock: Dock) -> None:
    saved = dqr_dock.save(identifier="dqrObjectIdentifier", routing_enabled=False, **RULES)
    assert saved.project_routing == RULES["project_routing"]
    assert dqr_dock.labels_of(routed_image()) == ("P", "subj", "sess")


def test_r4_an_identifier_that_can_not_route_is_refused_with_routing_on(dqr_dock: Dock) -> None:
    words = "does not support custom routing but custom routing is enabled"
    with pytest.raises(InvalidReceiver, match=words):
        dqr_dock.save(identifier="dqrObjectIdentifier", routing_enabled=True, **RULES)


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        pytest.param({"routing_enabled": True}, ("P_rtd", "subj_rtd", "sess_rtd"), id="R5-on"),
        pytest.param({"routing_enabled": False}, ("P", "subj", "sess"), id="R6-off"),
        pytest.param(
            {"routing_enabled": True, "subject_routing": ""},
            ("P_rtd", "subj", "sess_rtd"),
            id="R7-some-blank",
        ),
    ],
)
def test_r5_to_r7_rules_count_only_while_routing_is_on_and_where_there_are_any(
    dock: Dock, changes: dict[str, Any], labels: tuple[str, str, str]
) -> None:
    dock.save(**{**RULES, **changes})
    assert dock.labels_of(routed_image()) == labels


def test_r8_the_receivers_rules_win_over_the_sites(dock: Dock) -> None:
    dock.set_site_routing(
        subject_enabled=True, subject_routing="(0010,4000):(.*):1 t:.+ r:sitewide"
    )
    assert dock.labels_of(routed_image()) == ("P", "sitewide", "sess")
    dock.save(routing_enabled=True, **RULES)
    assert dock.labels_of(routed_image()) == ("P_rtd", "subj_rtd", "sess_rtd")


def test_r9_one_rule_sends_everything_to_one_project(dock: Dock) -> None:
    dock.save(routing_enabled=True, project_routing=CONSTANT.format("P"))
    ds = image(PatientName="GSU001", PatientID="GSU001_v00_pet", StudyDescription=JUNK)
    assert dock.labels_of(ds) == ("P", "GSU001", "GSU001_v00_pet")


def test_r10_the_second_line_decides_where_the_first_has_no_value(dock: Dock) -> None:
    lines = f"(0010,4001):(.*):1 t:.+ r:subj_rtd1\n{CONSTANT.format('subj_rtd2')}"
    dock.save(routing_enabled=True, subject_routing=lines)
    assert dock.labels_of(routed_image())[1] == "subj_rtd2"


SPP = {"AccessionNumber": "2022497684894126", "PatientName": "SPP_0x220790"}
_LABEL_TEXTS = [
    ("(0008,0050):^[0-9]{4}(.*):1 t:9 r:X", "4X76848X4126"),
    ("(0008,0050):^[0-9]{4}(.*)", "497684894126"),
    (r"(0008,0030):(.*)" + "\n" + r"(0010,0010):.*_([\w]+)", "0x220790"),
]


@pytest.mark.parametrize(
    ("text", "values", "project"),
    [
        pytest.param("(0008,0050):^[0-9]{4}(.*):1 t:6 r:x", SPP, "497x8489412x", id="S1"),
        pytest.param(
            "(0008,0030):(.*)\n(0010,0010):SPP_([0-9x]*) t:[A-Za-z] r:R",
            {**SPP, "StudyTime": "101112"},
            "0R220790",
            id="S2-first-line-names-no-project",
        ),
    ],
)
def test_s1_s2_the_sites_rules_find_the_project(
    dock: Dock, text: str, values: dict[str, Any], project: str
) -> None:
    dock.set_site_routing(project_enabled=True, project_routing=text)
    assert dock.labels_of(image(**values))[0] == project


@pytest.mark.parametrize(("attribute", "place"), [("subject", 1), ("session", 2)])
def test_s3_s4_the_sites_rules_find_subject_and_session(
    dock: Dock, attribute: str, place: int
) -> None:
    for text, label in _LABEL_TEXTS:
        dock.set_site_routing(**{f"{attribute}_enabled": True, f"{attribute}_routing": text})
        assert dock.labels_of(image(**SPP, StudyInstanceUID=generate_uid()))[place] == label


def test_s5_all_three_of_the_site_together(dock: Dock) -> None:
    dock.set_site_routing(
        project_enabled=True,
        project_routing="(0008,0030):(.*)\n(0008,0070):([^M]+).* t:$ r:x",
        subject_enabled=True,
        subject_routing=r"(0010,0010):Sample.*?([\w]+)",
        session_enabled=True,
        session_routing="(0008,0020):(.*)",
    )
    assert dock.labels_of(image()) == ("SIEx", "Patient", "20061214")


_NAMED = {"PatientName": "subj", "PatientID": "sess"}


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"PatientComments": COMMENT}, id="S6-PatientComments"),
        pytest.param({"StudyComments": COMMENT, "PatientComments": JUNK}, id="S7-StudyComments"),
        pytest.param(
            {"AdditionalPatientHistory": COMMENT, "PatientComments": JUNK, "StudyComments": JUNK},
            id="S8-AdditionalPatientHistory",
        ),
        pytest.param(
            {"StudyDescription": "P", "PatientComments": JUNK, "StudyComments": JUNK, **_NAMED},
            id="S9-StudyDescription",
        ),
        pytest.param(
            {
                "AccessionNumber": "P",
                "StudyDescription": JUNK,
                "PatientComments": JUNK,
                "StudyComments": JUNK,
                **_NAMED,
            },
            id="S10-AccessionNumber",
        ),
    ],
)
def test_s6_to_s10_without_rules_the_defaults_decide(dock: Dock, values: dict[str, Any]) -> None:
    assert dock.labels_of(image(**values)) == ("P", "subj", "sess")


@pytest.mark.parametrize("direct_archive", [False, True])
@pytest.mark.parametrize("has_neighbour", [False, True])
def test_l1_to_l4_a_receivers_rules_are_its_own(
    dock: Dock, has_neighbour: bool, direct_archive: bool
) -> None:
    """What comes in by another way is not touched, whether the receiver exists or not."""
    theirs: dict[str, Any] = dict.fromkeys(RULES, "(0020,000d):(.*)")
    other = make_receiver("OTHER", dock.port, direct_archive=direct_archive)
    if has_neighbour:
        dock.save(routing_enabled=True, **theirs)
    else:
        (known,) = dock.engine.snapshot().receivers
        dock.engine.delete_receiver(known.receiver.id, "test")
    dock.save(other)
    labels = dock.labels_of(image(StudyDescription="P"), called="OTHER")
    assert labels == ("P", "Sample_Patient", "Sample_ID")


CATASTROPHIC = r"(0010,4000):((a|aa)+)!"


def hostile_image() -> Dataset:
    return image(PatientComments="a" * 60, StudyInstanceUID=generate_uid())


def test_a_catastrophic_rule_ends_in_time_and_harms_no_other_association(dock: Dock) -> None:
    dock.save(routing_enabled=True, session_routing=CATASTROPHIC)
    dock.save(make_receiver("GOOD", dock.port))
    good: list[int | None] = []
    sender = threading.Thread(
        target=lambda: good.extend(dock.send(*(image() for _ in range(30)), called="GOOD"))
    )
    sender.start()
    statuses = dock.send(*(hostile_image() for _ in range(8)))
    sender.join(30)
    assert statuses == [0xC000] * 8
    assert good == [0] * 30
    told = [event.sentence() for event in dock.engine.told(RuleFailed)]
    assert len(told) == 5
    assert told[-1].endswith("the rule is suspended until the configuration changes")
    assert dock.send(image(PatientComments="a!")) == [0xC000]  # not asked, but not "no match"
    dock.save(session_routing="")
    assert dock.labels_of(hostile_image())[2] == "Sample_ID"


def test_a_project_rule_that_fails_is_told_in_the_journal_of_objects(dock: Dock) -> None:
    dock.save(routing_enabled=True, project_routing=f"{CATASTROPHIC}\n{CONSTANT.format('P')}")
    assert dock.labels_of(hostile_image())[0] == "Unassigned"
    dock.engine._index.flush()
    (row,) = object_rows(dock.data)
    assert row.reason.startswith(
        "a project rule failed: receiver rule in line 1, (0010,4000): the rule"
    )
    assert dock.labels_of(image(StudyInstanceUID=generate_uid()))[0] == "P"


def test_what_arrived_can_be_tried_with_other_rules(dock: Dock) -> None:
    assert dock.labels_of(routed_image()) == ("P", "subj", "sess")
    receiver = dock.engine.snapshot().receivers[0].receiver
    draft = replace(receiver, routing_enabled=True, subject_routing=RULES["subject_routing"])
    (preview,) = dock.engine.shown_routing(draft, "anna")
    assert preview.changes
    assert preview.saved.outcome == ("P", "subj", "sess", None)
    assert preview.draft.outcome == ("P", "subj_rtd", "sess", None)
    assert dock.engine.preview_routing(receiver)[0].changes is False
