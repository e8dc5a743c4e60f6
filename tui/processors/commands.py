"""The commands on processors and on the destinations of forward copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from engine.model.processor import ProcessorRules
from engine.model.project import ProjectRegistry
from tui.keys import pressed
from tui.processors.table import moved
from tui.shell.dialogs import QuestionDialog
from tui.text import counted, safe

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api import EngineView
    from engine.api.commitments import CommitmentStatus
    from engine.api.forwarding import DestinationStatus
    from engine.model.processor import Processor
    from tui.processors.dialog import ProcessorDialog
    from tui.shell.engine_app import EngineApp

T = TypeVar("T")
PROCESSORS = "processors"
"""What calls about a processor are about: one at a time, as they change the order."""


class ProcessorCommands:
    """Carries out commands on processors for one console."""

    def __init__(self, app: EngineApp) -> None:
        self._app = app
        self._actor = app.actor

    async def run(self, action: str, processor: Processor | None) -> bool:
        """Do it with a processor, none for a new one; return whether anything was changed."""
        done = ""
        if action == "new":
            done = await self._edit(None)
        elif processor is not None and action == "test":
            await self._test(processor)
        elif processor is not None:
            done = await self._change(action, processor)
        if done:
            await self._done(done)
        return bool(done)

    async def _change(self, action: str, processor: Processor) -> str:
        """Do it and return what was done, empty if nothing was."""
        match action:
            case "edit":
                return await self._edit(processor)
            case "duplicate":
                return await self._edit(processor, copy=True)
            case "enable" | "disable":
                return await self._enable(processor, enabled=action == "enable")
            case "delete":
                return await self._delete(processor)
            case "up" | "down":
                return await self._move(processor, -1 if action == "up" else 1)
            case _:
                raise ValueError(action)

    # The dialog

    async def _edit(self, processor: Processor | None, *, copy: bool = False) -> str:
        def around(engine: EngineView) -> tuple[Any, Any, Any]:
            group = engine.processors
            return group.classes(), group.list(), ProjectRegistry(engine.projects())

        what = f"open the dialog of {name_of(processor)}" if processor else "open the dialog"
        known = await self._call(what, around)
        saved = await self._app.push_screen_wait(self._dialog(processor, copy, *known))
        return f"processor {name_of(saved)} saved" if saved is not None else ""

    def _dialog(
        self, processor: Processor | None, copy: bool, classes: Any, statuses: Any, projects: Any
    ) -> ProcessorDialog:
        from tui.processors.dialog import ProcessorDialog
        from tui.processors.form import ProcessorForm

        snapshot = self._app.engine_state.snapshot
        receivers = [status.receiver for status in snapshot.receivers] if snapshot else []
        known = [status.processor for status in statuses]
        edited = None if copy or processor is None else processor
        others = tuple(p for p in known if edited is None or p.id != edited.id)
        rules = ProcessorRules(classes, others, projects)
        if processor is None:
            form = ProcessorForm.new(rules, receivers)
        elif copy:
            form = ProcessorForm.duplicate(processor, rules, receivers)
        else:
            form = ProcessorForm.edit(processor, rules, receivers)
        return ProcessorDialog(form)

    # One call

    async def _enable(self, processor: Processor, *, enabled: bool) -> str:
        words = "enabled" if enabled else "disabled"
        await self._call(
            f"{words[:-1]} {name_of(processor)}",
            lambda engine: engine.processors.set_enabled(processor.id, enabled, self._actor),
        )
        return f"processor {name_of(processor)} {words}, from the next object on"

    async def _delete(self, processor: Processor) -> str:
        name = name_of(processor)

        def look(engine: EngineView) -> int:
            found = (d for d in engine.forwarding.destinations() if d.id == processor.id)
            return sum(d.queued + d.failed for d in found)

        queued = await self._call(f"look at {name}", look)
        waits = f" {counted(queued, 'object')} for its destination will not be sent."
        sentence = (
            "It sees no object from now on; what it did stays as it is."
            f"{waits if queued else ''} Undo on the History screen brings it back"
            f"{', without those objects' if queued else ''}."
        )
        question = QuestionDialog.confirm(f"Delete processor {name}?", sentence, "Delete it")
        if not await self._app.push_screen_wait(question):
            return ""
        await self._call(
            f"delete {name}", lambda engine: engine.processors.delete(processor.id, self._actor)
        )
        return f"processor {name} deleted"

    async def _test(self, processor: Processor) -> None:
        from tui.processors.dialog import TrialScreen

        trial = await self._app.engine.call(
            f"try {name_of(processor)}",
            lambda engine: engine.processors.test(processor),
            about=PROCESSORS,
            changes=False,
        )
        self._app.push_screen(TrialScreen(processor, trial))

    async def _move(self, processor: Processor, step: int) -> str:
        name = name_of(processor)

        def move(engine: EngineView) -> bool:
            # Read on the thread: the order on the screen may be old.
            known = {s.processor.id: s.processor for s in engine.processors.list()}
            changed = moved(known.values(), processor.id, step)
            for new in changed or ():
                engine.processors.save(new, self._actor, replacing=known[new.id])
            return changed is not None

        if await self._call(f"move {name}", move):
            return f"processor {name} acts {'earlier' if step < 0 else 'later'} now"
        end = "first" if step < 0 else "last"
        self._app.show_toast(
            f"{name} is the {end} at its location; {pressed('processor.edit')} changes the location"
        )
        return ""

    # Destinations

    async def forwarding(
        self, action: str, destination: DestinationStatus, items: tuple[int, ...]
    ) -> bool:
        """Try a destination again, or drop objects for it after a yes; return whether it was done.

        Without `items` that is for all of its objects.
        """
        name = safe(destination.label)
        if action == "retry":
            again = await self._call(
                f"retry {name}",
                lambda engine: engine.forwarding.retry(destination.id, self._actor, items),
            )
            queued = f"{counted(again, 'given-up object')} queued again"
            await self._done(f"{name} is tried now; {queued}")
            return True
        waiting = action == "drop_waiting"
        number = len(items) or (destination.queued if waiting else destination.failed)
        kind = "waiting" if waiting else "given-up"
        sentence = (
            f"{counted(number, 'object')} will not be sent to {safe(destination.peer)}. "
            "They stay stored here. This can't be undone."
        )
        question = f"Drop {counted(number, f'{kind} object')} for {name}?"
        if not await self._app.push_screen_wait(QuestionDialog.confirm(question, sentence, "Drop")):
            return False
        dropped = await self._call(
            f"drop objects for {name}",
            lambda engine: engine.forwarding.drop(
                destination.id, self._actor, items, waiting=waiting
            ),
        )
        await self._done(f"{counted(dropped, 'object')} for {name} dropped")
        return True

    async def retry_commitment(self, commitment: CommitmentStatus) -> None:
        """Look the objects of a request up again, and send its report at once."""
        name = safe(commitment.calling_ae_title)
        await self._call(
            f"retry the report to {name}",
            lambda engine: engine.commitments.retry(commitment.id, self._actor),
        )
        await self._done(f"the report to {name} is tried now")

    # What all have

    async def _call(self, what: str, run: Callable[[EngineView], T]) -> T:
        return await self._app.engine.call(what, run, about=PROCESSORS)

    async def _done(self, sentence: str) -> None:
        await self._app.look()
        self._app.show_toast(sentence)


def name_of(processor: Processor) -> str:
    """Return what a processor is called on the screen."""
    return safe(processor.label)
