"""The commands on receivers: each asks, calls the engine and reports the outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.api import EchoResult, ReceiverState
from engine.model.project import ProjectRegistry
from engine.model.receiver import Receiver, ReceiverRules
from tui.engine_client import EngineCall
from tui.keys import possible
from tui.shell.dialogs import ConfirmDialog
from tui.text import counted, safe

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.notifications import SeverityLevel

    from engine.api import EngineView, ReceiverStatus
    from engine.model.processing import RoutingPreview
    from tui.app import CommandApp
    from tui.receivers.form import ReceiverForm


NOTE_SECONDS = 15
"""Notes are longer than other toasts, and come beside one."""


class ReceiverCommands:
    """Carries out receiver commands for one console: asks, calls the engine, tells the outcome."""

    def __init__(self, app: CommandApp, engine: EngineView, actor: str) -> None:
        self._app = app
        self._engine = engine
        self._actor = actor

    def run(self, action: str, receiver_id: int) -> None:
        """Carry out an action, if it (still) makes sense."""
        status = self._app.engine_state.receiver(receiver_id)
        if not possible(action, status):
            return
        if action == "new":
            self._open_dialog(None)
        elif action == "duplicate" and status is not None:
            self._open_dialog(status.receiver, is_new=True)
        elif status is not None:
            self._on_receiver(action, status)

    def _on_receiver(self, action: str, status: ReceiverStatus) -> None:
        match action:
            case "edit":
                self._open_dialog(status.receiver)
            case "stop":
                self._stop(status)
            case "start":
                self._enable(status, enabled=True)
            case "delete":
                self._delete(status)
            case "retry":
                self._retry(status)
            case "echo":
                self._echo(status)
            case _:
                raise ValueError(action)

    def _open_dialog(self, receiver: Receiver | None, *, is_new: bool = False) -> None:
        def settings(engine: EngineView) -> tuple[Any, ...]:
            processors = tuple(status.processor for status in engine.processors.list())
            projects = ProjectRegistry(engine.projects())
            installed = engine.identifiers(), engine.file_namers()
            return *installed, engine.site(), projects, processors

        receiver_id = receiver.id if receiver and not is_new else 0
        what = f"open the dialog of {name_of(receiver)}" if receiver else "open the dialog"

        def answered(found: tuple[Any, ...]) -> None:
            self._dialog(self._form(receiver, *found, is_new=is_new))

        self._app.call_engine(EngineCall(what, receiver_id, settings, answered))

    def _form(
        self,
        receiver: Receiver | None,
        identifiers: Any,
        file_namers: Any,
        site: Any,
        projects: Any,
        processors: Any,
        *,
        is_new: bool,
    ) -> ReceiverForm:
        from tui.receivers.form import ReceiverForm

        snapshot = self._app.engine_state.snapshot
        known = [status.receiver for status in snapshot.receivers] if snapshot else []
        edited = receiver.id if receiver and not is_new else None
        others = tuple(other for other in known if other.id != edited)
        rules = ReceiverRules(site, identifiers, others, projects, file_namers)
        if receiver is None:
            form = ReceiverForm.new(rules)
        else:
            form = (ReceiverForm.duplicate if is_new else ReceiverForm.edit)(receiver, rules)
        form.processors = processors
        return form

    def _dialog(self, form: ReceiverForm) -> None:
        from tui.receivers.dialog import ReceiverDialog

        dialog = ReceiverDialog(
            form,
            port_status=self._engine.port_status,
            save=lambda changed, seen: self._engine.save_receiver(
                changed, self._actor, replacing=seen
            ),
            current=self._app.refresh_receiver,
            preview=self._preview,
            blink=self._app.blink,
        )
        self._app.push_screen(dialog, self._saved)

    def _preview(self, draft: Receiver, shown: bool) -> tuple[RoutingPreview, ...]:
        if shown:
            return self._engine.shown_routing(draft, self._actor)
        return self._engine.preview_routing(draft)

    def _saved(self, receiver: Receiver | None) -> None:
        if receiver is not None:
            self._app.dashboard.select(receiver.id)
            self._show_outcome(receiver.id, f"{name_of(receiver)} saved", saved=True)
            self._show_notes(receiver)

    def _show_notes(self, receiver: Receiver) -> None:
        """Say what the engine finds worth knowing of what was saved."""

        def told(notes: tuple[str, ...]) -> None:
            for note in notes:
                self._app.show_toast(f"{name_of(receiver)}: {note}", "warning", NOTE_SECONDS)

        call = EngineCall(
            f"look at the files of {name_of(receiver)}",
            ("notes", receiver.id),
            lambda engine: engine.receiver_notes(receiver.id),
            told,
            changes=False,
        )
        self._app.call_engine(call)

    def _stop(self, status: ReceiverStatus) -> None:
        open_now = status.open_associations
        if not open_now:
            self._enable(status, enabled=False)
            return
        name = name_of(status.receiver)
        sentence = (
            f"{name} takes no new associations any more. "
            f"{counted(open_now, 'open association')} may finish."
        )
        confirm = ConfirmDialog(f"Stop {name}?", sentence, "Stop it")
        self._ask(confirm, lambda: self._enable(status, enabled=False))

    def _enable(self, status: ReceiverStatus, *, enabled: bool) -> None:
        receiver_id = status.receiver.id
        name = name_of(status.receiver)
        call = EngineCall(
            f"{'start' if enabled else 'stop'} {name}",
            receiver_id,
            lambda engine: engine.set_enabled(receiver_id, enabled, self._actor),
            lambda _: self._show_outcome(receiver_id, name),
        )
        self._app.call_engine(call)

    def _delete(self, status: ReceiverStatus) -> None:
        receiver_id = status.receiver.id
        name = name_of(status.receiver)
        call = EngineCall(
            f"delete {name}",
            receiver_id,
            lambda engine: engine.delete_receiver(receiver_id, self._actor),
            lambda _: self._deleted(name),
        )
        confirm = ConfirmDialog(f"Delete {name}?", _consequence(status), "Delete it")
        self._ask(confirm, lambda: self._app.call_engine(call))

    def _deleted(self, name: str) -> None:
        self._app.refresh_from_engine()
        self._app.show_saved(f"{name} deleted")

    def _retry(self, status: ReceiverStatus) -> None:
        receiver_id = status.receiver.id
        name = name_of(status.receiver)
        call = EngineCall(
            f"retry {name}",
            receiver_id,
            lambda engine: engine.retry_receiver(receiver_id, self._actor),
            lambda _: self._show_outcome(receiver_id, name),
        )
        self._app.call_engine(call)

    def _echo(self, status: ReceiverStatus) -> None:
        receiver_id = status.receiver.id
        name = name_of(status.receiver)

        def told(result: EchoResult) -> None:
            detail = f"C-ECHO to {name}: {safe(result.detail)} ({safe(result.address)})"
            if result.ok:
                self._app.show_toast(f"✓ {detail}")
            else:
                self._app.show_toast(f"✗ {detail}", "error")

        call = EngineCall(
            f"test {name}",
            receiver_id,
            lambda engine: engine.echo(receiver_id, self._actor),
            told,
            changes=False,
        )
        self._app.call_engine(call)

    def _ask(self, screen: ConfirmDialog, then: Callable[[], None]) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                then()

        self._app.push_screen(screen, answered)

    def _show_outcome(self, receiver_id: int, beginning: str, *, saved: bool = False) -> None:
        """Look at the engine again and say what became of the receiver."""
        self._app.refresh_from_engine()
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
        return "No association is open. Z brings it back."
    return f"{counted(open_now, 'open association')} may finish; Z brings it back."


def name_of(receiver: Receiver) -> str:
    """Return what a receiver is called on the screen."""
    return safe(receiver.label)
