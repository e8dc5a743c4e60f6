"""Version line, continued lines and comments (dicomedit 1 and 2.1)."""

from __future__ import annotations

import pytest

from engine.anonymize import MissingVersion, Script, ScriptError
from engine.anonymize.language import source as migration
from engine.anonymize.language.source import MAX_SCRIPT_CHARACTERS, prepare, without_comment
from tests.engine.anonymize.objects import apply, make_object, value_at


@pytest.mark.parametrize("minor", range(8))
def test_versions_6_0_to_6_7_are_supported(minor: int) -> None:
    assert Script.parse(f'version "6.{minor}"\n').statements


@pytest.mark.parametrize("version", ["6.8", "6.1.2", "5.0", "6", ""])
def test_other_versions_are_refused_by_name(version: str) -> None:
    with pytest.raises(ScriptError) as caught:
        Script.parse(f'// ours\nversion "{version}"\n')
    assert (caught.value.line, caught.value.column, caught.value.value) == (2, 1, version)


@pytest.mark.parametrize("text", ["", "-(0010,0010)\n", '  version "6.1"\n', '// version "6.1"\n'])
def test_without_a_version_in_the_first_column_it_is_a_script_of_the_older_language(
    text: str,
) -> None:
    with pytest.raises(MissingVersion) as caught:
        Script.parse(text)
    assert 'version "6.1"' in caught.value.remedy
    assert "cond ? action" in caught.value.remedy


OLDER = """\
// made in 2016: (0029,1010) stays
(0008,0060) = "MR : x" : (0010,0010) := "http://a:8" // : not this
-(0029,1019)
(0008,0018) := new UID
(0010,4000) := urlEncode[(0019,10X2)]
"""


def test_a_script_of_the_older_language_is_told_what_to_change_in_which_line() -> None:
    with pytest.raises(MissingVersion) as caught:
        Script.parse(OLDER, "site")
    _, *changes = caught.value.problems
    assert [(p.line, p.column, p.remedy) for p in changes] == [
        (2, 24, 'write (0008,0060) = "MR : x" ? (0010,0010) := "http://a:8" // : not this'),
        (3, 2, "write (0029,{CREATOR}19), with the creator that stands in (0029,0010)"),
        (4, 16, "write newUID[]"),
        (5, 16, "leave it out"),
        (5, 26, "write (0019,{CREATOR}X2), with the creator that stands in (0019,0010)"),
    ]
    assert "site line 3 column 2 '(0029,1019)'" in caught.value.detail


def test_of_a_long_script_of_the_older_language_not_every_line_is_told() -> None:
    with pytest.raises(MissingVersion) as caught:
        Script.parse("-(0029,1019)\n" * 5000)
    assert len(caught.value.problems) == 1 + migration.MOST_CHANGES


def test_a_version_needs_a_blank_as_xnat_looks_for_the_second_word() -> None:
    with pytest.raises(ScriptError, match="with a blank"):
        Script.parse('version"6.1"\n')


def test_comments_and_blank_lines_may_come_before_the_version() -> None:
    assert Script.parse('// site script\n\n   // 2026\nversion "6.1" // ours\r\n').statements


def test_a_version_may_stand_anywhere_as_long_as_it_is_supported() -> None:
    ds = make_object()
    apply(ds, "if (true[]) {", 'version "6.2"', '(0010,0010) := "A"', "}")
    assert value_at(ds, "(0010,0010)") == "A"
    with pytest.raises(ScriptError) as caught:
        Script.parse('version "6.1"\n-(0010,0010) version "7.0"\n')
    assert (caught.value.line, caught.value.column) == (2, 14)


def test_a_byte_order_mark_is_no_part_of_the_script() -> None:
    assert Script.parse('\ufeffversion "6.1"\n').statements


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("-(0010,0010), // note", "-(0010,0010), "),
        ("// a // b", ""),
        ('left//"right"', "left"),
        ("https://a.b/c//note", "https://a.b/c"),
        ("http://a.b", "http://a.b"),
        ('x "//in" // c s"c"', 'x "//in" '),
        ('"a//b //c"', '"a//b //c"'),
        ('"https//odd" //gone', '"https//odd" '),
        ("//* x */", ""),
        ("a / b", "a / b"),
    ],
)
def test_a_comment_ends_a_line_unless_it_is_text_or_part_of_a_url(line: str, left: str) -> None:
    assert without_comment(line) == left


def test_a_backslash_at_the_very_end_continues_a_line_even_inside_a_string() -> None:
    ds = make_object()
    apply(ds, '(0010,0010) := "left \\', "kn\\", 'ee"')
    assert value_at(ds, "(0010,0010)") == "left knee"


def test_a_backslash_before_a_blank_continues_nothing() -> None:
    with pytest.raises(ScriptError, match="very end"):
        Script.parse('version "6.1"\na := \\ \n"b"\n')


def test_places_are_those_of_the_lines_as_written() -> None:
    text = 'version "6.1"\na := concatenate["x", \\\n   "y", \\\n   ; "z"]\n'
    with pytest.raises(ScriptError) as caught:
        Script.parse(text)
    assert (caught.value.line, caught.value.column, caught.value.value) == (4, 4, ";")


def test_a_place_in_an_empty_text_is_its_beginning() -> None:
    source = prepare('version "6.1"', "s")
    assert source.place(1, 1) == (1, 1)
    assert source.place(9, 3) == (1, 3)
    assert source.line_text(7) == ""


def test_endless_scripts_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(ScriptError, match="is longer than"):
        Script.parse('version "6.1"\n' + "/" * MAX_SCRIPT_CHARACTERS)


@pytest.mark.parametrize("nested", ["concatenate[" * 50 + "]" * 50, "{" * 50 + "}" * 50])
def test_nesting_is_bounded_with_its_place(nested: str) -> None:
    with pytest.raises(ScriptError, match="is nested more than") as caught:
        Script.parse(f'version "6.1"\nquoted := "[[[["\na := {nested}\n')
    assert caught.value.line == 3
