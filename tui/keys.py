"""The table of all keys, with stable ids, and the rules that say when a receiver's keys apply."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from textual.binding import Binding, BindingType

from engine.api import ReceiverState
from tui.places import SCREEN_SPECS

if TYPE_CHECKING:
    from engine.api import ReceiverStatus


class Scope(StrEnum):
    """Where a key is bound; also its heading in the help."""

    RECEIVERS = "Receivers"
    ASSOCIATIONS = "Associations"
    SITE = "Site"
    SETTINGS = "Settings"
    VIEW = "View"
    FILTER = "Filter"
    LISTS = "Lists"
    MARKS = "Marks"
    LOG = "Log"
    SENDERS = "Senders"
    HISTORY = "History"
    SESSIONS = "Sessions"
    AREAS = "Areas"
    INSPECTOR = "Object"
    PROCESSORS = "Processors"
    FORWARDING = "Forwarding"
    NEIGHBOURS = "Receiver"
    SCREENS = "Screens"
    EVERYWHERE = "Everywhere"


@dataclass(frozen=True, slots=True)
class Key:
    """One key: what it does, what the footer calls it, what the help says."""

    id: str
    scope: Scope
    keys: str
    shown: str
    """The key as people write it."""
    action: str
    label: str
    help: str
    footer: int = 0
    """Importance in the footer, 1 the highest; 0 keeps it to the help."""
    short: str = ""
    """Label for a narrow footer."""
    priority: bool = False
    changes: bool = False
    """Whether it changes anything but the view; such keys are gone in a read-only console."""

    @property
    def verb(self) -> str:
        """The action without its arguments."""
        return self.action.partition("(")[0]

    @property
    def argument(self) -> str:
        """What is between the quotes of the action's argument; empty without one."""
        return self.action.partition("('")[2].removesuffix("')")

    def binding(self) -> Binding:
        """Return Textual's form of it."""
        return Binding(
            self.keys,
            self.action,
            self.label,
            show=self.footer > 0,
            key_display=self.shown,
            priority=self.priority,
            tooltip=self.help,
            id=self.id,
        )


R, V, L, E = Scope.RECEIVERS, Scope.VIEW, Scope.LISTS, Scope.EVERYWHERE
A, S, M = Scope.ASSOCIATIONS, Scope.SITE, Scope.MARKS
P, F = Scope.PROCESSORS, Scope.FORWARDING

OBJECT_KEYS = (
    ("values", "v", "v", "values", "Values", "show masked values for a minute (recorded)", 1),
    ("compare", "c", "c", "compare", "Compare", "with what arrived; then only the changes", 1),
    ("previous", "left_square_bracket", "[", "neighbour(-1)", "Prev", "object of the scan", 2),
    ("next", "right_square_bracket", "]", "neighbour(1)", "Next", "object of the scan", 2),
    ("private", "p", "p", "private", "Private", "hide private elements, and back", 3),
    ("sequences", "s", "s", "sequences", "Sequences", "open all sequences, or close them", 3),
    ("image", "i", "i", "only('picture')", "Image", "on the whole screen, and back", 2),
    ("trail", "t", "t", "only('trail')", "Trail", "where it went, on the whole screen", 3),
    ("window", "w", "w", "window", "Window", "which values are black and white", 4),
    ("frame_back", "comma", ",", "frame(-1)", "Frame", "the frame before", 0),
    ("frame", "full_stop", ".", "frame(1)", "Frame", "the next frame", 4),
    ("copy_tag", "Y", "Y", "copy_tag", "Copy tag", "copy the tag of the element", 0),
    ("rule", "r", "r", "copy_rule", "Rule", "copy a routing rule for the element", 4),
)
"""Name, key, key as written, action, label, help and importance of what one object offers."""

SESSION_KEYS = (
    ("archive", "a", "Archive", "into the archive (asks; says conflicts first)", 1),
    ("move", "m", "Move", "to another project (asks which)", 2),
    ("delete", "d", "Delete", "to the trash (asks)", 2),
    ("rebuild", "r", "Rebuild", "make scans and documents anew", 2),
    ("restore", "u", "Restore", "out of the trash, into the prearchive", 1),
    ("cancel", "c", "Cancel", "take back what waits or is archived", 1),
)
"""Name, key, label, help and importance of what may be asked for sessions."""
AREA_HELP = "prearchive, archive, trash"

