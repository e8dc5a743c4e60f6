"""A share of the tests is the same each time, and has some of each module."""

from __future__ import annotations

from tests.conftest import in_share

TESTS = {
    f"test_{module}.py::test[{case}]": f"{module}" for module in range(50) for case in range(9)
}


def test_a_third_has_a_test_of_each_module_whatever_the_order() -> None:
    chosen = set(in_share(3, TESTS))
    assert {TESTS[test] for test in chosen} == set(TESTS.values())
    assert len(TESTS) / 4 < len(chosen) < len(TESTS) / 2
    assert set(in_share(3, dict(reversed(TESTS.items())))) == chosen
    assert set(in_share(1, TESTS)) == set(TESTS)
