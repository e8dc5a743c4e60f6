"""Custom processing as a console sees it: changed while the engine runs, counted, tried."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from engine.app.demo.sender import CT_SCANNER, study
from engine.dicom.header import identifying_values_of
from engine.errors import ChangedMeanwhile, InvalidProcessor, NotFound
from engine.events import IdentifyingValuesShown, OptionNotApplied, ProcessorProblem
from engine.model.identity import MASK
from engine.model.processing import Assignment, Verdict
from engine.model.processor import Location, Processor
from engine.model.project import Project
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, configure, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.events import Event

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def engine(tmp_path: Path, port: int) -> Iterator[Engine]:
    receiver = replace(make_receiver("XNAT", port), custom_processing=True, anonymization=False)
    data = tmp_path / "data"
    configure(data, receiver, projects=(Project("A"), Project("B")))
    engine = Engine(EngineSettings(data, durability=Durability.NONE))
    engine.start()
    yield engine
    engine.stop(0)


def told(engine: Engine, kind: type[Event]) -> list[str]:
    events = [r.event for r in engine.events_since(0, 1000).events]
    return [event.sentence() for event in events if isinstance(event, kind)]


def send(port: int, number: int) -> int | None:
    ds = next(study(CT_SCANNER, number, "B", NOW))
    to = Destination(LOOPBACK, port, "XNAT", "CT_1")
    with SendingAssociation(to, [CT_SCANNER.sop_class_uid]) as peer:
        return peer.send(ds)


def test_processors_are_changed_counted_and_tried_while_the_engine_runs(
    engine: Engine, port: int, tmp_path: Path
) -> None:
    assert len(told(engine, OptionNotApplied)) == 1
    table = tmp_path / "labels.csv"
    relabel = Processor(
        0, "Relabel", "relabelFromTable",
        parameters=(("file", str(table)), ("key", "calling_ae_title")),
    )  # fmt: skip
    saved = engine.processors.save(relabel, "anna")
    (status,) = engine.processors.list()
    assert (status.processor, status.receivers) == (saved, (f"XNAT:{port}",))
    assert "No such file" in status.problem
    assert len(told(engine, ProcessorProblem)) == 1
    assert send(port, 1) == 0x0110
    table.write_text("key,project,session\nCT_1,A,E1\n")
    wait_until_good(engine)
    assert send(port, 2) == 0
    (status,) = engine.processors.list()
    assert (status.runs, status.rejects, status.errors) == (2, 0, 1)
    assert "No such file" in status.last_error
    trial = engine.processors.test(replace(saved, parameters=(*saved.parameters[:1],)))
    assert [(s.verdict, s.processor) for s in trial.steps] == [(Verdict.SKIPPED, "Relabel")]
    assert told(engine, IdentifyingValuesShown) == []
    (seen,) = engine.processors.shown_test(saved, "anna").steps
    assert seen.assigned.words() == "project=A, session=E1"
    (masked,) = engine.processors.test(saved).steps
    assert (masked.assigned.project, masked.assigned.session) == ("A", "••")
    assert len(told(engine, IdentifyingValuesShown)) == 1
    (session,) = engine._index.sessions()
    assert (session.project, session.label) == ("A", "E1")
    engine.processors.set_enabled(saved.id, False, "anna")
    assert len(told(engine, OptionNotApplied)) == 2
    assert send(port, 3) == 0
    engine.undo("anna")
    assert engine.processors.list()[0].processor.enabled
    engine.processors.delete(saved.id, "anna")
    assert engine.processors.list() == ()


def test_what_a_script_says_of_a_patient_is_masked_wherever_it_says_it(
    engine: Engine, port: int
) -> None:
    script = 'version "6.1"\n(0018,1030) := (0010,0010)\n'
    copy = Processor(0, "Copy", "setElements", parameters=(("script", script),))
    assert send(port, 1) == 0
    (step,) = engine.processors.shown_test(copy, "anna").steps
    (change,) = step.changes
    assert change.after is not None
    name = change.after
    assert "^" in name
    spoken = replace(step, why=f"seen {name.lower()}", assigned=Assignment(project=name))
    known = identifying_values_of(engine._intake.router.recent()[0].header)
    hidden = spoken.masked(known)
    assert (hidden.why, hidden.assigned.project) == (f"seen {MASK}", MASK)
    assert name not in repr(engine.processors.test(copy))


def test_what_can_not_be_saved_is_refused(engine: Engine) -> None:
    remap = Processor(0, "Remap", "remapByStudy", location=Location.AFTER_PROJECT_SET)
    with pytest.raises(InvalidProcessor, match="so is the table"):
        engine.processors.save(remap, "anna")
    with pytest.raises(InvalidProcessor, match="so is the table"):
        engine.processors.test(remap)
    good = replace(remap, parameters=(("table", "study_instance_uid,project\n1.2,A\n"),))
    first = engine.processors.save(good, "anna")
    assert engine.processors.test(first).steps == ()
    changed = engine.processors.save(replace(first, priority=3), "berta", replacing=first)
    with pytest.raises(ChangedMeanwhile, match="processor Remap was changed by berta"):
        engine.processors.save(replace(first, priority=4), "anna", replacing=first)
    with pytest.raises(NotFound):
        engine.processors.save(replace(changed, id=99), "anna")
    with pytest.raises(NotFound):
        engine.processors.delete(99, "anna")
    assert "setElements" in {known.id for known in engine.processors.classes()}


def wait_until_good(engine: Engine) -> None:
    until = time.monotonic() + 20
    while problem := engine.processors.list()[0].problem:
        assert time.monotonic() < until, problem
        time.sleep(0.05)
