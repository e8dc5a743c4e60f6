"""A power cut at any moment: what was answered is there once and whole, and index and disk agree.

`CRASH_STATES=5000 pytest tests/crash/test_power_cuts.py` tries as many states of each scenario,
`CRASH_SEED=7` others than usual.
"""

from __future__ import annotations

import os

import pytest

from tests.crash.laboratory import in_laboratory
from tests.crash.scenarios import SCENARIOS

STATES = int(os.environ.get("CRASH_STATES", "96"))
SEED = int(os.environ.get("CRASH_SEED", "1"))


@pytest.mark.timeout(120 + STATES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_nothing_that_was_answered_is_lost_whenever_the_power_is_cut(scenario: str) -> None:
    in_laboratory("cuts", scenario, STATES, SEED)
