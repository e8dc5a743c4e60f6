"""The table of all keys, with stable ids, and the rules that say when a receiver's keys apply."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from textual.binding import Binding, BindingType
from textual.keys import REPLACED_KEYS, key_to_character

from engine.api import ReceiverState
from tui.places import SCREEN_SPECS

if TYPE_CHECKING:
    from collections.abc import Mapping

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


WRITTEN = {"enter": "⏎", "escape": "esc"}
"""Keys that are neither characters nor written as Textual names them."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: what it does, what the footer calls it, what the help says."""

    id: str
    """A group and a name, such as ``receiver.stop``."""
    scope: Scope
    keys: str
    label: str
    help: str
    footer: int = 0
    """Importance in the footer, 1 the highest; 0 keeps it to the help."""
    short: str = ""
    """Label for a narrow footer."""
    run: str = ""
    """Textual's action; empty for the group's with the name as argument: ``receiver('stop')``."""
    written: str = ""
    """The key as people write it, if that does not follow from its name."""
    priority: bool = False
    changes: bool = False
    """Whether it changes anything but the view; such keys are gone in a read-only console."""
    asks: bool = False
    """Whether it needs the engine though it changes nothing."""

    @property
    def action(self) -> str:
        """The action with its arguments."""
        group, _, name = self.id.partition(".")
        return self.run or f"{group}('{name}')"

    @property
    def bound(self) -> str:
        """Textual's name of the key that is bound now."""
        return _rebound.get(self.id, self.keys)

    @property
    def shown(self) -> str:
        """The key that is bound now, as people write it."""
        usual = self.written if self.bound == self.keys else ""
        return usual or written(self.bound)

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


_rebound: dict[str, str] = {}
"""Keys that the user chose, by id: one console runs in a process."""


def rebind(chosen: Mapping[str, str]) -> None:
    """Use other keys than the usual ones, by id, from now on; Textual's names."""
    _rebound.clear()
    _rebound.update(chosen)


def written(key: str) -> str:
    """Return Textual's name of a key as people write it."""
    *modifiers, name = key.split("+")
    prefix = "".join({"ctrl": "^", "shift": "⇧"}.get(one, f"{one}+") for one in modifiers)
    character = key_to_character(REPLACED_KEYS.get(name, name)) or ""
    is_seen = character.isprintable() and character.strip()
    return prefix + (WRITTEN.get(name) or (character if is_seen else name))


def pressed(key_id: str) -> str:
    """Return the key that is bound to an action now, as people write it."""
    return BY_ID[key_id].shown


def with_keys(text: str) -> str:
    """Return a text with each ``{id}`` replaced by the key that is bound now."""
    return _PLACE.sub(lambda found: pressed(found[1]), text)


_PLACE = re.compile(r"\{([a-z]+\.[a-z_]+)\}")

