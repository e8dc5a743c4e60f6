"""A storage that fails at any call: the operation can be done again, and nothing is lost by it.

`CRASH_FAULTS=10000 pytest tests/crash/test_storage_faults.py` lets every call fail in each way.
"""

from __future__ import annotations

import os

import pytest

from tests.crash.laboratory import in_laboratory
from tests.crash.operations import OPERATIONS, STARTS

TRIES = int(os.environ.get("CRASH_FAULTS", "20"))
SEED = int(os.environ.get("CRASH_SEED", "1"))


@pytest.mark.timeout(120 + TRIES)
@pytest.mark.parametrize("operation", [*OPERATIONS, *STARTS])
def test_an_operation_that_the_storage_failed_can_be_done_again_and_loses_nothing(
    operation: str,
) -> None:
    in_laboratory("faults", operation, TRIES, SEED)
