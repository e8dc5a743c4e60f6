"""Why an object is where it is: rules in order, masked values, and the remedies."""

from dataclasses import replace
from typing import Any

from engine.api.objects import HeaderBasis, ObjectReference, ObjectWhy
from engine.errors import NotFound
from engine.model.identity import Decision
from engine.model.project import Project
from tests.fakes import NOW, busy
from tests.fakes.objects import example_why
from tests.fakes.sessions import make_session
from tests.tui.inspector.test_inspector import UID, running
from tests.tui.sessions.test_sessions_screen import TOLD, press, seen
from tests.tui.sessions.test_sessions_screen import running as in_sessions
from tui.inspector.why import WhyDialog, why_lines
from tui.receivers.dialog import ReceiverDialog
from tui.shell.dialogs import QuestionDialog
from tui.widgets.panel import HangingText

OBJECT = ObjectReference(416, "SCANS/3/DICOM/3-0001.dcm", f"{UID}.1")


def words(why: ObjectWhy) -> str:
    return "\n".join(line.plain for line in why_lines(why, NOW))


def example() -> ObjectWhy:
    return example_why(OBJECT, busy().objects.trail(OBJECT).steps[0])


def box(app: Any) -> tuple[str, str]:
    """Return what a dialog says, and its keys."""
    dialog = seen(app)
    assert isinstance(dialog, WhyDialog)
    return dialog.query_one(HangingText)._text.plain, str(dialog.query_one(".box").border_subtitle)


def test_each_rule_says_what_it_saw_and_what_it_took() -> None:
    said = words(example())
    assert "is in        Unassigned / P-0001, prearchive" in said
    assert "A dry run of the rules of now on the header as received" in said
    assert "Project      Unassigned\n  – rule 1 · (0008,0050) AccessionNumber: the object" in said
    assert "✗ rule 2 · (0008,1030) StudyDescription “TRIAL-7” took “TRIAL-7”: project" in said
    assert "Session      P-0001\n  ✓ site rule 1 · (0010,0020) PatientID “P-0001” → P-0001" in said


def test_what_is_not_known_or_differs_is_said() -> None:
    why = example()
    changed = words(replace(why, agrees=False, basis=HeaderBasis.STORED))
    assert "▲ today the rules decide otherwise" in changed
    assert "on the file as stored" in changed
    gone = words(replace(why, found=None, receiver_id=0))
    assert "✗ receiver XNAT:8104 does not exist any more" in gone
    assert why.found is not None
    refused = replace(why.found, identity=None, failure="a routing rule failed: rule 1")
    arrival = replace(why.arrival, reason="a \x1b[31mrule failed", state="failed", session=None)
    said = words(replace(why, found=refused, arrival=arrival, session=None))
    assert "✗ would be rejected: a routing rule failed: rule 1" in said
    assert "▲ a ␛[31mrule failed" in said


async def test_the_missing_project_is_created_and_the_session_moved() -> None:
    engine = busy()
    async with running(engine, "W") as (app, _, pilot):
        said, keys = box(app)
        assert "took “TRIAL-7”" in said
        assert "Doe" not in said
        assert "n create TRIAL-7   e receiver   E site rules" in keys
        await press(app, pilot, "v")
        assert "Doe" in box(app)[0]
        assert len(engine.named("objects.shown_why")) == 1
        await press(app, pilot, "v", "n")
        question = seen(app)
        assert isinstance(question, QuestionDialog)
        assert question._question == "Create project TRIAL-7 and move P-0001 there?"
        await press(app, pilot, "right", "enter")
        (saved,) = engine.named("save_project")
        assert saved[0] == Project("TRIAL-7", auto_archive=engine.site().new_project_auto_archive)
        assert engine.named("sessions.move") == [(416, "TRIAL-7", "console")]
        assert TOLD[-1].startswith("project TRIAL-7 created; ")


async def test_a_session_is_explained_by_an_object_of_each_scan() -> None:
    engine = busy()
    engine.sessions.known = [make_session(1)]
    why = engine.objects.why

    def moved(reference: ObjectReference) -> ObjectWhy:
        if not reference.file.startswith("SCANS/2/"):
            raise NotFound("there is no such object", "look at the list again")
        found = why(reference)
        assert found.found is not None
        assert found.found.identity is not None
        assert found.session is not None
        there = replace(found.found.identity, project=Decision("NEURO-01", ""))
        elsewhere = replace(found.session, project="OTHER")
        return replace(found, found=replace(found.found, identity=there), session=elsewhere,
                       unknown_project="", agrees=False)  # fmt: skip

    engine.objects.why = moved  # type: ignore[method-assign]
    async with in_sessions(engine, "W") as (app, _, pilot):
        assert box(app)[0] == "✗ there is no such object\nlook at the list again"
        await press(app, pilot, "right")
        said, keys = box(app)
        assert keys.startswith("←→ object   v values   m move   e receiver")
        assert "today the rules decide otherwise" in said
        await press(app, pilot, "m", "right", "enter")
        assert [call[1] for call in engine.named("sessions.move")] == ["NEURO-01"]
        await press(app, pilot, "W", "right", "e")
        assert isinstance(seen(app), ReceiverDialog)


async def test_a_read_only_console_explains_and_offers_no_remedy() -> None:
    async with running(busy(), "W", read_only=True) as (app, _, pilot):
        assert box(app)[1] == "v values   esc close"
        await press(app, pilot, "n")
        assert isinstance(seen(app), WhyDialog)
