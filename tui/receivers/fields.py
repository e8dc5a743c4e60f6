"""The fields of the receiver dialog, its folding sections, and the whitelist tester."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import DescendantBlur, DescendantFocus
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Select, Static

from engine.model.peer import MAX_LENGTH
from engine.model.plugins import MAX_SETTING_CHARACTERS
from engine.model.receiver import ROUTING_FIELDS
from engine.model.site import DuplicatePolicy
from engine.model.tls import TLS_FILES
from tui.receivers.form import (
    ADVANCED_FIELDS,
    CALLER_FIELDS,
    LIMIT_FIELDS,
    OPENED_FIELDS,
    STORING_FIELDS,
    SWITCH_FIELDS,
    SWITCH_OF,
    TLS_DETAILS,
    ReceiverForm,
    project_choices,
)
from tui.receivers.help import LABELS
from tui.text import cut, safe, typed_number, with_unit
from tui.widgets.completion import COMPLETES, Names
from tui.widgets.field import Field, Note, NoteTone, Toggle, mask_hint
from tui.widgets.form import LABEL_WIDTH, NOTES, Beside, FormFields, verdict_note
from tui.widgets.routing_notes import rule_notes
from tui.widgets.routing_preview import FILE_KEY, RoutingPreviewPanel
from tui.widgets.whitelist import CallerState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from textual.app import ComposeResult
    from textual.suggester import Suggester

    from engine.model.processing import RoutingPreview
    from tui.widgets.whitelist import CallerVerdict


_GLYPHS = {
    CallerState.UNKNOWN: "",
    CallerState.WRONG: "! ",
    CallerState.ADMITTED: "✓ ",
    CallerState.REFUSED: "✗ ",
}


class CallerTester(Vertical):
    """Asks for a caller and shows the verdict below."""

    def __init__(self, complete: Callable[[str], Suggester | None], *, blink: bool) -> None:
        """Take what completes a field, and whether the cursor blinks."""
        super().__init__(id="tester")
        self._complete = complete
        self._blink = blink

    def compose(self) -> ComposeResult:
        """Lay out the caller in one row, the verdict under it."""
        with Horizontal(classes="row"):
            yield Static(f"  {LABELS['caller_ae_title']}", classes="label", markup=False)
            yield self._input("caller_ae_title", "AE title", MAX_LENGTH)
            yield Static(LABELS["caller_address"], classes="between", markup=False)
            yield self._input("caller_address", "address", 45)
        yield Static("", id="caller-verdict", markup=False)

    def _input(self, name: str, placeholder: str, length: int) -> Input:
        entry = Input(
            id=name,
            placeholder=placeholder,
            max_length=length,
            select_on_focus=False,
            suggester=self._complete(name),
        )
        entry.cursor_blink = self._blink
        return entry

    def show(self, verdict: CallerVerdict) -> None:
        """Show whether the caller would be admitted."""
        shown = self.query_one("#caller-verdict", Static)
        words = f"{_GLYPHS[verdict.state]}{safe(verdict.words)}"
        if words != str(shown.content):
            shown.update(words)
        for state in CallerState:
            shown.set_class(state is verdict.state, f"-{state}")


class Disclosure(Widget, can_focus=True):
    """Enter, space or a click open and close; the owner decides what that shows."""

    BINDINGS = [Binding("enter,space", "turn", "Open or close", show=False)]

    opened: reactive[bool] = reactive(False)
    words: reactive[str] = reactive("")
    """What is inside, in a few safe words."""

    class Toggled(Message):
        """Someone wants it open, or closed."""

        def __init__(self, opened: bool) -> None:
            super().__init__()
            self.opened = opened

    def __init__(self, label: str, *, id: str) -> None:
        super().__init__(id=id)
        self._label = label

    def render(self) -> Content:
        """Show whether it is open, and what is inside."""
        glyph = "▾" if self.opened else "▸"
        label = Content.styled(f"{glyph} {self._label}", "bold $text-primary")
        return Content.assemble(label, "   ", (self.words, "$text-muted"))

    def on_click(self) -> None:
        """Do what enter does."""
        self.action_turn()

    def action_turn(self) -> None:
        """Ask for the other state."""
        self.post_message(self.Toggled(not self.opened))


ROUTING_HINT = f"may misplace objects; preview: tab, ←→ more, {FILE_KEY} file"
LINES_HINT = f"one per line: AE title, address, network, AE@address; {COMPLETES}"
_COMPLETED = {
    "whitelist": Names.WHITELIST_LINES,
    "caller_ae_title": Names.CALLERS,
    "caller_address": Names.CALLER_ADDRESSES,
}


class ReceiverFields(FormFields):
    """The scrolling body of the dialog."""

    REVEALED = "Field, CallerTester, Beside"

    def __init__(self, form: ReceiverForm, blink: bool, *, previews: bool) -> None:
        super().__init__(blink)
        self.form: ReceiverForm = form
        self.port_note = Note()
        """What is known of the port."""
        self._previews = previews
        self._results: dict[str, str] = {}
        """What each routing text makes of the object in the preview."""

    def compose(self) -> ComposeResult:
        """Lay out every field in XNAT's order."""
        with Horizontal(id="listen"):
            yield self._input("ae_title", r"[ -\[\]-~]{0,16}", MAX_LENGTH)
            yield self._input("port", r"[0-9]{0,5}", 5)
        with Vertical(classes="section") as section:
            section.border_title = " Processing "
            for name in STORING_FIELDS:
                yield self._switch(name)
            yield self._identifier()
            for name in self.form.settings:
                yield self._setting(name)
            yield self._switch("anonymization")
        with Vertical(classes="section") as section:
            section.border_title = " Access and routing "
            yield self._switch("whitelist_enabled")
            yield self._whitelist()
            yield CallerTester(self.suggester, blink=self._blink)
            yield self._switch("routing_enabled")
            for name in ROUTING_FIELDS:
                make = partial(self.lines, name)
                yield self._field(name, make, f"  {LABELS[name]}", "-lines -rules")
        with Beside():
            yield RoutingPreviewPanel()
        with Vertical(classes="section"):
            yield Disclosure(LABELS["advanced"], id="advanced")
            for name in OPENED_FIELDS:
                yield self._advanced(name)
                if name == "duplicates" and "file_namer" in self.form.field_order:
                    label = f"  {LABELS['file_namer']}"
                    yield self._field("file_namer", self._file_namers, label)

    def refill(self) -> None:
        """Put the form's values into the widgets, and offer the projects that there are now."""
        # Other options choose the first one for a moment, which is no choice of the user.
        with self.prevent(Select.Changed):
            for name in self._projects():
                for select in self._selects(name):
                    select.set_options(self._project_options(name))
        super().refill()

    def show_values(self) -> None:
        """Show in the lists, the tester and the preview what the form says."""
        for name in ("identifier", "duplicates", "file_namer"):
            for select in self._selects(name):
                select.value = self.form.text(name)
        for name in self._projects():
            for select in self._selects(name):
                select.value = self.form.text(name) or Select.NULL
        matters = self._previews and self.form.previews_routing()
        self.query_one(Beside).display = matters
        tester, advanced = self.query_one(CallerTester), self.query_one(Disclosure)
        tester.display = not self.form.visible_fields().isdisjoint(CALLER_FIELDS)
        tester.show(self.form.caller_verdict())
        advanced.opened = self.form.is_advanced_open()
        advanced.words = self.form.advanced_in_words()

    @on(DescendantFocus)
    @on(DescendantBlur)
    def _show_whitelist_hint(self) -> None:
        for field in self.query("#field-whitelist").results(Field):
            field.hint = self.hint("whitelist")

    def _cut_verdict(self) -> str:
        """Return the note on the line under the cursor, if there is no room beside it."""
        line = self.line_in("whitelist") if self.focused_field() == "whitelist" else 0
        verdicts = self.line_notes("whitelist")
        if not 0 < line <= len(verdicts):
            return ""
        note = verdicts[line - 1]
        room = self.query_one(f"#{NOTES}whitelist").size.width
        return f"line {line}: {safe(note.text)}" if len(note.text) > room > 0 else ""

    def line_notes(self, name: str) -> tuple[Note, ...]:
        """Return a verdict on each line of the whitelist, a mark beside each rule."""
        if name in ROUTING_FIELDS:
            return rule_notes(self.form.text(name))
        return tuple(map(verdict_note, self.form.whitelist_verdicts()))

    def _selects(self, name: str) -> Iterable[Select[str]]:
        """Return the list of a field: none while the field was never shown."""
        return self.query(f"#{name}").results(Select)

    def hidden_by(self, name: str, visible: frozenset[str]) -> str:
        """Return the switch that hid a field; the identifier may have hidden that too."""
        switch = SWITCH_OF.get(name, "identifier")
        return switch if switch in visible else "identifier"

    def _input(self, name: str, restrict: str, max_length: int) -> Field:
        make = partial(self.entry, name, restrict=restrict, max_length=max_length)
        return self._field(name, make, f"{LABELS[name]} *", "-spaced")

    def _toggle(self, name: str) -> Toggle:
        return Toggle(self.form.is_on(name), animate=False, id=name)

    def _advanced(self, name: str) -> Field:
        label = f"  {LABELS[name]}"
        if name in TLS_FILES:
            example = f"/etc/dicomdock/{name.removeprefix('tls_')}.pem"
            if name == "tls_crl":
                example = "none: revoked certificates are accepted"
            return self._field(
                name, partial(self.entry, name, placeholder=example), f"  {label}", "-file"
            )
        if name in SWITCH_FIELDS:
            indent = "  " if name in TLS_DETAILS else ""
            return self._field(name, partial(self._toggle, name), f"{indent}{label}")
        if name == "duplicates":
            return self._field(name, self._duplicates, label)
        restrict = r"[0-9A-Fa-f:.]{0,45}"
        if name in LIMIT_FIELDS:
            restrict = r"[0-9]{0,15} ?[A-Za-z]{0,3}" if "bytes" in name else r"[0-9]{0,15}"
        make = partial(self.entry, name, placeholder=self._site_value(name), restrict=restrict)
        return self._field(name, make, label, "-advanced")

    def _duplicates(self) -> Select[str]:
        site = self._site_value("duplicates")
        choices = [
            (Text(f"as the site says: {site}"), ""),
            *((Text(p), p) for p in DuplicatePolicy),
        ]
        value = self.form.text("duplicates")
        return Select(choices, value=value, allow_blank=False, id="duplicates")

    def _file_namers(self) -> Select[str]:
        infos = {namer.id: namer for namer in self.form.rules.file_namers or ()}
        choices = [(Text("as the site says"), "")]
        for namer in self.form.file_namer_choices():
            info = infos.get(namer)
            if info is None:
                words = f"✗ {namer} (not installed)"
            else:
                words = f"✗ {namer} (broken)" if info.error else f"{info.name} ({info.id})"
            choices.append((Text(safe(words)), namer))
        value = self.form.text("file_namer")
        return Select(choices, value=value, allow_blank=False, id="file_namer")

    def _site_value(self, name: str) -> str:
        site = self.form.rules.site
        if name in LIMIT_FIELDS:
            limit = getattr(site.limits, name)
            return typed_number(name, limit)
        if name == "duplicates":
            return str(site.sessions.duplicates)
        return site.bind_address or "all addresses"

    def _identifier(self) -> Field:
        return self._field("identifier", self._identifiers, LABELS["identifier"], "-spaced")

    def _identifiers(self) -> Select[str]:
        choices = {name: self.form.identifier_name(name) for name in self.form.identifier_choices()}
        width = max(map(len, choices.values())) + 1
        options = [
            (Text(f"{words:<{width}}{self._capability(name)}"), name)
            for name, words in choices.items()
        ]
        chosen = self.form.text("identifier")
        return Select(options, value=chosen, allow_blank=False, id="identifier")

    def _capability(self, identifier: str) -> str:
        info = self.form.info(identifier)
        if info is None or info.error:
            return ""
        return f"routing {'✓' if info.can_route else '–'}"

    def _setting(self, name: str) -> Field:
        make = self._project if self.form.settings[name].field.is_project else self._text
        label = cut(self.form.label(name), LABEL_WIDTH)
        return self._field(name, partial(make, name), label, "-spaced -setting")

    def _project(self, name: str) -> Select[str]:
        options = self._project_options(name)
        prompt = "choose a project" if options else "there are no projects yet"
        value = self.form.text(name) or Select.NULL
        return Select(options, value=value, prompt=prompt, id=name)

    def _projects(self) -> Iterable[str]:
        """Return the names of the fields in which a project is chosen."""
        return (name for name, setting in self.form.settings.items() if setting.field.is_project)

    def _project_options(self, name: str) -> list[tuple[Text, str]]:
        choices = project_choices(self.form.rules.projects, self.form.text(name))
        return [(Text(safe(words)), value) for words, value in choices]

    def _text(self, name: str) -> Input:
        return self.entry(name, max_length=MAX_SETTING_CHARACTERS)

    def _switch(self, name: str) -> Field:
        return self._field(name, partial(self._toggle, name), LABELS[name])

    def _whitelist(self) -> Field:
        make = partial(self.lines, "whitelist")
        return self._field("whitelist", make, f"  {LABELS['whitelist']}", "-lines")

    def _field(self, name: str, make: Callable[[], Widget], label: str, classes: str = "") -> Field:
        return self.field(name, make, label, classes, hint=self.hint(name))

    def show_preview(self, previews: tuple[RoutingPreview, ...], note: str = "") -> None:
        """Show a dry run of the rules, or say why there is none."""
        self.query_one(RoutingPreviewPanel).show(previews, note)
        self._show_results()

    @on(RoutingPreviewPanel.Moved)
    def _show_results(self) -> None:
        """Say below each text what it makes of the object that is shown."""
        panel = self.query_one(RoutingPreviewPanel)
        words = panel.words if panel.is_current else None
        self._results = {
            f"{found.attribute}_routing": found.in_one_line
            for found in (words.attributes if words else ())
        }
        for name in ROUTING_FIELDS:
            self.query_one(f"#field-{name}", Field).hint = self.hint(name)

    def completes(self, name: str) -> Names | None:
        """Return which names complete a field: those of callers that were seen."""
        return _COMPLETED.get(name)

    def hint(self, name: str) -> str:
        """Return the hint below a field; safe text."""
        if name in self._results:
            return self._results[name]
        setting = self.form.settings.get(name)
        if setting and (masked := mask_hint(self.form.text(name))):
            return masked
        return safe(setting.field.help) if setting else self._own_hint(name)

    def _own_hint(self, name: str) -> str:
        """Return the hint below a field of the receiver itself."""
        ports = self.form.rules.site.ports
        match name:
            case "ae_title":
                return f"1–{MAX_LENGTH} characters, no backslash"
            case "port":
                return f"{ports.start}–{ports.stop - 1}, may be shared"
            case "identifier":
                return self._identifier_hint()
            case "routing_enabled" if self.form.is_on(name):
                return ROUTING_HINT
            case "whitelist":
                return self._cut_verdict() or LINES_HINT
            case "session_routing":
                return "one rule per line: (gggg,eeee):pattern:group"
            case _:
                return ""

    def _identifier_hint(self) -> str:
        info = self.form.info()
        if info is not None and not info.can_route and not info.error:
            return "cannot use routing expressions; they are hidden"
        return "assigns project, subject and session to each object"

    def note(self, name: str) -> Note:
        """Return the note beside a field."""
        if name == "port":
            return self.port_note
        if name == "ae_title":
            return Note(f"{len(self.form.text(name))}/{MAX_LENGTH}")
        if name in ADVANCED_FIELDS and name not in SWITCH_FIELDS:
            return self._advanced_note(name)
        if name in SWITCH_FIELDS:
            if self.form.is_unwise(name):
                return Note(self.form.meaning(name), NoteTone.WARNING)
            tone = NoteTone.PLAIN if self.form.is_on(name) else NoteTone.DIM
            return Note(self.form.meaning(name), tone)
        return Note()

    def _advanced_note(self, name: str) -> Note:
        text, site = self.form.text(name).strip(), self._site_value(name)
        if name in self.form.problems():
            return Note()
        if name == "duplicates":
            return Note(f"the site's: {site}") if text else Note()
        if not text or name == "bind_address":
            return Note(f"the site's: {_with_unit(name, site)}")
        return Note(
            f"{_with_unit(name, text)}; the site's: {_with_unit(name, site)}", NoteTone.PLAIN
        )


def _with_unit(name: str, text: str) -> str:
    """Say a value of an advanced field with its unit."""
    if name.endswith("_bytes"):
        return with_unit(name, text)
    if name == "bind_address" or not text.isdecimal():
        return text
    number = int(text)
    if name.endswith("_seconds"):
        return f"{number // 60} min" if number >= 120 and not number % 60 else f"{number} s"
    return f"{number:,} at once"
