"""What is wrong with a request, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from engine.remote.schema import MAX_PROBLEMS, MAX_VALUE_CHARACTERS, describe_problems

if TYPE_CHECKING:
    from pydantic_core import ValidationError


class Refused:
    """What pydantic says, as long as it likes."""

    def __init__(self, **error: Any) -> None:
        self._error = {"loc": ("receiver",), "msg": "Too long", "input": "x"} | error

    def errors(self, **_: bool) -> list[dict[str, Any]]:
        return [self._error] * (MAX_PROBLEMS + 1)


def problem_of(**error: Any) -> tuple[str, str, str]:
    refused = describe_problems(cast("ValidationError", Refused(**error)))
    assert len(refused.problems) == 10
    found = refused.problems[0]
    return found.field, found.value, found.message


def test_a_problem_says_field_value_and_what_is_wrong() -> None:
    assert problem_of(loc=("site", 3, "label")) == ("site.3.label", "x", "too long")
    assert problem_of(loc=()) == ("body", "x", "too long")


def test_whatever_was_sent_a_problem_is_short() -> None:
    many, long = ("a" * 999,) * (MAX_PROBLEMS + 1), "B" * 999
    field, value, message = problem_of(loc=many, msg=long, input=long)
    assert field == ".".join(["a" * MAX_VALUE_CHARACTERS] * MAX_PROBLEMS)
    assert value == "B" * MAX_VALUE_CHARACTERS
    assert message == "b" + "B" * 199
