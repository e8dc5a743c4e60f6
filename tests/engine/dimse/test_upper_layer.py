"""What a peer sends that pynetdicom can't digest harms nobody but the peer."""

from __future__ import annotations

import threading
from struct import pack

import pytest

from engine.events import AssociationAborted, ConnectionDropped
from tests.caller import Caller, call
from tests.running import Dock, free_port, join_all_but, make_receiver

UNKNOWN_IDENTITY = pack(">BxHBBHH", 0x58, 6, 9, 0, 0, 0)
"""A user identity item of a type that does not exist (PS3.7 D.3.3.7)."""


@pytest.mark.parametrize("more", [UNKNOWN_IDENTITY[:-2], b"\x58\0\xff\xff"])
def test_a_request_that_makes_no_sense_ends_its_connection_and_nothing_else(more: bytes) -> None:
    port = free_port()
    with Dock() as dock:
        dock.apply(make_receiver("XNAT", port))
        with Caller(port) as neighbour:
            assert neighbour.associate("XNAT") is None
            before = set(threading.enumerate())
            with Caller(port) as caller:
                caller.ask("XNAT", more=more)
                assert caller.is_aborted()
            join_all_but(before)
            neighbour.echo()
            assert call(port, "XNAT") == "answered"
            neighbour.release()
        assert dock.associations.wait_until_none(20)
        assert dock.told(AssociationAborted) == []
        (told,) = dock.told(ConnectionDropped)
        assert told.endswith("its A-ASSOCIATE-RQ ends in the middle of an item")


def test_a_user_identity_of_an_unknown_type_is_ignored() -> None:
    port = free_port()
    with Dock() as dock:
        dock.apply(make_receiver("XNAT", port))
        with Caller(port) as caller:
            caller.ask("XNAT", more=UNKNOWN_IDENTITY)
            assert caller.is_accepted()
            caller.echo()
            caller.release()


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("engine.dimse.messages.Messages.command", "internal error (ZeroDivisionError)"),
        ("pynetdicom.pdu.A_RELEASE_RQ.to_primitive", "a PDU makes no sense (ZeroDivisionError)"),
    ],
)
def test_an_established_association_ends_when_its_layer_trips(
    monkeypatch: pytest.MonkeyPatch, what: str, why: str
) -> None:
    port = free_port()
    with Dock() as dock:
        dock.apply(make_receiver("XNAT", port))
        with Caller(port) as caller:
            assert caller.associate("XNAT") is None
            monkeypatch.setattr(what, lambda *_: 1 / 0)
            if "command" in what:
                caller.send_echo()
            else:
                caller.send_release()
            assert caller.is_aborted()
        assert dock.associations.wait_until_none(20)
        (told,) = dock.told(AssociationAborted)
    assert told.endswith(why)
