"""The scenarios of XNAT's own tests (XNAT 12), by their letters, over REST and C-STORE.

There is one engine, and each scenario begins with the settings of a fresh installation. XNAT waits
a minute until a session is complete; here it is built on request. Where dicomdock answers
otherwise on purpose, the scenario says so.

Left out is what needs uploads of files (L2 to L4, S11 to S17, A1, A2, F3 to F6, F8, F12, F13, F16
to F27, I5, I8, P1, P4, P7, P8, P16 to P18) or the query/retrieve plug-in itself (Q1 to Q5), what
`test_project_scripts` has (C1 to C4: edits of single elements and of pixels), and F15, for names
of files do not decide here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import DataElement, config
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from engine.anonymize import recorded
from engine.cli import main
from engine.config.xnat.receivers import to_xnat
from engine.model.peer import AETitle
from engine.model.queries import SessionQuery
from engine.model.receiver import Receiver
from tests.interop.routing_dock import COMMENT, CONSTANT, JUNK, image, routed_image
from tests.interop.xnat_script import BASE, ROUTED, Script, new_label, running_script, study
from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

CONFIG = "/xapi/siteConfig"
ANONYMIZE = "/xapi/anonymize"
MANUAL, AUTO = "P", "P_rtd"
UNKNOWN_CLASS = "1.2.3.4.99999999999999999999999"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    with running_script(tmp_path_factory.mktemp("xnat") / "data") as script:
        script.http.put(f"/data/projects/{MANUAL}/prearchive_code/0")
        yield script


@pytest.fixture(autouse=True)
def _fresh(script: Script) -> Iterator[None]:
    engine = script.dock.engine
    site = engine.site()
    yield
    engine.set_site(site, "test")
    plain = to_xnat(Receiver(0, AETitle("XNAT"), script.dock.port))
    assert script.http.put(f"{BASE}/1", json=plain).status_code == 200
    for record in script.http.get(BASE).json()[1:]:
        script.http.delete(f"{BASE}/{record['id']}")
    for project in (MANUAL, AUTO):
        script.http.put(f"{ANONYMIZE}/projects/{project}/enabled?enable=false", json=None)


def names(stored: dict[str, Dataset]) -> list[str]:
    return sorted(f"{ds.SeriesNumber}/{ds.InstanceNumber}" for ds in stored.values())


def test_r1_an_unknown_identifier_is_refused(script: Script) -> None:
    answer = script.put(identifier="unknownIdentifier")
    words = "unknown DICOM Object Identifier 'unknownIdentifier'"
    assert (answer.status_code, words in answer.text) == (400, True)


def test_r2_a_rule_on_a_high_group_is_saved_and_works(script: Script) -> None:
    rules = {"projectRoutingExpression": r"(F215,1050):Project:(\w+):1"}
    assert script.put(routingExpressionsEnabled=True, **rules).status_code == 200
    ds = image()
    ds.add_new(0xF2151050, "LO", "Project:P")
    assert script.labels_of(ds)[0] == "P"  # XNAT claims the save only


def test_r3_the_identifier_of_query_retrieve_may_keep_rules_that_are_off(script: Script) -> None:
    rules = ROUTED | {"routingExpressionsEnabled": False}
    record = {"aeTitle": "DQR", "port": free_port(), "identifier": "dqrObjectIdentifier", **rules}
    answer = script.http.post(BASE, json=record)
    assert answer.status_code == 200
    assert {name: answer.json()[name] for name in record} == record


def test_r4_the_identifier_of_query_retrieve_is_refused_with_routing_on(script: Script) -> None:
    record = {"aeTitle": "DQR", "port": free_port(), "identifier": "dqrObjectIdentifier", **ROUTED}
    answer = script.http.post(BASE, json=record)
    words = "does not support custom routing but custom routing is enabled"
    assert (answer.status_code, words in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        pytest.param({}, ("P_rtd", "subj_rtd", "sess_rtd"), id="R5"),
        pytest.param({"routingExpressionsEnabled": False}, ("P", "subj", "sess"), id="R6"),
        pytest.param({"subjectRoutingExpression": None}, ("P_rtd", "subj", "sess_rtd"), id="R7"),
    ],
)
def test_r5_to_r7_rules_count_while_they_are_on_and_where_there_are_any(
    script: Script, changes: dict[str, Any], labels: tuple[str, str, str]
) -> None:
    assert script.put(**ROUTED | changes).status_code == 200
    assert script.labels_of(routed_image()) == labels


def test_r8_the_receivers_rules_win_over_the_sites(script: Script) -> None:
    script.put_rules(subject="(0010,4000):(.*):1 t:.+ r:sitewide")
    assert script.labels_of(image(PatientComments=COMMENT))[1] == "sitewide"
    assert script.put(**ROUTED).status_code == 200
    assert script.labels_of(routed_image()) == ("P_rtd", "subj_rtd", "sess_rtd")


def test_r9_one_rule_sends_everything_to_one_project(script: Script) -> None:
    rules = {"projectRoutingExpression": CONSTANT.format("P")}
    assert script.put(routingExpressionsEnabled=True, **rules).status_code == 200
    ds = image(PatientName="GSU001", PatientID="GSU001_v00_pet", StudyDescription=JUNK)
    assert script.labels_of(ds) == ("P", "GSU001", "GSU001_v00_pet")


def test_r10_the_second_line_decides_where_the_first_has_no_value(script: Script) -> None:
    text = "(0010,4001):(.*):1 t:.+ r:subj_rtd1\n(0020,000E):(.*):1 t:.+ r:subj_rtd2"
    assert script.put(routingExpressionsEnabled=True, subjectRoutingExpression=text).is_success
    assert script.labels_of(routed_image())[1] == "subj_rtd2"


MINE, OTHER = "MY_AE", "OTHER_AE"
HERE, ELSEWHERE = "127.0.0.1", "192.0.2.7"


@pytest.mark.parametrize(
    ("enabled", "whitelist", "calling", "admitted"),
    [
        pytest.param(False, [MINE], OTHER, True, id="W1"),
        pytest.param(True, [MINE], MINE, True, id="W2"),
        pytest.param(True, [MINE], OTHER, False, id="W3"),
        pytest.param(True, [ELSEWHERE], MINE, False, id="W4"),
        pytest.param(True, [HERE, ELSEWHERE], MINE, True, id="W5"),
        pytest.param(True, [f"{MINE}@{HERE}"], MINE, True, id="W6"),
        pytest.param(True, [f"{OTHER}@{ELSEWHERE}"], MINE, False, id="W7"),
        pytest.param(True, [f"{MINE}@{ELSEWHERE}"], MINE, False, id="W8"),
        pytest.param(True, [f"{OTHER}@{HERE}"], MINE, False, id="W9"),
    ],
)
def test_w1_to_w9_the_whitelist_that_is_put_lets_in(
    script: Script, enabled: bool, whitelist: list[str], calling: str, admitted: bool
) -> None:
    assert script.put(whitelistEnabled=enabled, whitelist=whitelist).status_code == 200
    assert script.is_admitted(calling) is admitted


@pytest.mark.parametrize(
    ("anonymized", "direct"),
    [
        pytest.param(True, False, id="D1"),
        pytest.param(False, False, id="D2"),
        pytest.param(True, True, id="D3"),
        pytest.param(False, True, id="D4"),
    ],
)
def test_d1_to_d4_both_scripts_run_or_neither(
    script: Script, anonymized: bool, direct: bool
) -> None:
    script.put_scripts('(0008,0080) := "SITE"', '(0008,1040) := "PROJECT"', of=MANUAL)
    assert script.put(anonymizationEnabled=anonymized, directArchive=direct).is_success
    label = new_label()
    comment = f"Project:{MANUAL} Subject:S Session:{label} AA:true"
    assert script.send(image(PatientComments=comment, StudyInstanceUID=generate_uid())) == [0]
    assert len(script.waiting(label)) == (not direct)
    assert script.complete(label).status == "ARCHIVED"  # the comment wins over the project's code
    (ds,) = script.stored(label).values()
    done = ds.get("InstitutionName"), ds.get("InstitutionalDepartmentName")
    assert done == (("SITE", "PROJECT") if anonymized else (None, None))
    assert len(recorded(ds)) == (2 if anonymized else 0)


def test_l1_a_receivers_rules_are_its_own(script: Script) -> None:
    """XNAT uploads a file; here another receiver of the port takes the object."""
    names = [name for name in ROUTED if name.endswith("Expression")]
    theirs = dict.fromkeys(names, "(0020,000d):(.*)")
    assert script.put(routingExpressionsEnabled=True, **theirs).is_success
    other = {"aeTitle": "OTHER", "port": script.dock.port, "identifier": "dicomObjectIdentifier"}
    assert script.http.post(BASE, json=other).is_success
    ds = image(StudyDescription="P", StudyInstanceUID=generate_uid())
    assert script.dock.labels_of(ds, called="OTHER") == ("P", "Sample_Patient", "Sample_ID")


SPP = {"AccessionNumber": "2022497684894126", "PatientName": "SPP_0x220790"}


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
    script: Script, text: str, values: dict[str, Any], project: str
) -> None:
    script.put_rules(project=text)
    assert script.labels_of(image(**values))[0] == project


@pytest.mark.parametrize(
    ("attribute", "place"),
    [pytest.param("subject", 1, id="S3"), pytest.param("session", 2, id="S4")],
)
def test_s3_s4_the_sites_rules_find_subject_and_session(
    script: Script, attribute: str, place: int
) -> None:
    for text, label in (
        ("(0008,0050):^[0-9]{4}(.*):1 t:9 r:X", "4X76848X4126"),
        ("(0008,0050):^[0-9]{4}(.*)", "497684894126"),
        ("(0008,0030):(.*)\n(0010,0010):.*_([\\w]+)", "0x220790"),
    ):
        script.put_rules(**{attribute: text})
        assert script.labels_of(image(**SPP))[place] == label


def test_s5_all_three_of_the_site_together(script: Script) -> None:
    script.put_rules(
        project="(0008,0030):(.*)\n(0008,0070):([^M]+).* t:$ r:x",
        subject=r"(0010,0010):Sample.*?([\w]+)",
        session="(0008,0020):(.*)",
    )
    assert script.labels_of(image()) == ("SIEx", "Patient", "20061214")


_NAMED = {"PatientName": "subj", "PatientID": "sess"}
_TWO = {"PatientComments": JUNK, "StudyComments": JUNK}


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"PatientComments": COMMENT}, id="S6-PatientComments"),
        pytest.param({"StudyComments": COMMENT, "PatientComments": JUNK}, id="S7-StudyComments"),
        pytest.param({"AdditionalPatientHistory": COMMENT, **_TWO}, id="S8-PatientHistory"),
        pytest.param({"StudyDescription": "P", **_TWO, **_NAMED}, id="S9-StudyDescription"),
        pytest.param(
            {"AccessionNumber": "P", "StudyDescription": JUNK, **_TWO, **_NAMED},
            id="S10-AccessionNumber",
        ),
    ],
)
def test_s6_to_s10_without_rules_the_defaults_decide(
    script: Script, values: dict[str, Any]
) -> None:
    assert script.labels_of(image(**values)) == ("P", "subj", "sess")


def test_a3_a4_direct_archive_and_the_same_study_again(script: Script) -> None:
    assert script.put(directArchive=True).is_success
    label = new_label()
    objects = study(label, AUTO, numbers="4/1 4/2")
    assert script.send(*objects) == [0, 0]
    assert script.waiting(label) == []
    assert script.complete(label).status == "ARCHIVED"
    # XNAT: one session in conflict. Here identical objects are duplicates, and nothing is left.
    assert script.send(*objects) == [0, 0]
    assert script.waiting(label) == []
    for ds in objects:
        ds.ImageComments = "other"
    assert script.send(*objects) == [0, 0]
    assert script.complete(label).status == "CONFLICT"
    (row,) = script.waiting(label)
    assert row["status"] == "CONFLICT"


def test_a3_with_direct_archive_append_later_objects_are_added_as_the_receiver_says(
    script: Script,
) -> None:
    """XNAT 1.10: append-only skips duplicate files, otherwise they are overwritten."""
    config = "/xapi/siteConfig/enableDirectArchiveAppend"
    assert script.http.get(config).json() is False
    assert script.http.post(config, content="true").is_success
    label = new_label()
    first, second, third = study(label, MANUAL, numbers="4/1 4/2 5/1")
    for appends in (False, True):
        assert script.put(directArchive=True, directArchiveOverwrite=appends).is_success
        assert script.record["directArchiveOverwrite"] is appends
        first.ImageComments = f"append only: {appends}"
        assert script.send(first, third if appends else second) == [0, 0]
        script.complete(label)
    session = script.session(label)
    assert (session.status, session.objects) == ("ARCHIVED", 3)
    assert script.waiting(label) == []
    assert {ds.get("ImageComments") for ds in script.stored(label).values()} == {
        None,
        "append only: False",
    }
    first.ImageComments = "the newest"
    assert script.put(directArchiveOverwrite=False).is_success
    assert script.send(first) == [0]
    script.complete(label)
    assert "the newest" in {ds.get("ImageComments") for ds in script.stored(label).values()}
    assert script.http.post(config, content="false").is_success


def test_a5_a_value_that_is_too_long_for_xnats_database(script: Script) -> None:
    """XNAT: in error, "Attempt to direct-archive failed". Here no database refuses it."""
    assert script.put(directArchive=True).is_success
    label = new_label()
    (ds,) = study(label, AUTO)
    ds.add(DataElement(0x00080080, "LO", "x" * 300, validation_mode=config.IGNORE))
    assert script.send(ds) == [0]
    assert script.complete(label).status == "ARCHIVED"


def test_a6_one_study_to_each_of_two_projects(script: Script) -> None:
    assert script.put(directArchive=True).is_success
    label = new_label()
    assert script.send(*study(label, AUTO), *study(label, MANUAL)) == [0, 0]
    found = script.dock.engine.sessions.list(SessionQuery(words=(label,))).sessions
    assert sorted(str(session.project) for session in found) == [MANUAL, AUTO]


def test_a2_a6_sessions_on_their_way_into_the_archive_are_listed_committed_and_deleted(
    script: Script,
) -> None:
    assert script.put(directArchive=True).is_success
    base, http = "/xapi/direct-archive", script.http
    first, second = new_label(), new_label()
    assert script.send(*study(first, AUTO), *study(second, MANUAL)) == [0, 0]

    def listed(**wanted: Any) -> list[str]:
        return [record["name"] for record in http.post(base, json=wanted).json()]

    assert {first, second} <= set(listed())
    of_project = listed(filtersMap={"project": {"value": MANUAL}})
    assert second in of_project
    assert first not in of_project
    assert len(listed(page=1, size=1)) == 1
    (record,) = (r for r in http.post(base, json={}).json() if r["name"] == first)
    assert (record["project"], record["status"]) == (AUTO, "RECEIVING")
    path = f"{base}/{AUTO}/{record['tag']}/{first}"
    assert http.get(path).json() == record
    assert http.post(path).status_code == 200
    assert http.get(path).status_code == 404
    assert script.session(first).status == "ARCHIVED"
    (other,) = (r for r in http.post(base, json={}).json() if r["name"] == second)
    assert http.delete(f"{base}/{other['id']}").status_code == 200
    assert http.delete(f"{base}/{other['id']}").status_code == 404
    assert script.session(second).status == "DELETED"
    wrong: tuple[Any, ...] = ({"page": 0}, {"size": True}, {"filters": {"project": 7}}, [])
    for wanted in wrong:
        assert http.post(base, json=wanted).status_code == 400


def test_a_selftest_checks_what_xnats_receivers_promise(
    script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.put(whitelistEnabled=True, whitelist=["SELF"]).is_success
    data = str(script.dock.data)
    assert main(["--data", data, "selftest", "XNAT", "--calling", "SELF", "--json"]) == 0
    steps = json.loads(capsys.readouterr().out)["steps"]
    told = {step["step"]: step["detail"] for step in steps}
    assert told["stranger"].endswith("which no line admits, is rejected 1/1/3")
    assert told["sent again"] == "is a duplicate, and not stored twice"
    assert told["preview"] == "shows project Unassigned, where the object is"
    assert told["XNAT"] == "/xapi/dicomscp shows the receiver"


def test_f1_f2_f9_files_keep_the_names_that_they_got_on_arrival(script: Script) -> None:
    script.put_scripts("-(0020,0013)", "-(0020,0013)", of=AUTO)
    label = new_label()
    objects = study(label, AUTO, numbers="4/1 4/2")
    del objects[1].InstanceNumber
    assert script.send(*objects) == [0, 0]
    before = list(script.stored(label, "prearchive"))
    uid = objects[0].StudyInstanceUID
    assert [name.rpartition("-")[0] for name in before] == [
        f"4/DICOM/{uid}-4-1",
        f"4/DICOM/{uid}-4-no-value-for-InstanceNumber",
    ]
    assert script.complete(label).status == "ARCHIVED"
    assert list(script.stored(label)) == before


def test_f7_a_study_that_comes_again_replaces_the_one_before(script: Script) -> None:
    script.http.put(f"/data/projects/{AUTO}/prearchive_code/5")
    label = new_label()
    (ds,) = study(label, AUTO)
    assert script.send(ds) == [0]
    assert script.complete(label).status == "ARCHIVED"
    ds.InstanceNumber, ds.ImageComments = "2", "new"
    assert script.send(ds) == [0]
    script.complete(label)
    ((name, stored),) = script.stored(label).items()
    assert (stored.ImageComments, "-4-2-" in name) == ("new", True)
    script.http.put(f"/data/projects/{AUTO}/prearchive_code/4")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param("${InstanceNumber}-${StudyInstanceUID}", ["1-{0}", "2-{0}"], id="F10"),
        pytest.param("${StudyInstanceUID}-${InstanceNumber}-${StudyInstanceUID}",
                     ["{0}-1-{0}", "{0}-2-{0}"], id="F10-twice"),
        # XNAT: one file is left of each series. Here both are kept.
        pytest.param("${StudyInstanceUID}-${SeriesNumber}", ["{0}-4", "{0}-4"], id="F11"),
    ],
)  # fmt: skip
def test_f10_f11_files_are_named_by_the_template(
    script: Script, template: str, expected: list[str]
) -> None:
    assert script.http.put(CONFIG, json={"dicomFileNameTemplate": template}).is_success
    label = new_label()
    objects = study(label, AUTO, numbers="4/1 4/2")
    assert script.send(*objects) == [0, 0]
    files = [name.rpartition("/")[2] for name in script.stored(label, "prearchive")]
    wanted = [name.format(objects[0].StudyInstanceUID) for name in expected]
    assert len(files) == 2
    assert all(file.startswith(name) for file, name in zip(files, wanted, strict=True))


def test_f14_one_instance_in_two_classes_is_archived_with_overwrite(script: Script) -> None:
    label = new_label()
    one, other = study(label, MANUAL, numbers="4/1 4/1")
    other.SOPInstanceUID, other.SOPClassUID = one.SOPInstanceUID, EnhancedMRImageStorage
    other.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    assert script.send(one, other) == [0, 0]
    assert len(script.stored(label, "prearchive")) == 2
    script.complete(label)
    (row,) = script.waiting(label)
    services = "/data/services/archive"
    refused = script.http.post(services, data={"src": row["url"]})
    assert refused.status_code == 409
    assert script.http.post(services, data={"src": row["url"], "overwrite": "delete"}).is_success
    assert len(script.stored(label)) == 2


@pytest.mark.parametrize(
    ("mode", "patterns", "kept"),
    [
        pytest.param("whitelist", "[300A,0440]\nEXISTS", "4/1", id="I1"),
        pytest.param("blacklist", "^.*T1.*$", "6/1", id="I2"),
        pytest.param("blacklist", "[InstanceNumber]\n^2$\n[0018,1250]\n!EXISTS", "4/1", id="I3"),
        pytest.param("blacklist", "[0020,0013]\n^2$\n[(0018,1250)]\n!EXISTS", "4/1", id="I4"),
        pytest.param("whitelist", "[(0051,100d)]\n^SP R79\\.3$", "4/2", id="I6"),
        pytest.param("whitelist", "[Rows]\n^128$\n[0018,1250]\nEXISTS", "4/1 4/2", id="I7"),
    ],
)
def test_i1_to_i7_unwanted_objects_are_answered_with_success_and_not_stored(
    script: Script, mode: str, patterns: str, kept: str
) -> None:
    wanted = {
        "enableSitewideSeriesImportFilter": True,
        "sitewideSeriesImportFilterMode": mode,
        "sitewideSeriesImportFilter": patterns,
    }
    assert script.http.post(CONFIG, json=wanted).is_success
    label = new_label()
    objects = study(label, MANUAL, numbers="4/1 4/2 6/1")
    for ds, description in zip(objects, ("t1_mpr", "T1", "FLAIR"), strict=True):
        ds.SeriesDescription = description
    objects[0].add_new(0x300A0440, "FL", 1.0)
    objects[0].ReceiveCoilName = objects[1].ReceiveCoilName = "HEAD"
    objects[1].add_new(0x00510010, "LO", "SIEMENS MR HEADER")
    objects[1].add_new(0x0051100D, "LO", "SP R79.3")
    assert script.send(*objects) == [0, 0, 0]
    assert names(script.stored(label, "prearchive")) == kept.split()


def test_p2_p3_p9_p11_a_session_of_a_manual_project_waits_for_a_person(script: Script) -> None:
    label, other = new_label(), new_label()
    assert script.send(*study(label, MANUAL), *study(other, MANUAL)) == [0, 0]
    committed = script.act(label, "commit")
    (row,) = script.waiting(label)
    assert (committed.status_code, committed.text) == (200, f"/data{row['url']}")
    assert (row["status"], script.http.get(committed.text).status_code) == ("READY", 200)
    archived = script.act(label, "commit", AA="true")
    where = f"/data/archive/projects/{MANUAL}/subjects/S{label}/experiments/{label}"
    assert (archived.status_code, archived.text) == (301, where)
    (row,) = script.waiting(other)
    assert script.http.delete(f"/data{row['url']}").status_code == 200
    assert script.waiting(other) == script.waiting(label) == []
    assert script.http.get(f"/data{row['url']}").status_code == 404


def test_p5_p10_an_unassigned_session_is_built_moved_and_committed(script: Script) -> None:
    label = new_label()
    assert script.send(*study(label, "no project")) == [0]
    assert script.act(label, "build").status_code == 200
    refused = script.act(label, "commit", AA="true")
    assert refused.status_code == 409  # XNAT: unassigned sessions are never archived
    moved = script.act(label, "move", newProject=MANUAL)
    (row,) = script.waiting(label)
    assert (moved.status_code, moved.text) == (301, f"/data{row['url']}")
    assert row["project"] == MANUAL
    committed = script.act(label, "commit", AA="true")
    assert (committed.status_code, committed.text.startswith("/data/archive")) == (301, True)


def test_p6_of_a_session_that_a_script_rejects_as_a_whole_nothing_is_archived(
    script: Script,
) -> None:
    script.put_scripts(project="reject[]", of=MANUAL)
    label = new_label()
    assert script.send(*study(label, MANUAL)) == [0]
    script.complete(label)
    answer = script.act(label, "commit", AA="true")
    words = "Empty sessions cannot be archived."
    assert (answer.status_code, words in answer.text) == (500, True)
    assert [row["status"] for row in script.waiting(label)] == ["ERROR"]


def test_p12_p13_series_that_come_later_are_merged_into_the_archived_session(
    script: Script,
) -> None:
    label = new_label()
    objects = study(label, AUTO, numbers="1/1 1/2 5/1 5/2 1/3")
    for ds in objects[1], objects[4]:
        ds.SeriesInstanceUID = f"{ds.StudyInstanceUID}.9"
    assert script.send(objects[0]) == [0]
    assert script.complete(label).status == "ARCHIVED"
    assert script.send(*objects[1:4]) == [0, 0, 0]
    script.complete(label)
    assert script.send(objects[4]) == [0]
    script.complete(label)
    assert script.waiting(label) == []
    scans = [name.partition("/")[0] for name in script.stored(label)]
    assert scans == ["1", "1-MR1", "1-MR1", "5", "5"]


def test_p14_a_project_has_a_prearchive_code(script: Script) -> None:
    path = f"/data/projects/{AUTO}/prearchive_code"
    answers = [script.http.put(f"{path}/{code}").status_code for code in (0, 11, 4)]
    assert answers == [200, 400, 200]  # XNAT takes 11 too, which means nothing


def test_p15_a_session_is_archived_under_the_labels_of_its_destination(script: Script) -> None:
    label, other = new_label(), new_label()
    assert script.send(*study(label, MANUAL)) == [0]
    script.complete(label)
    (row,) = script.waiting(label)
    own = f"/data/archive/projects/{MANUAL}/subjects/S{other}/experiments"
    for name, status in (("no label", 409), (other, 200)):
        data = {"src": row["url"], "dest": f"{own}/{name}"}
        assert script.http.post("/data/services/archive", data=data).status_code == status
    assert len(script.stored(other)) == 1


@pytest.mark.parametrize("direct", [False, True], ids=["C5", "C6"])
def test_c5_c6_labels_are_what_the_header_said_before_the_scripts(
    script: Script, direct: bool
) -> None:
    script.put_rules(subject="(0018,0015):(.*)", session="(0018,0023):(.*)")
    script.put_scripts(
        '(0018,0015) := "GONE"\n(0010,0020) := session', "(0018,0023) := subject", of=AUTO
    )
    assert script.put(customProcessing=True, directArchive=direct).is_success
    label = "2D" if direct else "3D"
    ds = image(StudyDescription=AUTO, BodyPartExamined="BRAIN", MRAcquisitionType=label)
    assert script.labels_of(ds) == (AUTO, "BRAIN", label)
    assert script.complete(label).status == "ARCHIVED"
    (kept,) = script.stored(label).values()
    found = kept.BodyPartExamined, kept.PatientID, kept.MRAcquisitionType
    assert found == ("GONE", label, "BRAIN")


ONE_PER_SERIES = '(0020,0013) != "1" ? reject[]'
ONE_OF_ALL = f'{ONE_PER_SERIES}\n(0020,0011) != "4" ? reject[]'
FIRST, SECOND = '(0020,0013) = "1" ? reject[]', '(0020,0013) = "2" ? reject[]'
FIVE = '(0020,0011) = "5" ? reject[]'


@pytest.mark.parametrize(
    ("site", "project", "direct", "before", "after"),
    [
        pytest.param(ONE_PER_SERIES, "", False, "4/1 5/1", "4/1 5/1", id="J1"),
        pytest.param(ONE_OF_ALL, "", False, "4/1", "4/1", id="J2"),
        pytest.param(FIRST, FIVE, False, "4/2 5/2", "4/2", id="J4"),
        pytest.param(FIRST, FIVE, True, "", "4/2", id="J5"),
        pytest.param(SECOND, FIVE, False, "4/1 5/1", "4/1", id="J6"),
        pytest.param(SECOND, FIVE, True, "", "4/1", id="J7"),
    ],
)
def test_j1_to_j7_what_scripts_reject_is_answered_with_success_and_not_kept(
    script: Script, site: str, project: str, direct: bool, before: str, after: str
) -> None:
    script.put_scripts(site, project, of=AUTO)
    assert script.put(directArchive=direct).is_success
    label = new_label()
    assert script.send(*study(label, AUTO, numbers="4/1 4/2 5/1 5/2")) == [0] * 4
    assert names(script.stored(label, "prearchive")) == before.split()
    assert script.complete(label).status == "ARCHIVED"
    assert names(script.stored(label)) == after.split()


def test_j3_what_was_unassigned_meets_the_script_of_its_project(script: Script) -> None:
    script.put_scripts(ONE_PER_SERIES, '(0008,1040) := "PROJECT"', of=MANUAL)
    label = new_label()
    assert script.send(*study(label, "no project", numbers="4/1 4/2")) == [0, 0]
    script.complete(label)
    script.act(label, "move", newProject=MANUAL)
    assert script.act(label, "commit", AA="true").status_code == 301
    (ds,) = script.stored(label).values()
    assert (ds.InstanceNumber, ds.InstitutionalDepartmentName) == (1, "PROJECT")


@pytest.mark.parametrize("by_project", [False, True], ids=["J8", "J9"])
def test_j8_j9_of_rejected_images_among_others_only_the_others_are_left(
    script: Script, by_project: bool
) -> None:
    reject = f'(0008,0016) = "{MRImageStorage}" ? reject[]'
    script.put_scripts("" if by_project else reject, reject if by_project else "", of=AUTO)
    label = new_label()
    objects = study(label, AUTO, numbers="4/1 4/2")
    objects[1].SOPClassUID = UNKNOWN_CLASS
    assert script.send(*objects) == [0, 0]
    assert script.complete(label).status == "ARCHIVED"
    ((name, ds),) = script.stored(label).items()
    assert (name.split("/")[1], ds.InstanceNumber) == ("secondary", 2)


MR, CT, PT = MRImageStorage, CTImageStorage, PositronEmissionTomographyImageStorage


@pytest.mark.parametrize(
    ("series", "modality"),
    [
        ([(MR, "MR")], "MR"),
        ([(PT, "PT")], "PT"),
        ([(SecondaryCaptureImageStorage, "CT")], "CT"),
        ([(SecondaryCaptureImageStorage, "SC")], "SC"),
        ([(RTStructureSetStorage, "RTSTRUCT"), (MR, "MR")], "MR"),
        ([(MR, "")], "MR"),
        ([(PT, "PT"), (CT, "CT")], "PT"),
    ],
)
def test_12_12_a_session_has_the_modality_of_its_leading_scan(
    script: Script, series: list[tuple[str, str]], modality: str
) -> None:
    label = new_label()
    objects = study(label, MANUAL, numbers=" ".join(f"{n}/1" for n in range(len(series))))
    for ds, (sop_class, own) in zip(objects, series, strict=True):
        ds.SOPClassUID, ds.Modality = sop_class, own
    assert script.send(*objects) == [0] * len(objects)
    assert script.complete(label).modality == modality
