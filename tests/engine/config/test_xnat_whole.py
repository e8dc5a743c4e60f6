"""A whole XNAT as a file: what is planned, what is refused, and what is left out without a loss."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.config.store import ConfigurationStore
from engine.config.xnat.receivers import ImportKind, ImportOutcome, InvalidImport
from engine.config.xnat.whole import PARTS, Plan, XnatExport, plan_whole, read_export
from engine.errors import ChangedMeanwhile
from engine.host.clock import SystemClock
from engine.model.configuration import Configuration
from engine.model.plugins import DEFAULT_IDENTIFIERS
from engine.model.processor import ProcessorRules
from engine.model.project import Project, ProjectRegistry
from engine.processing.installed import load_processors, rules_of

if TYPE_CHECKING:
    from pathlib import Path


RECEIVER = {"aeTitle": "A", "port": 8104, "identifier": "dicomObjectIdentifier"}
MIZER = "org.nrg.xnat.processors.MizerArchiveProcessor"
REMAPPING = "org.nrg.xnat.processors.StudyRemappingArchiveProcessor"
SCRIPT = 'version "6.6"\n(0010,0010) := "X"\n'
SITE_AS_XNAT_SEEDS_IT = {
    "siteUrl": "https://xnat.example.org",
    "enableDicomReceiver": True,
    "enableDirectArchiveAppend": True,
    "rerunProjectAnonOnRename": True,
    "preventCrossModalityMerge": False,
    "enableSitewideAnonymizationScript": True,
    "sessionXmlRebuilderInterval": 5,
    "sessionXmlRebuilderRepeat": 60000,
    "enableSitewideSeriesImportFilter": False,
    "sitewideSeriesImportFilterMode": "blacklist",
    "sitewideSeriesImportFilter": "",
    "sitewidePetMr": "",
    "dicomFileNameTemplate": None,
}


@pytest.fixture(scope="module")
def rules() -> ProcessorRules:
    return rules_of(load_processors())


EMPTY = Configuration()


def plan(rules: ProcessorRules, before: Configuration = EMPTY, **parts: Any) -> Plan:
    export = read_export(json.dumps(parts))
    assert export is not None
    return plan_whole(export, before, DEFAULT_IDENTIFIERS, rules)


def outcomes(planned: Plan) -> list[tuple[str, str, str]]:
    return [(item.kind, item.label, item.outcome) for item in planned.items]


def test_an_xnat_as_it_is_installed_is_imported(rules: ProcessorRules) -> None:
    planned = plan(
        rules,
        siteConfig=SITE_AS_XNAT_SEEDS_IT,
        siteScript=SCRIPT,
        receivers=[RECEIVER],
        processors=[
            {"label": "Site Anonymization", "processorClass": MIZER},
            {"label": "Remapping", "processorClass": REMAPPING, "location": "AfterProjectSet"},
        ],
    )
    assert outcomes(planned) == [
        ("site", "site", "changed"),
        ("site", "site", "left out"),
        ("receiver", "A:8104", "new"),
        ("processor", "Site Anonymization", "left out"),
        ("processor", "Remapping", "left out"),
    ]
    assert planned.after.site.sessions.rerun_script_on_rename
    assert planned.items[1].problems[0].field == "preventCrossModalityMerge"
    assert planned.after.site.direct_archive_append
    assert (planned.after.site.script.enabled, planned.after.site.script.text) == (True, SCRIPT)


def test_receivers_and_processors_may_name_projects_that_come_with_them(
    rules: ProcessorRules,
) -> None:
    processor = {"label": "R", "processorClass": "setElements", "location": "AfterProjectSet"}
    processor |= {"projectIdsList": ["P"], "parameters": {"script": SCRIPT}}  # type: ignore[dict-item]
    alone = plan(rules, processors=[processor])
    assert "names no project" in alone.items[0].problems[0].message
    project = {"id": "P", "title": "Pe", "aliases": ["p-1"], "prearchiveCode": "0"}
    project |= {"filter": {"enabled": True, "mode": "whitelist", "list": "^T1"}}  # type: ignore[dict-item]
    planned = plan(rules, processors=[processor], projects=[project])
    assert outcomes(planned) == [("project", "P", "new"), ("processor", "R", "new")]
    saved = planned.after.projects.project("P")
    assert (saved.aliases, int(saved.auto_archive)) == (("p-1",), 0)
    assert saved.series_import_filter == "whitelist\n^T1"


@pytest.mark.parametrize(
    ("part", "content", "words"),
    [
        ("siteConfig", {"enableSitewideAnonymizationScript": "perhaps"}, "is not a switch"),
        ("siteConfig", {"enableSitewideAnonymizationScript": True}, "there is no script"),
        ("siteScript", "version 4", "site.anonymization_script"),
        ("siteRules", {"petRules": {"contents": "x", "status": "enabled"}}, "siteRules.petRules"),
        ("siteRules", {"projectRules": "(0010,0010):(.*)"}, "are no rules"),
        ("siteRules", {"projectRules": {"contents": "(", "status": "enabled"}}, "project_routing"),
        ("projects", [{"id": "A B"}], "is not a project id"),
        ("projects", [{}], "id"),
        ("projects", [{"id": "P"}, {"id": "P"}], "is in the file twice"),
        ("projects", [{"id": "P"}, {"id": "Q", "aliases": ["P"]}], "already names project P"),
        ("projects", [{"id": "P", "prearchiveCode": "11"}], "is not an auto-archive code"),
        ("projects", [{"id": "P", "script": "remove all"}], "anonymization_script"),
        ("projects", [{"id": "P", "filter": {"mode": "modalityMap", "list": "x"}}], "filter.mode"),
        ("projects", [{"id": "P", "filter": {"enabled": 7}}], "filter.enabled"),
        ("projects", [{"id": "P", "filter": {"list": " "}}], "filter.enabled"),
        ("projects", [{"id": "P", "filter": []}], "is not a filter"),
        ("processors", [{"label": "D", "processorClass": "org.x.Dqr"}], "is not installed"),
        ("processors", [{"processorClass": "setElements"}], "label"),
        ("receivers", [{**RECEIVER, "port": 0}], "port"),
    ],
)
def test_what_can_not_be_represented_is_refused_in_words(
    rules: ProcessorRules, part: str, content: Any, words: str
) -> None:
    refused = [
        i for i in plan(rules, **{part: content}).items if i.outcome is ImportOutcome.REFUSED
    ]
    assert refused
    assert any(words in problem.sentence() for problem in refused[0].problems)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"receivers": {}}', "receivers"),
        ('{"receivers": [], "pacs": []}', "pacs"),
        ('{"projects": [7]}', "projects"),
        ('{"siteConfig": []}', "siteConfig"),
        ('{"siteScript": "\\ud800"}', "file"),
    ],
)
def test_a_file_that_is_no_xnat_names_its_member(text: str, field: str) -> None:
    with pytest.raises(InvalidImport) as refused:
        read_export(text)
    assert [problem.field for problem in refused.value.problems] == [field]


@pytest.mark.parametrize("text", ["[]", "{}", json.dumps(RECEIVER), "7"])
def test_a_file_of_receivers_is_not_a_whole_xnat(text: str) -> None:
    assert read_export(text) is None


NAMES = [
    *("id", "title", "aliases", "prearchiveCode", "script", "scriptEnabled", "filter", "mode"),
    *("list", "enabled", "label", "processorClass", "location", "parameters", "projectIdsList"),
    *("projectRules", "aaRules", "contents", "status", *SITE_AS_XNAT_SEEDS_IT),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=20,
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from(PARTS), JSON, min_size=1, max_size=3))
def test_any_json_is_planned_or_refused_in_words(content: dict[str, Any]) -> None:
    try:
        export = read_export(json.dumps(content))
    except InvalidImport as error:
        assert error.problems
    else:
        assert export is not None
        items = plan_whole(export, EMPTY, DEFAULT_IDENTIFIERS, ProcessorRules()).items
        assert all(item.value or item.problems for item in items)


def test_a_plan_is_saved_as_one_revision_or_not_at_all(
    rules: ProcessorRules, tmp_path: Path
) -> None:
    store = ConfigurationStore(tmp_path / "config.json", clock=SystemClock(), processors=rules)
    seen = store.load()
    parts = {"projects": [{"id": "P"}, {"id": "Q"}], "receivers": [RECEIVER]}
    planned = plan(rules, seen, siteConfig={"sessionXmlRebuilderInterval": 2}, **parts)
    saved = store.save_plan(planned.after, seen, "anna")
    assert (saved.revision, len(saved.projects.projects), len(saved.receivers)) == (1, 2, 1)
    assert saved.site.sessions.idle_seconds == 120
    again = plan(rules, saved, siteConfig={"sessionXmlRebuilderInterval": 2}, **parts)
    assert {outcome for _kind, _label, outcome in outcomes(again)} == {"equal"}
    with pytest.raises(ChangedMeanwhile):
        store.save_plan(planned.after, seen, "anna")
    assert store.load() == saved


def test_a_known_project_keeps_what_xnat_does_not_have(rules: ProcessorRules) -> None:
    known = Project("P", archive_folder="arc007", aliases=("old",))
    before = Configuration(projects=ProjectRegistry((known,)))
    planned = plan(rules, before, projects=[{"id": "P", "title": "New"}])
    (item,) = planned.items
    assert (item.kind, item.outcome) == (ImportKind.PROJECT, ImportOutcome.CHANGED)
    assert [difference.sentence() for difference in item.differences] == [
        "project P title: nothing → New"
    ]
    assert planned.after.projects.project("P").archive_folder == "arc007"
    assert plan_whole(XnatExport(), before, DEFAULT_IDENTIFIERS, rules).after == before
