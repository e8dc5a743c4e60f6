"""C-STORE command sets: what is read from requests and written into responses."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom.uid import UID
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, C_STORE_RSP, DIMSEMessage
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.pdu import P_DATA_TF

from engine.dimse.command import StoreRequest, read_command, store_response
from engine.errors import UnreadableObject

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.2"
REQUEST = StoreRequest(5, 4711, SOP_CLASS, "1.2.3.44")


def encoded_by_pynetdicom(message: DIMSEMessage, primitive: C_STORE | C_ECHO) -> bytes:
    """Return the command set that pynetdicom sends for a primitive."""
    message.primitive_to_message(primitive)
    first = next(iter(message.encode_msg(5, 100_000)))
    return bytes(first.presentation_data_value_list[0][1][1:])


def store_request() -> C_STORE:
    primitive = C_STORE()
    primitive.MessageID = 4711
    primitive.AffectedSOPClassUID = UID(SOP_CLASS)
    primitive.AffectedSOPInstanceUID = UID("1.2.3.44")
    primitive.Priority = 2
    primitive.DataSet = BytesIO(b"\x08\x00\x16\x00")
    return primitive


def test_a_store_request_is_read_as_it_was_meant() -> None:
    command = read_command(encoded_by_pynetdicom(C_STORE_RQ(), store_request()), 5)
    assert command.store == REQUEST
    assert command.has_data_set


def test_an_echo_request_is_no_store_and_has_no_data_set() -> None:
    primitive = C_ECHO()
    primitive.MessageID = 1
    primitive.AffectedSOPClassUID = UID("1.2.840.10008.1.1")
    command = read_command(encoded_by_pynetdicom(C_ECHO_RQ(), primitive), 1)
    assert (command.field, command.has_data_set, command.store) == (0x0030, False, None)


@pytest.mark.parametrize(
    ("status", "comment", "told"),
    [(0x0000, "", None), (0xA700, "disk full", "disk full"), (0xC000, "x" * 63, "x" * 63)],
)
def test_a_response_is_read_by_pynetdicom_as_it_was_meant(
    status: int, comment: str, told: str | None
) -> None:
    pdu = P_DATA_TF()
    pdu.decode(store_response(REQUEST, status, comment))
    message = C_STORE_RSP()
    assert message.decode_msg(pdu.to_primitive())
    answer = message.message_to_primitive()
    assert isinstance(answer, C_STORE)
    assert (answer.Status, answer.MessageIDBeingRespondedTo) == (status, 4711)
    assert answer.AffectedSOPClassUID == SOP_CLASS
    assert answer.AffectedSOPInstanceUID == "1.2.3.44"
    assert getattr(answer, "ErrorComment", None) == told


@pytest.mark.parametrize(
    "encoded",
    [
        b"\0\0\0\0\x04",
        b"\0\0\0\x01\xff\xff\xff\xff",
        b"\x08\0\x16\0\x02\0\0\0ab",
    ],
)
def test_what_is_no_command_set_is_refused(encoded: bytes) -> None:
    with pytest.raises(UnreadableObject):
        read_command(encoded, 1)


def test_an_empty_command_set_is_no_store() -> None:
    assert read_command(b"", 1).store is None
