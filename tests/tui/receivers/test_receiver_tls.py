"""TLS in the receiver dialog: what shows when, and what is saved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from engine.api import ReceiverState, ReceiverStatus
from engine.errors import InvalidReceiver, Problem
from engine.model.receiver import ReceiverRules
from engine.model.tls import Certificate, ClientCertificates, peer_certificate
from tests.fakes import NOW, make_snapshot
from tests.tui.receivers.test_receiver_dialog import (
    FakeEngine,
    Host,
    edit_form,
    make_receiver,
    screen_text,
    settle,
)
from tui.receivers.form import TLS_DETAILS, ReceiverForm
from tui.receivers.table import state_words

DETAILS = set(TLS_DETAILS)
FILES: dict[str, Any] = {
    "tls_certificate": "/pki/c.pem",
    "tls_key": "/pki/k.pem",
    "tls_ca": "/pki/ca.pem",
    "tls_crl": "/pki/crl.pem",
}


def test_the_files_show_while_tls_is_on() -> None:
    form = edit_form(make_receiver())
    form.open_advanced()
    assert not DETAILS & form.visible_fields()
    form.set("tls_enabled", True)
    assert form.visible_fields() >= DETAILS
    assert form.advanced_in_words() == "its own: TLS"


def test_tls_survives_the_dialog_on_or_off() -> None:
    for on in (True, False):
        for client in ClientCertificates:
            receiver = make_receiver(tls_enabled=on, tls_client=client, **FILES)
            assert edit_form(receiver).result() == receiver


def test_files_that_are_needed_are_asked_for_at_their_fields() -> None:
    form = edit_form(make_receiver())
    form.set("tls_enabled", True)
    assert list(form.problems()) == ["tls_certificate", "tls_key", "tls_ca"]
    form.set("tls_client", False)
    form.set("tls_key", "key.pem")
    assert [p.message for p in form.problems()["tls_key"]] == ["is not a full path"]
    assert list(form.problems()) == ["tls_certificate", "tls_key"]


def test_a_neighbour_on_the_port_without_tls_is_a_problem_of_the_switch() -> None:
    receiver = make_receiver(tls_enabled=True, **FILES)
    form = ReceiverForm.edit(receiver, ReceiverRules(others=(make_receiver("OTHER", id=2),)))
    (problem,) = form.problems()["tls_enabled"]
    assert problem.message == "OTHER:8104 listens on the same port without TLS"
    assert form.is_advanced_open()


async def test_typed_files_are_saved() -> None:
    app = Host(edit_form(make_receiver()))
    async with app.run_test(size=(120, 40)) as pilot:
        app.form.open_advanced()
        app.dialog.sync()
        app.dialog.query_one("#tls_enabled").focus()
        await pilot.press("space")
        for path in FILES.values():
            await pilot.press("tab", *path)
        await pilot.press("tab", "space", "ctrl+s")
        await settle(pilot)
    none = ClientCertificates.NONE
    assert app.results == [make_receiver(tls_enabled=True, tls_client=none, **FILES)]


async def test_a_file_that_the_engine_refuses_is_shown_at_its_field() -> None:
    problem = Problem("tls_key", "/pki/k.pem", "does not exist", "create it")
    engine = FakeEngine(InvalidReceiver(problem))
    app = Host(edit_form(make_receiver(tls_enabled=True, **FILES)), engine=engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+s")
        await settle(pilot)
        assert app.focused_id() == "tls_key"
        assert "✗ does not exist; create it" in screen_text(app)


@pytest.mark.parametrize("key", ["tls_certificate", "tls_client"])
async def test_the_focus_moves_to_the_switch_when_its_field_goes(key: str) -> None:
    app = Host(edit_form(make_receiver(tls_enabled=True, **FILES)))
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot)
        app.dialog.query_one(f"#{key}").focus()
        await pilot.pause()
        app.form.set("tls_enabled", False)
        app.dialog.sync()
        await pilot.pause()
        assert app.focused_id() == "tls_enabled"


@pytest.mark.parametrize(
    ("days", "problem", "words"),
    [
        (400, "", ""),
        (12, "", "; its certificate expires in 12 days"),
        (1, "", "; its certificate expires in 1 day"),
        (-3, "", "; its certificate expired 2026-08-21 "),
        (400, "tls_key: does not exist", "; the changed TLS files are not in force: tls_key: does"),
    ],
)
def test_the_dashboard_says_what_is_to_be_done_about_a_certificate(
    days: int, problem: str, words: str
) -> None:
    identity = peer_certificate("f" * 64)
    end = NOW + timedelta(days=days)
    status = ReceiverStatus(
        make_receiver(tls_enabled=True, **FILES),
        ReceiverState.LISTENING,
        NOW,
        "[::]:8104",
        certificate=Certificate("CN=a", "CN=b", NOW - timedelta(days=9), end, identity),
        certificate_problem=problem,
    )
    said = state_words(status, replace(make_snapshot(), taken_at=NOW, receivers=(status,)))
    assert said.startswith("listening on [::]:8104 with TLS since ")
    assert words in said
    assert bool(words) == (";" in said)
