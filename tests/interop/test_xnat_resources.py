"""XNAT's resources beside receivers, as its clients use them, against a running engine."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.cli import main
from engine.config.store import ConfigurationStore
from engine.host.clock import SystemClock
from engine.model.project import Project
from engine.model.queries import SessionQuery
from tests.interop.routing_dock import image
from tests.interop.xnat_script import Script, running_script, xnatctl_of
from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.model.configuration import Configuration


SCRIPT = 'version "6.6"\n(0010,0010) := "X"\n'
CONFIG = "/xapi/siteConfig"
ANONYMIZE = "/xapi/anonymize"
PROCESSORS = "/xapi/processors"
RULES = "/data/config/dicom"
PREARCHIVE = "/data/prearchive"
REMAPPING = "org.nrg.xnat.processors.StudyRemappingArchiveProcessor"
TABLE = "study_instance_uid,project\n1.2.3,P\n"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    with running_script(tmp_path_factory.mktemp("xnat") / "data") as script:
        yield script


@pytest.fixture(autouse=True)
def _fresh(script: Script) -> Iterator[None]:
    """End each test with the settings that it began with."""
    engine = script.dock.engine
    site, projects = engine.site(), engine.projects()
    yield
    engine.set_site(site, "test")
    for project in projects:
        engine.save_project(project, "test", replacing=project_of(script, project.id))
    for status in engine.processors.list():
        engine.processors.delete(status.processor.id, "test")


def project_of(script: Script, id: str) -> Any:
    return next(project for project in script.dock.engine.projects() if project.id == id)


def revision(script: Script) -> int:
    return script.dock.engine._configuration.revision


def test_a_set_up_script_of_a_site_with_query_retrieve_works(script: Script) -> None:
    http, json = script.http, {"content-type": "application/json"}
    answers = [
        http.post(CONFIG, json={"initialized": True}),
        http.put(f"{ANONYMIZE}/site", content=SCRIPT, headers={"content-type": "text/plain"}),
        http.put(f"{ANONYMIZE}/site/enabled", content="true", headers=json),
        http.post("/xapi/dicomscp", json=_DQR | {"port": free_port()}),
        http.put(CONFIG, json={"sessionXmlRebuilderInterval": 1}),
    ]
    assert [answer.status_code for answer in answers] == [200] * 5, [a.text for a in answers]
    site = script.dock.engine.site()
    assert (site.script.enabled, site.script.text) == (True, SCRIPT)
    assert site.sessions.idle_seconds == 60
    # The script finds its receiver in the text, as grep does.
    found = re.search(r'{[^}]*"id":([0-9]+)[^}]*"aeTitle":"DQR"', http.get("/xapi/dicomscp").text)
    assert found is not None
    assert http.delete(f"/xapi/dicomscp/{found[1]}").status_code == 200


_DQR = {
    "aeTitle": "DQR",
    "enabled": True,
    "customProcessing": True,
    "directArchive": True,
    "identifier": "dqrObjectIdentifier",
    "anonymizationEnabled": True,
    "whitelistEnabled": False,
    "whitelistText": "",
    "routingExpressionsEnabled": False,
    "projectRoutingExpression": "",
}


def test_members_of_site_config_are_shown_and_changed(script: Script) -> None:
    http = script.http
    before = http.get(CONFIG).json()
    assert before["enableDicomReceiver"] is True
    assert before["sessionXmlRebuilderInterval"] == 5
    assert before["enableSitewideSeriesImportFilter"] is False
    assert http.post(CONFIG, json=before).status_code == 200
    assert http.get(CONFIG).json() == before
    filters = {
        "enableSitewideSeriesImportFilter": "true",
        "sitewideSeriesImportFilterMode": "whitelist",
        "sitewideSeriesImportFilter": "^T1",
    }
    assert http.post(CONFIG, json=filters).status_code == 200
    assert script.dock.engine.site().sessions.series_filter == "whitelist\n^T1"
    for name, value in (filters | {"enableSitewideSeriesImportFilter": True}).items():
        assert http.get(CONFIG).json()[name] == value
    one = http.put(f"{CONFIG}/enableDicomReceiver", json=False)
    assert (one.status_code, http.get(f"{CONFIG}/enableDicomReceiver/").json()) == (200, False)
    plain = http.post(f"{CONFIG}/enableDicomReceiver", content="true")
    assert (plain.status_code, script.dock.engine.site().receivers_allowed) == (200, True)
    off = http.put(f"{CONFIG}/enableSitewideSeriesImportFilter", content="false")
    assert (off.status_code, script.dock.engine.site().sessions.series_filter) == (200, "")


@pytest.mark.parametrize(
    ("wanted", "status", "words"),
    [
        ({"siteUrl": "x"}, 404, "siteConfig has no siteUrl here"),
        ({"enableDicomReceiver": False, "a\x1bb": 1}, 404, "siteConfig has no a"),
        ({"enableDicomReceiver": "maybe"}, 400, "enableDicomReceiver 'maybe': is not a switch"),
        ({"enableDicomReceiver": None}, 400, "is not a switch"),
        ({"enableDicomReceiver": False, "sessionXmlRebuilderInterval": 0}, 400, "allowed range"),
        ({"sessionXmlRebuilderInterval": "9" * 5000}, 400, "sessionXmlRebuilderInterval"),
        ({"sessionXmlRebuilderInterval": 1.5}, 400, "is not a number"),
        ({"enableSitewideSeriesImportFilter": True}, 400, "there are no patterns"),
        (
            {
                "enableSitewideSeriesImportFilter": True,
                "sitewideSeriesImportFilter": "(",
            },
            400,
            "sitewideSeriesImportFilter",
        ),
        (
            {
                "enableSitewideSeriesImportFilter": True,
                "sitewideSeriesImportFilterMode": "modalityMap",
                "sitewideSeriesImportFilter": "x",
            },
            400,
            "is not possible here",
        ),
        ({"enableSitewideAnonymizationScript": True}, 400, "there is no script"),
        ({"sitewideAnonymizationScript": "version 4"}, 400, "anonymization_script"),
        ({"preventCrossModalityMerge": False}, 400, "are never merged"),
        ({"defaultProjectAutoArchiveSetting": "11"}, 400, "is not a code"),
        ({"dicomFileNameTemplate": "${Nothing}"}, 400, "dicomFileNameTemplate"),
        ({"sitewidePetMr": "both"}, 400, "sitewidePetMr"),
        ([], 400, "is not one record"),
    ],
)
def test_what_is_no_setting_is_refused_and_nothing_of_it_is_done(
    script: Script, wanted: Any, status: int, words: str
) -> None:
    before = revision(script)
    answer = script.http.post(CONFIG, json=wanted)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert answer.text.replace("\n", "").isprintable()
    assert revision(script) == before


def test_site_wide_rules_are_put_and_turned_off(script: Script) -> None:
    http, path, rules = script.http, f"{RULES}/subjectRules", "(0010,0020):(.*)"
    assert http.get(path).status_code == 404
    assert http.put(f"{path}?inbody=true", content=rules).status_code == 200
    (row,) = http.get(f"{path}?format=json").json()["ResultSet"]["Result"]
    assert (row["contents"], row["status"]) == (rules, "enabled")
    assert http.get(f"{path}?contents=true").text == rules
    assert http.put(f"{path}?status=disabled").status_code == 200
    routing = script.dock.engine.site().routing
    assert (routing.subject_enabled, routing.subject_routing) == (False, rules)
    as_record = {"contents": "(0010,0010):(.*)", "status": "enabled"}
    assert http.put(path, json=as_record).status_code == 200
    assert script.dock.engine.site().routing.subject_routing == "(0010,0010):(.*)"
    before = revision(script)
    bad = http.put(path, content="(0010,0010):(")
    assert (bad.status_code, "subject_routing" in bad.text) == (400, True)
    for query, content in (("?status=maybe", "x"), ("", ""), ("", '{"contents": 7}')):
        assert http.put(f"{path}{query}", content=content).status_code == 400
    assert http.put(f"{RULES}/petRules", content="x").status_code == 404
    assert revision(script) == before


def test_scripts_of_site_and_projects_are_put_and_turned_off(script: Script) -> None:
    http, path = script.http, f"{ANONYMIZE}/projects/P"
    assert "version" in http.get(f"{ANONYMIZE}/default").text
    assert http.get(path).status_code == 204
    assert http.put(path, content=SCRIPT).status_code == 200
    assert (http.get(path).text, http.get(f"{path}/enabled").json()) == (SCRIPT, True)
    # XNAT reads the switch of the query, whatever the body says.
    assert http.put(f"{path}/enabled?enable=false", json=None).status_code == 200
    assert (http.get(path).status_code, http.get(f"{path}/enabled").json()) == (204, False)
    assert project_of(script, "P").anonymization_script == SCRIPT
    assert http.put(f"{path}/enabled", json=None).status_code == 200
    assert http.get(f"{path}/enabled").json() is True
    before = revision(script)
    for bad in ("remove all", "\ud800".encode(errors="surrogatepass"), b"\xff", ""):
        assert http.put(path, content=bad).status_code == 400
    unknown = http.get(f"{ANONYMIZE}/projects/NOPE")
    assert (unknown.status_code, "there is no project 'NOPE'" in unknown.text) == (404, True)
    assert http.put(f"{ANONYMIZE}/site/enabled?enable=perhaps", json=None).status_code == 400
    assert http.put(f"{ANONYMIZE}/site/enabled", json=None).status_code == 400  # no script
    assert revision(script) == before


def test_a_project_has_a_code_and_a_filter(script: Script) -> None:
    http, path = script.http, "/data/projects/P"
    rows = http.get("/data/projects?format=json").json()["ResultSet"]["Result"]
    assert "P" in [row["ID"] for row in rows]
    assert http.get(f"{path}?format=json").json()["items"][0]["data_fields"]["name"] == "P"
    assert http.get(f"{path}/prearchive_code").text == "4"
    assert http.put(f"{path}/prearchive_code/0").status_code == 200
    assert http.get(f"{path}/prearchive_code").text == "0"
    assert http.put(f"{path}/prearchive_code/11").status_code == 400
    filters = f"{path}/config/seriesImportFilter/config"
    wanted = {"enabled": "true", "mode": "whitelist", "list": "^T1"}
    assert http.put(f"{filters}?inbody=true", json=wanted).status_code == 200
    assert project_of(script, "P").series_import_filter == "whitelist\n^T1"
    assert '"list":"^T1"' in http.get(f"{filters}?contents=true").text
    assert http.put(filters, content="[]").status_code == 400
    assert http.put(f"{filters}?status=disabled").status_code == 200
    assert project_of(script, "P").series_import_filter == ""


def test_a_project_is_made_by_its_id(script: Script) -> None:
    http, path = script.http, "/data/projects/MADE"
    script.http.post(CONFIG, json={"defaultProjectAutoArchiveSetting": "0"})
    made = http.put(f"{path}?name=First", content="<xnat:Project/>")
    assert (made.status_code, made.text) == (201, "MADE")
    again = http.put(path), http.put(f"{path}/?name=Second")
    assert [answer.status_code for answer in again] == [200, 200]
    project = project_of(script, "MADE")
    assert (project.title, int(project.auto_archive)) == ("Second", 0)
    for bad in ("/data/projects/A%20B", "/data/projects/Unassigned", f"{path}?name=%1b"):
        assert http.put(bad).status_code == 400
    script.dock.engine.delete_project("MADE", "test")


def test_processors_are_made_changed_and_deleted(script: Script) -> None:
    http, label = script.http, f"XNAT:{script.dock.port}"
    assert REMAPPING in http.get(f"{PROCESSORS}/classes").json()
    made = http.post(
        f"{PROCESSORS}/site/create",
        json={
            "label": "Remapping",
            "scope": "site",
            "processorClass": REMAPPING,
            "location": "AfterProjectSet",
            "priority": 10,
            "scpWhitelist": [label],
            "parameters": {"table": TABLE},
        },
    )
    assert made.status_code == 200, made.text
    record = made.json()
    path = f"{PROCESSORS}/site/id/{record['id']}"
    assert http.get(path).json() == record
    assert (record["processorClass"], record["location"]) == (REMAPPING, "AfterProjectSet")
    assert http.get(f"{PROCESSORS}/site/list").json() == [record]
    assert http.put(path, json=record).status_code == 304
    assert http.put(path, json={"priority": 7}).json() == record | {"priority": 7}
    for end, expected in ((label, [record["id"]]), ("OTHER:8104", [])):
        found = http.get(f"{PROCESSORS}/site/enabled/receiver/{end}").json()
        assert [each["id"] for each in found] == expected
    can_remap = f"{PROCESSORS}/site/canRemap/receiver"
    assert http.get(f"{can_remap}/{label}").json() is False
    assert script.put(customProcessing=True).status_code == 200
    assert http.get(f"{can_remap}/{label}").json() is True
    assert http.get(f"{can_remap}/NOPE:1").status_code == 404
    assert http.put(path, json={"enabled": False}).json()["enabled"] is False
    assert http.get(f"{PROCESSORS}/site/enabled/summary").json() == []
    assert http.delete(path).json() is True
    assert [http.request(method, path, json={}).status_code for method in ("GET", "PUT")] == [
        404
    ] * 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"processorClass": "org.example.Nothing"}, "processorClass 'org.example.Nothing'"),
        ({"location": "Somewhere"}, "location 'Somewhere': is not a location"),
        ({"scpWhitelist": ["XNAT"]}, "scpWhitelist line 1 'XNAT': is not a receiver"),
        ({"projectIdsList": ["NOPE"]}, "projectIdsList 'NOPE': names no project"),
        ({"parameters": {}}, "file"),
        ({"parameters": []}, "parameters"),
        ({"scope": "project"}, "scope 'project': is not possible here"),
        ({"label": None}, "label"),
        ({"priority": True}, "priority"),
    ],
)
def test_what_is_no_processor_is_refused(
    script: Script, changes: dict[str, Any], words: str
) -> None:
    record = {"label": "R", "processorClass": REMAPPING, "location": "AfterProjectSet"}
    record |= {"parameters": {"table": TABLE}} | changes
    before = revision(script)
    answer = script.http.post(f"{PROCESSORS}/site/create", json=record)
    assert (answer.status_code, words in answer.text) == (400, True), answer.text
    assert revision(script) == before


def test_xnatctl_sets_up_scripts_and_projects(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xnatctl, file = xnatctl_of(script, tmp_path, monkeypatch), tmp_path / "script.das"
    file.write_text(SCRIPT)
    xnatctl("health", "ping")
    assert "P" in [project["id"] for project in xnatctl("project", "list")]
    for scope, end in (([], "site"), (["-P", "P"], "P")):
        xnatctl("anon", "set", *scope, str(file), "--yes")
        xnatctl("anon", "enable", *scope, "--yes")
        assert xnatctl("anon", "show", *scope)["script"] == SCRIPT, end
        xnatctl("anon", "disable", *scope, "--yes")
    assert script.dock.engine.site().script.enabled is False
    assert project_of(script, "P").anonymization_script_enabled is False
    xnatctl("prearchive", "settings", "-P", "P", "--set", "manual", "--yes")
    assert int(project_of(script, "P").auto_archive) == 0
    xnatctl("admin", "site-config", "set", "sessionXmlRebuilderInterval", "9", "--yes")
    assert script.dock.engine.site().sessions.idle_seconds == 540


def test_xnatctl_works_on_the_prearchive(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xnatctl = xnatctl_of(script, tmp_path, monkeypatch)
    script.http.put("/data/projects/P/prearchive_code/0")
    script.labels_of(image(StudyDescription="P", PatientID="E1"))
    script.labels_of(image(StudyDescription="nowhere", PatientID="E2"))
    script.labels_of(image(StudyDescription="nowhere", PatientID="E3"))
    listed = {row["name"]: row for row in xnatctl("prearchive", "list")}
    assert {name: row["project"] for name, row in listed.items()} == {
        "E1": "P",
        "E2": "Unassigned",
        "E3": "Unassigned",
    }
    assert re.fullmatch(r"[0-9]{8}_[0-9]{9}", listed["E1"]["timestamp"])
    named = {name: (row["project"], row["timestamp"], name) for name, row in listed.items()}
    for name in listed:
        xnatctl("prearchive", "rebuild", *named[name])
    xnatctl("prearchive", "archive", *named["E1"])
    xnatctl("prearchive", "move", *named["E2"], "P")
    xnatctl("prearchive", "delete", *named["E3"], "--yes")
    left = xnatctl("prearchive", "list", "--project", "P")
    assert [(row["name"], row["project"], row["status"]) for row in left] == [("E2", "P", "READY")]
    archived = [
        s for s in script.dock.engine.sessions.list(SessionQuery()).sessions if s.label == "E1"
    ]
    assert [session.status for session in archived] == ["ARCHIVED"]


def loaded(data: Path) -> Configuration:
    return ConfigurationStore(data / "config.json", clock=SystemClock()).load()


def test_a_whole_xnat_is_shown_and_then_imported(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    http, engine = script.http, script.dock.engine
    rich = Project("RICH", "Rich one", ("rich-1", "r 2"), anonymization_script=SCRIPT)
    rich = replace(rich, anonymization_script_enabled=True, series_import_filter="whitelist\n^T1")
    engine.save_project(rich, "test")
    http.put(f"{ANONYMIZE}/site", content=SCRIPT)
    http.put(f"{ANONYMIZE}/site/enabled", json=True)
    http.put(f"{RULES}/projectRules", content="(0010,0020):(.*)")
    http.put(f"{RULES}/aaRules?status=disabled", content="(0010,0020):(.*)")
    http.post(CONFIG, json={"sessionXmlRebuilderInterval": 7, "sitewidePetMr": "separate"})
    remapping = {"label": "R", "processorClass": REMAPPING, "location": "AfterProjectSet"}
    remapping |= {"parameters": {"table": TABLE}, "projectIdsList": []}  # type: ignore[dict-item]
    http.post(f"{PROCESSORS}/site/create", json=remapping)
    token, kept, data = tmp_path / "token", tmp_path / "xnat.json", tmp_path / "data"
    token.write_text(script.token)
    command = ["--data", str(data), "import-xnat"]
    source = ["--url", script.url, "--password-file", str(token), "--save", str(kept)]
    assert main([*command, *source]) == 0
    shown = capsys.readouterr()
    assert "project    RICH" in shown.out
    assert f"save 9 records with: import-xnat {kept} --apply" in shown.err
    assert not (data / "config.json").exists()
    assert main([*command, str(kept), "--apply"]) == 0
    imported, source_site = loaded(data), engine.site()
    assert imported.site.routing == source_site.routing
    assert imported.site.script.text == SCRIPT
    assert (imported.site.sessions.idle_seconds, imported.site.sessions.pet_mr) == (420, "separate")
    assert {p.id for p in imported.projects.projects} == {p.id for p in engine.projects()}
    assert replace(imported.projects.project("RICH"), anonymization_script_revision=0) == rich
    assert [r.label for r in imported.receivers] == [f"XNAT:{script.dock.port}"]
    assert [(p.label, dict(p.parameters)) for p in imported.processors] == [("R", {"table": TABLE})]
    capsys.readouterr()
    assert main([*command, str(kept), "--apply"]) == 0
    assert capsys.readouterr().err == "there is nothing to change\n"
    engine.delete_project("RICH", "test")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://x", "is no address of an XNAT"),
        ("http://a:b@x", "is no address of an XNAT"),
        ("http://[", "is no address of an XNAT"),
        ("http://192.0.2.7", "in the clear"),
        ("http://127.0.0.1:9", "can't be reached"),
    ],
)
def test_an_xnat_that_can_not_be_read_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], url: str, words: str
) -> None:
    (tmp_path / "token").write_text("secret")
    command = ["--data", str(tmp_path / "data"), "import-xnat", "--url", url]
    assert main([*command, "--password-file", str(tmp_path / "token")]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "secret" not in said


def test_a_wrong_password_imports_nothing(
    script: Script, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text("wrong")
    command = ["--data", str(tmp_path / "data"), "import-xnat", "--url", script.url, "--apply"]
    assert main([*command, "--password-file", str(tmp_path / "token")]) == 2
    assert "refused the log-in of admin (HTTP 401)" in capsys.readouterr().err
