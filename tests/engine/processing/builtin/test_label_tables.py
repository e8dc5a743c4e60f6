"""Tables of labels: what is one, and that a bad one never takes the place of a good one."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from engine.processing.builtin.label_tables import (
    MAX_BYTES,
    BadTable,
    LabelRow,
    LabelTables,
    parse_table,
    read_table_file,
    table_problems,
)
from engine.processing.installed import script_fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD = "key,project,subject,session\nP1,A,S1,E1\n"


def test_a_table_says_what_each_key_gets() -> None:
    text = '\ufeffKey , Session,project\n P1 , E1,A\n\n"P,2",,B\n'
    assert parse_table(text, "key") == {"P1": LabelRow("A", "", "E1"), "P,2": LabelRow("B")}


def test_scripts_may_have_several_lines() -> None:
    text = 'key,script\nP1,"version ""6.6""\n(0010,0010) := ""X"""\nP2,\n'
    rows = parse_table(text, "key", script_fault)
    assert rows["P1"].script == 'version "6.6"\n(0010,0010) := "X"'
    assert rows["P2"] == LabelRow()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("\n , \n", "it is empty"),
        ("key\n", "the first line must name key and what it gives"),
        ("project,subject\n", "the first line must name key and what it gives"),
        ("key,projet\n", "column 2 of the first line is none of"),
        ("key,key\n", "two columns have the same name"),
        ("key,project\nP1\n", "line 2 has 1 columns instead of 2"),
        ("key,project\nP1,A\nP2,A,B\n", "line 3 has 3 columns instead of 2"),
        ("key,project\nP1,A\nP1,B\n", "line 3 has the key of an earlier line"),
        ("key,project\n,A\n", "line 2 has no key"),
        (f"key,project\nP1,{'A' * 65}\n", "line 2: project is too long"),
        (f"key,project\n{'P' * 257},A\n", "line 2: key is too long"),
        ("key,project\nP1,A\x1b[31m\n", "line 2: project contains a control character"),
        ('key,project\nP1,"A\n', "unexpected end of data"),
        ('key,project\nP1,"A"B\n', "line 2: "),
        ("key,script\nP1,x\n", "column 2 of the first line is none of"),
    ],
)
def test_what_is_no_table_is_named_by_its_line(text: str, why: str) -> None:
    with pytest.raises(BadTable) as caught:
        parse_table(text, "key")
    assert why in str(caught.value)


BAD_SCRIPT = 'key,project,script\nP1,A,\nP2,B,"version ""6.6""\nDoe^Jane"\nP3,C,\n'


def parse_scripts(text: str) -> dict[str, LabelRow]:
    return parse_table(text, "key", script_fault)


def test_a_bad_script_refuses_the_key_of_its_line_alone_and_is_never_shown() -> None:
    rows = parse_scripts(BAD_SCRIPT)
    assert (rows["P1"], rows["P3"]) == (LabelRow("A"), LabelRow("C"))
    assert rows["P2"].fault.startswith("line 3: it is not acceptable at its script line 2")
    assert rows["P2"].script == ""
    (problem,) = table_problems("table", BAD_SCRIPT, parse_scripts)
    assert problem.message == rows["P2"].fault
    assert "Doe" not in str(problem)


def test_a_table_whose_file_gets_a_bad_script_keeps_its_good_rows_and_says_the_line(
    tmp_path: Path,
) -> None:
    path, watches = tmp_path / "labels.csv", Watches()
    told: list[str] = []
    path.write_text("key,project\nP1,A\n")
    tables = LabelTables(watches, lambda _label, problem: told.append(problem))
    table = tables.of_file(path, parse_scripts)
    assert table.rows == {"P1": LabelRow("A")}
    path.write_text(BAD_SCRIPT)
    watches.on_change()
    assert table.rows is not None
    assert table.rows["P1"] == LabelRow("A")
    (problem,) = told
    assert problem.startswith("table: line 3: it is not acceptable at its script line 2")
    assert problem.endswith("; objects of such keys are refused")
    assert "Doe" not in problem
    path.write_text("key,project\nP1,A\n")
    watches.on_change()
    assert told[1:] == [""]


