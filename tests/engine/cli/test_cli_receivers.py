"""Receivers on the command line: listed, added, edited, switched and deleted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.cli import receivers
from tests.engine.cli.outcome import CT1, Run, TypeIn

if TYPE_CHECKING:
    from pathlib import Path

    from engine.config.store import ConfigurationStore


def test_before_the_first_start_the_first_receiver_is_there_and_reading_makes_no_file(
    run: Run, data: Path
) -> None:
    listed = run("receivers", "list")
    assert listed.err == "the first start adds XNAT:8104, unless a receiver is added before\n"
    assert run("receivers", "list", "--json").data["receivers"][0]["label"] == "XNAT:8104"
    assert run("status", "--json").data["receivers"][0]["label"] == "XNAT:8104"
    assert run("export-xnat").data[0]["aeTitle"] == "XNAT"
    assert run("site", "get").code == run("whitelist", "lint").code == 0
    assert run("receivers", "edit", "OTHER", "--port", "8200").code == 4
    assert not any(data.iterdir())
    assert run("receivers", "edit", "XNAT", "--port", "8200").code == 0
    (moved,) = run("receivers", "list", "--json").data["receivers"]
    assert (moved["id"], moved["label"]) == (1, "XNAT:8200")
    assert run("receivers", "delete", "XNAT", "--yes").code == 0
    assert run("receivers", "list", "--json").data["receivers"] == []


def test_receivers_are_listed_as_json(run: Run) -> None:
    run("receivers", "add", *CT1)
    assert run("receivers", "list", "--json").data == {
        "revision": 1,
        "receivers": [
            {
                "id": 1,
                "label": "CT1:8105",
                "ae_title": "CT1",
                "port": 8105,
                "enabled": True,
                "identifier": "dicomObjectIdentifier",
                "file_namer": None,
                "custom_processing": False,
                "direct_archive": False,
                "anonymization": True,
                "whitelist_enabled": False,
                "whitelist": [],
                "routing_enabled": False,
                "project_routing": "",
                "subject_routing": "",
                "session_routing": "",
                "direct_archive_append": False,
                "storage_commitment": True,
                "bind_address": "",
                "limits": {},
                "identifier_settings": {},
                "tls_enabled": False,
                "tls_certificate": "",
                "tls_key": "",
                "tls_ca": "",
                "tls_client": "required",
                "tls_crl": "",
                "certificate": None,
                "callers": None,
                "duplicates": None,
            }
        ],
    }


def test_receivers_are_listed_for_people(run: Run) -> None:
    run("receivers", "add", *CT1, "--no-enabled")
    head, row = run("receivers", "list").out.splitlines()
    assert head.split()[:4] == ["ID", "AE", "TITLE", "PORT"]
    assert row.split() == ["1", "CT1", "8105", "no", "no", "no", "yes", "no", "no",
                           "no", "dicomObjectIdentifier"]  # fmt: skip


def test_an_option_for_every_field(run: Run, tmp_path: Path) -> None:
    lines, rules = tmp_path / "lines", tmp_path / "rules"
    lines.write_text("MR1\n\n10.0.0.0/8\n")
    rules.write_text("(0008,1030):(.*)\n(0032,1060):(.*)\n")
    outcome = run(
        "receivers", "add", *CT1, "--json", "--no-enabled", "--file-namer", "dicomFileNamer",
        "--identifier", "dicomObjectIdentifier", "--custom-processing", "--direct-archive",
        "--no-anonymization", "--whitelist-enabled", "--routing-enabled",
        "--whitelist", f"@{lines}", "--whitelist", "CT1@10.1.2.3", "--whitelist", "CT2",
        "--project-routing", f"@{rules}", "--subject-routing", "(0010,0020):(.*)",
        "--session-routing", "",
    )  # fmt: skip
    assert outcome.code == 0
    record = outcome.data["receiver"]
    assert outcome.data["revision"] == 1
    assert [record[name] for name in ("enabled", "anonymization")] == [False, False]
    switches = ("custom_processing", "direct_archive", "whitelist_enabled", "routing_enabled")
    assert all(record[name] is True for name in switches)
    assert record["whitelist"] == ["MR1", "10.0.0.0/8", "CT1@10.1.2.3", "CT2"]
    assert record["project_routing"] == rules.read_text()
    assert record["subject_routing"] == "(0010,0020):(.*)"
    assert record["file_namer"] == "dicomFileNamer"


def test_an_edit_changes_the_named_fields_only(run: Run) -> None:
    run(
        "receivers",
        "add",
        *CT1,
        "--whitelist",
        "A",
        "--no-anonymization",
        "--file-namer",
        "dicomFileNamer",
    )
    before = run("receivers", "list", "--json").data["receivers"][0]
    edited = run("receivers", "edit", "CT1", "--port", "8200", "--json").data["receiver"]
    assert edited == {**before, "port": 8200, "label": "CT1:8200"}
    emptied = run("receivers", "edit", "1", "--whitelist", "", "--file-namer", "", "--json")
    assert emptied.data["receiver"] == {**edited, "whitelist": [], "file_namer": None}


def test_a_save_warns_of_what_stores_identifying_data_and_of_processing_by_nobody(run: Run) -> None:
    bare = run("receivers", "add", *CT1, "--custom-processing").err
    assert "WARNING: no script or profile is in force: CT1:8105 stores all that identifies" in bare
    assert "WARNING: custom processing is on, but no processor sees its objects" in bare
    run("site", "set", "--profile-enabled")
    assert "WARNING" not in run("receivers", "edit", "CT1", "--no-custom-processing").err
    off = run("receivers", "edit", "CT1", "--no-anonymization").err
    assert "WARNING: anonymization is off: CT1:8105 stores all that identifies a patient" in off


def test_an_edit_that_changes_nothing_makes_no_revision(run: Run) -> None:
    run("receivers", "add", *CT1)
    assert run("receivers", "edit", "CT1", "--port", "8105", "--json").data["revision"] == 1


def test_a_receiver_has_its_own_address_limits_and_append_mode(run: Run) -> None:
    added = run("receivers", "add", *CT1, "--json", "--bind-address", "127.0.0.1",
                "--limit", "idle_seconds=90", "--limit", "pdu_bytes=16384",
                "--direct-archive-append")  # fmt: skip
    record = added.data["receiver"]
    assert record["bind_address"] == "127.0.0.1"
    assert record["limits"] == {"idle_seconds": 90, "pdu_bytes": 16384}
    assert record["direct_archive_append"] is True
    shown = run("receivers", "list").out.splitlines()[1]
    assert shown.endswith("127.0.0.1     idle_seconds=90, pdu_bytes=16384")
    edited = run("receivers", "edit", "CT1", "--json", "--bind-address", "",
                 "--limit", "pdu_bytes=", "--limit", "message_seconds=60",
                 "--no-direct-archive-append")  # fmt: skip
    record = edited.data["receiver"]
    assert record["bind_address"] == ""
    assert record["limits"] == {"idle_seconds": 90, "message_seconds": 60}
    assert record["direct_archive_append"] is False


@pytest.mark.parametrize(
    ("option", "field", "message"),
    [
        (("--limit", "associations=9"), "limits.associations", "is no limit that can be set here"),
        (("--limit", "pdu_bytes=1"), "limits.pdu_bytes", "is outside 4096–1048576"),
        (("--limit", "pdu_bytes=1.5"), "limits.pdu_bytes", "is not a whole number"),
        (("--bind-address", "here"), "bind_address", "is not an address"),
    ],
)
def test_a_limit_or_address_that_can_not_be_is_told(
    run: Run, option: tuple[str, ...], field: str, message: str
) -> None:
    outcome = run("receivers", "add", *CT1, *option, "--json")
    assert outcome.code == 2
    (problem,) = outcome.error["problems"]
    assert (problem["field"], problem["message"]) == (field, message)
    assert problem["remedy"]


def test_an_edit_does_not_overwrite_what_was_changed_meanwhile(
    run: Run, store: ConfigurationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("receivers", "add", *CT1)
    (seen,) = store.load().receivers

    def change_first() -> str:
        store.save_receiver(replace(seen, port=8200), "berta")
        return "anna"

    monkeypatch.setattr(receivers, "actor", change_first)
    outcome = run("receivers", "edit", "CT1", "--no-anonymization", "--json")
    assert (outcome.code, outcome.out) == (6, "")
    assert outcome.error["title"] == "Changed meanwhile"
    assert "CT1:8200 was changed by berta" in outcome.error["detail"]
    assert "port: 8105 → 8200" in outcome.error["detail"]
    assert store.load().receivers == (replace(seen, port=8200),)


def test_a_whitelist_that_is_not_in_force_is_pointed_out(run: Run) -> None:
    assert "--whitelist-enabled" in run("receivers", "add", *CT1, "--whitelist", "A").err
    assert "--whitelist-enabled" not in run("receivers", "edit", "1", "--whitelist-enabled").err


def test_a_receiver_is_disabled_and_enabled(run: Run) -> None:
    run("receivers", "add", *CT1)
    for verb, enabled in (("disable", False), ("enable", True)):
        outcome = run("receivers", verb, "CT1:8105", "--json")
        assert outcome.data["receiver"]["enabled"] is enabled
    assert run("receivers", "disable", "1").err == "disabled CT1:8105, revision 4\n"


@pytest.mark.parametrize("name", ["1", "CT1", "CT1:8105"])
def test_a_receiver_is_named_by_id_title_or_title_and_port(run: Run, name: str) -> None:
    run("receivers", "add", *CT1)
    assert run("receivers", "delete", name, "--yes", "--json").data["receiver"]["id"] == 1
    assert run("receivers", "list", "--json").data == {"revision": 2, "receivers": []}


def test_a_name_that_may_mean_two_receivers_is_refused(run: Run) -> None:
    run("receivers", "add", *CT1)
    run("receivers", "add", "--ae-title", "CT1", "--port", "8106")
    run("receivers", "add", "--ae-title", "2", "--port", "8107")
    outcome = run("receivers", "delete", "CT1", "--yes", "--json")
    assert outcome.code == 4
    assert outcome.error["detail"] == "'CT1' may mean CT1:8105, CT1:8106"
    assert run("receivers", "delete", "2", "--yes").code == 4
    assert run("receivers", "delete", "2:8107", "--yes").code == 0


@pytest.mark.parametrize("verb", ["edit", "enable", "disable", "delete"])
def test_a_receiver_that_does_not_exist(run: Run, verb: str) -> None:
    outcome = run("receivers", verb, "NOPE")
    assert outcome.code == 4
    assert outcome.out == ""
    assert outcome.err.splitlines() == [
        "Not found:",
        "  there is no receiver 'NOPE'",
        "  → list them with: receivers list",
    ]


def test_a_deletion_without_a_terminal_needs_a_yes(run: Run, stdin: TypeIn) -> None:
    run("receivers", "add", *CT1)
    stdin("y\n", False)
    outcome = run("receivers", "delete", "CT1")
    assert outcome.code == 10
    assert "add --yes" in outcome.err
    assert len(run("receivers", "list", "--json").data["receivers"]) == 1


@pytest.mark.parametrize(
    ("answer", "deleted"),
    [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False), ("yep\n", False)],
)
def test_a_deletion_at_a_terminal_asks(run: Run, stdin: TypeIn, answer: str, deleted: bool) -> None:
    run("receivers", "add", *CT1)
    stdin(answer, True)
    outcome = run("receivers", "delete", "CT1")
    assert "Delete receiver CT1:8105? [y/N] " in outcome.err
    assert outcome.code == (0 if deleted else 10)
    assert bool(run("receivers", "list", "--json").data["receivers"]) is not deleted


def test_a_change_warns_if_an_engine_could_have_too_few_files_for_every_association(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.host.open_files.descriptors_allowed", lambda: 900)
    words = "only 900 files and connections may be open at once"
    assert words in run("receivers", "add", "--ae-title", "CT1", "--port", "8105").err
    assert words not in run("site", "set", "--limit", "associations=100").err
    assert words not in run("receivers", "edit", "CT1", "--port", "8106").err
