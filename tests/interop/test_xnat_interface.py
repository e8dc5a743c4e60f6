"""Clients and scripts made for XNAT's `/xapi/dicomscp`: records, errors, log-in."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from engine.config.xnat.receivers import to_xnat
from engine.model.peer import AETitle
from engine.model.receiver import Receiver
from tests.caller import Caller
from tests.interop.xnat_script import BASE, ROUTED, Script, Xnatctl, running_script, xnatctl_of
from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    with running_script(tmp_path_factory.mktemp("xnat") / "data") as script:
        yield script


@pytest.fixture(autouse=True)
def _plain(script: Script) -> None:
    """Begin each test with the receiver of a fresh installation."""
    plain = to_xnat(Receiver(0, AETitle("XNAT"), script.dock.port))
    assert script.http.put(f"{BASE}/1", json=plain).status_code == 200
    for record in script.http.get(BASE).json()[1:]:
        assert script.http.delete(f"{BASE}/{record['id']}").status_code == 200


def test_records_have_xnats_members_and_defaults(script: Script) -> None:
    created, changed = (script.record[name] for name in ("created", "timestamp"))
    assert 1_700_000_000_000 < created <= changed <= time.time() * 1000
    assert script.record == {
        "id": 1,
        "created": created,
        "timestamp": changed,
        "disabled": 0,
        "enabled": True,
        "aeTitle": "XNAT",
        "port": script.dock.port,
        "identifier": "dicomObjectIdentifier",
        "fileNamer": None,
        "customProcessing": False,
        "directArchive": False,
        "directArchiveOverwrite": False,
        "anonymizationEnabled": True,
        "whitelistEnabled": False,
        "whitelist": [],
        "routingExpressionsEnabled": False,
        "projectRoutingExpression": None,
        "subjectRoutingExpression": None,
        "sessionRoutingExpression": None,
        "label": f"XNAT:{script.dock.port}",
    }
    assert script.http.get(f"{BASE}/").json() == [script.record]
    assert script.http.get(f"{BASE}/1").json() == script.record
    assert script.http.get(f"{BASE}/title/XNAT/{script.dock.port}").json() == script.record


def test_a_minimal_record_makes_a_receiver_that_listens_at_once(script: Script) -> None:
    port = free_port()
    made = script.http.post(
        BASE, json={"aeTitle": "NEW", "port": port, "identifier": "dicomObjectIdentifier"}
    )
    assert made.status_code == 200
    record = made.json()
    assert record["label"] == f"NEW:{port}"
    with Caller(port) as caller:
        assert caller.associate("NEW") is None
    assert script.http.delete(f"{BASE}/{record['id']}").status_code == 200
    assert script.http.get(f"{BASE}/{record['id']}").status_code == 404


def test_what_other_versions_of_xnat_send_too_is_no_error(script: Script) -> None:
    answer = script.put(host="localhost", whitelistText="", directArchiveOverwrite="append")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aeTitle": "A\\B"}, "Invalid AE-title: A\\B"),
        ({"aeTitle": None}, "Invalid AE-title"),
        ({"whitelistEnabled": True, "whitelist": ["a@b@c"]}, "Invalid item in whitelist: a@b@c"),
        (
            {"whitelistEnabled": True, "whitelist": ["CT1@nonsense!"]},
            "Invalid Ip Address in whitelist: nonsense!",
        ),
        (
            {"whitelistEnabled": True, "whitelist": ["@10.1.2.3", "x" * 17 + "@10.1.2.3"]},
            "Invalid AE-title in whitelist",
        ),
        (
            {"routingExpressionsEnabled": True, "projectRoutingExpression": "(0010,0010):("},
            "projectRoutingExpression",
        ),
        ({"whitelist": ["CT1@nonsense!"]}, "Invalid Ip Address in whitelist: nonsense!"),
        ({"identifier": None}, "specifies an unknown DICOM Object Identifier"),
        ({"directArchiveOverwrite": "never"}, "is neither append nor delete"),
        ({"port": 0}, "port"),
        ({"port": "x"}, "port"),
    ],
)
def test_what_is_not_valid_is_refused_in_xnats_words(
    script: Script, changes: dict[str, Any], words: str
) -> None:
    before = script.record
    answer = script.put(**changes)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert words in answer.text
    assert script.record == before


def test_a_put_of_a_part_opens_nothing(script: Script) -> None:
    script.put(whitelistEnabled=True, whitelist=["CT1"], customProcessing=True, **ROUTED)
    before = script.record
    example = {"aeTitle": "XNAT", "port": script.dock.port, "enabled": True}
    assert script.http.put(f"{BASE}/1", json=example).json() == before
    assert not script.is_admitted("STRANGER")
    disabled = script.http.put(f"{BASE}/1/", json={"enabled": False})
    assert disabled.json()["timestamp"] >= before["timestamp"]
    changed = {"enabled": False, "timestamp": disabled.json()["timestamp"]}
    assert disabled.json() == script.record == before | changed


@pytest.mark.parametrize("spelled", ["append", "TRUE", True, "delete", "false", False])
def test_direct_archive_overwrite_has_many_spellings_and_is_a_boolean(
    script: Script, spelled: object
) -> None:
    appends = str(spelled).lower() in ("append", "true")
    answer = script.http.put(f"{BASE}/1", json={"directArchiveOverwrite": spelled})
    assert answer.json()["directArchiveOverwrite"] is appends


def test_a_slash_at_the_end_makes_no_difference(script: Script) -> None:
    for method, path in (
        ("GET", ""),
        ("GET", "/1"),
        ("GET", "/identifiers"),
        ("GET", f"/title/XNAT/{script.dock.port}"),
        ("PUT", "/1/enabled/true"),
        ("PUT", "/start"),
    ):
        answers = [script.http.request(method, f"{BASE}{path}{end}") for end in ("", "/")]
        assert [answer.status_code for answer in answers] == [200, 200], path
        assert answers[0].json() == answers[1].json()


def test_a_second_receiver_of_a_title_and_port_is_refused(script: Script) -> None:
    plain = to_xnat(Receiver(0, AETitle("XNAT"), script.dock.port))
    answer = script.http.post(BASE, json=plain)
    assert answer.status_code == 400
    label = f"XNAT:{script.dock.port}"
    assert f"create or update a DICOM SCP receiver with the title and port {label}" in answer.text


def test_receivers_are_enabled_and_disabled_one_by_one(script: Script) -> None:
    path = f"{BASE}/1/enabled"
    assert script.http.get(path).json() is True
    assert script.http.put(f"{path}/false").json()["enabled"] is False
    assert script.http.get(path).json() is False
    with pytest.raises(ConnectionRefusedError):
        Caller(script.dock.port)
    assert script.http.put(f"{path}/true").json()["enabled"] is True
    assert script.is_admitted("MY_AE")
    assert script.http.put(f"{path}/maybe").status_code == 400


def test_all_receivers_are_stopped_and_started_at_once(script: Script) -> None:
    port = script.dock.port
    assert script.http.put(f"{BASE}/stop").json() == [["XNAT", port, False]]
    assert script.record["enabled"] is True
    with pytest.raises(ConnectionRefusedError):
        Caller(port)
    assert script.http.put(f"{BASE}/start").json() == [["XNAT", port, True]]
    assert script.is_admitted("MY_AE")


def test_identifiers_are_offered_by_id(script: Script) -> None:
    """At a fresh XNAT there is one; with DQR's plug-in there are two."""
    path, engine = f"{BASE}/identifiers", script.dock.engine
    assert set(script.http.get(path).json()) == {"dicomObjectIdentifier"}
    record = script.record | {"identifier": "dqrObjectIdentifier"}
    assert script.http.put(f"{BASE}/1", json=record).status_code == 200
    found = script.http.get(path).json()
    assert set(found) == {"dicomObjectIdentifier", "dqrObjectIdentifier", "studyRouting"}
    before = engine.site()
    engine.set_site(replace(before, offer_all_identifiers=True), "anna")
    assert set(script.http.get(path).json()) == {*found, "fixedProjectSubject"}
    engine.set_site(before, "anna")
    default = script.http.get(f"{path}/default").text
    assert default == found["dicomObjectIdentifier"]
    assert script.http.get(f"{path}/nonsense").status_code == 404
    assert script.http.put(path).status_code == 200
    assert script.http.put(f"{path}/default").status_code == 200
    assert script.http.put(f"{path}/nonsense").status_code == 404


