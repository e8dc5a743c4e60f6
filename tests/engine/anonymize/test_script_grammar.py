"""Tokens, statements and what is said of a text that is none (dicomedit 2.2 and 2.3)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.anonymize import Script, ScriptError
from engine.errors import EngineError
from tests.engine.anonymize.objects import apply, make_object, result, script, value_at


def refusal(*lines: str) -> ScriptError:
    with pytest.raises(ScriptError) as caught:
        script(*lines)
    return caught.value


@pytest.mark.parametrize(
    ("line", "column", "value", "said"),
    [
        ("x := 1", 1, "x", "digit of a tag"),
        ("-( 0010,0010)", 3, "( 0010,0010)", "blank beside a bracket"),
        ("-(0010,0010 )", 3, "(0010,0010 )", "blank beside a bracket"),
        ("-(0019,1010)", 8, "(0019,1010)", "private element by number"),
        ("-(0010,{A}10)", 8, "(0010,{A}10)", "creator in an even group"),
        ("-(0019,{}10)", 8, "(0019,{}10)", "names no creator"),
        ("-(0019,{A}1)", 8, "(0019,{A}1)", "two-digit offset"),
        ("-(60XX,3000)", 3, "(60XX,3000)", "leaves open whether the group is private"),
        ("-(001,0010)", 3, "(001,0010)", "no group of hexadecimal digits"),
        ("-(0010,00G0)", 8, "(0010,00G0)", "no element of hexadecimal digits"),
        ("-(0008,1140)[9999999]/(0008,1155)", 14, "(0008,1140)[9999999]/(0008,1155)", "no item"),
        (r'y := "\d"', 6, r'"\d"', "escape that does not exist"),
        (r'y := "\""', 6, r'"\""', "escape that does not exist"),
        ('y := "a', 6, '"a', "begins a string that has no end"),
        ("y := 'a'", 6, "'", "single quote"),
        ("y := “a”", 6, "“", "typographic quote"),
        ("-(0010,0010);", 13, ";", "not part of the language"),
        ("# old", 1, "#", "does not begin a comment"),
        ("/* old */", 1, "/", "does not begin a comment"),
        ("-\u00a0(0010,0010)", 2, "\u00a0", "non-breaking blank"),
        ("y := 007", 6, "007", "leading zero"),
        ("y := 1.", 6, "1", "not a number"),
        ('"a" == "b" ? -(0010,0010)', 6, "=", "no operator"),
        ('"a" = "b" && "c" = "d" ? -(0010,0010)', 11, "&", "one comparison"),
        ("export := 2", 8, ":", "not expected"),
        ("y := echo", 6, "echo", "word of the language"),
        ('y := lowercase["a"', 19, "", "too early"),
        ('y := concatenate["a",', 22, "", "too early"),
        ('if ("a" = "a") -(0010,0010)', 16, "-", "not expected"),
        ('"a" = "a" ? removeAllPrivateTags', 13, "removeAllPrivateTags", "word of the language"),
        ('y := concatenate["a",]', 22, "]", "not expected"),
        ("(0010,0010) = ", 15, "", "too early"),
    ],
)
def test_what_is_no_statement_is_refused_with_place_text_and_remedy(
    line: str, column: int, value: str, said: str
) -> None:
    error = refusal(line)
    assert (error.line, error.column, error.value) == (2, column, value)
    assert said in error.reason
    assert error.remedy


def test_a_newline_that_a_call_may_not_have_is_said_to_end_the_line_too_early() -> None:
    error = refusal('y := concatenate["a",', '"b"]')
    assert (error.line, error.reason) == (2, "the line ends too early")


def test_an_open_block_is_noticed_at_the_end() -> None:
    error = refusal('if ("a" = "a") {', "-(0010,0010)", "")
    assert error.reason == "the script ends too early"


def test_numbers_stay_as_written() -> None:
    assert result("concatenate[1.50, -0.5, 12, -3, 0]") == "1.50-0.512-30"


def test_of_all_escapes_only_the_double_backslash_changes() -> None:
    assert result(r'concatenate["a\\b", "\n", "\101", "\("]') == r"a\b\n\101\("


def test_a_string_may_hold_an_end_of_line() -> None:
    ds = make_object()
    apply(ds, '(0010,4000) := "a\nb"')
    assert value_at(ds, "(0010,4000)") == "a\nb"


def test_keywords_are_no_names_but_longer_names_may_begin_with_them() -> None:
    assert result("iffy", iffy="yes") == "yes"
    for keyword in ("if", "else", "hidden", "const", "immutable", "describe", "export", "version"):
        assert refusal(f"{keyword} := 1").line == 2


def test_a_variable_may_be_compared_right_behind_the_bracket() -> None:
    ds = make_object()
    apply(ds, 'face := "a"', 'if (face = "a") { (0010,0010) := "yes" }')
    assert value_at(ds, "(0010,0010)") == "yes"


def test_statements_need_no_line_each() -> None:
    ds = make_object({"(0010,0010)": ("PN", "A"), "(0010,0020)": ("LO", "B")})
    apply(ds, '-(0010,0010) -(0010,0020) y := "c" (0010,0040) := y')
    assert value_at(ds, "(0010,0010)") is None
    assert value_at(ds, "(0010,0040)") == "c"


def test_blank_and_comment_lines_may_come_between_the_parts_of_an_if() -> None:
    ds = make_object()
    apply(ds, 'if ("a" = "b")', "", "{", "}", "// or", "", 'elseif ("a" = "c")', "{", "}", "",
          "else", "// so", "{", '(0010,0010) := "else"', "}")  # fmt: skip
    assert value_at(ds, "(0010,0010)") == "else"


def test_a_list_may_have_any_number_of_lines() -> None:
    ds = make_object({"(0010,0010)": ("PN", "A"), "(0010,0020)": ("LO", "B")})
    apply(ds, "gone := {", "", "(0010,0010), // one", "", "  (0010,0020)", "", "}",
          "removeTags[gone, {}]")  # fmt: skip
    assert set(ds.keys()) == set()


def test_hints_for_the_upload_applet_have_no_effect() -> None:
    ds = make_object()
    apply(ds, 'describe subject "who"', "describe project hidden", "describe session const",
          "describe session immutable", 'export site "url"')  # fmt: skip
    assert not ds


def test_a_creator_may_hold_any_character_but_the_brace() -> None:
    assert script("-(0019,{1.2.840.113681/a (b), c & d}10)").statements


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("y := reverse[(0010,0010)]", "is not a function"),
        ('y := urlEncode["a"]', "is not a function"),
        ('y := lowercase["a", "b"]', "takes 1 argument, not 2"),
        ("y := newUID[1]", "takes 0 arguments, not 1"),
        ('y := match["a", "b"]', "takes 3 arguments, not 2"),
        ("y := format[]", "takes 1 or more arguments, not 0"),
        ('y := normalizeString["a", "b", "c"]', "takes 1 to 2 arguments, not 3"),
        ("(0010,00X0) := 1", "may mean several elements"),
        ("*/(0010,0010) := 1", "may mean several elements"),
        ("(0008,1140)/(0008,1155) := 1", "may mean several elements"),
        ("(0008,1140)[0] := 1", "names an item"),
        ("(0010,0010) := (0010,00X0)", "may mean several elements"),
        ("(0010,0010) := (0008,1140)[0]", "names an item"),
        ("y := lowercase[(0008,1140)/(0008,1155)]", "may mean several elements"),
        ("if (isPresent[(0010,00XX)]) {}", "may mean several elements"),
        ('if (isPresent["(0010,0010)"]) {}', "text instead of a tag path"),
        ('"a" ~ "(" ? -(0010,0010)', "regular expression"),
        ('y := ismatch["a", "[a"]', "regular expression"),
        ('y := substring["a", 0, "b"]', "no whole number"),
        ('y := shiftDateByIncrement["20260101", 1.5]', "no whole number"),
        ('removeTags["(0019,1010)"]', "private element by number"),
        ('delete["*/(0010,0010)"]', "not a plain path"),
        ('set["(0010,001)", "v"]', "not a plain path"),
        ('hashUIDList[{(0008,0018), "no"}]', "not a tag path"),
        ("echo", "nothing to say"),
        ("echo (0010,00X0)", "may mean several elements"),
        ("y := { lowercase[] }", "takes 1 argument"),
        ("y ?= 1", "not expected"),
    ],
)
def test_what_can_only_fail_is_refused_before_it_runs_even_in_a_branch(
    line: str, said: str
) -> None:
    error = refusal("if (false[]) {", line, "}")
    assert error.line == 3
    assert said in error.reason


def test_a_misspelt_function_is_answered_with_the_one_that_was_meant() -> None:
    assert refusal("(0010,0010) := hashUid[(0010,0010)]").remedy == "did you mean hashUID?"


def test_errors_are_of_the_engines_family_and_name_the_script() -> None:
    with pytest.raises(EngineError) as caught:
        Script.parse('version "6.1"\n-(0019,1010)\n', "brain.das")
    assert "brain.das line 2 column 8" in caught.value.detail


PIECES = [
    "version", '"6.1"', "\n", " ", "(0010,0010)", "(0019,{A}10)", "*/", "./", "+/", "[0]", "[%]",
    "-", ":=",
    "?=", "?", ":", "=", "~", "!~", "if", "elseif", "else", "(", ")", "{", "}", "[", "]", ",", "a",
    "x", "echo", "describe", "export", "removeAllPrivateTags", "hashUID", "match", "lookup",
    "1", "-2",
    "1.5", '"', "\\", "//", "\t", "é", "\0", "(0010", "{", "'",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_whatever_the_text_it_is_a_script_or_a_script_error(text: str) -> None:
    try:
        Script.parse(f'version "6.1"\n{text}')
    except ScriptError as error:
        assert error.line >= 1
        assert error.column >= 1
        assert error.remedy


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200))
def test_arbitrary_text_is_refused_in_the_same_way(text: str) -> None:
    for prefix in ("", 'version "6.1"\n', 'version "6.1"\na := "'):
        try:
            Script.parse(prefix + text)
        except ScriptError as error:
            assert error.problems
