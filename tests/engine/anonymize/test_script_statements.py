"""What statements and conditions do (dicomedit 4.4, 5, 6, 7)."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from engine.anonymize import ScriptContext, ScriptOutcome, ScriptRuntimeError, ScriptTimeout
from tests.engine.anonymize.objects import apply, find, make_object, script, value_at, vr_at

NAME = "(0010,0010)"


def test_assigning_null_leaves_the_old_value_and_creates_nothing() -> None:
    ds = make_object({NAME: ("PN", "Doe")})
    apply(ds, f"{NAME} := (0010,0020)", "(0010,0030) := (0010,0020)", "v := (0010,0020)",
          f"{NAME} := v")  # fmt: skip
    assert value_at(ds, NAME) == "Doe"
    assert find(ds, "(0010,0030)") is None


def test_the_value_is_evaluated_before_the_path_is_created() -> None:
    ds = make_object({NAME: ("PN", "Doe")})
    apply(ds, f'{NAME} := concatenate["X-", {NAME}]',
          "(0008,1140)[0]/(0008,1155) := (0008,1140)[0]/(0008,1155)")  # fmt: skip
    assert value_at(ds, NAME) == "X-Doe"
    assert find(ds, "(0008,1140)") is None


def test_assigning_what_exists_touches_all_of_it_and_creates_nothing() -> None:
    ds = make_object(
        {
            "(0008,0080)": ("LO", "Hospital"),
            "(0008,1140)[0]/(0008,0080)": ("ST", ""),
            "(0008,1140)[1]/(0008,0081)": ("ST", "Street"),
        }
    )
    apply(ds, '*/(0008,0080) ?= "GONE"', '(0010,XXXX) ?= "X"', "*/(0008,0081) ?= (0010,0010)")
    assert value_at(ds, "(0008,0080)") == "GONE"
    assert value_at(ds, "(0008,1140)[0]/(0008,0080)") == "GONE"
    assert vr_at(ds, "(0008,1140)[0]/(0008,0080)") == "ST"
    assert value_at(ds, "(0008,1140)[1]/(0008,0081)") == ""  # null blanks here
    assert [f"{tag:08X}" for tag in ds.keys()] == ["00080080", "00081140"]  # noqa: SIM118


def test_existing_items_are_no_elements_to_assign_to() -> None:
    ds = make_object({"(0008,1140)[0]/(0008,0080)": ("ST", "a")})
    apply(ds, '(0008,1140)[0] ?= "x"')
    assert value_at(ds, "(0008,1140)[0]/(0008,0080)") == "a"


def test_removing_private_tags_reaches_every_depth_and_takes_the_creators() -> None:
    ds = make_object(
        {
            "(0019,0010)": ("LO", "A"),
            "(0019,1001)[0]/(0010,0010)": ("PN", "x"),
            "(0008,1140)[0]/(F215,0010)": ("LO", "B"),
            "(0008,1140)[0]/(F215,1001)": ("LO", "x"),
            "(0008,1140)[0]/(0008,1155)": ("UI", "1"),
        }
    )
    apply(ds, "removeAllPrivateTags")
    assert [f"{tag:08X}" for tag in ds.keys()] == ["00081140"]  # noqa: SIM118
    assert list(ds[0x00081140].value[0].keys()) == [0x00081155]


def test_a_variable_is_a_snapshot_and_global() -> None:
    ds = make_object({NAME: ("PN", "Doe")})
    apply(ds, f"was := {NAME}", f'{NAME} := "New"', "if (true[]) {", 'inner := "i"', "}",
          "(0010,4000) := concatenate[was, inner]")  # fmt: skip
    assert value_at(ds, "(0010,4000)") == "Doei"


def test_a_script_may_overwrite_what_it_was_given_and_every_object_starts_anew() -> None:
    checked = script("(0010,0020) := subject", 'subject := "S2"', "(0010,0040) := subject")
    for _ in range(2):
        ds = make_object()
        checked.apply(ds, {"subject": "S1"})
        assert (value_at(ds, "(0010,0020)"), value_at(ds, "(0010,0040)")) == ("S1", "S2")


def test_variables_are_seen_inside_of_calls_only_as_well() -> None:
    ds = make_object()
    apply(ds, '(0010,0020) := format["{0}", subject]', subject="S")
    assert value_at(ds, "(0010,0020)") == "S"


def test_a_variable_without_a_value_refuses_the_object_also_if_only_another_branch_sets_it() -> (
    None
):
    with pytest.raises(ScriptRuntimeError) as caught:
        apply(make_object(), "if (false[]) {", "v := 1", "}", "(0010,0010) := v")
    assert (caught.value.line, caught.value.statement) == (5, "(0010,0010) := v")
    assert caught.value.cause == "the variable v has no value"


def test_only_the_first_true_branch_runs() -> None:
    ds = make_object()
    apply(ds, 'if ("a" = "b") { (0010,0010) := "1" }', 'elseif ("a" = "a") { (0010,0010) := "2" }',
          'elseif (true[]) { (0010,0020) := "3" }', 'else { (0010,0020) := "4" }',
          'if (true[]) { if (false[]) {} else { (0010,4000) := "nested" } }')  # fmt: skip
    assert value_at(ds, "(0010,0010)") == "2"
    assert find(ds, "(0010,0020)") is None
    assert value_at(ds, "(0010,4000)") == "nested"


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('"a" = "a"', True),
        ('"a" = "A"', False),
        ('"1" = "1.0"', False),
        ('"1" = 1', True),
        ('(0018,0015) = "KNEE\\\\HIP"', True),
        ("(0010,0020) = (0010,0030)", False),
        ('(0010,0020) = "a"', False),
        ('"a" = (0010,0020)', False),
        ('"a" != "b"', True),
        ('"a" != "a"', False),
        ('(0010,0020) != "a"', True),
        ('"a" != (0010,0020)', True),
        ("(0010,0020) != (0010,0030)", True),
        ('"proto 7" ~ "proto \\\\d"', True),
        ('"proto 77" ~ "proto \\\\d"', False),
        ('(0010,0020) ~ ".*"', False),
        ('"proto 7" !~ "\\\\d"', True),
        ('"7" !~ "\\\\d"', False),
        ('(0010,0020) !~ ".*"', True),
        ('(0028,0010) = "0"', True),
        ("true[]", True),
        ("false[1, 2]", False),
        ('lowercase["TRUE"]', True),
        ('concatenate["yes"]', False),
        ("true[] = true[]", True),
        ('ismatch["ab", "a"]', False),
    ],
)
def test_a_condition_holds_or_not(condition: str, holds: bool) -> None:
    ds = make_object({"(0018,0015)": ("CS", "KNEE\\HIP"), "(0028,0010)": ("US", "0")})
    apply(ds, f'{condition} ? (0010,4000) := "yes" : (0010,4000) := "no"')
    apply(
        ds,
        f"if ({condition}) {{",
        '(0010,4001) := "yes"',
        "}",
        "else {",
        '(0010,4001) := "no"',
        "}",
    )
    wanted = "yes" if holds else "no"
    assert (value_at(ds, "(0010,4000)"), value_at(ds, "(0010,4001)")) == (wanted, wanted)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('"a" ~ (0010,0020) ? -(0010,0010)', "the regular expression has no value"),
        ('"a" ~ v ? -(0010,0010)', "is not usable at character 2"),
        ("hashUID[(0010,0020)] ? -(0010,0010)", "the condition has no value"),
        ('{"a"} = "a" ? -(0010,0010)', "a list is no value"),
        ("(0010,0010) := {1}", "a list is no value"),
        ("(0010,0010) := removeTags[]", "without a result"),
        ("w := removeTags[]", "without a result"),
        ("echo removeTags[]", "without a result"),
        ("removeTags[] = 1 ? -(0010,0010)", "without a result"),
        ("y := lowercase[{(0010,0010)}]", "a list is no value"),
    ],
)
def test_what_makes_no_sense_at_run_time_refuses_the_object(line: str, said: str) -> None:
    with pytest.raises(ScriptRuntimeError, match=said) as caught:
        apply(make_object(), line, v="a(")
    assert caught.value.line == 2
    assert caught.value.statement == line


def test_echo_reaches_whoever_listens_and_nobody_otherwise() -> None:
    heard: list[str] = []
    checked = script('echo concatenate["a", "b"]', "echo (0010,0020)")
    checked.apply(make_object(), {}, script_context=ScriptContext(echo=heard.append))
    assert heard == ["ab", "None"]
    assert checked.apply(make_object(), {}) is ScriptOutcome.OK


def test_file_meta_follows_the_instance_after_all_other_statements() -> None:
    ds = make_object(
        {
            "(0008,0016)": ("UI", "1.2"),
            "(0008,0018)": ("UI", "1.2.3"),
            "(0002,0003)": ("UI", "1.2.3"),
            "(0002,0016)": ("AE", "KEPT"),
        }
    )
    apply(ds, '(0002,0003) := "9"', '(0008,0018) := "4.5"')
    assert value_at(ds, "(0002,0002)") == "1.2"
    assert value_at(ds, "(0002,0003)") == "4.5"
    assert value_at(ds, "(0002,0016)") == "KEPT"


def test_an_object_without_file_meta_is_edited_all_the_same() -> None:
    ds = make_object({"(0008,0018)": ("UI", "1.2.3")})
    del ds.file_meta
    apply(ds, "-*/(0010,0010)")
    assert not hasattr(ds, "file_meta")
    apply(ds, '(0002,0016) := "AE"')
    assert value_at(ds, "(0002,0003)") == "1.2.3"


def test_a_checked_script_can_be_sent_to_another_process() -> None:
    sent = pickle.loads(pickle.dumps(script("(0010,0020) := subject", "-*/(0019,{A}0X)[1]")))
    ds = make_object()
    assert sent.apply(ds, {"subject": "S"}) is ScriptOutcome.OK
    assert value_at(ds, "(0010,0020)") == "S"


def test_time_for_one_object_is_bounded_between_statements_and_elements() -> None:
    seconds = iter(range(1000))
    around = ScriptContext(
        cpu_limit_seconds=2.5,
        cpu_clock=lambda: float(next(seconds)),
        monotonic=lambda: float(next(seconds)),
    )
    ds = make_object({f"(0018,10{n:02d})": ("LO", "x") for n in range(10, 60)})
    with pytest.raises(ScriptTimeout, match=r"longer than 2\.5 s of processor time"):
        script("-*/(0008,115X)").apply(ds, {}, script_context=around)
    with pytest.raises(ScriptTimeout):
        script(*["-(0008,1155)"] * 5).apply(ds, {}, script_context=around)


def test_a_script_that_waits_for_a_busy_machine_goes_on_until_a_limit_far_behind() -> None:
    seconds = iter(range(1000))
    monotonic, busy = lambda: float(next(seconds)), lambda: 0.0
    patient = ScriptContext(cpu_limit_seconds=2.5, cpu_clock=busy, monotonic=monotonic)
    statements = script(*["-(0008,1155)"] * 20)
    assert statements.apply(make_object(), {}, script_context=patient) is ScriptOutcome.OK
    hasty = replace(patient, wall_limit_seconds=10)
    with pytest.raises(ScriptTimeout, match=r"longer than 10 s on one object"):
        statements.apply(make_object(), {}, script_context=hasty)


def test_a_regular_expression_that_explodes_ends_at_its_time_limit() -> None:
    ds = make_object({"(0010,4000)": ("LT", "a" * 60 + "!")})
    with pytest.raises(ScriptRuntimeError, match="took longer than"):
        apply(ds, '(0010,4000) ~ "(a|aa)+$" ? -(0010,4000)')
    with pytest.raises(ScriptRuntimeError, match="took longer than"):
        apply(ds, 'y := match[(0010,4000), "(a|aa)+$", 1]')


def test_sequences_are_followed_to_a_bounded_depth() -> None:
    path = "/".join(["(0008,1140)[0]"] * 40 + ["(0008,1155)"])
    with pytest.raises(ScriptRuntimeError, match="nested more than 32 deep"):
        apply(make_object(), f'{path} := "1"')
    ds = make_object({path: ("UI", "1")})
    with pytest.raises(ScriptRuntimeError, match="nested more than 32 deep"):
        apply(ds, "-*/(0008,1155)")
    with pytest.raises(ScriptRuntimeError, match="nested more than 32 deep"):
        apply(ds, "removeAllPrivateTags")
