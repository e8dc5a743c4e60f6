"""Functions on text, conditions and lookup (dicomedit 9.1, 9.2, 9.5, 9.7, 9.9)."""

from __future__ import annotations

import pytest

from engine.anonymize import LookupTable, ScriptContext, ScriptOutcome, ScriptRuntimeError
from engine.anonymize.language.values import MOST_CHARACTERS
from tests.engine.anonymize.objects import apply, make_object, result, script, value_at

OBJECT = {"(0010,0010)": ("PN", "Doe^Jane"), "(0010,0020)": ("LO", "")}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('concatenate["4","2"]', "42"),
        ("concatenate[]", ""),
        ("concatenate[(0010,0010), 1.50, (0010,0020)]", "Doe^Jane1.50"),
        ('format["{1}-{0}","a","b"]', "b-a"),
        ("format[\"it''s '{0}' {0} {7}\", \"x\"]", "it's {0} x {7}"),
        ('format["plain"]', "plain"),
        ('format["a } b \'c"]', "a } b c"),
        ('format["{0}{1}{2}", {"a", {"b"}}, "c"]', "abc"),
        ('format["{0}/{1}", "a", (0008,0080)]', "a/null"),
        ('lowercase["Mixed CASE 7"]', "mixed case 7"),
        ('uppercase["straße"]', "STRASSE"),
        ('substring["abcdefghij",6,10]', "ghij"),
        ('substring["abc", 0, 0]', ""),
        ('substring["abc", "1", "3"]', "bc"),
        ('replace["a.b.c", ".", "--"]', "a--b--c"),
        ('match["xyyz","x(y)*z",1]', "y"),
        ('match["visit_07_base", "visit_(\\\\d+)", 0]', "visit_07"),
        ('match["ac", "a(b)?c", 1]', "∅"),
        ('match["abc", "z", 0]', "∅"),
        ('ismatch["ab", "a."]', "true"),
        ('ismatch["abc", "a."]', "false"),
        ('normalizeString["Ivanova^Olga=Иванова^Ольга"]', "Ivanova^Olga=_______^_____"),
        ('normalizeString["Säule", "ae"]', "Saeule"),
        ('normalizeString["~ \\n"]', "~ \\n"),
        ("normalizeString[(0008,0080)]", "∅"),
        ("isPresent[(0010,0010), (0010,0020)]", "true"),
        ("isPresent[(0010,0010), (0010,0030)]", "false"),
        ("isPresent[(0008,1140)[0]/(0008,1155)]", "false"),
        ("isPresent[{(0010,0010)}]", "true"),
    ],
)
def test_a_function_gives(expression: str, value: str) -> None:
    assert result(expression, OBJECT) == value


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("concatenate[(0008,0080)]", r"\(0008,0080\) has no value"),
        ("lowercase[(0008,0080)]", "has no value"),
        ("uppercase[(0008,0080)]", "has no value"),
        ("substring[(0008,0080), 0, 1]", "has no value"),
        ('replace[(0008,0080), "a", "b"]', "has no value"),
        ('match[(0008,0080), "a", 0]', "has no value"),
        ('ismatch[(0008,0080), "a"]', "has no value"),
        ('match["a", (0008,0080), 0]', "has no value"),
        ('match["abc", "b", 1]', "no group 1"),
        ('substring["abc", 2, 1]', "are not all in a text of 3"),
        ('substring["abc", 0, 4]', "are not all in a text of 3"),
        ('substring["abc", -1, 2]', "are not all in a text of 3"),
        ('substring["abc", n, 2]', "no whole number"),
        ('format["{x}", "a"]', "brace without a number"),
        ('format["{0", "a"]', "brace without a number"),
        ('format["{0,number}", "a"]', "brace without a number"),
        ('format["{0}", (0008,0080)]', "first argument of format"),
        ('format[(0008,0080), "a"]', "has no value"),
        ("isPresent[path]", "not their text"),
        ('concatenate[{"a"}]', "a list is no value"),
        ("lowercase[removeTags[]]", "without a result"),
    ],
)
def test_a_function_refuses(expression: str, said: str) -> None:
    with pytest.raises(ScriptRuntimeError, match=said):
        apply(make_object(), f"(0018,9999) := {expression}", n="1.5", path="(0010,0010)")


