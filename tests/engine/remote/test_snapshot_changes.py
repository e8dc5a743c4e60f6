"""The changes of a snapshot: with them a console has exactly what it would have asked for whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.status import ProcessStatus
from engine.remote import protocol
from engine.remote.failures import EngineSilent
from engine.remote.protocol import served_methods
from engine.remote.snapshot_changes import ChangesLost, FollowedSnapshot, SnapshotTracker
from tests.fakes import FakeEngine, busy
from tests.fakes.values import make_association, make_receiver, make_snapshot, make_status
from tests.serving import remote, send, served

if TYPE_CHECKING:
    from pathlib import Path

    from engine.api import EngineSnapshot
    from engine.remote.snapshot_changes import SnapshotChanges

CODEC = served_methods()["snapshot_changes"].result
NUMBERS = st.lists(st.integers(1, 5), unique=True, max_size=5)
COUNTS = st.lists(st.integers(0, 2), min_size=5, max_size=5)
CONSOLES = 3


def _snapshot(
    receivers: list[int], associations: list[int], ended: list[int], counts: list[int]
) -> EngineSnapshot:
    """Return a snapshot with these rows in this order, each with one of a few counts."""
    return make_snapshot(
        revision=sum(counts),
        receivers=tuple(
            make_status(make_receiver(n), objects_today=counts[n - 1]) for n in receivers
        ),
        associations=tuple(make_association(n, "CT1", objects=counts[n - 1]) for n in associations),
        ended_associations=tuple(make_association(n, "CT1") for n in ended),
        processes=tuple(ProcessStatus(n, 4711, 0, counts[n - 1], 0.5, 0) for n in ended),
    )


SNAPSHOTS = st.builds(_snapshot, NUMBERS, NUMBERS, NUMBERS, COUNTS)


def _sent(changes: SnapshotChanges) -> SnapshotChanges:
    """Return what arrives at the other end of the socket."""
    arrived: SnapshotChanges = CODEC.load(CODEC.dump(changes))
    return arrived


@given(st.lists(st.tuples(SNAPSHOTS, st.sets(st.integers(0, CONSOLES - 1))), max_size=8))
def test_whoever_asks_however_seldom_has_what_the_engine_has(
    steps: list[tuple[EngineSnapshot, set[int]]],
) -> None:
    engine = FakeEngine()
    tracker, consoles = SnapshotTracker(engine), [FollowedSnapshot() for _ in range(CONSOLES)]
    for engine.current, asking in steps:
        for console in (consoles[number] for number in asking):
            changes = _sent(tracker.snapshot_changes(console.version))
            assert console.apply(changes) == engine.current


def _many(receivers: int = 500) -> FakeEngine:
    return FakeEngine(
        make_snapshot(
            receivers=tuple(make_status(make_receiver(n + 1, f"R{n}")) for n in range(receivers)),
            associations=(make_association(1, "CT1"), make_association(2, "MR1")),
            ended_associations=tuple(make_association(3 + n, "OLD") for n in range(50)),
        )
    )


def test_an_answer_has_the_changed_rows_only_and_is_short() -> None:
    engine = _many()
    tracker = SnapshotTracker(engine)
    first = tracker.snapshot_changes()
    assert (first.since, len(first.snapshot.receivers)) == ("", 500)

    again = tracker.snapshot_changes(first.version)
    assert (again.version, again.since) == (first.version, first.version)
    assert (again.snapshot.receivers, again.rows) == ((), {})
    assert len(CODEC.dump(again)) < 2_000

    rows = list(engine.current.receivers)
    rows[77] = replace(rows[77], objects_today=8)
    left = engine.current.associations[:1]
    engine.current = replace(engine.current, receivers=tuple(rows), associations=left)
    changed = tracker.snapshot_changes(again.version)
    assert changed.snapshot.receivers == (rows[77],)
    assert (changed.snapshot.associations, changed.rows) == ((), {"associations": ("A-0001",)})
    assert len(CODEC.dump(changed)) < 5_000


@pytest.mark.parametrize("version", ["0.5", "{run}.9", "{run}.", "{run}.²", "{run}." + "9" * 9999])
def test_who_names_a_version_that_never_was_gets_all(version: str) -> None:
    tracker = SnapshotTracker(_many(3))
    run = tracker.snapshot_changes().version.partition(".")[0]
    answer = tracker.snapshot_changes(version.format(run=run))
    assert (answer.since, len(answer.snapshot.receivers)) == ("", 3)


def test_changes_that_do_not_fit_are_refused_and_the_next_question_is_for_all() -> None:
    engine = _many(2)
    tracker, console = SnapshotTracker(engine), FollowedSnapshot()
    whole = tracker.snapshot_changes()
    engine.current = replace(engine.current, receivers=())
    changes = tracker.snapshot_changes(whole.version)
    for wrong in (changes, replace(changes, since=whole.version, rows={"receivers": ("9",)})):
        console.apply(whole)
        if wrong is changes:
            console.apply(changes)
        with pytest.raises(ChangesLost):
            console.apply(wrong)
        assert console.version == ""


def test_a_console_is_sent_the_whole_once_and_then_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, file = busy(), tmp_path / "control.sock"
    sizes: list[int] = []
    with remote(file) as reached:
        ask = reached.channel.ask

        def measured(path: str, arguments: bytes, **named: Any) -> bytes:
            answer = ask(path, arguments, **named)
            sizes.append(len(answer))
            return answer

        monkeypatch.setattr(reached.channel, "ask", measured)
        with served(engine, file):
            reached.meet()
            assert reached.view.snapshot() == engine.current
            rows = engine.current.receivers
            engine.current = replace(engine.current, receivers=rows[1:], revision=99)
            assert reached.view.snapshot() == engine.current
            assert sizes[0] > 5 * max(sizes[1:])
            # Anybody else is sent the whole.
            status, whole = send(file, "GET", "/v1/snapshot")
            assert (status, len(whole["receivers"])) == (200, len(rows) - 1)
        engine.current = replace(engine.current, receivers=rows)
        with served(engine, file):  # another run of the engine
            assert reached.view.snapshot() == engine.current


def test_an_engine_of_another_version_is_asked_for_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, file = busy(), tmp_path / "control.sock"
    paths: list[str] = []
    with served(engine, file), remote(file) as reached:
        ask = reached.channel.ask

        def noted(path: str, arguments: bytes, **named: Any) -> bytes:
            paths.append(path)
            return ask(path, arguments, **named)

        monkeypatch.setattr(reached.channel, "ask", noted)
        monkeypatch.setattr("engine.remote.routes.fingerprint", lambda: "another")
        reached.channel.greet()
        monkeypatch.setattr(protocol, "fingerprint", lambda: "ours")
        assert reached.view.snapshot() == replace(
            engine.current, read_only=reached.channel.counterpart.mismatch
        )
        assert paths == ["snapshot"]


def test_an_answer_that_does_not_fit_makes_the_engine_silent_once(tmp_path: Path) -> None:
    engine, file = busy(), tmp_path / "control.sock"
    with served(engine, file), remote(file) as reached:
        assert reached.view.snapshot() == engine.current
        reached._followed._snapshot = None  # as after a defect
        engine.current = replace(engine.current, receivers=engine.current.receivers[1:])
        with pytest.raises(EngineSilent, match="does not belong to the one before"):
            reached.view.snapshot()
        assert reached.view.snapshot() == engine.current
