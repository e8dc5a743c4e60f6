"""Known peers: added, changed, refused in words, and a part of the configuration's history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engine.cli.outcome import Run

PACS = {
    "ae_title": "PACS",
    "host": "10.1.2.3",
    "port": 104,
    "tls_enabled": False,
    "tls_ca": "",
    "tls_certificate": "",
    "tls_key": "",
    "tls_check_name": True,
}


def test_a_peer_is_added_changed_and_removed_each_as_a_revision(run: Run) -> None:
    added = run("peers", "add", "PACS", "--host", "10.1.2.3", "--port", "104", "--json")
    assert added.data["peer"] == PACS
    edited = run("peers", "edit", "PACS", "--port", "11112")
    assert "saved peer PACS" in edited.err
    assert run("peers", "list").out.splitlines()[1].split() == ["PACS", "10.1.2.3", "11112", "off"]
    assert "peer PACS port: 104 → 11112" in run("config", "diff").out
    assert run("config", "show", "--json").data["peers"] == [PACS | {"port": 11112}]
    run("config", "undo", "--yes")
    assert run("peers", "list", "--json").data["peers"] == [PACS]
    assert run("peers", "delete", "PACS", "--yes").code == 0
    assert run("peers", "list", "--json").data["peers"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "A\\B", "--host", "h", "--port", "1"), "ae_title 'A\\\\B': contains a backslash"),
        (("add", "B", "--host", "a b", "--port", "1"), "host 'a b': is no host name or address"),
        (("add", "B", "--host", "h", "--port", "70000"), "port '70000': is no port"),
        (("add", "PACS", "--host", "h", "--port", "1"), "ae_title 'PACS': exists already"),
        (("edit", "NOPE", "--port", "1"), "there is no peer NOPE"),
        (("delete", "NOPE", "--yes"), "there is no peer NOPE"),
        (("echo", "NOPE"), "there is no peer NOPE"),
        (("edit", "PACS", "--tls-enabled", "--tls-key", "/k.pem"), "tls_key '/k.pem': goes with"),
        (
            ("edit", "PACS", "--tls-enabled", "--tls-ca", "/k.pem"),
            "tls_ca '/k.pem': does not exist",
        ),
    ],
)
def test_a_peer_is_refused_in_words(run: Run, arguments: tuple[str, ...], said: str) -> None:
    run("peers", "add", "PACS", "--host", "10.1.2.3", "--port", "104")
    outcome = run("peers", *arguments)
    assert outcome.code != 0
    assert said in outcome.err
    assert "receiver" not in outcome.err


def test_without_an_engine_the_commitments_are_listed_as_well(run: Run) -> None:
    assert run("commitments", "list", "--json").data == {"engine_runs": False, "commitments": []}
    assert "there is no request 7" in run("commitments", "show", "7").err
    assert run("commitments", "retry", "7").code == 4
