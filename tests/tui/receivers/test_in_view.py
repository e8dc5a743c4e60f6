"""What a switch reveals, and what is wrong with a field, is scrolled into view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from textual.events import Paste
from textual.widgets import Input

from engine.errors import CorruptConfiguration, InvalidReceiver, Problem
from tests.tui.receivers.test_receiver_dialog import (
    FakeEngine,
    Host,
    edit_form,
    make_receiver,
    settle,
)
from tui.widgets.routing_preview import RoutingPreviewPanel

if TYPE_CHECKING:
    from textual.widget import Widget


def in_view(app: Host, widget: Widget) -> bool:
    body = app.dialog.body
    return body.region.contains_region(widget.region.intersection(body.region)) and (
        widget.region.height > 0 and widget.region.bottom <= body.region.bottom
    )


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_is_revealed_is_in_view_with_the_switch_that_revealed_it(
    size: tuple[int, int],
) -> None:
    app = Host(edit_form(make_receiver()), preview=lambda draft, shown: ())
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for switch, key, revealed in (
            ("routing_enabled", "space", "project_routing"),
            ("advanced", "enter", "bind_address"),
            ("tls_enabled", "space", "tls_key"),
        ):
            app.dialog.query_one(f"#{switch}").focus()
            await settle(pilot)
            await pilot.press(key)
            await settle(pilot)
            assert app.focused_id() == switch
            assert in_view(app, app.field(revealed)), switch
            assert app.focused is not None
            assert in_view(app, app.focused), switch
            # With room for two columns the preview stays where it is.
            if size == (120, 40):
                preview = app.dialog.query_one(RoutingPreviewPanel)
                assert in_view(app, preview), switch
                assert preview.region.x > app.field(revealed).region.right - 2
                assert app.dialog.query_one("#box").region.bottom <= 39


async def test_the_words_below_a_refused_field_are_in_view_in_a_dialog_within_the_screen() -> None:
    problems = (
        Problem("tls_certificate", "/pki/c.pem", "does not exist", "create it"),
        Problem("tls_key", "/pki/k.pem", "does not belong to the certificate", "use its key"),
        Problem("tls_ca", "/pki/a.pem", "holds no certificate", "use a file with some"),
    )
    engine = FakeEngine(InvalidReceiver(*problems))
    files: dict[str, Any] = {
        name: f"/pki/{name}.pem" for name in ("tls_certificate", "tls_key", "tls_ca")
    }
    app = Host(edit_form(make_receiver(tls_enabled=True, **files)), engine=engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert app.focused_id() == "tls_certificate"
        assert in_view(app, app.field("tls_certificate").query_one(".below"))
        assert app.dialog.query_one("#box").region.bottom <= 39, "it is larger than the screen"
        await pilot.press("f8")
        await settle(pilot)
        assert in_view(app, app.field("tls_key").query_one(".below"))


async def test_what_is_not_taken_from_keys_or_the_clipboard_is_said() -> None:
    app = Host(edit_form(make_receiver()))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        entry = app.dialog.query_one("#ae_title", Input)
        for what in ("CT\\SCANNER", "CT_SCANNER_BASEMENT"):
            entry.value = ""
            app.clear_notifications()
            entry.post_message(Paste(what))
            await settle(pilot)
            said = [toast.message for toast in app._notifications]
            expected = "that was not inserted. Allowed: 1–16 characters, no backslash"
            assert said == [f"AE Title: {expected}"], what
        await pilot.press(*"A" * 16, "B", "B")
        await settle(pilot)
        assert len(app._notifications) == 1
        assert entry.value == "A" * 16


async def test_a_broken_configuration_file_is_no_problem_of_a_field() -> None:
    broken = Problem("config.json", "/srv/config.json", "is no JSON", "bring back a copy", 3, 7)
    app = Host(edit_form(make_receiver()), engine=FakeEngine(CorruptConfiguration(broken)))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert app.field("ae_title").problems == ()
        assert "✗ The configuration file can't be read: config.json" in app.words("refusal")
