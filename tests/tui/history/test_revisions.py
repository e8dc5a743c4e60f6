"""Revisions in words, and their differences line by line."""

from dataclasses import replace
from typing import Any

import pytest

from engine.api.history import ChangeRow, RevisionSummary
from engine.model.configuration_diff import Change
from engine.model.secrets import MASK
from tests.fakes import HOSTILE_NAMES, NOW
from tests.fakes.history import example_changes, example_revisions
from tui.history.diff import (
    Columns,
    DiffLine,
    DiffLineKind,
    as_text,
    columns,
    diff_lines,
    laid_out,
    sentence_words,
)
from tui.history.revisions import (
    FIELDS,
    MOST_WORDS,
    RevisionReturn,
    RevisionsTable,
    changes_in_words,
    made_by,
    revision_fields,
    revision_rows,
    rows_in_words,
    undo_sentence,
)
from tui.text import safe
from tui.widgets.filter import parse_filter


def revision(**changes: Any) -> RevisionSummary:
    known = RevisionSummary(12, NOW, "anna", "10.4.1.20", 1, ("site x: 1 → 2",), ("site",))
    return replace(known, **changes)


def changed(before: str, after: str, field: str = "script") -> ChangeRow:
    return ChangeRow("project P", Change.CHANGED, field, before, after, f"project P {field}")


def lines(*numbers: int, **instead: str) -> str:
    return "\n".join(instead.get(f"n{n}", f"line {n}") for n in numbers)


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("who:bert", [11, 6, 1]),
        ("from:10.4 number:8", [8]),
        ("subject:neuro-07", [8, 3]),
        ("what:limits !number:12", [7, 2]),
        ("when:2026-08-22", [4, 3, 2, 1]),
        ("us_room3", [9, 4]),
    ],
)
def test_revisions_are_filtered_by_who_when_and_what(words: str, numbers: list[int]) -> None:
    wanted = parse_filter(words, FIELDS)
    found = [r.number for r in example_revisions() if wanted.matches(revision_fields(r))]
    assert found == numbers


def test_a_subject_is_found_that_no_sentence_names() -> None:
    wanted = parse_filter("subject:receiver_9", FIELDS)
    assert wanted.matches(revision_fields(revision(subjects=("site", "receiver RECEIVER_9:104"))))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "site x: 1 → 2"),
        ({"changes": 4}, "site x: 1 → 2; and 3 more changes"),
        ({"summary": (), "changes": 0}, "nothing that is listed"),
        ({"summary": ("a \x1b[2J",)}, "a ␛[2J"),
    ],
)
def test_what_a_revision_changed_is_one_safe_line(changes: dict[str, Any], said: str) -> None:
    assert changes_in_words(revision(**changes)) == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "anna from 10.4.1.20 at 14:03:22"),
        ({"changed_from": "", "changed_at": None}, "anna"),
        ({"changed_by": "", "changed_from": ""}, "somebody at 14:03:22"),
    ],
)
def test_who_made_it_is_said_as_far_as_it_is_known(changes: dict[str, Any], said: str) -> None:
    assert made_by(revision(**changes), NOW) == said


def test_before_an_undo_the_first_changes_are_named_and_the_others_counted() -> None:
    rows = [replace(row, sentence="x" * 300) for row in example_changes()]
    said = rows_in_words((*example_changes(), *rows)).split("\n")
    assert said[0] == "+ receiver PET_STAGING:8106 added"
    assert said[1] == "- receiver US_OLD:8105 removed"
    assert said[2] == "~ receiver CT_INTAKE:8104 enabled: off → on"
    assert said[MOST_WORDS:] == [
        "… and 7 more changes; screen 8 shows all, with both revisions marked"
    ]
    assert rows_in_words(rows[:1]).endswith("…")
    assert rows_in_words(()) == "nothing"
    assert undo_sentence(RevisionReturn(11, 12, None, ())).startswith(
        "Revision 12 is taken back by a new"
    )


def test_a_row_has_a_cell_for_each_column_and_marks_what_is_in_force() -> None:
    here, other = revision_rows([revision(), revision(number=1_011, changed_at=None)], 12, NOW)
    assert set(here.cells) == {column.key for column in RevisionsTable.COLUMNS}
    assert (here.cells["number"].text, other.cells["number"].text) == ("● 12", "1,011")
    assert (here.cells["when"].text, other.cells["when"].text) == ("14:03:22", "–")


# Differences


