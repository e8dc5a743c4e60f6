"""All that an engine at work answers is the same, down to its types, from afar."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.api.objects import ObjectReference
from engine.api.scripts import ScriptTrial
from engine.errors import SessionError, UnreadableObject
from engine.model.anonymization import ScriptScope
from engine.model.file_sample import FileSample
from engine.model.queries import SessionQuery
from engine.remote.protocol import methods
from tests.interop.at_work import CALLER, SCRIPT, engine_at_work
from tests.kinds import kinds_in
from tests.running import LOOPBACK
from tests.serving import attached

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.api import EngineView
    from engine.model.processing import ProcessorStep
    from engine.service.engine import Engine


@pytest.fixture(scope="module")
def _full_as_ever(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the disk, which others use too, be as full at every question."""
    usage = shutil.disk_usage(tmp_path_factory.getbasetemp())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: usage)
        yield


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, _full_as_ever: None
) -> Iterator[tuple[Engine, EngineView]]:
    """Run an engine that has received, refused and changed something; reach it from afar too."""
    data = tmp_path_factory.mktemp("answers") / "data"
    with engine_at_work(data) as engine, attached(engine, data / "attached.sock") as view:
        yield engine, view


def receiver(view: EngineView) -> Any:
    return view.snapshot().receivers[0].receiver


def session(view: EngineView) -> int:
    return view.sessions.list(SessionQuery()).sessions[0].id


def scan(view: EngineView) -> str:
    return view.sessions.detail(session(view)).scans[0].id


def stored(view: EngineView) -> ObjectReference:
    page = view.sessions.objects(session(view), scan(view))
    return ObjectReference(session(view), page.objects[0].file)


def site_trial(view: EngineView) -> Any:
    trial = ScriptTrial(ScriptScope.SITE, text=SCRIPT)
    return view.scripts.preview(trial, stored(view))


def processor_trial(view: EngineView) -> Any:
    trial = view.processors.test(view.processors.list()[0].processor)
    return replace(trial, steps=timeless(trial.steps))


def previews(view: EngineView) -> Any:
    found = view.preview_routing(receiver(view), view.site())
    assert len(found) == 3
    return [
        replace(
            one,
            saved_processing=timeless(one.saved_processing),
            draft_processing=timeless(one.draft_processing),
        )
        for one in found
    ]


def file_previews(view: EngineView) -> Any:
    """Try a file that is no object: it is refused in the same words from afar."""
    with pytest.raises(UnreadableObject) as caught:
        view.preview_routing(receiver(view), file=FileSample(b"\x00\xff", 2))
    return caught.value.detail, caught.value.remedy


def why(view: EngineView) -> Any:
    found = view.objects.why(stored(view))
    return replace(found, processing=timeless(found.processing))


def timeless(steps: tuple[ProcessorStep, ...]) -> tuple[ProcessorStep, ...]:
    """Leave out how long each step took, which is never the same twice."""
    return tuple(replace(step, seconds=0.0) for step in steps)


def identifiers(view: EngineView) -> Any:
    """Leave out what checks a value while it is typed: from afar that is done when it is saved."""
    return [
        replace(one, fields=tuple(replace(field, check=None) for field in one.fields))
        for one in view.identifiers()
    ]


def edit_refusal(view: EngineView) -> tuple[str, str]:
    with pytest.raises(SessionError) as caught:
        view.sessions.preview_edit(session(view), label="E9")
    return caught.value.detail, caught.value.remedy


def refusal(view: EngineView) -> Any:
    """Ask for what can't be: the session is still being received."""
    with pytest.raises(SessionError) as caught:
        view.sessions.preview_archive(session(view))
    error = caught.value
    return type(error), error.title, error.detail, error.remedy, error.exit_code


QUESTIONS: dict[str, Callable[[EngineView], Any]] = {
    "associations/contexts": lambda v: v.associations.contexts(
        v.snapshot().ended_associations[0].id
    ),
    "audited": lambda v: v.audited(),
    "events_since": lambda v: v.events_since(0),
    "file_namers": lambda v: v.file_namers(),
    "forwarding/destinations": lambda v: v.forwarding.destinations(),
    "forwarding/failed": lambda v: v.forwarding.failed(),
    "history/diff": lambda v: v.history.diff(1),
    "commitments/list": lambda v: v.commitments.list(),
    "commitments/show": lambda v: v.commitments.show(1),
    "history/receiver_times": lambda v: v.history.receiver_times(),
    "history/revisions": lambda v: v.history.revisions(),
    "identifiers": identifiers,
    "monitoring/counters": lambda v: v.monitoring.counters(),
    "monitoring/health": lambda v: v.monitoring.health(),
    "monitoring/metrics": lambda v: v.monitoring.metrics(),
    "objects/compare": lambda v: v.objects.compare(stored(v)),
    "objects/header": lambda v: v.objects.header(stored(v)),
    "objects/recent": lambda v: v.objects.recent(),
    "objects/thumbnail": lambda v: v.objects.thumbnail(stored(v), width=32, height=32),
    "objects/trail": lambda v: v.objects.trail(stored(v)),
    "objects/why": why,
    "peers/list": lambda v: v.peers.list(),
    "port_status": lambda v: v.port_status(receiver(v).port),
    "preview_routing": lambda v: (previews(v), file_previews(v)),
    "processors/classes": lambda v: v.processors.classes(),
    "processors/list": lambda v: v.processors.list(),
    "processors/test": processor_trial,
    "projects": lambda v: v.projects(),
    "receiver_notes": lambda v: v.receiver_notes(receiver(v).id),
    "scripts/check": lambda v: v.scripts.check("(0010,0010) := :="),
    "scripts/left": lambda v: v.scripts.left("-(0010,0010)"),
    "scripts/default_script": lambda v: v.scripts.default_script(),
    "scripts/preview": site_trial,
    "senders/detail": lambda v: v.senders.detail(CALLER, LOOPBACK),
    "senders/list": lambda v: v.senders.list(),
    "sessions/by_project": lambda v: v.sessions.by_project(),
    "sessions/detail": lambda v: v.sessions.detail(session(v)),
    "sessions/find": lambda v: v.sessions.find(CALLER),
    "sessions/list": lambda v: v.sessions.list(SessionQuery()),
    "sessions/objects": lambda v: v.sessions.objects(session(v), scan(v)),
    "sessions/past_actions": lambda v: v.sessions.past_actions(),
    "sessions/preview_archive": refusal,
    "sessions/preview_edit": edit_refusal,
    "sessions/settled": lambda v: v.sessions.settled(session(v), wait_seconds=0),
    "site": lambda v: v.site(),
    "snapshot": lambda v: v.snapshot(),
    "study_routes/list": lambda v: v.study_routes.list(),
}


def test_every_question_is_asked() -> None:
    assert QUESTIONS.keys() == {path for path, method in methods().items() if not method.changes}


@pytest.mark.parametrize("path", QUESTIONS)
def test_an_answer_is_the_same_from_afar(path: str, both: tuple[Engine, EngineView]) -> None:
    engine, view = both
    near, far = QUESTIONS[path](engine), QUESTIONS[path](view)
    assert far == near
    assert kinds_in(far) == kinds_in(near)