KEYS = (
    Key(
        "receiver.new", R, "n", "n", "receiver('new')", "New", "create a receiver", 1, changes=True
    ),
    Key("receiver.edit", R, "e", "e", "receiver('edit')", "Edit", "change it", 1, changes=True),
    Key(
        "receiver.stop",
        R,
        "s",
        "s",
        "receiver('stop')",
        "Stop",
        "take no new associations",
        1,
        changes=True,
    ),
    Key(
        "receiver.start",
        R,
        "s",
        "s",
        "receiver('start')",
        "Start",
        "listen again",
        1,
        changes=True,
    ),
    Key(
        "receiver.delete",
        R,
        "d",
        "d",
        "receiver('delete')",
        "Delete",
        "remove it (asks)",
        2,
        changes=True,
    ),
    Key(
        "receiver.duplicate",
        R,
        "c",
        "c",
        "receiver('duplicate')",
        "Duplicate",
        "a new one that is told the same",
        changes=True,
    ),
    Key(
        "receiver.echo",
        R,
        "t",
        "t",
        "receiver('echo')",
        "Echo test",
        "send it a C-ECHO, as a peer would",
        2,
        short="Echo",
    ),
    Key(
        "receiver.retry",
        R,
        "r",
        "r",
        "receiver('retry')",
        "Retry now",
        "a failed one: try to listen again at once",
        1,
        short="Retry",
        changes=True,
    ),
    Key(
        "association.allow",
        A,
        "w",
        "w",
        "allow",
        "Allow caller",
        "a rejected one: whitelist it, or see what helps",
        1,
        short="Allow",
        changes=True,
    ),
    Key(
        "association.abort",
        A,
        "x",
        "x",
        "abort",
        "Abort",
        "live ones: end them at once (asks)",
        2,
        changes=True,
    ),
    Key(
        "site.bar",
        S,
        "B",
        "B",
        "switch_receivers(False)",
        "Bar all",
        "allow no DICOM receivers on this site (asks)",
        changes=True,
    ),
    Key(
        "site.allow",
        S,
        "B",
        "B",
        "switch_receivers(True)",
        "Allow receivers",
        "allow DICOM receivers on this site again",
        1,
        short="Allow all",
        changes=True,
    ),
    *(
        Key(
            f"session.{name}",
            Scope.SESSIONS,
            key,
            key,
            f"session('{name}')",
            label,
            words,
            weight,
            changes=True,
        )
        for name, key, label, words, weight in SESSION_KEYS
    ),
    Key(
        "session.copy_uid",
        Scope.SESSIONS,
        "U",
        "U",
        "copy_uid",
        "Copy UID",
        "copy the Study Instance UIDs",
    ),
    Key("area.next", Scope.AREAS, "right_square_bracket", "]", "area(1)", "Area", AREA_HELP, 4),
    Key("area.previous", Scope.AREAS, "left_square_bracket", "[", "area(-1)", "Area", AREA_HELP),
    *(
        Key(f"object.{name}", Scope.INSPECTOR, key, shown, action, label, words, weight)
        for name, key, shown, action, label, words, weight in OBJECT_KEYS
    ),
    Key(
        "settings.edit",
        Scope.SETTINGS,
        "e",
        "e",
        "settings('edit')",
        "Edit",
        "change the section, project, alert target or study route",
        1,
        changes=True,
    ),
    Key(
        "settings.new",
        Scope.SETTINGS,
        "n",
        "n",
        "settings('new')",
        "New",
        "add a project, an alert target or a study route",
        1,
        changes=True,
    ),
    Key(
        "settings.delete",
        Scope.SETTINGS,
        "d",
        "d",
        "settings('delete')",
        "Delete",
        "remove the project, alert target or study route (asks)",
        2,
        changes=True,
    ),
    Key(
        "settings.test",
        Scope.SETTINGS,
        "t",
        "t",
        "settings('test')",
        "Test alert",
        "send a test alert to the target, or to all",
        2,
        short="Test",
        changes=True,
    ),
    Key("log.follow", Scope.LOG, "f", "f", "follow", "Follow", "stay at the newest event", 2),
    Key("log.error", Scope.LOG, "e", "e", "error(1)", "Next error", "older", 2, short="Error"),
    Key("log.error_back", Scope.LOG, "E", "E", "error(-1)", "Previous error", "newer"),
    Key("log.levels", Scope.LOG, "l", "l", "levels", "Levels", "all, no info, errors only", 3),
    Key("log.audit", Scope.LOG, "a", "a", "audit", "Audit", "only what people did; old too", 2),
    Key("log.mark", Scope.LOG, "m", "m", "mark_here", "Mark", "a line above the newest event", 3),
    Key("log.wrap", Scope.LOG, "w", "w", "wrap", "Wrap", "whole sentences in several lines", 4),
    Key("log.times", Scope.LOG, "t", "t", "times", "Times", "time of day, date, how long ago", 4),
    Key("log.save", Scope.LOG, "S", "S", "save", "Save", "write what is shown to a file", 3),
    Key("log.clear", Scope.LOG, "X", "X", "clear_view", "Clear", "hide what is shown, and back"),
    *(
        Key(f"sender.{name}", Scope.SENDERS, key, key, action, label, text, importance, short)
        for name, key, action, label, text, importance, short in (
            (
                "associations",
                "a",
                "show_at('associations')",
                "Associations",
                "show its associations on screen 2",
                2,
                "Assoc",
            ),
            (
                "sessions",
                "s",
                "show_at('sessions')",
                "Sessions",
                "show its sessions on screen 3",
                2,
                "Sess",
            ),
            ("log", "l", "show_at('log')", "Events", "show its events on screen 4", 2, ""),
            ("range", "h", "hours", "24 h / 7 d", "the chart of a day or of a week", 3, "Range"),
            ("refresh", "r", "look_again", "Refresh", "ask the engine again now", 4, ""),
        )
    ),
    Key(
        "history.restore",
        Scope.HISTORY,
        "R",
        "R",
        "restore",
        "Restore",
        "bring back what this revision said (shows what changes, and asks)",
        1,
        changes=True,
    ),
    Key(
        "history.undo",
        Scope.HISTORY,
        "u",
        "u",
        "app.undo",
        "Undo",
        "take back the last change (shows it, and asks)",
        2,
        changes=True,
    ),
    Key("history.older", Scope.HISTORY, "m", "m", "older", "Older", "read older revisions", 3),
    Key("history.refresh", Scope.HISTORY, "r", "r", "look_again", "Refresh", "ask again now", 4),
    Key(
        "processor.new", P, "n", "n", "processor('new')", "New", "add a processor", 1, changes=True
    ),
    Key("processor.edit", P, "e", "e", "processor('edit')", "Edit", "change it", 1, changes=True),
    Key(
        "processor.disable",
        P,
        "s",
        "s",
        "processor('disable')",
        "Disable",
        "it sees no object from now on",
        1,
        changes=True,
    ),
    Key(
        "processor.enable",
        P,
        "s",
        "s",
        "processor('enable')",
        "Enable",
        "it acts from the next object on",
        1,
        changes=True,
    ),
    Key(
        "processor.duplicate",
        P,
        "c",
        "c",
        "processor('duplicate')",
        "Duplicate",
        "a new one that is told the same",
        3,
        short="Dup",
        changes=True,
    ),
    Key(
        "processor.delete",
        P,
        "d",
        "d",
        "processor('delete')",
        "Delete",
        "remove it (asks)",
        2,
        changes=True,
    ),
    Key(
        "processor.test",
        P,
        "t",
        "t",
        "processor('test')",
        "Try it",
        "what it would make of the newest object; nothing is stored",
        2,
        short="Try",
    ),
    Key(
        "processor.up",
        P,
        "K",
        "K",
        "processor('up')",
        "Move up",
        "let it act before the one above, at the same location",
        3,
        short="Up",
        changes=True,
    ),
    Key(
        "processor.down",
        P,
        "J",
        "J",
        "processor('down')",
        "Move down",
        "let it act after the one below, at the same location",
        3,
        short="Down",
        changes=True,
    ),
    Key(
        "forwarding.retry",
        F,
        "r",
        "r",
        "forwarding('retry')",
        "Retry now",
        "try the destination at once, also with what was given up",
        1,
        short="Retry",
        changes=True,
    ),
    Key(
        "forwarding.drop",
        F,
        "x",
        "x",
        "forwarding('drop')",
        "Drop failed",
        "forget what was given up (asks); the stored objects stay",
        2,
        short="Drop",
        changes=True,
    ),
    Key(
        "forwarding.drop_waiting",
        F,
        "X",
        "X",
        "forwarding('drop_waiting')",
        "Drop waiting",
        "forget what waits (asks); the stored objects stay",
        3,
        changes=True,
    ),
    Key(
        "receiver.previous",
        Scope.NEIGHBOURS,
        "left_square_bracket",
        "[",
        "neighbour(-1)",
        "Previous",
        "the receiver above this one",
        4,
        short="Prev",
    ),
    Key(
        "receiver.next",
        Scope.NEIGHBOURS,
        "right_square_bracket",
        "]",
        "neighbour(1)",
        "Next",
        "the receiver below this one",
        4,
    ),
    Key("view.filter", V, "slash", "/", "filter", "Filter", "show only rows that match", 2),
    Key("view.sort", V, "o", "o", "order", "Sort", "choose the order of rows", 4),
    Key("view.pause", V, "p", "p", "pause", "Pause", "hold the panels still; nothing stops", 5),
    Key("view.zoom", V, "z", "z", "zoom", "Zoom", "one panel on the whole screen, and back", 4),
    Key("view.copy", V, "y", "y", "copy('text')", "Copy", "copy the row as text (OSC 52)", 5),
    Key("view.copy_json", V, "Y", "Y", "copy('json')", "Copy JSON", "copy the row as JSON"),
    Key("view.back", V, "escape", "esc", "back", "Back", "end filter, zoom or pause; go back", 1),
    Key("filter.keep", Scope.FILTER, "enter", "⏎", "submit", "Keep", "back to the list", 1),
    Key("list.open", L, "enter", "⏎", "screen.open", "Details", "everything about this row", 4),
    Key("list.down", L, "j", "j ↓", "cursor_down", "Down", "next row"),
    Key("list.up", L, "k", "k ↑", "cursor_up", "Up", "previous row"),
    Key("list.top", L, "g", "g", "scroll_top", "Top", "first row"),
    Key("list.bottom", L, "G", "G", "scroll_bottom", "Bottom", "last row"),
    Key("list.page_down", L, "ctrl+d", "^d", "page_down", "Page down", "a page down"),
    Key("list.page_up", L, "ctrl+u", "^u", "page_up", "Page up", "a page up"),
    Key("mark.row", M, "space", "space", "mark", "Mark", "mark the row for an action on many", 3),
    Key("mark.all", M, "asterisk", "*", "mark_all", "Mark all", "mark all rows, or none"),
    *(
        Key(
            f"go.{place.name}",
            Scope.SCREENS,
            place.number,
            place.number,
            f"app.go('{place.name}')",
            place.label,
            f"go to screen {place.number}",
            short=place.short,
        )
        for place in SCREEN_SPECS
    ),
    Key("app.next", E, "tab", "tab", "app.focus_next", "Panel", "next panel", 5),
    Key("app.previous", E, "shift+tab", "⇧tab", "app.focus_previous", "Back", "previous panel"),
    Key(
        "app.undo",
        E,
        "Z",
        "Z",
        "undo",
        "Undo",
        "take back the last change of the configuration (shows it and asks)",
        changes=True,
    ),
    Key("app.help", E, "question_mark", "?", "help", "Help", "all keys and what states mean", 1),
    Key("app.help_here", E, "f1", "f1", "help_here", "Help here", "help on the focused panel"),
    Key(
        "app.diagnostics",
        E,
        "f12",
        "f12",
        "diagnostics",
        "Diagnostics",
        "versions, files, terminal, engine: for a report",
    ),
    Key(
        "app.palette", E, "ctrl+p", "^p", "command_palette", "Palette", "find any action by name", 1
    ),
    Key("app.quit", E, "ctrl+q", "^q", "quit", "Quit", "leave the console", 1, priority=True),
)

BY_ID = {key.id: key for key in KEYS}
ORDER = {key.id: place for place, key in enumerate(KEYS)}


CHANGING = frozenset(key.action for key in KEYS if key.changes)


def changes(action: str, parameters: tuple[object, ...]) -> bool:
    """Tell whether a key's action changes anything but the view."""
    arguments = ", ".join(repr(parameter) for parameter in parameters)
    return (f"{action}({arguments})" if parameters else action) in CHANGING


def bindings(*scopes: Scope) -> list[BindingType]:
    """Return the bindings of some scopes, for a class's BINDINGS."""
    return [key.binding() for key in KEYS if key.scope in scopes]


def possible(action: str, status: ReceiverStatus | None) -> bool:
    """Tell whether an action on the selected receiver makes sense now."""
    if action == "new":
        return True
    if status is None:
        return False
    match action:
        case "stop":
            return status.receiver.enabled
        case "start":
            return not status.receiver.enabled
        case "echo":
            return status.state is ReceiverState.LISTENING
        case "retry":
            return status.state is ReceiverState.FAILED
        case _:
            return True
