"""Requests for storage commitment that are refused, and with which status."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.dimse import commitment
from engine.dimse.acceptor import NormalizedRequested
from engine.dimse.commands import N_ACTION, N_EVENT_REPORT, NormalizedRequest, read_response
from engine.dimse.commitment import CommitmentRequest, Reference, encode_request
from engine.errors import OutOfResources
from engine.events.commitment import CommitmentRefused
from engine.events.journal import Journal
from engine.host.clock import SystemClock
from engine.reception.commitment_scp import CommitmentSCP

IMPLICIT = "1.2.840.10008.1.2"
GOOD = NormalizedRequest(1, N_ACTION, 7, "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1", 1)
ASKED = CommitmentRequest("1.2.9", (Reference("1.2", "1.2.3"), Reference("1.2", "1.2.4")))
DATA = encode_request(ASKED, IMPLICIT)


class Dock:
    """Notes what it is asked to keep; `fault` is raised."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.kept: list[Any] = []

    def commit(self, _: object, *asked: object) -> None:
        if self.fault is not None:
            raise self.fault
        self.kept.append(asked)


def act(
    request: NormalizedRequest = GOOD,
    data: bytes | None = DATA,
    dock: Dock | None = None,
    *,
    on: bool = True,
) -> tuple[int, list[str]]:
    """Return the status of the answer, and the refusals in the journal."""
    journal = Journal(SystemClock())
    live: Any = SimpleNamespace(
        id="A-1",
        calling_ae_title="CT_1",
        receiver=SimpleNamespace(label="XNAT:104"),
        settings=SimpleNamespace(storage_commitment=on),
    )
    scp = CommitmentSCP(dock or Dock(), journal)  # type: ignore[arg-type]
    event = NormalizedRequested(request, None if data is None else bytearray(data), IMPLICIT)
    answer = scp.act(event, live)
    events = [one.event for one in journal.events_since(0, 10).events]
    return read_response(answer[12:]).status, [
        one.why for one in events if isinstance(one, CommitmentRefused)
    ]


def test_a_request_is_kept_before_it_is_answered() -> None:
    dock = Dock()
    assert act(dock=dock) == (0x0000, [])
    assert dock.kept == [(ASKED.transaction_uid, ASKED.references)]


@pytest.mark.parametrize(
    ("request_", "data", "status", "why"),
    [
        (GOOD._replace(field=N_EVENT_REPORT), DATA, 0x0211, "reports are not taken here"),
        (GOOD._replace(sop_class_uid="1.2.3"), DATA, 0x0118, "SOP class is another one"),
        (GOOD._replace(sop_instance_uid=""), DATA, 0x0112, "SOP instance is another one"),
        (GOOD._replace(type_id=2), DATA, 0x0123, "the Action Type ID is not 1"),
        (GOOD, None, 0x0213, "too long"),
        (GOOD, b"", 0x0115, "no Transaction UID"),
        (GOOD, DATA[:-3], 0x0115, "past the end"),
        (GOOD, b"\xff" * 500, 0x0115, ""),
    ],
)
def test_what_is_no_request_is_refused(
    request_: NormalizedRequest, data: bytes | None, status: int, why: str
) -> None:
    dock = Dock()
    found, (said,) = act(request_, data, dock)
    assert (found, dock.kept) == (status, [])
    assert why in said


def test_a_request_is_refused_that_can_not_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert act(on=False)[0] == 0x0122
    assert act(dock=Dock(OutOfResources("the disk is full"))) == (0x0213, ["the disk is full"])
    assert act(dock=Dock(ZeroDivisionError())) == (0x0110, ["internal error (ZeroDivisionError)"])
    monkeypatch.setattr(commitment, "MOST_REFERENCES", 1)
    assert act()[0] == 0x0213
