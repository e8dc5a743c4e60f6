"""Reads an XNAT that answers oddly: what it lacks is left out, what it can't mean is told."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from engine.errors import EngineError
from engine.remote.xnat import reader
from engine.remote.xnat.reader import XnatLogin, read_xnat

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "0123456789ABCDEF0123456789ABCDEF"


def table(*rows: Any) -> dict[str, Any]:
    return {"ResultSet": {"Result": list(rows)}}


@contextmanager
def xnat(answers: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Serve answers by path: JSON, a text, or a status; anything else is not found."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            answer = answers.get(self.path.partition("?")[0], 404)
            status, content = (answer, b"") if isinstance(answer, int) else (200, _encoded(answer))
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_DELETE = do_GET  # noqa: N815 - the names are those of the library

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/xnat", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _encoded(answer: Any) -> bytes:
    return (answer if isinstance(answer, str) else json.dumps(answer)).encode()


def read(answers: dict[str, Any]) -> tuple[dict[str, Any], list[str], list[str]]:
    said: list[str] = []
    served = {f"/xnat{path}": answer for path, answer in answers.items()}
    with xnat({"/xnat/data/JSESSION": NAME} | served) as (url, asked):
        return read_xnat(XnatLogin(url, "admin", "secret"), said.append), said, asked


def test_an_old_xnat_has_fewer_parts() -> None:
    parts, said, asked = read({"/xapi/dicomscp": [], "/data/projects": table({"ID": "P"})})
    assert parts == {"receivers": [], "projects": [{"id": "P", "title": "", "aliases": []}]} | {
        "siteRules": {}
    }
    assert said == ["this XNAT has no siteConfig, siteScript, processors"]
    assert asked[0] == "POST /xnat/data/JSESSION"
    assert asked[-1] == "DELETE /xnat/data/JSESSION"


def test_a_project_has_aliases_a_code_a_script_and_a_filter() -> None:
    alias = {"field": "aliases/alias", "items": [{"data_fields": {"alias": "p-1"}}]}
    odd = [{"field": "aliases/alias", "items": [7, {"data_fields": 7}, {}]}, 7]
    filters = {"contents": '{"list": "^T1"}', "status": "disabled"}
    parts, _said, _asked = read(
        {
            "/data/projects": table({"ID": "P", "name": "Pe"}, 7),
            "/data/projects/P": {"items": [{"children": [alias, *odd]}, 7]},
            "/data/projects/P/prearchive_code": "5",
            "/xapi/anonymize/projects/P": "version",
            "/data/projects/P/config/seriesImportFilter/config": table(filters),
        }
    )
    assert parts["projects"] == [
        {
            "id": "P",
            "title": "Pe",
            "aliases": ["p-1"],
            "prearchiveCode": "5",
            "script": "version",
            "scriptEnabled": True,
            "filter": {"list": "^T1", "enabled": False},
        }
    ]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"/data/JSESSION": "<html>log in</html>"}, "refused the log-in of admin (HTTP 200)"),
        ({"/data/JSESSION": 302}, "refused the log-in of admin (HTTP 302)"),
        ({"/xapi/siteConfig": 403}, "GET /xapi/siteConfig?format=json was answered with HTTP 403"),
        ({"/xapi/siteConfig": "<html>"}, "GET /xapi/siteConfig answered something else than JSON"),
        ({"/xapi/siteConfig": "[" * 100_000}, "answered something else than JSON"),
        ({"/xapi/anonymize/site": "x" * 200}, "is answered with more than 100 bytes"),
    ],
)
def test_an_answer_that_is_none_of_an_xnat_is_told(
    answers: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "more than" in words:
        monkeypatch.setattr(reader, "MOST_BYTES", 100)
    with pytest.raises(EngineError) as refused:
        read(answers)
    assert words in refused.value.detail
    assert refused.value.remedy
    assert "secret" not in str(refused.value)
