"""The soak: what counts as growth, and that each study is a new one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.soak.cli import main
from tests.bench.soak.growth import Sample, growth_problems, quarters
from tests.bench.soak.senders import Load, study_objects

FLAT = Sample(memory_mb=120, descriptors=80, threads=20, wal_mb=4, console_mb=90)


def test_what_begins_is_no_growth_but_what_goes_on_is() -> None:
    beginning = [replace(FLAT, memory_mb=60)] * 4 + [FLAT] * 12
    assert list(growth_problems(beginning)) == []
    growing = [replace(FLAT, memory_mb=60 + 10 * n, descriptors=80 + n) for n in range(16)]
    assert list(growth_problems(growing)) == [
        "engine, MB: 115 in the second quarter, 195 in the last one"
    ]
    assert quarters(growing, lambda sample: sample.descriptors) == [81.5, 85.5, 89.5, 93.5]
    assert quarters([FLAT], lambda sample: sample.threads) == [20] * 4


def test_each_study_is_new_and_its_objects_differ() -> None:
    load = Load("small", 0, "BENCH", 3, 1.0)
    studies = [
        list(study_objects(sender, study, load)) for sender, study in ((0, 0), (0, 1), (1, 0))
    ]
    assert len({one.sop_instance_uid for objects in studies for one in objects}) == 9
    assert len({one.data_set for objects in studies for one in objects}) == 9


def test_a_time_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--minutes", "0"])
    assert "give 0.5 to 1440" in capsys.readouterr().err
