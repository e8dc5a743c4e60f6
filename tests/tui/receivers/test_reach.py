"""The card that says how senders reach a receiver."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.widgets import Static

from engine.model.peer import AETitle
from tests.fakes import busy
from tui.app import ConsoleApp
from tui.receivers import reach
from tui.receivers.reach import commands_to, host_addresses, reach_text

if TYPE_CHECKING:
    import pytest

ADDRESSES = ("10.4.0.7", "2001:db8::7")


def test_the_card_has_what_a_scanner_and_other_programs_need() -> None:
    snapshot = busy().current
    text = reach_text(snapshot.receivers[0], snapshot, ADDRESSES)
    assert "10.4.0.7 or 2001:db8::7 or archive01" in text
    assert "storescu -aec XNAT 10.4.0.7 8104 FILE.dcm" in text
    assert "dcmsend -aec XNAT 10.4.0.7 8104 +sd +r FOLDER" in text
    assert '"dicomdock": ["XNAT", "10.4.0.7", 8104]' in text
    local = replace(snapshot.receivers[0], address="127.0.0.1:8104")
    assert "10.4.0.7" not in reach_text(local, snapshot, ADDRESSES)


def test_a_receiver_with_tls_names_the_files_that_the_sender_needs() -> None:
    receiver = replace(busy().current.receivers[0].receiver, tls_enabled=True)
    (_, storescu), (_, orthanc) = commands_to(receiver, "h")
    assert storescu.startswith("storescu +tls KEY.pem CERTIFICATE.pem +cf CA.pem")
    assert '"UseDicomTls": true' in orthanc


def test_an_ae_title_can_not_become_a_command_of_the_shell() -> None:
    receiver = replace(busy().current.receivers[0].receiver, ae_title=AETitle("A'; rm -rf ~ #"))
    line = commands_to(receiver, "h")[0][1]
    assert shlex.split(line)[2] == "A'; rm -rf ~ #"


def test_looking_for_addresses_gives_numbers_and_never_fails() -> None:
    assert all(set(address) <= set("0123456789abcdef:.%") for address in host_addresses())


async def test_the_card_can_be_copied_and_tests_the_receiver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reach, "host_addresses", lambda: ADDRESSES)
    engine = busy()
    app = ConsoleApp(engine, refresh_hz=0, blink=False, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        for key in ("c", "t"):
            await pilot.pause()
            await pilot.press("i")
            while not app.screen.is_modal:
                await pilot.pause()
            assert "storescu" in str(app.screen.query_one(".sentence", Static).content)
            assert app.screen.query_one(".box").region.bottom <= 24
            await pilot.press(key)
            await app.workers.wait_for_complete()
        assert "Type this at the scanner" in app.clipboard
        assert engine.named("echo") == [(1, "console")]
