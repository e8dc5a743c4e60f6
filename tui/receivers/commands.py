"""The commands on receivers, with their keys and palette entries."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from engine.api import ReceiverState
from tui.engine_client import ReceiverCommand
from tui.keys import KEYS, Scope, possible, pressed, with_keys
from tui.shell.dialogs import QuestionDialog
from tui.shell.palette import receiver_ways
from tui.shell.screen import ConsoleScreen, PaletteEntry
from tui.text import counted, safe
from tui.theme import RECEIVER_STYLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.notifications import SeverityLevel

    from engine.api import EngineView, ReceiverStatus
    from engine.model.receiver import Receiver
    from tui.keys import Key
    from tui.receivers.form import ReceiverForm
    from tui.shell.engine_app import EngineApp


NOTE_SECONDS = 15
"""Notes are longer than other toasts, and come beside one."""


class ReceiverCommands:
    """Carries out receiver commands for one console: asks, calls the engine, tells the outcome."""

    def __init__(self, app: EngineApp) -> None:
        self._app = app
        self._actor = app.actor

    async def run(self, action: str, receiver_id: int) -> None:
        """Carry out an action, if it (still) makes sense."""
        status = self._app.engine_state.receiver(receiver_id)
        if not possible(action, status):
            return
        if action == "new":
            await self._edit(None)
        elif action == "duplicate" and status is not None:
            await self._edit(status.receiver, is_new=True)
        elif status is not None:
            await self._on_receiver(action, status)

    async def _on_receiver(self, action: str, status: ReceiverStatus) -> None:
        match action:
            case "edit":
                await self._edit(status.receiver)
            case "stop":
                await self._stop(status)
            case "start":
                await self._enable(status, enabled=True)
            case "delete":
                await self._delete(status)
            case "retry":
                await self._retry(status)
            case "echo":
                await self._echo(status)
            case "reach":
                await self._reach(status)
            case _:
                raise ValueError(action)

    async def _edit(self, receiver: Receiver | None, *, is_new: bool = False) -> None:
        # Loaded when a dialog is opened: the first picture does without it.
        from engine.model.project import ProjectRegistry
        from tui.receivers.dialog import ReceiverDialog
        from tui.receivers.failure import usable_port
        from tui.receivers.form import suggested_port

        snapshot = self._app.engine_state.snapshot
        known = tuple(status.receiver for status in snapshot.receivers) if snapshot else ()

        def settings(engine: EngineView) -> tuple[Any, ...]:
            processors = tuple(status.processor for status in engine.processors.list())
            projects = ProjectRegistry(engine.projects())
            installed = engine.identifiers(), engine.file_namers()
            port = usable_port(suggested_port(known), engine) if receiver is None else None
            return *installed, engine.site(), projects, processors, port

        receiver_id = receiver.id if receiver and not is_new else 0
        what = f"open the dialog of {name_of(receiver)}" if receiver else "open the dialog"
        found = await self._app.engine.call(what, settings, about=receiver_id)
        form = self._form(receiver, known, *found, is_new=is_new)
        saved = await self._app.push_screen_wait(ReceiverDialog(form))
        if saved is not None:
            await self.saved(saved)

    def _form(
        self,
        receiver: Receiver | None,
        known: tuple[Receiver, ...],
        identifiers: Any,
        file_namers: Any,
        site: Any,
        projects: Any,
        processors: Any,
        port: int | None,
        *,
        is_new: bool,
    ) -> ReceiverForm:
        from engine.model.receiver import ReceiverRules
        from tui.receivers.form import ReceiverForm

        edited = receiver.id if receiver and not is_new else None
        others = tuple(other for other in known if other.id != edited)
        rules = ReceiverRules(site, identifiers, others, projects, file_namers)
        if receiver is None:
            form = ReceiverForm.new(rules, port)
        else:
            form = (ReceiverForm.duplicate if is_new else ReceiverForm.edit)(receiver, rules)
        form.processors = processors
        return form

    async def saved(self, receiver: Receiver) -> None:
        """Show a saved receiver, and the engine's notes on it."""
        name = name_of(receiver)
        self._app.select_receiver(receiver.id)
        await self._app.look()
        self._show_outcome(receiver.id, f"{name} saved", saved=True)
        notes = await self._app.engine.call(
            f"look at the files of {name}",
            lambda engine: engine.receiver_notes(receiver.id),
            about=("notes", receiver.id),
            changes=False,
        )
        for note in notes:
            self._app.show_toast(f"{name}: {note}", "warning", NOTE_SECONDS)

    async def _stop(self, status: ReceiverStatus) -> None:
        name, open_now = name_of(status.receiver), status.open_associations
        finish = f" {counted(open_now, 'open association')} may finish." if open_now else ""
        again = f"{pressed('receiver.start')} starts it again."
        sentence = f"{name} rejects every new caller from now on.{finish} {again}"
        question = QuestionDialog.confirm(f"Stop {name}?", sentence, "Stop it")
        # A receiver that does not listen loses nothing.
        listens = status.state is ReceiverState.LISTENING or open_now
        if listens and not await self._app.push_screen_wait(question):
            return
        await self._enable(status, enabled=False)

    async def _enable(self, status: ReceiverStatus, *, enabled: bool) -> None:
        receiver_id, name = status.receiver.id, name_of(status.receiver)
        await self._app.engine.call(
            f"{'start' if enabled else 'stop'} {name}",
            lambda engine: engine.set_enabled(receiver_id, enabled, self._actor),
            about=receiver_id,
        )
        await self._app.look()
        self._show_outcome(receiver_id, name, saved=True)

    async def _delete(self, status: ReceiverStatus) -> None:
        receiver_id, name = status.receiver.id, name_of(status.receiver)
        question = QuestionDialog.confirm(f"Delete {name}?", _consequence(status), "Delete it")
        if await self._app.push_screen_wait(question):
            await self._app.engine.call(
                f"delete {name}",
                lambda engine: engine.delete_receiver(receiver_id, self._actor),
                about=receiver_id,
            )
            await self._app.look()
            self._app.show_saved(f"{name} deleted")

    async def _retry(self, status: ReceiverStatus) -> None:
        receiver_id, name = status.receiver.id, name_of(status.receiver)
        await self._app.engine.call(
            f"retry {name}",
            lambda engine: engine.retry_receiver(receiver_id, self._actor),
            about=receiver_id,
        )
        await self._app.look()
        self._show_outcome(receiver_id, name)

    async def _echo(self, status: ReceiverStatus) -> None:
        receiver_id, name = status.receiver.id, name_of(status.receiver)
        result = await self._app.engine.call(
            f"test {name}",
            lambda engine: engine.echo(receiver_id, self._actor),
            about=receiver_id,
            changes=False,
        )
        detail = f"C-ECHO to {name}: {safe(result.detail)} ({safe(result.address)})"
        if result.ok:
            self._app.show_toast(f"✓ {detail}")
        else:
            self._app.show_toast(f"✗ {detail}", "error")

    async def _reach(self, status: ReceiverStatus) -> None:
        from tui.receivers.reach import host_addresses, reach_text

        snapshot = self._app.engine_state.snapshot
        if snapshot is None:
            return
        text = reach_text(status, snapshot, await asyncio.to_thread(host_addresses))
        answers = (("copy", "Copy"), ("test", "Test with a C-ECHO"))
        title = f"Send to {name_of(status.receiver)}"
        answer = await self._app.push_screen_wait(
            QuestionDialog(title, text, answers, cancel="Close")
        )
        if answer == "copy":
            self._app.copy_to_clipboard(text)
            self._app.show_toast("copied")
        elif answer == "test":
            await self._echo(status)

    def _show_outcome(self, receiver_id: int, beginning: str, *, saved: bool = False) -> None:
        """Say what became of the receiver, as the newest look has it."""
        show_toast = self._app.show_saved if saved else self._app.show_toast
        status = self._app.engine_state.receiver(receiver_id)
        if status is None:
            show_toast(beginning)
            return
        sentence, severity = outcome(status)
        show_toast(f"{beginning}, {sentence}", severity)


