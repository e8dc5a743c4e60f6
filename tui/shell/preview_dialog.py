"""A form dialog that tries routing rules on recent objects, or a file, while the user types."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from textual import on

from engine.errors import ConfigurationError, EngineError
from tui.shell.file_prompt import TRY_FILE, FilePrompt
from tui.shell.form_dialog import FormDialog
from tui.text import safe
from tui.widgets.routing_preview import FILE_KEY, RoutingPreviewPanel, ShowsPreview

if TYPE_CHECKING:
    from engine.api import EngineView
    from engine.model.file_sample import FileSample
    from engine.model.processing import RoutingPreview

R = TypeVar("R")
NOTHING_TRIED = f"{FILE_KEY} tries routing rules on a file; there are none while routing is off"


class PreviewDialog(FormDialog[R]):
    """Has a body with a preview; subclasses say which rules are tried."""

    BINDINGS = [TRY_FILE]
    _previewed: tuple[R, bool, FileSample | None] | None = None
    _file: FileSample | None = None
    """Tried in place of recent objects."""
    _path = ""

    def previews(self) -> bool:
        """Tell whether a dry run matters now."""
        raise NotImplementedError

    def draft(self) -> R:
        """Return what is tried; raises `ConfigurationError` if a rule is wrong."""
        raise NotImplementedError

    def preview(
        self, engine: EngineView, draft: R, shown: bool, file: FileSample | None
    ) -> tuple[RoutingPreview, ...]:
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
        if (draft, shown, self._file) != self._previewed:
            self._previewed = draft, shown, self._file
            self.ask(self._show_preview, draft, shown, self._file)

    async def _show_preview(self, draft: R, shown: bool, file: FileSample | None) -> None:
        try:
            previews = await self.ask_newest("preview", self.preview, draft, shown, file)
        except EngineError as error:
            self._previewed = None
            remedy = f"; {error.remedy}" if file is not None and error.remedy else ""
            self._panel().show_preview((), f"no preview: {safe(f'{error.detail}{remedy}')}")
        else:
            # Neither masked nor another file meanwhile.
            masked = self.query_one(RoutingPreviewPanel).masked
            if shown != masked and file is self._file:
                self._panel().show_preview(previews)

    def action_try_file(self) -> None:
        """Ask for a file to try the rules on, if there are any."""
        if not self.previews():
            self.console.show_toast(NOTHING_TRIED, "warning")
            return
        prompt = FilePrompt(self._path, self._check_file, blink=self.console.blink)
        self.app.push_screen(prompt, self._take_file)

    async def _check_file(self, sample: FileSample) -> None:
        try:
            draft = self.draft()
        except ConfigurationError:
            return  # the preview waits until the rules are right
        await self.ask_newest("check the file", self.preview, draft, False, sample)

    def _take_file(self, answer: tuple[str, FileSample | None] | None) -> None:
        if answer is not None:
            self._path, self._file = answer
            self._preview_soon()
