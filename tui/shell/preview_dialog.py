"""A form dialog that tries routing rules on recent objects while the user types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from textual import on, work

from engine.errors import ConfigurationError, EngineError
from tui.shell.form_dialog import FormDialog
from tui.text import safe
from tui.widgets.routing_preview import RoutingPreviewPanel, ShowsPreview

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.timer import Timer

    from engine.model.processing import RoutingPreview

R = TypeVar("R")
Preview: TypeAlias = "Callable[[R, bool], tuple[RoutingPreview, ...]]"
"""Tries a draft, and says whether values are to be shown, which is recorded."""
PREVIEWS = "routing-preview"


class PreviewDialog(FormDialog[R]):
    """Has a body with a preview; subclasses say which rules are tried."""

    preview_delay_seconds: ClassVar[float] = 0.15

    def __init__(
        self,
        save: Callable[[R, R | None], R],
        preview: Preview[R] | None = None,
    ) -> None:
        """Take what saves and what tries a draft; both may block. None hides the preview."""
        super().__init__(save)
        self._preview = preview
        self._previewed: tuple[R, bool] | None = None
        self._preview_timer: Timer | None = None

    def previews(self) -> bool:
        """Tell whether a dry run matters now."""
        raise NotImplementedError

    def draft(self) -> R:
        """Return what is tried; raises `ConfigurationError` if a rule is wrong."""
        raise NotImplementedError

    def _panel(self) -> ShowsPreview:
        body = self.body
        assert isinstance(body, ShowsPreview)
        return body

    def sync(self) -> None:
        """Make every widget show what the form says; try the rules soon."""
        super().sync()
        self._preview_soon()

    def _preview_soon(self) -> None:
        """Try the rules once nothing was typed for a moment."""
        if self._preview_timer is not None:
            self._preview_timer.stop()
        if self._preview is not None and self.previews():
            self._preview_timer = self.set_timer(self.preview_delay_seconds, self._try_rules)

    def _try_rules(self) -> None:
        try:
            draft = self.draft()
        except ConfigurationError:
            self._previewed = None
            self._panel().show_preview((), "the preview waits until what is marked ✗ is mended")
            return
        shown = not self.query_one(RoutingPreviewPanel).masked
        if (draft, shown) != self._previewed:
            self._previewed = draft, shown
            self._ask_preview(draft, shown)

    @on(RoutingPreviewPanel.Wanted)
    def _show_or_mask(self) -> None:
        """Try the rules anew, with the values if they are wanted."""
        self._preview_soon()

    @work(thread=True, exclusive=True, group=PREVIEWS, exit_on_error=False)
    def _ask_preview(
        self, draft: R, shown: bool
    ) -> tuple[bool, tuple[RoutingPreview, ...]] | EngineError:
        assert self._preview is not None
        try:
            return shown, self._preview(draft, shown)
        except EngineError as error:
            return error

    def finished(self, group: str, outcome: Any) -> None:
        """Show a dry run, or why there is none."""
        if group != PREVIEWS:
            super().finished(group, outcome)
        elif isinstance(outcome, tuple):
            shown, previews = outcome
            if shown != self.query_one(RoutingPreviewPanel).masked:  # not masked meanwhile
                self._panel().show_preview(previews)
        else:
            self._previewed = None
            known = isinstance(outcome, EngineError)
            why = outcome.detail if known else "the engine did not answer"
            self._panel().show_preview((), f"no preview: {safe(why)}")
