"""What can be done: the actions on receivers, and the palette that offers what applies now."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider, SearchIcon
from textual.content import Content
from textual.widgets import Input

from engine.model.receiver import Receiver, ReceiverRules
from engine.view import EchoResult, ReceiverState
from tui.bindings import BY_ID, KEYS, Scope, possible
from tui.link import EngineCall, ReceiverCommand
from tui.screens.confirm import ConfirmScreen
from tui.screens.dashboard import DashboardScreen
from tui.text import counted, safe
from tui.theme import RECEIVER_LOOKS, THEMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textual.app import App
    from textual.notifications import SeverityLevel
    from textual.style import Style

    from engine.view import EngineView, ReceiverStatus
    from tui.app import ConsoleApp


class ReceiverCommands:
    """Carries out receiver commands for one console: asks, calls the engine, tells the outcome."""

    def __init__(self, app: ConsoleApp, engine: EngineView, actor: str) -> None:
        self._app = app
        self._engine = engine
        self._actor = actor

    def run(self, action: str, receiver_id: int) -> None:
        """Carry out an action, if it (still) makes sense."""
        status = self._app.reading.receiver(receiver_id)
        if not possible(action, status):
            return
        if action == "new":
            self._open_dialog(None)
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

    def _open_dialog(self, receiver: Receiver | None) -> None:
        def settings(engine: EngineView) -> tuple[Any, Any]:
            return engine.identifiers(), engine.site()

        receiver_id = receiver.id if receiver else 0
        what = f"open the dialog of {_name(receiver)}" if receiver else "open the dialog"
        call = EngineCall(what, receiver_id, settings, lambda s: self._dialog(receiver, *s))
        self._app.call_engine(call)

    def _dialog(self, receiver: Receiver | None, identifiers: Any, site: Any) -> None:
        from tui.forms.receiver_form import ReceiverForm
        from tui.screens.receiver_dialog import ReceiverDialog

        snapshot = self._app.reading.snapshot
        known = [status.receiver for status in snapshot.receivers] if snapshot else []
        others = tuple(other for other in known if receiver is None or other.id != receiver.id)
        rules = ReceiverRules(site=site, identifiers=identifiers, others=others)
        form = ReceiverForm.edit(receiver, rules) if receiver else ReceiverForm.new(rules)
        dialog = ReceiverDialog(
            form,
            identifiers=identifiers,
            port_status=self._engine.port_status,
            save=lambda changed: self._engine.save_receiver(
                changed, self._actor, replacing=receiver
            ),
            blink=self._app.blink,
        )
        self._app.push_screen(dialog, self._saved)

    def _saved(self, receiver: Receiver | None) -> None:
        if receiver is not None:
            self._app.dashboard.select(receiver.id)
            self._tell(receiver.id, f"{_name(receiver)} saved")

    def _stop(self, status: ReceiverStatus) -> None:
        open_now = status.open_associations
        if not open_now:
            self._enable(status, enabled=False)
            return
        name = _name(status.receiver)
        sentence = (
            f"{name} takes no new associations any more. "
            f"{counted(open_now, 'open association')} may finish."
        )
        confirm = ConfirmScreen(f"Stop {name}?", sentence, "Stop it")
        self._ask(confirm, lambda: self._enable(status, enabled=False))

    def _enable(self, status: ReceiverStatus, *, enabled: bool) -> None:
        receiver_id = status.receiver.id
        name = _name(status.receiver)
        call = EngineCall(
            f"{'start' if enabled else 'stop'} {name}",
            receiver_id,
            lambda engine: engine.set_enabled(receiver_id, enabled, self._actor),
            lambda _: self._tell(receiver_id, name),
        )
        self._app.call_engine(call)

    def _delete(self, status: ReceiverStatus) -> None:
        receiver_id = status.receiver.id
        name = _name(status.receiver)
        call = EngineCall(
            f"delete {name}",
            receiver_id,
            lambda engine: engine.delete_receiver(receiver_id, self._actor),
            lambda _: self._deleted(name),
        )
        confirm = ConfirmScreen(f"Delete {name}?", _consequence(status), "Delete it")
        self._ask(confirm, lambda: self._app.call_engine(call))

    def _deleted(self, name: str) -> None:
        self._app.refresh_from_engine()
        self._app.tell(f"{name} deleted")

    def _retry(self, status: ReceiverStatus) -> None:
        receiver_id = status.receiver.id
        name = _name(status.receiver)
        call = EngineCall(
            f"retry {name}",
            receiver_id,
            lambda engine: engine.retry_receiver(receiver_id),
            lambda _: self._tell(receiver_id, name),
        )
        self._app.call_engine(call)

    def _echo(self, status: ReceiverStatus) -> None:
        receiver_id = status.receiver.id
        name = _name(status.receiver)

        def told(result: EchoResult) -> None:
            detail = f"C-ECHO to {name}: {safe(result.detail)} ({safe(result.address)})"
            if result.ok:
                self._app.tell(f"✓ {detail}")
            else:
                self._app.tell(f"✗ {detail}", "error")

        call = EngineCall(
            f"test {name}", receiver_id, lambda engine: engine.echo(receiver_id), told
        )
        self._app.call_engine(call)

    def _ask(self, screen: ConfirmScreen, then: Callable[[], None]) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                then()

        self._app.push_screen(screen, answered)

    def _tell(self, receiver_id: int, beginning: str) -> None:
        """Look at the engine again and say what became of the receiver."""
        self._app.refresh_from_engine()
        status = self._app.reading.receiver(receiver_id)
        if status is None:
            self._app.tell(beginning)
            return
        sentence, severity = outcome(status)
        self._app.tell(f"{beginning}, {sentence}", severity)


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
        return "No association is open. This can't be undone."
    return f"{counted(open_now, 'open association')} may finish; this can't be undone."


def _name(receiver: Receiver) -> str:
    return safe(receiver.label)


class Offer(NamedTuple):
    """One line of the palette."""

    name: str
    """Such as ``receiver: Edit XNAT:8104``; safe text."""
    detail: str
    shown: str
    """The key, if there is one."""
    run: Callable[[], object]


class ConsoleCommands(Provider):
    """Offers every action that applies now."""

    async def discover(self) -> Hits:
        """Offer everything."""
        for offer in self._offers():
            yield DiscoveryHit(_display(Content(offer.name), offer), offer.run, offer.name)

    async def search(self, query: str) -> Hits:
        """Offer what matches, the matching letters marked."""
        matcher = self.matcher(query)
        for offer in self._offers():
            score, offsets = matcher.fuzzy_search.match(query, offer.name)
            if score > 0:
                name = _marked(offer.name, offsets, self.match_style)
                yield Hit(score, _display(name, offer), offer.run, offer.name)

    def _offers(self) -> Iterator[Offer]:
        dashboard = self.screen
        if isinstance(dashboard, DashboardScreen):
            yield from _receiver_offers(dashboard)
            yield from _view_offers(dashboard)
        yield from _app_offers(self.app)


def _receiver_offers(dashboard: DashboardScreen) -> Iterator[Offer]:
    def offer(action: str, label: str, detail: str, key: str, receiver_id: int) -> Offer:
        command = ReceiverCommand(action, receiver_id)
        return Offer(label, detail, key, lambda: dashboard.post_message(command))

    yield offer("new", "receiver: New", "create a receiver", "n", 0)
    selected = dashboard.selected
    statuses = list(dashboard.reading.snapshot.receivers) if dashboard.reading.snapshot else []
    statuses.sort(key=lambda status: status != selected)
    for status in statuses:
        name = _name(status.receiver)
        for key in KEYS:
            action = key.action.removeprefix("receiver('").removesuffix("')")
            if key.scope is Scope.RECEIVERS and action != "new" and possible(action, status):
                label = f"receiver: {key.label} {name}"
                shown = key.shown if status == selected else ""
                yield offer(action, label, _detail(status), shown, status.receiver.id)


def _detail(status: ReceiverStatus) -> str:
    look = RECEIVER_LOOKS[status.state]
    return f"{look} · {counted(status.open_associations, 'open association')}"


def _view_offers(dashboard: DashboardScreen) -> Iterator[Offer]:
    for key in KEYS:
        if key.scope is not Scope.VIEW:
            continue
        name, _, argument = key.action.removesuffix("')").partition("('")
        if dashboard.check_action(name, (argument,)):
            yield Offer(
                f"view: {key.label}",
                key.help,
                key.shown,
                partial(dashboard.run_action, key.action),
            )


def _app_offers(app: App[Any]) -> Iterator[Offer]:
    for key_id in ("app.help", "app.help_here"):
        key = BY_ID[key_id]
        run = getattr(app, f"action_{key.action}")
        yield Offer(f"help: {key.label}", key.help, key.shown, run)
    for theme in THEMES:
        if theme.name != app.theme:
            yield Offer(
                f"theme: {theme.name}",
                "change the colors",
                "",
                partial(setattr, app, "theme", theme.name),
            )
    quit_key = BY_ID["app.quit"]
    yield Offer("console: Quit", quit_key.help, quit_key.shown, app.action_quit)


def _marked(name: str, offsets: Any, style: Style | None) -> Content:
    content = Content(name)
    for offset in offsets:
        if style is not None and not name[offset].isspace():
            content = content.stylize(style, offset, offset + 1)
    return content


def _display(name: Content, offer: Offer) -> Content:
    key = f"   {offer.shown}" if offer.shown else ""
    return Content.assemble(name, (key, "$key"), "\n  ", (offer.detail, "dim not bold"))


class ConsolePalette(CommandPalette):
    """The palette with our look and no wide glyphs."""

    def __init__(self, *, blink: bool, **options: Any) -> None:
        super().__init__(**options)
        self._blink = blink

    def on_mount(self) -> None:
        """Set up the parts that Textual made."""
        self.query_one(SearchIcon).icon = ">"
        self.query_one(Input).cursor_blink = self._blink
