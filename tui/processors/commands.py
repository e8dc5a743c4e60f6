"""The commands on processors and on the destinations of forward copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.model.processor import ProcessorRules
from engine.model.project import ProjectRegistry
from tui.engine_client import EngineCall
from tui.processors.table import moved
from tui.shell.dialogs import ConfirmDialog
from tui.text import counted, safe

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api import EngineView
    from engine.model.processor import Processor
    from tui.app import CommandApp
    from tui.engine_client import ForwardingCommand, ProcessorCommand

PROCESSORS = "processors"
"""What calls about a processor are about: one at a time, as they change the order."""


class ProcessorCommands:
    """Carries out commands on processors for one console."""

    def __init__(self, app: CommandApp, engine: EngineView, actor: str) -> None:
        self._app = app
        self._engine = engine
        self._actor = actor

    def run(self, command: ProcessorCommand) -> None:
        """Do what was asked for."""
        processor, then = command.processor, command.then
        if command.action == "new":
            self._open_dialog(None, then)
        elif processor is not None:
            self._on_processor(command.action, processor, then)

    def _on_processor(self, action: str, processor: Processor, then: Callable[[], None]) -> None:
        match action:
            case "edit":
                self._open_dialog(processor, then)
            case "duplicate":
                self._open_dialog(processor, then, copy=True)
            case "enable" | "disable":
                self._enable(processor, then, enabled=action == "enable")
            case "delete":
                self._delete(processor, then)
            case "test":
                self._test(processor)
            case "up" | "down":
                self._move(processor, -1 if action == "up" else 1, then)
            case _:
                raise ValueError(action)

    # The dialog

    def _open_dialog(
        self, processor: Processor | None, then: Callable[[], None], *, copy: bool = False
    ) -> None:
        def around(engine: EngineView) -> tuple[Any, Any, Any]:
            group = engine.processors
            return group.classes(), group.list(), ProjectRegistry(engine.projects())

        def opened(known: tuple[Any, Any, Any]) -> None:
            self._dialog(processor, then, copy, *known)

        what = f"open the dialog of {name_of(processor)}" if processor else "open the dialog"
        self._app.call_engine(EngineCall(what, PROCESSORS, around, opened))

    def _dialog(
        self,
        processor: Processor | None,
        then: Callable[[], None],
        copy: bool,
        classes: Any,
        statuses: Any,
        projects: Any,
    ) -> None:
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
        dialog = ProcessorDialog(
            form,
            processors=lambda: self._engine.processors,
            scripts=lambda: self._engine.scripts,
            actor=self._actor,
            blink=self._app.blink,
        )

        def saved(result: Processor | None) -> None:
            if result is not None:
                self._done(then, f"processor {name_of(result)} saved")

        self._app.push_screen(dialog, saved)

    # One call

    def _enable(self, processor: Processor, then: Callable[[], None], *, enabled: bool) -> None:
        words = "enabled" if enabled else "disabled"

        def change(engine: EngineView) -> None:
            engine.processors.set_enabled(processor.id, enabled, self._actor)

        done = f"processor {name_of(processor)} {words}, from the next object on"
        self._call(f"{words[:-1]} {name_of(processor)}", change, lambda _: self._done(then, done))

    def _delete(self, processor: Processor, then: Callable[[], None]) -> None:
        name = name_of(processor)

        def look(engine: EngineView) -> int:
            found = (d for d in engine.forwarding.destinations() if d.id == processor.id)
            return sum(d.queued + d.failed for d in found)

        def ask(queued: int) -> None:
            waits = f" {counted(queued, 'object')} for its destination will not be sent."
            sentence = (
                "It sees no object from now on; what it did stays as it is."
                f"{waits if queued else ''} Undo on the History screen brings it back"
                f"{', without those objects' if queued else ''}."
            )
            confirm = ConfirmDialog(f"Delete processor {name}?", sentence, "Delete it")
            self._ask(confirm, delete)

        def delete() -> None:
            self._call(
                f"delete {name}",
                lambda engine: engine.processors.delete(processor.id, self._actor),
                lambda _: self._done(then, f"processor {name} deleted"),
            )

        self._call(f"look at {name}", look, ask)

    def _test(self, processor: Processor) -> None:
        from tui.processors.dialog import TrialScreen

        actor = self._actor

        def show(trial: Any) -> None:
            self._app.push_screen(
                TrialScreen(
                    processor.label,
                    trial,
                    lambda engine: engine.processors.shown_test(processor, actor),
                )
            )

        call = EngineCall(
            f"try {name_of(processor)}",
            PROCESSORS,
            lambda engine: engine.processors.test(processor),
            show,
            changes=False,
        )
        self._app.call_engine(call)

    def _move(self, processor: Processor, step: int, then: Callable[[], None]) -> None:
        name = name_of(processor)

        def move(engine: EngineView) -> bool:
            known = {s.processor.id: s.processor for s in engine.processors.list()}
            changed = moved(known.values(), processor.id, step)
            for new in changed or ():
                engine.processors.save(new, self._actor, replacing=known[new.id])
            return changed is not None

        def told(done: bool) -> None:
            if done:
                where = "earlier" if step < 0 else "later"
                self._done(then, f"processor {name} acts {where} now")
            else:
                end = "first" if step < 0 else "last"
                self._app.show_toast(f"{name} is the {end} at its location; e changes the location")

        self._call(f"move {name}", move, told)

    # Destinations

    def forwarding(self, command: ForwardingCommand) -> None:
        """Try a destination again, or forget objects for it after a yes."""
        destination, items = command.destination, command.items
        name = safe(destination.label)
        if command.action == "retry":
            self._call(
                f"retry {name}",
                lambda engine: engine.forwarding.retry(destination.id, self._actor, items),
                lambda again: self._done(
                    command.then,
                    f"{name} is tried now; {counted(again, 'given-up object')} queued again",
                ),
            )
            return
        waiting = command.action == "drop_waiting"
        number = len(items) or (destination.queued if waiting else destination.failed)
        kind = "waiting" if waiting else "given-up"
        sentence = (
            f"{counted(number, 'object')} will not be sent to {safe(destination.peer)}. "
            "They stay stored here. This can't be undone."
        )
        question = f"Drop {counted(number, f'{kind} object')} for {name}?"
        drop = self._dropping(command, waiting=waiting)
        self._ask(ConfirmDialog(question, sentence, "Drop"), drop)

    def _dropping(self, command: ForwardingCommand, *, waiting: bool) -> Callable[[], None]:
        destination, items = command.destination, command.items
        name = safe(destination.label)

        def drop(engine: EngineView) -> int:
            return engine.forwarding.drop(destination.id, self._actor, items, waiting=waiting)

        def told(dropped: int) -> None:
            self._done(command.then, f"{counted(dropped, 'object')} for {name} dropped")

        return lambda: self._call(f"drop objects for {name}", drop, told)

    # What all have

    def _call(
        self, what: str, run: Callable[[EngineView], Any], then: Callable[[Any], None]
    ) -> None:
        self._app.call_engine(EngineCall(what, PROCESSORS, run, then))

    def _ask(self, screen: ConfirmDialog, then: Callable[[], None]) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                then()

        self._app.push_screen(screen, answered)

    def _done(self, then: Callable[[], None], sentence: str) -> None:
        self._app.refresh_from_engine()
        then()
        self._app.show_toast(sentence)


def name_of(processor: Processor) -> str:
    """Return what a processor is called on the screen."""
    return safe(processor.label)
