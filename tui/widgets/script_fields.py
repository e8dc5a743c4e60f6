"""The body of a dialog with a script: its lines with what was found in them, and a trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.model.site_script import SITE_SCRIPT
from tui.forms.script_words import finding_remarks, findings_in_words
from tui.widgets.before_after import BeforeAfter
from tui.widgets.settings_fields import SettingsFields, note_of

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from engine.view.scripts import LeftText, ScriptFinding
    from tui.widgets.field import Note


class ScriptFields(SettingsFields):
    """Has the script last, and below it what it does to a recent object."""

    _findings: tuple[ScriptFinding, ...] = ()

    def compose_more(self) -> ComposeResult:
        """Build the trial."""
        yield BeforeAfter()

    def take_findings(
        self,
        findings: tuple[ScriptFinding, ...],
        left: tuple[LeftText, ...],
        *,
        checked: bool,
    ) -> None:
        """Take what was found in the script as it is, and what it leaves."""
        self._findings = findings
        text = self.form.text(SITE_SCRIPT)
        self._hints = {
            SITE_SCRIPT: findings_in_words(findings, left, text) if checked else "checking…"
        }

    def line_notes(self, name: str) -> tuple[Note, ...]:
        """Return what is said beside each line."""
        if name != SITE_SCRIPT:
            return super().line_notes(name)
        return tuple(map(note_of, finding_remarks(self.form.text(name), self._findings)))