def outcome(status: ReceiverStatus) -> tuple[str, SeverityLevel]:
    """Return in words, with a severity, what a receiver does now."""
    match status.state:
        case ReceiverState.LISTENING:
            return f"listening on {safe(status.address)}", "information"
        case ReceiverState.DISABLED:
            return "stopped", "information"
        case ReceiverState.DRAINING:
            open_now = counted(status.open_associations, "open association")
            return f"takes no new associations; {open_now} may finish", "information"
        case ReceiverState.NOT_ALLOWED:
            return "but the site allows no receivers now", "warning"
        case ReceiverState.FAILED:
            reason = status.failure.reason if status.failure else "reason unknown"
            remedy = f"; {status.failure.remedy}" if status.failure else ""
            return safe(f"but it cannot listen: {reason}{remedy}"), "error"


def _consequence(status: ReceiverStatus) -> str:
    open_now = status.open_associations
    if not open_now:
        return with_keys("No association is open. {app.undo} brings it back.")
    return (
        f"{counted(open_now, 'open association')} may finish; {pressed('app.undo')} brings it back."
    )


def name_of(receiver: Receiver) -> str:
    """Return what a receiver is called on the screen."""
    return safe(receiver.label)


class ReceiverActions(ConsoleScreen):
    """A screen whose `Scope.RECEIVERS` keys act on its `selected` receiver."""

    OFFERS_RECEIVERS = True

    @property
    def selected(self) -> ReceiverStatus | None:
        """The receiver that keys act on, as the newest reading has it."""
        return None

    def check_own(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what the receiver's state forbids, grey what it forbids only for now."""
        if action != "receiver":
            return super().check_own(action, parameters)
        name = str(parameters[0])
        if possible(name, self.selected):
            return True
        return None if self.has_content and name in ("edit", "delete", "echo") else False

    def why_not(self, key: Key) -> str:
        """Return why a key does nothing for the selected receiver; safe text."""
        reason, status = super().why_not(key), self.selected
        if key.scope is not Scope.RECEIVERS or self._engine_state.silent:
            return reason
        if self.frame.read_only and key.changes:
            return reason
        if status is None:
            return "no receiver is selected"
        name, word = name_of(status.receiver), RECEIVER_STYLES[status.state].word
        if key.argument == "retry":
            return f"{name} is {word}; only a receiver that failed to listen is retried"
        if key.argument == "echo":
            helps = (
                f"; {pressed('receiver.start')} starts it" if not status.receiver.enabled else ""
            )
            return f"{name} is {word} and answers no C-ECHO{helps}"
        return reason

    def action_receiver(self, name: str) -> None:
        """Ask for an action on the selected receiver."""
        status = self.selected
        self.post_message(ReceiverCommand(name, status.receiver.id if status else 0))


def receiver_entries(
    screen: ConsoleScreen, selected: ReceiverStatus | None
) -> Iterator[PaletteEntry]:
    """Offer a new receiver, and what can be done with each; the selected one comes first."""

    def offer(action: str, label: str, detail: str, key: str, receiver_id: int) -> PaletteEntry:
        command = ReceiverCommand(action, receiver_id)
        return PaletteEntry(label, detail, key, lambda: screen.post_message(command))

    read_only = screen.frame.read_only
    if not read_only:
        yield offer("new", "receiver: New", "create a receiver", pressed("receiver.new"), 0)
    snapshot = screen.engine_state.snapshot
    statuses = sorted(snapshot.receivers if snapshot else (), key=lambda s: s != selected)
    for status in statuses:
        name = safe(status.receiver.label)
        for key in KEYS:
            action = key.argument
            here = key.scope is Scope.RECEIVERS and action != "new"
            if here and possible(action, status) and not (read_only and key.changes):
                shown = key.shown if status == selected else ""
                label = f"receiver: {key.label} {name}"
                yield offer(action, label, _detail(status), shown, status.receiver.id)

        yield from receiver_ways(screen, status)


def _detail(status: ReceiverStatus) -> str:
    look = RECEIVER_STYLES[status.state]
    return f"{look} · {counted(status.open_associations, 'open association')}"
