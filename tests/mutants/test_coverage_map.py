"""Which tests are run for a mutant."""

from __future__ import annotations

from pathlib import Path

from tests.mutants.coverage_map import MirroredFolder
from tests.mutants.operators import Kind, mutants_of
from tests.mutants.runs import ROOT


def test_without_a_map_a_mutant_is_tried_with_all_tests_of_its_package_and_its_own_first() -> None:
    module = "engine/sessions/staging.py"
    flush = next(m for m in mutants_of(module, ROOT / module) if m.kind is Kind.DURABILITY)
    chosen = MirroredFolder().tests_for(flush, 0)
    assert [Path(test).name for test in chosen[:2]] == ["test_staging.py", "test_flush_order.py"]
    assert {
        str(file.relative_to(ROOT)) for file in (ROOT / "tests/engine/sessions").glob("test_*")
    } == set(chosen)
