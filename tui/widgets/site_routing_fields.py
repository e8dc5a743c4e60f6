"""The body of the site's routing dialog: rules with what they make of a recent object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on

from engine.model.trace import Source
from tui.widgets.routing_preview import RoutingPreviewPanel
from tui.widgets.settings_fields import SettingsFields

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from engine.model.identity import RoutingPreview


class SiteRoutingFields(SettingsFields):
    """Has the preview below the rules, and its result below each text."""

    def compose_more(self) -> ComposeResult:
        """Build the preview."""
        yield RoutingPreviewPanel(Source.SITE)

    def show_preview(self, previews: tuple[RoutingPreview, ...], note: str = "") -> None:
        """Show a dry run of the rules, or say why there is none."""
        self.query_one(RoutingPreviewPanel).show(previews, note)
        self._show_results()

    @on(RoutingPreviewPanel.Moved)
    def _show_results(self) -> None:
        panel = self.query_one(RoutingPreviewPanel)
        words = panel.words if panel.is_current else None
        self.say_below(
            {
                f"{found.attribute.replace('-', '_')}_routing": found.in_one_line
                for found in (words.attributes if words else ())
            }
        )
