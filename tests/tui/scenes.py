"""A way to every screen and every dialog of the console, and two engines that fill them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from tests.fakes import HOSTILE_NAMES, FakeEngine, hostile_names, whitelist_rejections
from tests.fakes.sessions import past_actions
from tests.tui.processors.processing import hostile_processing, processing
from tests.tui.sessions.test_sessions_pictures import hostile_object
from tests.tui.settings.settled_site import hostile as hostile_site
from tests.tui.settings.settled_site import settled
from tui.associations.allow import AllowDialog
from tui.associations.screen import AssociationsScreen
from tui.dashboard.screen import DashboardScreen
from tui.history.screen import HistoryScreen
from tui.inspector.screen import InspectorScreen, ReceivedObjectScreen
from tui.inspector.why import WhyDialog
from tui.log.screen import LogScreen
from tui.processors.dialog import ProcessorDialog, TrialScreen
from tui.processors.forwarding import ForwardingScreen
from tui.processors.screen import ProcessorsScreen
from tui.receivers.dialog import ReceiverDialog
from tui.receivers.screen import ReceiverScreen
from tui.senders.screen import SendersScreen
from tui.sessions.actions import ProjectDialog
from tui.sessions.find import FindDialog
from tui.sessions.list import SessionsScreen
from tui.sessions.review import ReviewDialog
from tui.sessions.session import SessionScreen
from tui.sessions.undo import UndoDialog
from tui.settings.alerts import TargetDialog
from tui.settings.dialog import RoutingDialog, ScriptDialog, SettingsDialog
from tui.settings.screen import SiteScreen
from tui.shell.dialogs import (
    MessageDialog,
    ProgressDialog,
    PromptDialog,
    QuestionDialog,
    WorkAnswered,
    WorkStep,
)
from tui.shell.file_prompt import FilePrompt
from tui.shell.help import HelpScreen
from tui.shell.palette import ConsolePalette

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.screen import Screen

WIDE = "日本語の長いセッション名" * 6
LONG = "a very long name " * 9
NAMES = (*HOSTILE_NAMES, WIDE, LONG)


def ordinary() -> FakeEngine:
    """An afternoon on which every screen has something to show."""
    engine = settled(processing())
    engine.current = replace(
        engine.current, ended_associations=whitelist_rejections().current.ended_associations
    )
    engine.sessions.done = past_actions()
    return engine


def hostile() -> FakeEngine:
    """The same with names that are markup, control characters, wide characters, or far too long."""
    engine, names = hostile_site(hostile_processing(NAMES)), hostile_names(NAMES)
    engine.current, engine.events = names.current, names.events
    engine.sessions.known = names.sessions.known
    engine.senders.known = names.senders.known
    engine.objects.elements = hostile_object().objects.elements
    return engine


@dataclass(frozen=True)
class Scene:
    """A screen or a dialog, and the keys that lead there from the dashboard."""

    name: str
    kind: type[Screen[Any]]
    keys: tuple[str, ...]
    pushed: Callable[[], Screen[Any]] | None = None
    """Makes it, if no keys lead there."""
    values: tuple[tuple[str, str | bool], ...] = ()
    """What is put into fields of the form then."""


def _scene(name: str, kind: type[Screen[Any]], *keys: str) -> Scene:
    return Scene(name, kind, keys)


def _filled(name: str, kind: type[Screen[Any]], *keys: str, **values: str | bool) -> Scene:
    return Scene(name, kind, keys, values=tuple(values.items()))


_READY = ("3", "j", "j", "j", "j")
_OBJECT = (*_READY, "enter", "j", "j", "enter", "enter")
_SITE = ("6",)

SCREENS = (
    _scene("dashboard", DashboardScreen, "j"),
    _scene("dashboard, a failed receiver", DashboardScreen, "G"),
    _scene("dashboard, zoomed", DashboardScreen, "z"),
    _scene("receiver", ReceiverScreen, "enter"),
    _scene("received object", ReceivedObjectScreen, "enter", "tab", "tab", "enter"),
    _scene("associations", AssociationsScreen, "2", "j"),
    _scene("sessions", SessionsScreen, *_READY, "space"),
    _scene("session", SessionScreen, *_READY, "enter", "j"),
    _scene("object", InspectorScreen, *_OBJECT),
    _scene("object, compared", InspectorScreen, *_OBJECT, "c"),
    _scene("log", LogScreen, "4", "j"),
    _scene("log, wrapped", LogScreen, "4", "w"),
    _scene("senders", SendersScreen, "5", "j"),
    _scene("site, limits", SiteScreen, *_SITE),
    _scene("site, script", SiteScreen, *_SITE, "j", "j"),
    _scene("site, alerts", SiteScreen, *_SITE, "j", "j", "j", "j", "enter"),
    _scene("site, studies", SiteScreen, *_SITE, "G", "k", "enter"),
    _scene("site, projects", SiteScreen, *_SITE, "G", "enter"),
    _scene("processors", ProcessorsScreen, "7", "j"),
    _scene("forwarding", ForwardingScreen, "7", "tab", "tab", "tab", "enter"),
    _scene("history", HistoryScreen, "8", "j"),
)
DIALOGS = (
    _scene("palette", ConsolePalette, "ctrl+p", "e"),
    _scene("help", HelpScreen, "question_mark"),
    _scene("help on a panel", HelpScreen, "f1"),
    _scene("diagnostics", MessageDialog, "f12"),
    _scene("question", QuestionDialog, "d"),
    _scene("question with ways", QuestionDialog, *_READY, "j", "j", "a"),
    _scene("question before deleting", QuestionDialog, *_READY, "d"),
    _scene("question on undoing", QuestionDialog, "Z"),
    _scene("file to save to", PromptDialog, "4", "S"),
    _scene("new receiver", ReceiverDialog, "n"),
    _scene("receiver", ReceiverDialog, "j", "e"),
    _scene("help on a field", QuestionDialog, "n", "f1"),
    _scene("discarded changes", QuestionDialog, "n", "X", "escape"),
    _scene("allow", AllowDialog, "2", "j", "j", "j", "j", "w"),
    _scene("move", ProjectDialog, *_READY, "m"),
    _scene("review", ReviewDialog, *_READY, "e"),
    _scene("undo an action", UndoDialog, *_READY, "Z"),
    _scene("why", WhyDialog, *_READY, "W"),
    _scene("find", FindDialog, "F", "s", "0"),
    _scene("site, limits", SettingsDialog, *_SITE, "e"),
    _scene("site, routing", RoutingDialog, *_SITE, "j", "e"),
    _scene("site, script", ScriptDialog, *_SITE, "j", "j", "e"),
    _scene("site, sessions", SettingsDialog, *_SITE, "j", "j", "j", "e"),
    _scene("site, alerts", SettingsDialog, *_SITE, "j", "j", "j", "j", "e"),
    _scene("new target", TargetDialog, *_SITE, "j", "j", "j", "j", "n"),
    _scene("new study route", SettingsDialog, *_SITE, "G", "k", "n"),
    _scene("file to try", FilePrompt, *_SITE, "j", "e", "f7"),
    _scene("file that is not there", FilePrompt, *_SITE, "j", "j", "e", "f7", *"/no", "enter"),
    _scene("new project", ScriptDialog, *_SITE, "G", "n"),
    _scene("project", ScriptDialog, *_SITE, "G", "e"),
    _scene("new processor", ProcessorDialog, "7", "n"),
    _scene("processor", ProcessorDialog, "7", "j", "e"),
    _scene("trial", TrialScreen, "7", "j", "t"),
)


def _work() -> ProgressDialog:
    dialog = ProgressDialog("Archive 40 sessions", [WorkStep(LONG, str) for _ in range(40)])
    for step in dialog._calls[:30]:
        dialog.post_message(WorkAnswered(step, EngineError(LONG, "look again")))
    return dialog


PUSHED = (Scene("many calls, of which some failed", ProgressDialog, (), _work),)
_NAMED = frozenset((
    "dashboard", "receiver", "associations", "sessions", "session", "object", "log", "senders",
    "site, projects", "processors", "question", "review", "why", "project", "processor",
    "find", "new processor", "palette", "trial",
))  # fmt: skip
HOSTILE = tuple(one for one in (*SCREENS, *DIALOGS) if one.name in _NAMED)
"""Where names of others are seen."""
ERRORS = (
    _scene("new receiver", ReceiverDialog, "n"),
    _filled("TLS without files", ReceiverDialog, "n", ae_title="CT1", tls_enabled=True),
    _filled("site, limits", SettingsDialog, *_SITE, "e", associations="0"),
    _filled("site, sessions", SettingsDialog, *_SITE, "j", "j", "j", "e", idle_seconds="0"),
    _filled("processor", ProcessorDialog, "7", "j", "e", priority="-"),
    _scene("new target", TargetDialog, *_SITE, "j", "j", "j", "j", "n"),
    _scene("new study route", SettingsDialog, *_SITE, "G", "k", "n"),
    _scene("new project", ScriptDialog, *_SITE, "G", "n"),
    _scene("new processor", ProcessorDialog, "7", "n"),
)
"""Forms that can't be saved as they are."""