KEYS = (
    Key("receiver.new", Scope.RECEIVERS, "n", "New", "create a receiver", 1, changes=True),
    Key("receiver.edit", Scope.RECEIVERS, "e", "Edit", "change it", 1, changes=True),
    Key("receiver.stop", Scope.RECEIVERS, "s", "Stop", "take no new associations", 1, changes=True),
    Key("receiver.start", Scope.RECEIVERS, "s", "Start", "listen again", 1, changes=True),
    Key("receiver.delete", Scope.RECEIVERS, "d", "Delete", "remove it (asks)", 2, changes=True),
    Key("receiver.duplicate", Scope.RECEIVERS, "c", "Duplicate", "a new one with the same settings",
        changes=True),
    Key("receiver.echo", Scope.RECEIVERS, "t", "Echo test", "send it a C-ECHO, as a peer would", 2,
        short="Echo", asks=True),
    Key("receiver.reach", Scope.RECEIVERS, "i", "Send to it",
        "what to type at a scanner; lines for storescu, dcmsend and Orthanc", 2, short="Send to"),
    Key("receiver.retry", Scope.RECEIVERS, "r", "Retry now",
        "a failed one: try to listen again at once", 1, short="Retry", changes=True),
    Key("association.allow", Scope.ASSOCIATIONS, "w", "Allow caller",
        "a rejected one: whitelist it, or see what helps", 1, short="Allow", run="allow",
        changes=True),
    Key("association.abort", Scope.ASSOCIATIONS, "x", "Abort", "live ones: end them at once (asks)",
        2, run="abort", changes=True),
    Key("site.bar", Scope.SITE, "B", "Stop all", "allow no DICOM receivers on this site (asks)",
        run="switch_receivers(False)", changes=True),
    Key("site.allow", Scope.SITE, "B", "Allow receivers",
        "allow DICOM receivers on this site again", 1, short="Allow all",
        run="switch_receivers(True)", changes=True),
    Key("session.archive", Scope.SESSIONS, "a", "Archive",
        "into the archive (asks; says conflicts first)", 1, changes=True),
    Key("session.move", Scope.SESSIONS, "m", "Move", "to another project (asks which)", 2,
        changes=True),
    Key("session.edit", Scope.SESSIONS, "e", "Review",
        "labels, project and scans, before archiving", 2, changes=True),
    Key("session.delete", Scope.SESSIONS, "d", "Delete", "to the trash (asks)", 2, changes=True),
    Key("session.rebuild", Scope.SESSIONS, "r", "Rebuild", "make scans and documents anew", 2,
        changes=True),
    Key("session.restore", Scope.SESSIONS, "u", "Restore", "out of the trash, into the prearchive",
        1, changes=True),
    Key("session.cancel", Scope.SESSIONS, "c", "Cancel", "take back what waits or is archived", 1,
        changes=True),
    Key("session.undo", Scope.SESSIONS, "Z", "Undo",
        "one of the last actions of everybody (asks which)", run="undo_session", changes=True),
    Key("session.why", Scope.SESSIONS, "W", "Why",
        "which rules put it where it is, and what each saw", 3, run="why"),
    Key("session.copy_uid", Scope.SESSIONS, "U", "Copy UID", "copy the Study Instance UIDs",
        run="copy_uid"),
    Key("area.next", Scope.AREAS, "right_square_bracket", "Area", "prearchive, archive, trash", 4,
        run="area(1)"),
    Key("area.previous", Scope.AREAS, "left_square_bracket", "Previous area",
        "prearchive, archive, trash",
        run="area(-1)"),
    Key("object.values", Scope.INSPECTOR, "v", "Values",
        "show masked values for a minute (recorded)", 1, run="values"),
    Key("object.compare", Scope.INSPECTOR, "c", "Compare",
        "what changed since it arrived", 1, run="compare"),
    Key("object.equal", Scope.INSPECTOR, "equals_sign", "All",
        "in a comparison: equal elements too, and back", 1, run="equal"),
    Key("object.previous", Scope.INSPECTOR, "left_square_bracket", "Prev", "object of the scan", 2,
        run="neighbour(-1)"),
    Key("object.next", Scope.INSPECTOR, "right_square_bracket", "Next", "object of the scan", 2,
        run="neighbour(1)"),
    Key("object.private", Scope.INSPECTOR, "p", "Private", "hide private elements, and back", 3,
        run="private"),
    Key("object.sequences", Scope.INSPECTOR, "s", "Sequences", "open all sequences, or close them",
        3, run="sequences"),
    Key("object.image", Scope.INSPECTOR, "i", "Image", "on the whole screen, and back", 2,
        run="only('picture')"),
    Key("object.trail", Scope.INSPECTOR, "t", "Trail", "where it went, on the whole screen", 3,
        run="only('trail')"),
    Key("object.why", Scope.INSPECTOR, "W", "Why",
        "which rules put it where it is, and what each saw", 2, run="why"),
    Key("object.window", Scope.INSPECTOR, "w", "Window", "which values are black and white", 4,
        run="window"),
    Key("object.frame_back", Scope.INSPECTOR, "comma", "Frame", "the frame before",
        run="frame(-1)"),
    Key("object.frame", Scope.INSPECTOR, "full_stop", "Frame", "the next frame", 4, run="frame(1)"),
    Key("object.copy_tag", Scope.INSPECTOR, "Y", "Copy tag", "copy the tag of the element",
        run="copy_tag"),
    Key("object.rule", Scope.INSPECTOR, "r", "Rule", "copy a routing rule for the element", 4,
        run="copy_rule"),
    Key("settings.edit", Scope.SETTINGS, "e", "Edit",
        "change the section, project, alert target or study route", 1, changes=True),
    Key("settings.new", Scope.SETTINGS, "n", "New",
        "add a project, an alert target or a study route", 1, changes=True),
    Key("settings.delete", Scope.SETTINGS, "d", "Delete",
        "remove the project, alert target or study route (asks)", 2, changes=True),
    Key("settings.test", Scope.SETTINGS, "t", "Test alert",
        "send a test alert to the target, or to all", 2, short="Test", changes=True),
    Key("log.follow", Scope.LOG, "f", "Follow", "stay at the newest event", 2, run="follow"),
    Key("log.error", Scope.LOG, "e", "Next error", "older", 2, short="Error", run="error(1)"),
    Key("log.error_back", Scope.LOG, "E", "Previous error", "newer", run="error(-1)"),
    Key("log.levels", Scope.LOG, "l", "Levels", "all, no info, errors only", 3, run="levels"),
    Key("log.audit", Scope.LOG, "a", "Audit", "only what people did; old too", 2, run="audit"),
    Key("log.mark", Scope.LOG, "m", "Mark", "a line above the newest event", 3, run="mark_here"),
    Key("log.wrap", Scope.LOG, "w", "Wrap", "whole sentences in several lines", 4, run="wrap"),
    Key("log.times", Scope.LOG, "t", "Times", "time of day, date, how long ago", 4, run="times"),
    Key("log.save", Scope.LOG, "S", "Save", "write what is shown to a file", 3, run="save"),
    Key("log.clear", Scope.LOG, "X", "Clear", "hide what is shown, and back", run="clear_view"),
    Key("sender.associations", Scope.SENDERS, "a", "Associations",
        "show its associations on screen 2", 2, short="Assoc", run="show_at('associations')"),
    Key("sender.sessions", Scope.SENDERS, "s", "Sessions", "show its sessions on screen 3", 2,
        short="Sess", run="show_at('sessions')"),
    Key("sender.log", Scope.SENDERS, "l", "Events", "show its events on screen 4", 2,
        run="show_at('log')"),
    Key("sender.range", Scope.SENDERS, "h", "24 h / 7 d", "the chart of a day or of a week", 3,
        short="Range", run="hours"),
    Key("sender.refresh", Scope.SENDERS, "r", "Refresh", "ask the engine again now", 4,
        run="look_again"),
    Key("history.restore", Scope.HISTORY, "R", "Restore",
        "bring back what this revision said (shows what changes, and asks)", 1, run="restore",
        changes=True),
    Key("history.undo", Scope.HISTORY, "u", "Undo",
        "take back the last change (shows it, and asks)", 2, run="app.undo", changes=True),
    Key("history.older", Scope.HISTORY, "m", "Older", "read older revisions", 3, run="older"),
    Key("history.refresh", Scope.HISTORY, "r", "Refresh", "ask again now", 4, run="look_again"),
    Key("processor.new", Scope.PROCESSORS, "n", "New", "add a processor", 1, changes=True),
    Key("processor.edit", Scope.PROCESSORS, "e", "Edit", "change it", 1, changes=True),
    Key("processor.disable", Scope.PROCESSORS, "s", "Disable", "it sees no object from now on", 1,
        changes=True),
    Key("processor.enable", Scope.PROCESSORS, "s", "Enable", "it acts from the next object on", 1,
        changes=True),
    Key("processor.duplicate", Scope.PROCESSORS, "c", "Duplicate",
        "a new one with the same settings", 3, short="Dup", changes=True),
    Key("processor.delete", Scope.PROCESSORS, "d", "Delete", "remove it (asks)", 2, changes=True),
    Key("processor.test", Scope.PROCESSORS, "t", "Try it",
        "what it would make of the newest object; nothing is stored", 2, short="Try", asks=True),
    Key("processor.up", Scope.PROCESSORS, "K", "Move up",
        "let it act before the one above, at the same location", 3, short="Up", changes=True),
    Key("processor.down", Scope.PROCESSORS, "J", "Move down",
        "let it act after the one below, at the same location", 3, short="Down", changes=True),
    Key("commitment.retry", Scope.PROCESSORS, "r", "Retry now",
        "look the objects of a report up again, and send it at once", 1, short="Retry",
        changes=True),
    Key("forwarding.retry", Scope.FORWARDING, "r", "Retry now",
        "try the destination at once, also with what was given up", 1, short="Retry", changes=True),
    Key("forwarding.drop", Scope.FORWARDING, "x", "Drop failed",
        "forget what was given up (asks); the stored objects stay", 2, short="Drop", changes=True),
    Key("forwarding.drop_waiting", Scope.FORWARDING, "X", "Drop waiting",
        "forget what waits (asks); the stored objects stay", 3, changes=True),
    Key("receiver.previous", Scope.NEIGHBOURS, "left_square_bracket", "Previous",
        "the receiver above this one", 4, short="Prev", run="neighbour(-1)"),
    Key("receiver.next", Scope.NEIGHBOURS, "right_square_bracket", "Next",
        "the receiver below this one", 4, run="neighbour(1)"),
    Key("view.filter", Scope.VIEW, "slash", "Filter", "show only rows that match", 2, run="filter"),
    Key("view.sort", Scope.VIEW, "o", "Sort", "choose the order of rows", 4, run="order"),
    Key("view.columns", Scope.VIEW, "O", "Columns", "choose the columns that are shown",
        run="columns"),
    Key("view.faster", Scope.VIEW, "plus", "Faster", "look more often", run="app.pace(1)"),
    Key("view.slower", Scope.VIEW, "minus", "Slower", "look less often", run="app.pace(-1)"),
    Key("view.pause", Scope.VIEW, "p", "Pause", "hold the panels still; nothing stops", 5,
        run="pause"),
    Key("view.zoom", Scope.VIEW, "z", "Zoom", "one panel on the whole screen, and back", 4,
        run="zoom"),
    Key("view.copy", Scope.VIEW, "y", "Copy", "copy the row as text (OSC 52)", 5,
        run="copy('text')"),
    Key("view.copy_json", Scope.VIEW, "Y", "Copy JSON", "copy the row as JSON", run="copy('json')"),
    Key("view.back", Scope.VIEW, "escape", "Back", "end filter, zoom or pause; go back", 1,
        run="back"),
    Key("filter.keep", Scope.FILTER, "enter", "Keep", "back to the list", 1, run="submit"),
    Key("list.open", Scope.LISTS, "enter", "Details", "everything about this row", 4,
        run="screen.open"),
    Key("list.down", Scope.LISTS, "j", "Down", "next row", run="cursor_down", written="j ↓"),
    Key("list.up", Scope.LISTS, "k", "Up", "previous row", run="cursor_up", written="k ↑"),
    Key("list.top", Scope.LISTS, "g", "Top", "first row", run="scroll_top"),
    Key("list.bottom", Scope.LISTS, "G", "Bottom", "last row", run="scroll_bottom"),
    Key("list.page_down", Scope.LISTS, "ctrl+d", "Page down", "a page down", run="page_down"),
    Key("list.page_up", Scope.LISTS, "ctrl+u", "Page up", "a page up", run="page_up"),
    Key("mark.row", Scope.MARKS, "space", "Mark", "mark the row for an action on many", 3,
        run="mark"),
    Key("mark.all", Scope.MARKS, "asterisk", "Mark all", "mark all rows, or none", run="mark_all"),
    *(
        Key(f"go.{place.name}", Scope.SCREENS, place.number, place.label,
            f"go to screen {place.number}", short=place.short, run=f"app.go('{place.name}')")
        for place in SCREEN_SPECS
    ),
    Key("app.next", Scope.EVERYWHERE, "tab", "Panel", "next panel", 5, run="app.focus_next"),
    Key("app.previous", Scope.EVERYWHERE, "shift+tab", "Back", "previous panel",
        run="app.focus_previous"),
    Key("app.undo", Scope.EVERYWHERE, "Z", "Undo",
        "take back the last change of the configuration (shows it and asks)", run="undo",
        changes=True),
    Key("app.find", Scope.EVERYWHERE, "F", "Find",
        "find a study, patient, object or sender in all areas", 4, run="find"),
    Key("app.start_engine", Scope.EVERYWHERE, "f5", "Start engine",
        "start one in this console, if the engine has ended", 1, short="Start", run="start_engine"),
    Key("app.help", Scope.EVERYWHERE, "question_mark", "Help", "all keys and what states mean", 1,
        run="help"),
    Key("app.help_here", Scope.EVERYWHERE, "f1", "Help here", "help on the focused panel",
        run="help_here"),
    Key("app.diagnostics", Scope.EVERYWHERE, "f12", "Diagnostics",
        "versions, files, terminal, engine: for a report", run="diagnostics"),
    Key("app.repaint", Scope.EVERYWHERE, "ctrl+l", "Repaint",
        "write the whole screen again, if the terminal shows something else", run="repaint",
        priority=True),
    Key("app.palette", Scope.EVERYWHERE, "ctrl+p", "Palette", "find any action by name", 1,
        run="command_palette"),
    Key("app.quit", Scope.EVERYWHERE, "ctrl+q", "Quit", "leave the console", 1, run="quit",
        priority=True),
)  # fmt: skip

BY_ID = {key.id: key for key in KEYS}
ORDER = {key.id: place for place, key in enumerate(KEYS)}


CHANGING = frozenset(key.action for key in KEYS if key.changes)
NEEDING = frozenset(key.action for key in KEYS if key.changes or key.asks)


def changes(action: str, parameters: tuple[object, ...]) -> bool:
    """Tell whether a key's action changes anything but the view."""
    return _written(action, parameters) in CHANGING


def needs_engine(action: str, parameters: tuple[object, ...]) -> bool:
    """Tell whether a key's action can do nothing while the engine does not answer."""
    return _written(action, parameters) in NEEDING


def _written(action: str, parameters: tuple[object, ...]) -> str:
    arguments = ", ".join(repr(parameter) for parameter in parameters)
    return f"{action}({arguments})" if parameters else action


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
