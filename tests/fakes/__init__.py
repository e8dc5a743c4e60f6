"""One fake engine for all tests, and the clock and the values that it answers with.

It satisfies `EngineView`: mypy checks its types, `tests/fakes/test_fakes.py` its signatures.
Read `engine.py` first; `scenarios.py` has the days that it can show.
"""

from tests.fakes.engine import FakeEngine
from tests.fakes.scenarios import (
    HOSTILE_NAMES,
    SCENARIOS,
    barred,
    busy,
    config_problem,
    disk_full,
    empty,
    hostile_names,
    hundred_associations,
    idle,
    port_in_use,
    shared_port_in_use,
    whitelist_rejections,
)
from tests.fakes.values import (
    NOW,
    FixedClock,
    make_association,
    make_receiver,
    make_snapshot,
    make_status,
    make_throughput,
)

__all__ = [
    "HOSTILE_NAMES",
    "NOW",
    "SCENARIOS",
    "FakeEngine",
    "FixedClock",
    "barred",
    "busy",
    "config_problem",
    "disk_full",
    "empty",
    "hostile_names",
    "hundred_associations",
    "idle",
    "make_association",
    "make_receiver",
    "make_snapshot",
    "make_status",
    "make_throughput",
    "port_in_use",
    "shared_port_in_use",
    "whitelist_rejections",
]