def test_problems_are_told_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    """A thread that tells of one is held, while another finds it gone."""
    path, watches = tmp_path / "labels.csv", Watches()
    told: list[str] = []
    telling, over = threading.Event(), threading.Event()

    def report(_label: str, problem: str) -> None:
        if problem:
            telling.set()
            assert over.wait(20)
        told.append(problem)

    path.write_text("key,project\nP1,A\n")
    LabelTables(watches, report).of_file(path, parse_scripts)
    path.write_text("no table")
    first = threading.Thread(target=watches.on_change)
    first.start()
    assert telling.wait(20)
    path.write_text("key,project\nP1,A\n")
    second = threading.Thread(target=watches.on_change)
    second.start()
    second.join(0.2)
    over.set()
    first.join(20)
    second.join(20)
    assert [bool(problem) for problem in told] == [True, False]


def test_a_faulty_table_is_named_by_its_line_and_without_its_text() -> None:
    def parse(text: str) -> dict[str, LabelRow]:
        return parse_table(text, "key", script_fault)

    for row in ("P1,Doe^Jane,more", 'P1,"version ""6.6""\nDoe^Jane"', 'P1,"Doe^Jane', ",Doe^Jane"):
        (problem,) = table_problems("parameters.table", f"key,script\n{row}\n", parse)
        assert problem.message.startswith("line ")
        assert not any(text in problem.sentence() for text in ("Doe", "Jane", "P1"))


def test_only_regular_files_of_text_are_read(tmp_path: Path) -> None:
    def make_pipe(path: Path) -> None:
        os.mkfifo(path)

    def make_large(path: Path) -> None:
        path.touch()
        os.truncate(path, MAX_BYTES + 1)

    cases: list[tuple[Callable[[Path], object], str]] = [
        (lambda path: path, "the file can't be read: No such file or directory"),
        (lambda path: path.mkdir(), "the file "),
        (make_pipe, "the file is not a regular file"),
        (make_large, "the file is larger than 16,777,216 bytes"),
        (lambda path: path.write_bytes(b"key,project\nP\xfc,A\n"), "is not UTF-8 text \\(byte 13"),
    ]
    for number, (make, why) in enumerate(cases):
        path = tmp_path / str(number)
        make(path)
        with pytest.raises(BadTable, match=why):
            read_table_file(path)


class Watches:
    """Stands in for the watcher; tests call back themselves."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.stopped = 0

    def __call__(self, path: Path, on_change: Callable[[], None]) -> Callable[[], None]:
        self.on_change = on_change
        return self.stop

    def stop(self) -> None:
        self.stopped += 1


def test_a_torn_table_leaves_the_last_good_one_in_force_and_says_why(tmp_path: Path) -> None:
    path, watches = tmp_path / "labels.csv", Watches()
    told: list[tuple[str, str]] = []
    tables = LabelTables(watches, lambda label, problem: told.append((label, problem)))
    table = tables.of("Relabel").of_file(path, lambda text: parse_table(text, "key"))
    seen: list[tuple[object, str]] = [(table.rows, table.problem)]
    for text in (GOOD, GOOD + "P2,A", GOOD + "P2,A"):
        path.write_text(text)
        watches.on_change()
        seen.append((table.rows, table.problem))
    good = {"P1": LabelRow("A", "S1", "E1")}
    gone = "table: the file can't be read: No such file or directory"
    lost = "table: line 3 has 2 columns instead of 4; the last good table is in force"
    assert seen == [(None, gone), (good, ""), (good, lost), (good, lost)]
    assert [problem for _, problem in told] == [gone, "", lost]
    assert {label for label, _ in told} == {"Relabel"}
    table.close()
    assert watches.stopped == 1