def test_subjects_stand_above_their_fields_and_long_texts_are_compared_by_line() -> None:
    assert [(line.kind, line.field, line.before, line.after) for line in diff_lines(
        example_changes()
    )] == [
        (DiffLineKind.ADDED, "receiver PET_STAGING:8106", "", ""),
        (DiffLineKind.REMOVED, "receiver US_OLD:8105", "", ""),
        (DiffLineKind.SUBJECT, "receiver CT_INTAKE:8104", "", ""),
        (DiffLineKind.CHANGED, "enabled", "off", "on"),
        (DiffLineKind.ALIKE, "whitelist", "CT_SCANNER_1@10.4.7.0/24", "CT_SCANNER_1@10.4.7.0/24"),
        (DiffLineKind.ALIKE, "", "ER_CT", "ER_CT"),
        (DiffLineKind.COME, "", "", "OLD_WS1"),
        (DiffLineKind.SUBJECT, "site", "", ""),
        (DiffLineKind.CHANGED, "limits.associations", "25", "200"),
        (DiffLineKind.CHANGED, "control.token", MASK, f"{MASK} changed, never shown"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "a\nb", [(DiffLineKind.COME, "", "a"), (DiffLineKind.COME, "", "b")]),
        ("a\nb", "", [(DiffLineKind.GONE, "a", ""), (DiffLineKind.GONE, "b", "")]),
        ("a\nb", "c\nb", [(DiffLineKind.CHANGED, "a", "c"), (DiffLineKind.ALIKE, "b", "b")]),
        ("a\nb\nz", "c\nz", [
            (DiffLineKind.CHANGED, "a", "c"),
            (DiffLineKind.GONE, "b", ""),
            (DiffLineKind.ALIKE, "z", "z"),
        ]),
        ("", "x", [(DiffLineKind.CHANGED, "nothing", "x")]),
    ],
)  # fmt: skip
def test_lines_that_came_went_and_changed(
    before: str, after: str, expected: list[tuple[DiffLineKind, str, str]]
) -> None:
    _, *found = diff_lines([changed(before, after)])
    assert [(line.kind, line.before, line.after) for line in found] == expected
    assert found[0].field == "script"
    assert not any(line.field for line in found[1:])


def test_of_what_is_alike_only_two_lines_around_a_change_are_shown() -> None:
    before, after = lines(*range(20)), lines(*range(20), n9="other")
    _, *found = diff_lines([changed(before, after)])
    assert [line.before for line in found] == [
        "… 7 lines alike", "line 7", "line 8", "line 9", "line 10", "line 11", "… 8 lines alike",
    ]  # fmt: skip


def test_texts_of_many_equal_lines_are_compared_quickly_and_completely() -> None:
    _, *found = diff_lines([changed("\n" * 9_000, "\n" * 9_000 + "new")])
    assert found[-1] == DiffLine(DiffLineKind.COME, "", "", "new")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_names_and_values_are_made_safe(name: str) -> None:
    row = ChangeRow(name, Change.CHANGED, name, name, f"{name}\nx", name)
    for line in diff_lines([row, replace(row, after="y", before=f"{name}z")]):
        for text in (line.field, line.before, line.after):
            assert text == safe(text)
    assert safe(rows_in_words([row])) == rows_in_words([row])


@pytest.mark.parametrize("width", [40, 76, 114])
def test_long_values_take_more_lines_and_none_is_cut_off(width: int) -> None:
    value = "".join(f"{n:03}" for n in range(80))
    shown = diff_lines([changed(value, value[::-1], field="a_field_with_a_very_long_name_indeed")])
    widths = columns(shown, width)
    rows = laid_out(shown[1], widths)
    assert "".join(before[2:].strip() for _, before, _ in rows) == value
    assert "".join(after[2:] for _, _, after in rows) == value[::-1]
    field = "".join(field for field, _, _ in rows).replace(" ", "")
    assert field == "afieldwithaverylongnameindeed"
    assert all(sum(map(len, row)) <= width for row in rows)
    assert [(b[0], a[0]) for _, b, a in rows[:2]] == [("-", "+"), (" ", " ")]


def test_a_line_that_came_has_nothing_before_it() -> None:
    row = laid_out(DiffLine(DiffLineKind.COME, "whitelist", "", "CT"), Columns(12, 6))
    assert row == [("whitelist     ", "          ", "+ CT")]


def test_a_difference_can_be_copied_as_text() -> None:
    said = as_text(diff_lines(example_changes()))
    assert said.startswith("receiver PET_STAGING:8106 added\nreceiver US_OLD:8105 removed\n")
    assert "  enabled\n    - off\n    + on\n" in said
    assert "    + OLD_WS1\n" in said
    gone = as_text(diff_lines([changed("a\nb", "")]))
    assert gone == "project P\n  script\n    - a\n    - b"


def test_fields_are_named_in_words_and_names_of_subjects_stay_as_they_are() -> None:
    row = replace(changed("off", "on", field="anonymization_script_enabled"), subject="project A_B")
    sentence = "project A_B anonymization_script_enabled: off → a_b"
    assert diff_lines([row])[1].field == "anonymization script enabled"
    expected = "project A_B anonymization script enabled: off → a_b"
    assert rows_in_words([replace(row, sentence=sentence)]) == f"~ {expected}"
    assert sentence_words("receiver RX_1:104 added") == "receiver RX_1:104 added"
