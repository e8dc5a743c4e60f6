"""Requests as others may send them: what is wrong is told in words, and nothing else is done."""

from __future__ import annotations

import json
import os
import pwd
from typing import TYPE_CHECKING, Any

import pytest

from engine import __version__
from engine.api.objects import ObjectReference
from engine.api.scripts import ScriptTrial
from engine.errors import ChangedMeanwhile, NotFound
from engine.model.anonymization import ScriptScope
from engine.remote import routes
from engine.remote.protocol import fingerprint
from engine.remote.xnat import xnat_routes
from tests.fakes import FakeEngine, busy
from tests.serving import attached, connect, send, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOGIN = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return busy()


@pytest.fixture(scope="module")
def control(engine: FakeEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    file = tmp_path_factory.mktemp("control") / "control.sock"
    with served(engine, file):
        yield file


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        (b"", "receiver_id", "required"),
        (b"[]", "body", "object"),
        (b"{", "body", "JSON"),
        (b'{"receiver_id": "1", "enabled": true}', "receiver_id", "integer"),
        (b'{"receiver_id": 1.5, "enabled": true}', "receiver_id", "integer"),
        (b'{"receiver_id": true, "enabled": true}', "receiver_id", "integer"),
        (b'{"receiver_id": 1e400, "enabled": true}', "receiver_id", "integer"),
        (b'{"receiver_id": 99999999999999999999, "enabled": true}', "receiver_id", "less than"),
        (b'{"receiver_id": 1, "enabled": 1}', "enabled", "boolean"),
        (b'{"receiver_id": 1, "enabled": true, "colour": "red"}', "colour", "not permitted"),
        (b'{"receiver_id": 1, "enabled": true, "actor": 5}', "actor", "string"),
        (b"[" * 100_000, "body", "recursion"),
        (b"\xff\xfe", "body", "JSON"),
    ],
)
def test_a_body_that_is_not_what_a_method_takes_is_refused_with_its_field(
    control: Path, engine: FakeEngine, body: bytes, field: str, words: str
) -> None:
    status, error = send(control, "POST", "/v1/set_enabled", body)
    assert (status, error["error"], error["exit_code"]) == (422, "InvalidRequest", 2)
    problem = error["carries"]["problems"][0]
    assert problem["field"] == field
    assert words in problem["message"]
    assert problem["remedy"]
    assert len(problem["value"]) <= 80
    assert engine.calls == []


@pytest.mark.parametrize(
    ("verb", "path", "body", "kind", "status"),
    [
        ("GET", "/v1/nothing", None, "application/json", 404),
        ("GET", "/", None, "application/json", 404),
        ("GET", "/v1/set_enabled", None, "application/json", 405),
        ("DELETE", "/v1/site", None, "application/json", 405),
        ("POST", "/v1/undo", b"{}", "text/plain", 415),
        ("POST", "/v1/undo", b" " * (routes.MAX_BODY_BYTES + 1), "application/json", 413),
    ],
)
def test_a_request_that_makes_no_sense_has_an_answer_in_words(
    control: Path, verb: str, path: str, body: bytes | None, kind: str, status: int
) -> None:
    answered, error = send(control, verb, path, body, {"content-type": kind})
    assert answered == status
    assert error["detail"]
    assert error["remedy"]


def test_a_verb_that_is_not_allowed_is_answered_with_those_that_are(control: Path) -> None:
    with connect(control) as connected:
        connected.send(b"GET /v1/set_enabled HTTP/1.1\r\nhost: x\r\n\r\n")
        head = connected.recv(4096).lower()
    assert head.startswith(b"http/1.1 405")
    assert b"\r\nallow: post\r\n" in head


@pytest.mark.parametrize("headers", [b"", b"content-type:\r\n", b"content-type: text/plain\r\n"])
@pytest.mark.parametrize("path", [b"/v1/undo", b"/v1/projects"])
def test_nothing_is_done_without_the_content_type_of_json(
    tmp_path: Path, path: bytes, headers: bytes
) -> None:
    engine = busy()
    file = tmp_path / "control.sock"
    with served(engine, file, more=xnat_routes()), connect(file) as connected:
        connected.send(b"POST %s HTTP/1.1\r\nhost: x\r\n%s\r\n" % (path, headers))
        assert connected.recv(4096).startswith(b"HTTP/1.1 415")
    assert engine.calls == []


