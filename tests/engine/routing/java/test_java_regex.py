"""Translating Java patterns: what is refused, and promises over all patterns."""

from __future__ import annotations

from contextlib import suppress

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.routing import InvalidRule, RuleError, parse_rule
from engine.routing.errors import PatternFault
from engine.routing.java.regex import compile_java


@pytest.mark.parametrize(
    ("pattern", "column", "remedy"),
    [
        ("a(?P<n>b)", 2, "(?<name>"),
        ("(?#c)a", 1, "comment"),
        ("(a)(?(1)b|c)", 4, "alternatives"),
        ("(?|a|b)", 1, "(?:"),
        ("a(?R)", 2, "pattern out"),
        (r"(a)\g<1>", 4, "escape"),
        ("a{,3}", 2, "{n}"),
        ("x{", 2, "{n}"),
        ("x{a}", 2, "{n}"),
        ("{2}", 1, "backslash"),
        ("a{3,1}", 2, "{n}"),
        ("a**", 2, "(?:"),
        ("*a", 1, "backslash"),
        ("[a--b]", 3, "&&[^"),
        ("[a-z--[aeiou]]", 5, "&&[^"),
        ("[a~~b]", 3, "&&[^"),
        ("[a&&]", 5, "[a-z&&"),
        ("[b-a]", 2, "smaller"),
        ("[a", 1, "]"),
        (r"\p{javaLowerCase}", 1, "IsLowercase"),
        (r"a\p{Foo}", 2, "IsLatin"),
        (r"a\y", 2, "escape"),
        (r"\X", 1, "M}"),
        (r"\b{g}", 1, r"\b"),
        ("a\\", 2, "\\\\"),
        ("(a", 1, ")"),
        ("a)", 2, "backslash"),
        ("(?<a_b>x)", 1, "letters and digits"),
        ("(?<a>x)(?<a>y)", 8, "name of its own"),
        (r"(a)\2", 4, "closed before"),
        (r"\k<n>(?<n>a)", 1, "closed before"),
        ("(?<=a+)b", 1, "{0,10}"),
        ("(?<=(a|ab))b", 1, "fixed length"),
        (r"(?i)(a)\1", 8, "(?-i:"),
        ("(?q)a", 3, "flags"),
        ("(?c)a", 3, "remove"),
        ("(?:a{1000}){1000}", 1, "10,000"),
        ("(a*){2}", 1, "obligatory"),
        ("()*", 1, "remove"),
        ("(a*)*?", 1, "obligatory"),
        ("(?=(a))ax|(.*)", 1, "(?:…)"),
        ("(?>(a)|b)c", 1, "(?:…)"),
        (r"(?:(\d)-)*\d-.*", 1, "(?:…)"),
        ("(a)*+b", 1, "(?:…)"),
        ("(?!(a)b).*", 1, "(?:…)"),
        ("(?<=a{1,2}+)b", 1, "fixed length"),
        (r"(?<=a\1)b", 6, "closed before"),
        ("(?x)[a b]", 7, "backslash"),
        ("[a&&[b]&c]", 8, "backslash"),
        ("[abc&&[b]c&&d]", 11, "brackets"),
        (r"\x{110000}", 1, "10FFFF"),
        (r"\x{zz}", 1, "hexadecimal"),
        (r"\xz1", 1, "hexadecimal"),
        (r"\0", 1, r"\012"),
        (r"\c", 1, r"\cA"),
        (r"\N{NO SUCH NAME}", 1, r"\x{"),
        (r"\k", 1, r"\k<name>"),
        (r"\p", 1, r"\p{L}"),
        ("(?i", 4, "flags"),
        ("(" * 31 + ")" * 31, 31, "simplify"),
        ("[" * 31 + "a" + "]" * 31, 31, "simplify"),
    ],
)
def test_what_cannot_be_translated_is_refused_with_place_and_remedy(
    pattern: str, column: int, remedy: str
) -> None:
    with pytest.raises(PatternFault) as caught:
        compile_java(pattern)
    assert caught.value.offset + 1 == column
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("pattern", "value", "matches"),
    [
        (r"(?i)straße", "STRAßE", True),
        (r"(?i)É", "é", False),
        (r"(?iu)É", "é", True),
        (r"(?i)k", "\u212a", False),
        (r"(?iu)k", "\u212a", True),
        (r"\bé\b", "é", True),
        (r"(?U)\bé\b\B", "é", False),
        (r"(?iu)[à-é]", "É", True),
        (r"(?i)[à-é]", "É", False),
        (r"(?iu)(é)\1", "éÉ", True),
        (r"(a)\10", "aa0", True),
        (r"[\v-\x0d]", "\x0c", True),
        (r"[!--]", "#", True),
        (r"[^a&&[^b]]", "b", True),
        (r"\ud83d", "\ud83d", True),
        (r"\ud83d\u0041", "😀", False),
        (r"\ud83dx", "😀", False),
        (r"\h", "\t", True),
        (r"(?U)\w+", "Müller", True),
        (r"\ud83d\ude00", "😀", True),
        (r"[\x{1F600}-\x{1F610}]", "😃", True),
        (r"\N{LATIN SMALL LETTER A}", "a", True),
    ],
)
def test_case_and_classes_are_ascii_unless_the_flags_say_otherwise(
    pattern: str, value: str, matches: bool
) -> None:
    assert bool(compile_java(pattern).compiled.fullmatch(value)) is matches


syntax = st.lists(
    st.sampled_from(
        [
            *"()[]{}|*+?.^$\\&-:<>=!,012aAbz é",
            "(?",
            "(?<",
            r"\p{",
            r"\Q",
            r"\E",
            "&&",
            "(?i)",
            "{2}",
        ]
    ),
    max_size=14,
).map("".join)


@given(pattern=syntax | st.text(max_size=20), value=st.text("aAbz01 é\n", max_size=8))
@settings(max_examples=400, deadline=None)
def test_no_pattern_raises_anything_but_our_errors(pattern: str, value: str) -> None:
    with suppress(InvalidRule, RuleError):
        rule = parse_rule(f"(0010,0020):{pattern}:0")
        rule.apply(value)
        rule.explain(value)


@given(replacement=st.text("$\\{}a01 é", max_size=10), value=st.text("ab1", max_size=6))
@settings(max_examples=200, deadline=None)
def test_no_replacement_raises_anything_but_our_errors(replacement: str, value: str) -> None:
    with suppress(InvalidRule, RuleError):
        parse_rule(f"(0010,0020):(.*) t:(?<a>b)|1 r:{replacement}").apply(value)


atoms = st.sampled_from(["a", "b", "1", "_", "[ab]", "[^a]", "[0-9]", "[a-c1]", r"\.", r"\-"])
parts = st.tuples(atoms, st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,2}", "*?", "++"]))
runs = st.lists(parts.map("".join), min_size=1, max_size=4).map("".join)
common = st.recursive(
    runs,
    lambda inner: st.one_of(
        inner.map("({})".format),
        st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format),
        st.tuples(inner, inner).map("".join),
    ),
    max_leaves=6,
)


@given(pattern=common, value=st.text("ab1_.-", max_size=8))
@settings(max_examples=400, deadline=None)
def test_patterns_of_the_common_subset_agree_with_regex_itself(pattern: str, value: str) -> None:
    ours = compile_java(pattern).compiled.fullmatch(value)
    theirs = regex.compile(pattern, regex.VERSION1).fullmatch(value)
    assert (ours and ours.groups()) == (theirs and theirs.groups())
