"""Whitelists on the command line: tried with a caller, reviewed, and extended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.index.store import SessionIndex
from engine.index.writer import WhitelistUse
from tests.engine.cli.outcome import CT1

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.cli.outcome import Run

CALLER = ("--calling", "CT1", "--ip", "10.1.2.3")


def add(run: Run, *lines: str, on: bool = True) -> None:
    options = [f"--whitelist={line}" for line in lines]
    switch = "--whitelist-enabled" if on else "--no-whitelist-enabled"
    assert run("receivers", "add", *CT1, switch, *options).code == 0


@pytest.mark.parametrize(
    ("lines", "by"),
    [
        (["CT1"], 1),
        (["10.1.2.3"], 1),
        (["10.1.2.99/24"], 1),
        (["0.0.0.0/0"], 1),
        (["CT1@10.0.0.0/8"], 1),
        (["CT1@10.9.9.9", "10.1.2.3"], 2),
        (["X", "CT1", "10.1.2.3"], 2),
    ],
)
def test_an_admitted_caller_is_told_the_line(run: Run, lines: list[str], by: int) -> None:
    add(run, *lines)
    outcome = run("whitelist", "test", "CT1", *CALLER, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.data["admitted"] is True
    assert outcome.data["admitted_by"]["line"] == by
    assert outcome.data["admitted_by"]["text"] == lines[by - 1]
    assert outcome.data["nearest"] is None
    row = run("whitelist", "test", "CT1", *CALLER).out.splitlines()[1]
    assert row.split()[:3] == ["admitted", str(by), lines[by - 1]]


@pytest.mark.parametrize(
    ("lines", "nearest", "why"),
    [
        ([], None, "the whitelist is empty, which keeps everybody out"),
        (["ct1"], 1, "but its AE title ct1 differs in upper and lower case"),
        (["X", "CT1@10.9.9.9"], 2, "but 10.1.2.3 is not in 10.9.9.9/32"),
        (["CT2@10.1.2.3"], 1, "but its AE title CT2 differs from the caller's"),
        (["ct1@::/0"], 1, "in upper and lower case and 10.1.2.3 is not in ::/0"),
        (["X"], None, "calling AE title CT1 from 10.1.2.3 is on no whitelist line"),
    ],
)
def test_a_refused_caller_is_told_the_nearest_line_and_why(
    run: Run, lines: list[str], nearest: int | None, why: str
) -> None:
    add(run, *lines)
    outcome = run("whitelist", "test", "CT1", *CALLER, "--json")
    assert outcome.code == 1
    assert outcome.data["admitted"] is False
    assert outcome.data["admitted_by"] is None
    assert (outcome.data["nearest"] or {}).get("line") == nearest
    assert why in outcome.data["why"]
    table = run("whitelist", "test", "CT1", *CALLER)
    assert table.code == 1
    assert table.out.splitlines()[1].startswith("refused")
    assert why in table.out


def test_a_whitelist_that_is_off_admits_everybody_and_says_so(run: Run) -> None:
    add(run, "CT2", on=False)
    outcome = run("whitelist", "test", "CT1", *CALLER, "--json")
    assert outcome.code == 0
    assert (outcome.data["whitelist_enabled"], outcome.data["admitted"]) == (False, True)
    assert outcome.data["admitted_by"] is None
    assert outcome.data["why"].startswith(
        "the whitelist is off, so everybody may connect; if it were on: calling AE title CT1"
    )
    run("receivers", "edit", "CT1", "--whitelist", "CT1")
    why = run("whitelist", "test", "CT1", *CALLER, "--json").data["why"]
    assert why.endswith("if it were on: admitted as CT1 from any address")


def test_a_whitelist_that_is_off_may_hold_lines_that_are_not_valid(run: Run) -> None:
    add(run, "CT1", "10.0.0.0/33", on=False)
    outcome = run("whitelist", "test", "CT1", *CALLER, "--json")
    assert outcome.code == 0
    assert "if it were on: the whitelist is not valid: whitelist line 2" in outcome.data["why"]


def test_a_disabled_receiver_is_pointed_out(run: Run) -> None:
    run("receivers", "add", *CT1, "--no-enabled")
    outcome = run("whitelist", "test", "CT1", *CALLER)
    assert outcome.code == 0
    assert "CT1:8105 is disabled" in outcome.err


def test_an_address_in_another_spelling_is_the_same_caller(run: Run) -> None:
    add(run, "10.1.2.3")
    spelled = ("--calling", " CT1 ", "--ip", " ::ffff:10.1.2.3 ")
    assert run("whitelist", "test", "CT1", *spelled).code == 0


@pytest.mark.parametrize("verb", ["test", "propose"])
@pytest.mark.parametrize(
    ("caller", "field"),
    [
        (("--calling", "A\\B", "--ip", "10.1.2.3"), "calling"),
        (("--calling", "", "--ip", "10.1.2.3"), "calling"),
        (("--calling", "\x1b[2J", "--ip", "10.1.2.3"), "calling"),
        (("--calling", "CT1", "--ip", "10.1.2"), "ip"),
        (("--calling", "CT1", "--ip", "localhost"), "ip"),
        (("--calling", "CT1", "--ip", "10.0.0.0/8"), "ip"),
        (("--calling", "CT1", "--ip", "\x1b[2J" * 999), "ip"),
    ],
)
def test_a_caller_that_can_not_be_is_told(
    run: Run, verb: str, caller: tuple[str, ...], field: str
) -> None:
    add(run)
    outcome = run("whitelist", verb, "CT1", *caller, "--json")
    assert (outcome.code, outcome.out) == (2, "")
    (problem,) = outcome.error["problems"]
    assert problem["field"] == field
    assert problem["remedy"]
    assert "\x1b" not in run("whitelist", verb, "CT1", *caller).err


def test_a_receiver_that_does_not_exist_is_told(run: Run) -> None:
    for command in (("test", *CALLER), ("lint",), ("propose", *CALLER)):
        assert run("whitelist", *command, "NOPE").code == 4


def test_odd_lines_are_listed_with_their_numbers(run: Run) -> None:
    add(run, "CT1", "CT1@10.0.0.0/8", "0.0.0.0/0", "1234", "CT1")
    outcome = run("whitelist", "lint", "CT1", "--json")
    assert outcome.code == 1
    found = [(f["receiver"], f["line"], f["finding"]) for f in outcome.data["findings"]]
    assert found == [
        ("CT1:8105", 2, "shadowed"),
        ("CT1:8105", 3, "everybody"),
        ("CT1:8105", 4, "digits"),
        ("CT1:8105", 5, "duplicate"),
    ]
    assert run("whitelist", "lint").out.splitlines()[1].split()[:4] == [
        "CT1:8105", "2", "CT1@10.0.0.0/8", "shadowed"]  # fmt: skip


def test_invalid_lines_of_a_whitelist_that_is_off_are_found_beside_the_odd_ones(run: Run) -> None:
    add(run, "CT1", "10.0.0.0/33", "CT1@10.1.2.3", "x@y", on=False)
    found = run("whitelist", "lint", "--json").data["findings"]
    assert [(f["line"], f["finding"]) for f in found] == [
        (2, "invalid"),
        (3, "shadowed"),
        (4, "invalid"),
    ]
    assert "the prefix length must be 0 to 32" in found[0]["message"]


def test_all_receivers_are_reviewed_if_none_is_named(run: Run) -> None:
    add(run, "CT1")
    run("receivers", "add", "--ae-title", "MR1", "--port", "8106", "--whitelist", "1234")
    found = run("whitelist", "lint", "--json").data["findings"]
    assert [f["receiver"] for f in found] == ["MR1:8106"]
    assert run("whitelist", "lint", "CT1").code == 0
    assert run("whitelist", "lint", "CT1", "MR1").code == 1


def test_lines_are_proposed_narrowest_first_with_whom_else_they_let_in(run: Run) -> None:
    told = run("whitelist", "propose", *CALLER, "--json").data
    assert told["proposals"] == [
        {"text": "CT1@10.1.2.3", "also_admits": "nobody else"},
        {
            "text": "CT1@10.1.2.0/24",
            "also_admits": "CT1 from all 256 addresses of 10.1.2.0/24",
        },
        {"text": "CT1", "also_admits": "everybody who calls itself CT1, from anywhere"},
        {"text": "10.1.2.3", "also_admits": "every AE title from 10.1.2.3"},
    ]
    assert (told["receiver"], told["admitted_by"]) == (None, None)
    rows = run("whitelist", "propose", *CALLER).out.splitlines()
    assert rows[1] == "CT1@10.1.2.3     nobody else"


def test_the_command_that_is_proposed_for_a_receiver_adds_the_line(run: Run) -> None:
    add(run, "A B", "10.9.0.0/16")
    said = run("whitelist", "propose", *CALLER, "CT1").err
    assert said == (
        "add the first with: receivers edit CT1:8105 '--whitelist=A B' "
        "--whitelist=10.9.0.0/16 --whitelist=CT1@10.1.2.3\n"
    )
    run("receivers", "edit", "CT1:8105", "--whitelist=A B", "--whitelist=10.9.0.0/16",
        "--whitelist=CT1@10.1.2.3")  # fmt: skip
    assert run("whitelist", "test", "CT1", *CALLER).code == 0
    assert (
        "on the whitelist already: CT1@10.1.2.3" in run("whitelist", "propose", *CALLER, "CT1").err
    )
    told = run("whitelist", "propose", *CALLER, "CT1", "--json").data
    assert (told["receiver"], told["admitted_by"]) == ("CT1:8105", "CT1@10.1.2.3")


def test_hostile_lines_are_shown_as_escapes(run: Run, data: Path) -> None:
    record = {"ae_title": "CT1", "port": 8105, "whitelist": ["\x1b[2J", "A\u202eB"]}
    (data / "config.json").write_text(json.dumps({"receivers": {"1": record}}))
    for command in (("lint",), ("test", "CT1", *CALLER), ("propose", "CT1", *CALLER)):
        outcome = run("whitelist", *command)
        assert all(c.isprintable() or c == "\n" for c in outcome.out + outcome.err)


def test_a_line_that_never_let_anybody_in_is_listed_once_others_did(run: Run, data: Path) -> None:
    add(run, "CT1", "MR1")
    assert run("whitelist", "lint").code == 0
    index = SessionIndex(data / "index.sqlite", durable=False)
    index.record(WhitelistUse("CT1:8105", "CT1", "2026-11-24T10:00:00+00:00"))
    index.close()
    found = run("whitelist", "lint", "--json").data["findings"]
    assert [(f["text"], f["finding"]) for f in found] == [("MR1", "unused")]
    run("receivers", "edit", "CT1", "--no-whitelist-enabled")
    assert run("whitelist", "lint").code == 0
