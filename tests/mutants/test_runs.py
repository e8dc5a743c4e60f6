"""What a run of the tests says about a mutant."""

from __future__ import annotations

import pytest

from tests.mutants.runs import Outcome, outcome_of


@pytest.mark.parametrize(
    ("returncode", "said", "outcome"),
    [
        (0, "5 passed in 1.2s", Outcome.SURVIVED),
        (1, "1 failed, 4 passed in 1.2s", Outcome.KILLED),
        (2, "1 error in 1.2s", Outcome.KILLED),
        (4, "ImportError while loading conftest", Outcome.KILLED),
        (4, "ERROR: file or directory not found: tests/gone.py", Outcome.UNTESTED),
        (5, "no tests ran in 0.1s", Outcome.UNTESTED),
    ],
)
def test_tests_that_are_missing_kill_no_mutant(
    returncode: int, said: str, outcome: Outcome
) -> None:
    assert outcome_of(returncode, said) is outcome
