"""Which tests are run for a mutant."""

from __future__ import annotations

import json
from pathlib import Path

from coverage import CoverageData

from tests.mutants.coverage_map import DATA, TIMES, CoverageMap, MirroredFolder
from tests.mutants.operators import Kind, mutants_of
from tests.mutants.runs import ROOT


def test_without_a_map_a_mutant_is_tried_with_all_tests_of_its_package_and_its_own_first() -> None:
    module = "engine/sessions/folders/staging.py"
    flush = next(m for m in mutants_of(module, ROOT / module) if m.kind is Kind.DURABILITY)
    chosen = MirroredFolder().tests_for(flush, 0)
    assert [Path(test).name for test in chosen[:2]] == ["test_staging.py", "test_flush_order.py"]
    assert {
        str(file.relative_to(ROOT))
        for file in (ROOT / "tests/engine/sessions/folders").glob("test_*")
    } == set(chosen)


def test_a_line_that_runs_at_import_is_tried_with_the_tests_of_its_module(tmp_path: Path) -> None:
    module = "engine/config/history.py"
    (tmp_path / TIMES).write_text(json.dumps({}))
    data = CoverageData(str(tmp_path / DATA))
    constant, *_, last = mutants_of(module, ROOT / module)
    data.set_context("")
    data.add_lines({str(ROOT / module): [constant.line]})
    data.set_context("tests/engine/test_other.py::test_it|run")
    data.add_lines({str(ROOT / module): [last.line]})
    data.write()
    chosen = CoverageMap(tmp_path)
    for mutant in (constant, last):
        assert chosen.tests_for(mutant, 30) == ["tests/engine/test_other.py::test_it"]