def test_presence_of_items_and_sequences_is_asked_without_creating_them() -> None:
    ds = make_object({"(0008,1140)": ("SQ", 2), "(0008,1115)": ("SQ", 0)})
    before = str(ds)
    apply(ds, 'a := isPresent[(0008,1140)[1]]', 'b := isPresent[(0008,1140)[2]]',
          'c := isPresent[(0008,1115)]', 'd := isPresent[(0045,{A}01)]')  # fmt: skip
    assert str(ds) == before
    found = [result(f"isPresent[{p}]", {"(0008,1140)": ("SQ", 2), "(0008,1115)": ("SQ", 0)})
             for p in ("(0008,1140)[1]", "(0008,1140)[2]", "(0008,1115)")]  # fmt: skip
    assert found == ["true", "false", "true"]


@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        ("reject[]", ScriptOutcome.REJECTED),
        ('reject["TRUE"]', ScriptOutcome.REJECTED),
        ("reject[true[]]", ScriptOutcome.REJECTED),
        ('reject["no"]', ScriptOutcome.OK),
        ("reject[(0008,0080)]", ScriptOutcome.OK),
    ],
)
def test_reject_drops_the_object_at_once(call: str, outcome: ScriptOutcome) -> None:
    ds = make_object()
    assert apply(ds, call, '(0010,0010) := "after"') is outcome
    assert (value_at(ds, "(0010,0010)") == "after") is (outcome is ScriptOutcome.OK)


def test_rejections_can_be_ignored_as_in_relabelling() -> None:
    ds = make_object()
    checked = script("reject[]", '(0010,0010) := "after"')
    assert checked.apply(ds, {}, ignore_rejection=True) is ScriptOutcome.OK
    assert value_at(ds, "(0010,0010)") == "after"


LINES = """
// parts
part/KNEE = LEG
 part / WRIST = ARM = hand
part/* = OTHER
no line
a/b/c = d
//part/HIP = x
id/1 =
""".splitlines()


@pytest.mark.parametrize(
    ("key_type", "key", "value"),
    [
        ("part", "KNEE", "LEG"),
        ("part", "WRIST", "ARM = hand"),
        ("part", "HIP", "OTHER"),
        ("id", "1", ""),
        ("id", "2", None),
        ("a", "b", None),
    ],
)
def test_lookup_tables_have_a_line_for_a_key_or_one_for_all(
    key_type: str, key: str, value: str | None
) -> None:
    assert LookupTable.parse(LINES).get(key_type, key) == value


def test_a_value_that_the_table_does_not_have_refuses_the_object_instead_of_keeping_it() -> None:
    ds = make_object({"(0018,0015)": ("CS", "ELBOW")})
    checked = script('(0018,0015) := lookup["id", (0018,0015)]')
    with pytest.raises(ScriptRuntimeError, match="has no line for this value of id") as caught:
        checked.apply(ds, {}, lookup=LookupTable.parse(LINES))
    assert "ELBOW" not in caught.value.detail
    assert "id/*" in caught.value.remedy


def test_urls_are_not_fetched_unless_somebody_provides_for_it() -> None:
    checked = script('(0010,0020) := getURL[concatenate["http://", "host/", subject]]')
    with pytest.raises(ScriptRuntimeError, match="switched off"):
        checked.apply(make_object(), {"subject": "S"})
    ds = make_object()
    around = ScriptContext(fetch=lambda url: f"<{url}>")
    checked.apply(ds, {"subject": "S"}, script_context=around)
    assert value_at(ds, "(0010,0020)") == "<http://host/S>"


@pytest.mark.parametrize("answer", ["", "a\nb", "x" * 1025])
def test_an_answer_that_is_no_single_line_refuses_the_object(answer: str) -> None:
    around = ScriptContext(fetch=lambda _url: answer)
    with pytest.raises(ScriptRuntimeError, match="no single line"):
        script('y := getURL["http://host"]').apply(make_object(), {}, script_context=around)


@pytest.mark.parametrize(
    "expression",
    [
        "concatenate[a, a]",
        'format["{0}{0}", a]',
        'replace[a, "x", "xx"]',
        'replace["xx", "x", a]',
    ],
)
def test_a_text_does_not_grow_without_end(expression: str) -> None:
    half = "x" * (MOST_CHARACTERS // 2)
    assert len(result(expression, a=half)) == MOST_CHARACTERS
    with pytest.raises(ScriptRuntimeError, match="a text is longer than 16,777,216 characters"):
        result(expression, a=half + "x")
