"""A form dialog that tries routing rules on recent objects while the user types."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from textual import on

from engine.errors import ConfigurationError, EngineError
from tui.shell.form_dialog import FormDialog
from tui.text import safe
from tui.widgets.routing_preview import RoutingPreviewPanel, ShowsPreview

if TYPE_CHECKING:
    from engine.api import EngineView
    from engine.model.processing import RoutingPreview

R = TypeVar("R")


class PreviewDialog(FormDialog[R]):
    """Has a body with a preview; subclasses say which rules are tried."""

    _previewed: tuple[R, bool] | None = None

    def previews(self) -> bool:
        """Tell whether a dry run matters now."""
        raise NotImplementedError

    def draft(self) -> R:
        """Return what is tried; raises `ConfigurationError` if a rule is wrong."""
        raise NotImplementedError

    def preview(self, engine: EngineView, draft: R, shown: bool) -> tuple[RoutingPreview, ...]:
        """Try a draft, on another thread; that values are shown is recorded by the engine."""
        raise NotImplementedError

    def _panel(self) -> ShowsPreview:
        body = self.body
        assert isinstance(body, ShowsPreview)
        return body

    def sync(self) -> None:
        """Make every widget show what the form says; try the rules soon."""
        super().sync()
        self._preview_soon()

    @on(RoutingPreviewPanel.Wanted)
    def _preview_soon(self) -> None:
        """Try the rules, with the values if they are wanted."""
        if self.previews():
            self.after_pause(self._try_rules)
        else:
            self.cancel_pause(self._try_rules)

    def _try_rules(self) -> None:
        try:
            draft = self.draft()
        except ConfigurationError:
            self._previewed = None
            self._panel().show_preview(
                (), "the preview waits until the fields marked ✗ are corrected"
            )
            return
        shown = not self.query_one(RoutingPreviewPanel).masked
        if (draft, shown) != self._previewed:
            self._previewed = draft, shown
            self.ask(self._show_preview, draft, shown)

    async def _show_preview(self, draft: R, shown: bool) -> None:
        try:
            previews = await self.ask_newest("preview", self.preview, draft, shown)
        except EngineError as error:
            self._previewed = None
            self._panel().show_preview((), f"no preview: {safe(error.detail)}")
        else:
            if shown != self.query_one(RoutingPreviewPanel).masked:  # not masked meanwhile
                self._panel().show_preview(previews)
