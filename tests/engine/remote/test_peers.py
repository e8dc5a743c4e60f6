"""Who may come in: tokens as bearers show them, and as scripts for XNAT send passwords."""

from __future__ import annotations

import os
import pwd
import socket
from base64 import b64encode
from struct import pack
from typing import Any

import pytest

from engine.host.owner import UNKNOWN_USER
from engine.net.admission import ConnectionLimits, ConnectionTable
from engine.remote.callers import (
    ApiCaller,
    actor_of,
    admitted,
    authorized,
    local_peer,
    origin_of_request,
    user_of,
)
from engine.remote.logins import IDLE_SECONDS, MOST_LOGINS, Logins

TOKEN = "correct-horse-battery"


def basic(text: str) -> bytes:
    return b"Basic " + b64encode(text.encode())


@pytest.mark.parametrize(
    ("header", "enters"),
    [
        (f"Bearer {TOKEN}".encode(), True),
        (f"bearer {TOKEN}".encode(), True),
        (basic(f"admin:{TOKEN}"), True),
        (basic(f":{TOKEN}"), True),
        (basic(TOKEN), False),
        (basic(f"admin:{TOKEN}x"), False),
        (b"Basic !!!", False),
        (b"Basic !" + b64encode(f"admin:{TOKEN}".encode()), False),
        (b"Basic", False),
        (TOKEN.encode(), False),
        (b"Bearer ", False),
        (b"", False),
    ],
)
def test_a_client_from_elsewhere_shows_the_token(header: bytes, enters: bool) -> None:
    headers = [(b"authorization", header)] if header else []
    peer = ApiCaller("token from 192.0.2.7", token=TOKEN)
    assert (
        authorized({"type": "http", "headers": headers, "state": {"peer": peer}}, Logins())
        is enters
    )


def test_on_the_socket_its_permissions_are_enough() -> None:
    assert authorized(
        {"type": "http", "headers": [], "state": {"peer": ApiCaller("anna", 7)}}, Logins()
    )
    shown = [(b"authorization", b"Bearer of-another-engine")]
    assert authorized(
        {"type": "http", "headers": shown, "state": {"peer": ApiCaller("anna", 7)}}, Logins()
    )


def test_a_log_in_stands_for_the_token_until_it_was_not_used_for_a_quarter_of_an_hour() -> None:
    now = [0.0]
    logins = Logins(lambda: now[0])
    name = logins.begin("anna")
    scope: dict[str, Any] = {
        "type": "http",
        "headers": [(b"cookie", b"JSESSIONID=" + name.encode())],
    }
    scope["state"] = {"peer": ApiCaller("token from 192.0.2.7", token=TOKEN)}
    for at in (0.0, IDLE_SECONDS, 2 * IDLE_SECONDS):
        now[0] = at
        assert authorized(scope, logins)
    assert user_of(scope, logins) == "anna"
    now[0] = 3 * IDLE_SECONDS + 1
    assert not authorized(scope, logins)
    assert user_of(scope, logins) == ""


def test_a_log_in_ends_and_the_one_unused_for_longest_makes_room() -> None:
    logins = Logins()
    first, second = logins.begin("a"), logins.begin("b")
    logins.user_of(first)
    for _ in range(MOST_LOGINS - 2):
        logins.begin("c")
    last = logins.begin("c")
    assert [logins.user_of(name) for name in (first, second, last)] == ["a", None, "c"]
    logins.end(first)
    logins.end("of nobody")
    assert logins.user_of(first) is None


def test_nobody_else_enters() -> None:
    shown = [(b"authorization", f"Bearer {TOKEN}".encode())]
    assert authorized({"type": "http", "headers": shown}, Logins()) is False


def test_a_process_at_the_other_end_is_known_by_its_login_and_number() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert local_peer(ours) == ApiCaller(pwd.getpwuid(os.getuid()).pw_name, os.getpid())


def test_a_process_that_runs_for_another_user_is_known_by_that_users_login() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert local_peer(ours, {os.getpid(): 2_000_000_123}.get).name == "user 2000000123"


def test_a_client_from_elsewhere_is_no_process_of_this_machine() -> None:
    assert ApiCaller("token from 192.0.2.7", token=TOKEN).pid == 0


def test_a_login_that_the_kernel_does_not_report_is_not_made_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket.socket, "getsockopt", lambda *_: pack("3i", 7, 2_000_000_123, 0))
    with socket.socket(socket.AF_UNIX) as connected:
        assert local_peer(connected) == ApiCaller("user 2000000123", 7)


def test_a_change_without_a_known_connection_is_of_an_unknown_user() -> None:
    assert actor_of({}, "root") == f"{UNKNOWN_USER}, says: root"


@pytest.mark.parametrize(
    ("said", "through", "actor"),
    [
        ("", "", "anna"),
        ("anna", "", "anna"),
        ("anna, says: anna", "", "anna"),
        ("berta", "", "anna, says: berta"),
        ("anna, says: berta", "", "anna, says: berta"),
        ("   ", "", "anna"),
        ("", "console", "anna (console)"),
        ("anna", "console", "anna (console)"),
        ("berta", "console", "anna (console), says: berta"),
        ("x" * 300, "", "anna, says: " + "x" * 200),
    ],
)
def test_what_a_client_says_of_itself_stands_beside_its_login(
    said: str, through: str, actor: str
) -> None:
    assert actor_of({"state": {"peer": ApiCaller("anna", 7)}}, said, through=through) == actor


def test_a_counted_connection_goes_on_while_there_are_not_too_many() -> None:
    table = ConnectionTable(ConnectionLimits(admitted=1))
    first, second = (table.enter(name, lambda: None) for name in ("anna", "berta"))
    assert admitted({"state": {"entry": first}}) is True
    assert admitted({"state": {"entry": second}}) is False
    assert admitted({"state": {"entry": first}}) is True


def test_a_request_comes_from_a_network_or_a_login() -> None:
    assert origin_of_request(
        {"state": {"peer": ApiCaller("token from 192.0.2.7", network="192.0.2.7")}}
    ) == ("192.0.2.7")
    assert origin_of_request({"state": {"peer": ApiCaller("anna", 7)}}) == "anna"
    assert origin_of_request({}) == UNKNOWN_USER


def test_a_connection_that_nobody_counts_goes_on() -> None:
    assert admitted({})
