"""A running engine as scripts and clients for XNAT reach it: over its socket, and by its token."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx
import pydicom
from click.testing import CliRunner
from pydicom.uid import generate_uid

from engine.model.queries import SessionQuery
from engine.remote.host import serve
from tests.caller import Caller
from tests.interop.routing_dock import Dock, image, running_dock
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest
    from pydicom.dataset import Dataset

    from engine.model.session import Session

BASE = "/xapi/dicomscp"
_PATTERN = r"(0014,0046):Project:(\w+)\s*Subject:(\w+)\s*Session:(\w+)"
ROUTED = {
    "routingExpressionsEnabled": True,
    "projectRoutingExpression": f"{_PATTERN}:1",
    "subjectRoutingExpression": f"{_PATTERN}:2",
    "sessionRoutingExpression": f"{_PATTERN}:3",
}
"""The rules of the common receiver of XNAT 12.1."""
UNKNOWN = (1, 1, 3)
"""Rejected: calling AE title not recognized (PS3.8 9.3.4)."""


class Script:
    """What a script for XNAT does, against a running engine."""

    def __init__(self, dock: Dock, http: httpx.Client, url: str, token: str) -> None:
        self.dock = dock
        self.http = http
        self.url = url
        self.token = token

    @property
    def record(self) -> dict[str, Any]:
        """The first receiver, as `GET` gives it."""
        record: dict[str, Any] = self.http.get(BASE).json()[0]
        return record

    def put(self, **changes: Any) -> httpx.Response:
        """Send the first receiver back with changes."""
        record = self.record | changes
        return self.http.put(f"{BASE}/{record['id']}", json=record)

    def labels_of(self, ds: Dataset) -> tuple[str, str | None, str]:
        """Send an object of a study of its own and tell under which labels it has been filed."""
        ds.StudyInstanceUID = generate_uid(prefix=None)
        return self.dock.labels_of(ds)

    def put_rules(self, **texts: str) -> None:
        """Bring site-wide rules into force, by attribute."""
        for attribute, text in texts.items():
            path = f"/data/config/dicom/{attribute}Rules?inbody=true"
            answer = self.http.put(path, content=text)
            assert answer.status_code == 200, answer.text

    def put_scripts(self, site: str = "", project: str = "", *, of: str) -> None:
        """Bring statements of the site and of a project into force; empty ones are left as is."""
        text, path = 'version "6.6"\n{}\n'.format, "/xapi/anonymize"
        if site:
            self.http.put(f"{path}/site", content=text(site))
            assert self.http.put(f"{path}/site/enabled?enable=true", json=None).is_success
        if project:
            assert self.http.put(f"{path}/projects/{of}", content=text(project)).is_success

    def send(self, *objects: Dataset) -> list[int | None]:
        """Send objects to the first receiver, as one association."""
        to = Destination(LOOPBACK, self.dock.port, "XNAT", "SCANNER")
        with SendingAssociation(to, {str(ds.SOPClassUID) for ds in objects}) as peer:
            return [peer.send(ds) for ds in objects]

    def session(self, label: str) -> Session:
        """The newest session of a label."""
        found = self.dock.engine.sessions.list(SessionQuery(words=(label,))).sessions
        return max((s for s in found if s.label == label), key=lambda session: session.id)

    def waiting(self, label: str) -> list[dict[str, Any]]:
        """The rows of XNAT's list of the prearchive for a label."""
        rows = self.http.get("/data/prearchive?format=json").json()["ResultSet"]["Result"]
        return [row for row in rows if row["name"] == label]

    def act(self, label: str, action: str, **fields: str) -> httpx.Response:
        """Ask for an action on the session of a label in the prearchive."""
        (row,) = self.waiting(label)
        return self.http.post(f"/data{row['url']}", params={"action": action, **fields})

    def complete(self, label: str) -> Session:
        """Build a session, as if nothing had come for it for a while."""
        sessions = self.dock.engine.sessions
        sessions.rebuild(self.session(label).id, "test")
        outcome = sessions.settled(self.session(label).id, wait_seconds=30)
        assert outcome.settled
        return self.session(label)

    def stored(self, label: str, area: str = "archive") -> dict[str, Dataset]:
        """The stored objects of a session, by scan, resource and file name."""
        found: dict[str, Dataset] = {}
        for path in sorted((self.dock.data / area).rglob("*.dcm")):
            if label in path.parts:
                found["/".join(path.parts[-3:])] = pydicom.dcmread(path)
        return found

    def is_admitted(self, calling: str) -> bool:
        with Caller(self.dock.port) as caller:
            answer = caller.associate("XNAT", calling)
        assert answer in (None, UNKNOWN)
        return answer is None


_NO_KEYRING = "keyring.backends.null.Keyring"
_labels = count(1)


def new_label() -> str:
    return f"E{next(_labels)}"


def study(label: str, project: str, *, numbers: str = "4/1", **values: Any) -> list[Dataset]:
    """Return objects of one study, each named by series and instance number."""
    uid = generate_uid(prefix=None)
    found = []
    for number in numbers.split():
        series, instance = number.split("/")
        ds = image(StudyDescription=project, PatientID=label, PatientName=f"S{label}", **values)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid, f"{uid}.{series}"
        ds.SeriesNumber, ds.InstanceNumber = series, instance
        found.append(ds)
    return found


class Xnatctl:
    """XNAT's command line client, in this process."""

    def __call__(self, *words: str) -> Any:
        from xnatctl.cli.main import cli

        outcome = CliRunner().invoke(cli, [*words, "-o", "json"])
        assert outcome.exit_code == 0, outcome.output
        # Some commands say what they did before the JSON.
        begin = min((outcome.stdout.find(c) for c in "[{" if c in outcome.stdout), default=-1)
        return json.loads(outcome.stdout[begin:]) if begin >= 0 else None


def xnatctl_of(script: Script, home: Path, monkeypatch: pytest.MonkeyPatch) -> Xnatctl:
    """Return a client that logs in as ``anna``."""
    given = {"HOME": str(home), "XNAT_URL": script.url, "XNAT_USER": "anna"}
    # It would start a process that asks the package index, and look for a desktop's key ring.
    given |= {"XNAT_NO_UPDATE_CHECK": "1", "PYTHON_KEYRING_BACKEND": _NO_KEYRING}
    for name, value in (given | {"XNAT_PASS": script.token}).items():
        monkeypatch.setenv(name, value)
    return Xnatctl()


@contextmanager
def running_script(data: Path) -> Iterator[Script]:
    with running_dock(data) as dock:
        address = f"{LOOPBACK}:{free_port()}"
        settings = replace(dock.engine._settings, control_tcp=address)
        end = serve(dock.engine, settings)
        transport = httpx.HTTPTransport(uds=str(data / "control.sock"))
        try:
            with httpx.Client(transport=transport, base_url="http://dicomdock") as http:
                token = settings.control_token_file.read_text().strip()
                yield Script(dock, http, f"http://{address}", token)
        finally:
            end()