@pytest.mark.parametrize("id", ["99", "x", "9" * 400, "-1", "1.0", "%00"])
@pytest.mark.parametrize(
    ("method", "end"), [("GET", ""), ("DELETE", ""), ("PUT", ""), ("PUT", "/enabled/true")]
)
def test_a_receiver_that_does_not_exist_is_not_found(
    script: Script, method: str, end: str, id: str
) -> None:
    answer = script.http.request(method, f"{BASE}/{id}{end}", json={"aeTitle": "X", "port": 8104})
    assert answer.status_code == 404
    assert "Could not find DICOM SCP instance with ID" in answer.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"[{}, {}]", 400),
        (b"[{}]", 400),
        (b"\xff", 400),
        (b"7", 400),
        (b"[" * 100_000, 400),
        (b'{"aeTitle": {"a": 1}, "port": []}', 400),
        (b'{"aeTitle": "A", "port": 1e400}', 400),
        (b'{"id": true, "aeTitle": "A", "port": 8110}', 400),
        (b'{"id": "1", "aeTitle": "A", "port": NaN}', 400),
        (b" " * 5_000_000, 413),
    ],
)
def test_a_body_that_is_no_record_is_refused(script: Script, body: bytes, status: int) -> None:
    headers = {"content-type": "application/json"}
    answer = script.http.post(BASE, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert len(script.http.get(BASE).json()) == 1


def test_json_of_any_type_and_forms_are_taken_but_not_from_web_pages(script: Script) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    put = partial(script.http.put, f"{BASE}/1", headers=form)
    assert put(content=b'{"customProcessing": true}').json()["customProcessing"] is True
    answer = put(content=b"customProcessing=false&whitelist=CT1&whitelist=10.0.0.0/8&label=x")
    record = answer.json()
    assert (record["customProcessing"], record["whitelist"]) == (False, ["CT1", "10.0.0.0/8"])
    assert put(content=b"whitelistEnabled=perhaps").status_code == 400
    page = script.http.post(BASE, content=b"{}", headers={"origin": "http://a.example"} | form)
    assert page.status_code == 403


def test_a_padded_ae_title_is_refused_as_xnats_server_does(script: Script) -> None:
    answer = script.put(aeTitle=" XNAT ")
    assert (answer.status_code, "Invalid AE-title:  XNAT ;" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "body",
    [b'{"aeTitle":"A\\ud800","port":8110}', b'{"aeTitle":"A","port":8110,"label":"\\udc00"}'],
)
def test_half_a_surrogate_pair_is_refused_in_words(script: Script, body: bytes) -> None:
    answer = script.http.post(BASE, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert "half of a surrogate pair" in answer.text
    assert "send whole characters" in answer.text


def test_the_history_says_who_it_was(script: Script) -> None:
    assert script.put(whitelist=["CT1"]).status_code == 200
    (by,) = {script.dock.engine._configuration.changed_by}
    assert by.endswith("(XNAT's interface)")


@pytest.fixture
def xnatctl(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Xnatctl:
    return xnatctl_of(script, tmp_path, monkeypatch)


def test_xnatctl_logs_in_and_manages_receivers(script: Script, xnatctl: Xnatctl) -> None:
    port = free_port()
    xnatctl("auth", "login")
    named = ("--ae-title", "NEW", "--port", str(port))
    id = str(xnatctl("scp", "create", *named, "--yes")["id"])
    assert [record["aeTitle"] for record in xnatctl("scp", "list")] == ["XNAT", "NEW"]
    for command, enabled in (("disable", False), ("enable", True)):
        xnatctl("scp", command, id, "--yes")
        shown = xnatctl("scp", "show", id)
        assert (shown["aeTitle"], shown["port"], shown["enabled"]) == ("NEW", port, enabled)
    xnatctl("scp", "delete", id, "--yes")
    assert [record["aeTitle"] for record in xnatctl("scp", "list")] == ["XNAT"]
    by = script.dock.engine._configuration.changed_by
    assert by == "token from 127.0.0.1 (XNAT's interface), says: anna"


LOGIN = "/data/JSESSION"


def test_a_log_in_is_a_cookie_that_stands_for_the_token(script: Script) -> None:
    with httpx.Client(base_url=script.url) as http:
        assert http.get(BASE).status_code == 401
        assert http.post(LOGIN, auth=("anna", "guess")).status_code == 401
        begun = http.post(LOGIN, auth=("anna", script.token))
        assert (begun.status_code, begun.cookies["JSESSIONID"]) == (200, begun.text)
        assert {"httponly", "samesite=strict"} <= {
            word.strip().lower() for word in begun.headers["set-cookie"].split(";")
        }
        assert http.get(LOGIN).text == begun.text
        assert http.get("/xapi/users/username").text == "anna"
        assert http.put(f"{BASE}/1", json={"whitelist": ["A"]}).status_code == 200
        by = script.dock.engine._configuration.changed_by
        assert by == "token from 127.0.0.1 (XNAT's interface), says: anna"
        assert http.delete(LOGIN).status_code == 200
        assert http.get(BASE).status_code == 401


def test_who_logs_in_has_no_control_characters_and_is_no_web_page(script: Script) -> None:
    with httpx.Client(base_url=script.url) as http:
        named = http.post(LOGIN, auth=("an\x1bna", script.token))
        assert (named.status_code, "control character" in named.text) == (400, True)
        page = {"origin": "https://example.org"}
        sent = http.post(LOGIN, auth=("anna", script.token), headers=page)
        assert (sent.status_code, "web page" in sent.text) == (403, True)
        assert not http.cookies


@pytest.mark.parametrize("path", ["/xapi/pacs", "/data/projects/X/%1b", "/xapi/dqr/a/b/"])
def test_what_is_not_there_is_answered_with_a_sentence(script: Script, path: str) -> None:
    answer = script.http.get(path)
    assert answer.status_code == 404
    assert answer.text.startswith("dicomdock has no /")
    assert answer.text.isprintable()
    assert script.http.patch(BASE).status_code == 405