def test_a_body_with_two_lengths_is_refused_and_its_connection_closed(
    control: Path, engine: FakeEngine
) -> None:
    head = b"POST /v1/undo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    lengths = b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n"
    with connect(control) as connected:
        connected.send(head + lengths + b"2\r\n{}\r\n0\r\n\r\n")
        answer = b"".join(iter(lambda: connected.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"contradict each other" in answer
    assert engine.calls == []


def test_a_long_value_is_cut_in_the_answer(control: Path) -> None:
    body = json.dumps({"receiver_id": "x" * 100, "enabled": True}).encode()
    _, error = send(control, "POST", "/v1/set_enabled", body)
    assert error["carries"]["problems"][0]["value"] == "x" * 80


@pytest.mark.parametrize(
    "body",
    [
        b'{"receiver_id": 1, "enabled": true, "actor": "\\ud800"',
        b'{"a":' * 50_000 + b'"\\ud800"',
        b'{"receiver_id": 1, "enabled": true, "colour": "\\ud800"}',
    ],
    ids=["torn", "deep", "unknown member"],
)
def test_half_a_surrogate_pair_in_a_body_that_is_not_valid_changes_nothing_about_that(
    control: Path, engine: FakeEngine, body: bytes
) -> None:
    status, error = send(control, "POST", "/v1/set_enabled", body)
    assert (status, error["error"]) == (422, "InvalidRequest")
    assert engine.calls == []


def test_an_error_about_a_file_name_that_is_no_unicode_arrives_in_xnats_words_too(
    tmp_path: Path,
) -> None:
    engine, file = busy(), tmp_path / "control.sock"
    engine.error = NotFound("/tls/\udcff.pem is missing")
    with served(engine, file, more=xnat_routes()), connect(file) as connected:
        connected.send(b"DELETE /xapi/dicomscp/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connected.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 404")
    assert answer.endswith(rb"/tls/\udcff.pem is missing")


def test_a_method_without_arguments_may_be_read_without_a_body(control: Path) -> None:
    assert send(control, "GET", "/v1/projects") == (200, [])
    assert send(control, "POST", "/v1/projects", b"{}") == (200, [])
    status, hello = send(control, "GET", "/v1/hello")
    assert status == 200
    assert (hello["version"], hello["pid"]) == (__version__, os.getpid())


@pytest.mark.parametrize(
    ("said", "actor"),
    [
        (None, LOGIN),
        ("", LOGIN),
        (LOGIN, LOGIN),
        (f"{LOGIN}, says: console from 10.4.2.7", f"{LOGIN}, says: console from 10.4.2.7"),
        (f"{LOGIN} (token)", f"{LOGIN}, says: {LOGIN} (token)"),
        ("anna", f"{LOGIN}, says: anna"),
        (f"{LOGIN}ette", f"{LOGIN}, says: {LOGIN}ette"),
        ("anna, says: console", f"{LOGIN}, says: anna, says: console"),
        ("\x1b[31mred\n", f"{LOGIN}, says: \\x1b[31mred\\n"),
        ("x" * 5000, f"{LOGIN}, says: {'x' * 200}"),
    ],
)
def test_the_kernel_says_who_makes_a_change_and_the_client_may_only_add_to_it(
    tmp_path: Path, said: str | None, actor: str
) -> None:
    engine = busy()
    body = {"receiver_id": 1, "enabled": False} | ({} if said is None else {"actor": said})
    with served(engine, tmp_path / "control.sock"):
        send(tmp_path / "control.sock", "POST", "/v1/set_enabled", json.dumps(body).encode())
    assert engine.named("set_enabled") == [(1, False, actor)]


def test_nobody_sees_identifying_values_under_another_name(tmp_path: Path) -> None:
    engine = busy()
    trial, reference = ScriptTrial(ScriptScope.SITE), ObjectReference(1, "a.dcm")
    with attached(engine, tmp_path / "control.sock") as view:
        view.scripts.shown_preview(trial, reference, "dr.no")
    ((name, arguments),) = engine.scripts.calls
    assert (name, arguments[2]) == ("shown_preview", f"{LOGIN}, says: dr.no")  # type: ignore[index]


def test_an_error_of_the_engine_arrives_with_its_class_and_words(tmp_path: Path) -> None:
    engine = busy()
    changed = ChangedMeanwhile("receiver XNAT:8104", "bob", None, ["port 8104 → 8105"])
    with attached(engine, tmp_path / "control.sock") as view:
        with pytest.raises(NotFound, match="receiver 99 does not exist") as missing:
            view.set_enabled(99, True, "anna")
        engine.error = changed
        with pytest.raises(ChangedMeanwhile) as caught:
            view.delete_receiver(1, "anna")
        engine.error = None
    assert (missing.value.remedy, missing.value.exit_code) == ("look at the list again", 4)
    assert (caught.value.title, caught.value.detail) == (changed.title, changed.detail)


class Broken(FakeEngine):
    def echo(self, receiver_id: int, actor: str) -> Any:
        raise ZeroDivisionError("Doe^Jane")


def test_a_fault_of_the_engine_is_told_and_the_server_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "control.sock"
    with served(Broken(), file):
        status, error = send(file, "POST", "/v1/echo", b'{"receiver_id": 1}')
        assert status == 500
        assert "ZeroDivisionError" in error["detail"]
        assert "fault of dicomdock" in error["remedy"]
        assert send(file, "GET", "/v1/projects") == (200, [])


def test_a_console_of_another_version_changes_nothing(control: Path, engine: FakeEngine) -> None:
    other = {"dicomdock-protocol": "other", "dicomdock-version": "9.9.9"}
    status, error = send(control, "POST", "/v1/undo", b"{}", other)
    assert (status, error["error"]) == (400, "ReadOnly")
    assert "9.9.9" in error["detail"]
    assert engine.calls == []
    assert send(control, "POST", "/v1/projects", b"{}", other)[0] == 200
    same = {"dicomdock-protocol": fingerprint()}
    assert send(control, "POST", "/v1/undo", b"{}", same)[0] == 200
    engine.calls.clear()
