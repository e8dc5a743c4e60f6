"""Revisions on the command line: listed, shown, compared, taken back and brought back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.config.revisions import BY_HAND
from engine.config.store import ConfigurationStore
from engine.errors import StorageUnusable
from engine.host import terminal
from engine.model.peer import AETitle
from engine.model.project import Project
from engine.model.receiver import Receiver
from engine.model.site import SiteSettings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.cli.outcome import Run, TypeIn


@pytest.fixture
def four_revisions(store: ConfigurationStore) -> ConfigurationStore:
    _, ct1 = store.save_receiver(Receiver(0, AETitle("CT1"), 8105), "anna")
    store.save_receiver(replace(ct1, port=8106, limits=(("idle_seconds", 90),)), "berta")
    store.save_project(Project("BRAIN"), "anna from 10.0.0.5")
    store.set_site(SiteSettings(bind_address="127.0.0.1"), "carla")
    return store


def edit_by_hand(data: Path, port: int) -> None:
    file = data / "config.json"
    tables = json.loads(file.read_text())
    tables["receivers"]["1"]["port"] = port
    file.write_text(json.dumps(tables))


def sentences(differences: list[dict[str, Any]]) -> list[str]:
    return [difference["sentence"] for difference in differences]


SITE = "site bind_address: nothing → 127.0.0.1"


@pytest.mark.usefixtures("four_revisions")
def test_the_history_tells_who_changed_what_and_when(run: Run) -> None:
    told = run("config", "history", "--json").data["revisions"]
    assert [(r["revision"], r["changed_by"], sentences(r["differences"])) for r in told] == [
        (4, "carla", [SITE]),
        (3, "anna from 10.0.0.5", ["project BRAIN added"]),
        (
            2,
            "berta",
            [
                "receiver CT1:8105 port: 8105 → 8106",
                "receiver CT1:8105 limits.idle_seconds: nothing → 90",
            ],
        ),
        (1, "anna", ["receiver CT1:8105 added"]),
    ]
    assert all(r["changed_at"] for r in told)
    head, newest, *_ = run("config", "history").out.splitlines()
    assert head.split() == ["REVISION", "TIME", "AUTHOR", "CHANGES", "DIFFERENCES"]
    assert newest.startswith("4 ")
    assert newest.endswith(f"carla               1        {SITE}")


@pytest.mark.usefixtures("four_revisions")
def test_the_history_is_limited_and_says_that_there_is_more(run: Run) -> None:
    outcome = run("config", "history", "--limit", "2", "--json")
    assert [r["revision"] for r in outcome.data["revisions"]] == [4, 3]
    assert "there are earlier ones" in outcome.err
    assert run("config", "history", "--limit", "4").err == ""


def test_the_history_of_nothing_is_empty_and_makes_nothing(run: Run, data: Path) -> None:
    assert run("config", "history", "--json").data == {"revisions": []}
    assert run("config", "history").out.count("\n") == 1
    assert not any(data.iterdir())


@pytest.mark.usefixtures("four_revisions")
@pytest.mark.parametrize("verb", ["history", "diff", "show"])
def test_the_next_command_makes_a_revision_of_an_edit_by_hand(
    run: Run, data: Path, verb: str
) -> None:
    edit_by_hand(data, 8200)
    assert run("config", verb).code == 0
    newest, *_ = run("config", "history", "--json").data["revisions"]
    assert (newest["revision"], newest["changed_by"]) == (5, BY_HAND)
    assert sentences(newest["differences"]) == ["receiver CT1:8106 port: 8106 → 8200"]
    compared = run("config", "diff", "--json").data
    assert compared["differences"] == newest["differences"]


@pytest.mark.usefixtures("four_revisions")
def test_an_edit_that_can_not_be_kept_yet_is_pointed_out_and_compared(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_by_hand(data, 8200)

    def refuse(_: object) -> None:
        raise StorageUnusable("config.json.lock: Permission denied")

    monkeypatch.setattr(ConfigurationStore, "adopt", refuse)
    assert "the next change makes a revision" in run("config", "history").err
    compared = run("config", "diff", "--json").data
    assert sentences(compared["differences"]) == ["receiver CT1:8106 port: 8106 → 8200"]


@pytest.mark.usefixtures("four_revisions")
def test_a_broken_file_does_not_hide_the_history(run: Run, data: Path) -> None:
    (data / "config.json").write_text("{")
    outcome = run("config", "history", "--json")
    assert (outcome.code, len(outcome.data["revisions"])) == (0, 4)


@pytest.mark.usefixtures("four_revisions")
def test_a_revision_and_what_is_in_force_are_shown(run: Run) -> None:
    now = run("config", "show", "--json").data
    assert (now["revision"], now["changed_by"]) == (4, "carla")
    assert now["site"]["bind_address"] == "127.0.0.1"
    assert [project["id"] for project in now["projects"]] == ["BRAIN"]
    assert [receiver["label"] for receiver in now["receivers"]] == ["CT1:8106"]
    first = run("config", "show", "1", "--json").data
    assert (first["revision"], first["projects"]) == (1, [])
    assert [receiver["label"] for receiver in first["receivers"]] == ["CT1:8105"]
    rows = [line.split() for line in run("config", "show", "2").out.splitlines()]
    assert ["receiver", "CT1:8106", "limits.idle_seconds", "90"] in rows
    assert ["site", "limits.associations", "200"] in rows


@pytest.mark.parametrize(
    ("span", "ends", "expected"),
    [
        ((), (3, 4), [SITE]),
        (("3",), (3, 4), [SITE]),
        (("2", "4"), (2, 4), ["project BRAIN added", SITE]),
        (("4", "2"), (4, 2), ["project BRAIN removed", "site bind_address: 127.0.0.1 → nothing"]),
        (("2", "2"), (2, 2), []),
    ],
)
@pytest.mark.usefixtures("four_revisions")
def test_two_revisions_are_compared(
    run: Run, span: tuple[str, ...], ends: tuple[int, int], expected: list[str]
) -> None:
    told = run("config", "diff", *span, "--json").data
    assert (told["from"], told["to"]) == ends
    assert sentences(told["differences"]) == expected
    assert run("config", "diff", *span).out.splitlines() == ["DIFFERENCE", *expected]


def test_the_first_change_is_compared_with_nothing(run: Run, store: ConfigurationStore) -> None:
    store.save_project(Project("BRAIN"), "anna")
    outcome = run("config", "diff", "--json")
    assert sentences(outcome.data["differences"]) == ["project BRAIN added"]


@pytest.mark.usefixtures("four_revisions")
def test_undo_shows_what_it_took_back_and_can_be_undone(
    run: Run, store: ConfigurationStore
) -> None:
    before = store.load()
    outcome = run("config", "undo", "--yes")
    assert outcome.out.splitlines() == ["DIFFERENCE", SITE]
    assert outcome.err == "took back revision 4, made by carla; this is revision 5\n"
    again = run("config", "undo", "--json", "--yes").data
    assert again["revision"] == 6
    assert sentences(again["undone"]) == ["site bind_address: 127.0.0.1 → nothing"]
    assert store.load().site == before.site


@pytest.mark.usefixtures("four_revisions")
def test_undo_takes_back_an_edit_by_hand_and_nothing_else(
    run: Run, data: Path, store: ConfigurationStore
) -> None:
    before = store.load()
    edit_by_hand(data, 8200)
    told = run("config", "undo", "--json", "--yes").data
    assert sentences(told["undone"]) == ["receiver CT1:8106 port: 8106 → 8200"]
    after = store.load()
    assert (after.receivers, after.site) == (before.receivers, before.site)


@pytest.mark.parametrize("verb", [("undo", "--yes"), ("restore", "1"), ("show", "1"), ("diff", "1"),
                                  ("diff",)])  # fmt: skip
def test_what_is_not_kept_is_told_and_makes_nothing(
    run: Run, data: Path, verb: tuple[str, ...]
) -> None:
    outcome = run("config", *verb, "--json")
    assert (outcome.code, outcome.out) == (4, "")
    assert outcome.error["remedy"]
    assert not any(data.iterdir())


def test_a_revision_that_is_gone_names_those_that_are_kept(
    run: Run, four_revisions: ConfigurationStore
) -> None:
    error = run("config", "restore", "999999999", "--yes", "--json").error
    assert error["detail"] == "revision 999999999 is not kept"
    assert error["remedy"] == "kept revisions: 1 to 4"
    assert four_revisions.load().revision == 4


@pytest.mark.usefixtures("four_revisions")
def test_a_restored_revision_is_a_new_one(run: Run, store: ConfigurationStore) -> None:
    outcome = run("config", "restore", "2", "--yes")
    assert outcome.out.splitlines()[1:] == [
        "project BRAIN removed",
        "site bind_address: 127.0.0.1 → nothing",
    ]
    assert outcome.err == "restored revision 2 as revision 5\n"
    told = run("config", "restore", "4", "--yes", "--json").data
    assert (told["revision"], len(told["differences"])) == (6, 2)
    same = run("config", "restore", "6")
    assert same.code == 0
    assert "nothing was changed" in same.err
    assert store.load().revision == 6


@pytest.mark.parametrize(("answer", "code", "revision"), [("y\n", 0, 5), ("n\n", 10, 4)])
@pytest.mark.usefixtures("four_revisions")
def test_a_restore_at_a_terminal_shows_the_differences_and_asks(
    run: Run, stdin: TypeIn, store: ConfigurationStore, answer: str, code: int, revision: int
) -> None:
    stdin(answer, True)
    outcome = run("config", "restore", "3")
    assert outcome.code == code
    assert "site bind_address: 127.0.0.1 → nothing" in outcome.out
    assert "Restore revision 3, with 1 difference? [y/N] " in outcome.err
    assert store.load().revision == revision


@pytest.mark.usefixtures("four_revisions")
def test_a_restore_without_a_terminal_needs_a_yes(
    run: Run, stdin: TypeIn, store: ConfigurationStore
) -> None:
    stdin("y\n", False)
    outcome = run("config", "restore", "3")
    assert outcome.code == 10
    assert "Nothing was changed" in outcome.err
    assert "add --yes" in outcome.err
    assert store.load().revision == 4


def test_a_restore_does_not_overwrite_what_was_changed_while_it_asked(
    run: Run, four_revisions: ConfigurationStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(_question: str, *, already: bool) -> None:
        four_revisions.save_project(Project("HEART"), "dora")

    monkeypatch.setattr(terminal, "confirm", change)
    outcome = run("config", "restore", "3", "--json")
    assert (outcome.code, outcome.out) == (6, "")
    assert "the configuration was changed by dora" in outcome.error["detail"]
    assert "project HEART added" in outcome.error["detail"]
    assert four_revisions.load().revision == 5


@pytest.mark.parametrize("content", ["", "{", "null", "[]", '{"receivers": 1}', "\x00", "[" * 9999])
def test_a_torn_revision_is_told_without_a_traceback(
    run: Run, data: Path, four_revisions: ConfigurationStore, content: str
) -> None:
    (data / "config.history" / "00000003.json").write_text(content)
    for command in (("show", "3"), ("diff", "3"), ("restore", "3", "--yes")):
        outcome = run("config", *command)
        assert outcome.code in {0, 1, 2, 4}
        assert "Traceback" not in outcome.err
        assert outcome.err or outcome.code == 0
    said = run("config", "history").err
    assert "1 revision can't be read: 3; see why with: config show N" in said
    assert four_revisions.load().revision == 4


def test_hostile_names_of_a_file_do_not_reach_the_terminal(
    run: Run, data: Path, four_revisions: ConfigurationStore
) -> None:
    file = data / "config.json"
    tables = json.loads(file.read_text())
    tables["receivers"]["1"]["whitelist"] = ["\x1b[2J\u202e"]
    tables["meta"]["1"]["changed_by"] = "\x1b]0;x\x07"
    file.write_text(json.dumps(tables))
    four_revisions.adopt()
    for command in (
        ("history",),
        ("show",),
        ("diff",),
        ("undo", "--yes"),
        ("restore", "5", "--yes"),
    ):
        for form in ((), ("--json",)):
            outcome = run("config", *command, *form)
            said = outcome.out + outcome.err
            assert all(c.isprintable() or c == "\n" for c in said), command
