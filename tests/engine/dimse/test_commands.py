"""Command sets: what is read from requests and written into responses."""

from __future__ import annotations

from io import BytesIO
from struct import pack

import pytest
from pydicom.uid import UID
from pynetdicom.dimse_messages import (
    C_ECHO_RQ,
    C_ECHO_RSP,
    C_STORE_RQ,
    C_STORE_RSP,
    DIMSEMessage,
)
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.pdu import P_DATA_TF

from engine.dimse.commands import RequestCommand, StoreRequest, read_command, store_response
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


def test_an_echo_request_is_answered_as_pynetdicom_understands_it() -> None:
    primitive = C_ECHO()
    primitive.MessageID = 31
    primitive.AffectedSOPClassUID = UID("1.2.840.10008.1.1")
    command = read_command(encoded_by_pynetdicom(C_ECHO_RQ(), primitive), 1)
    assert (command.has_data_set, command.store) == (False, None)
    answer = decoded(C_ECHO_RSP(), command.answer)
    assert isinstance(answer, C_ECHO)
    assert (answer.Status, answer.MessageIDBeingRespondedTo) == (0x0000, 31)
    assert answer.AffectedSOPClassUID == "1.2.840.10008.1.1"


def decoded(message: DIMSEMessage, pdu_bytes: bytes) -> object:
    """Return what pynetdicom makes of a response."""
    pdu = P_DATA_TF()
    pdu.decode(pdu_bytes)
    assert message.decode_msg(pdu.to_primitive())
    return message.message_to_primitive()


def request(field: int) -> bytes:
    """Return a command set that says no more than what it asks for."""
    return pack("<HHIH", 0, 0x0100, 2, field) + pack("<HHIH", 0, 0x0800, 2, 0x0101)


@pytest.mark.parametrize("field", [0x0010, 0x0020, 0x0021, 0x0100, 0x0110, 0x0140, 0x1234, 0x7FFF])
def test_what_no_receiver_serves_is_answered_as_an_unrecognized_operation(field: int) -> None:
    command = read_command(request(field), 1)
    assert command.store is None
    assert request(field | 0x8000)[:10] in command.answer
    assert pack("<HHIH", 0, 0x0900, 2, 0x0211) in command.answer


def test_a_cancel_is_not_answered() -> None:
    assert read_command(request(0x0FFF), 1).answer == b""


def element(number: int, value: bytes) -> bytes:
    return pack("<HHI", 0, number, len(value)) + value


USUAL = (
    element(0x0000, b"\x6a\0\0\0"),
    element(0x0002, SOP_CLASS.encode() + b"\0"),
    element(0x0100, b"\x01\0"),
    element(0x0110, b"\x67\x12"),
    element(0x0700, b"\x02\0"),
    element(0x0800, b"\x01\0"),
    element(0x1000, b"1.2.3.44"),
)


@pytest.mark.parametrize(
    "encoded",
    [
        b"".join(USUAL),
        b"".join(USUAL[1:]),
        b"".join(reversed(USUAL)),
        b"".join((*USUAL, element(0x1030, b"MOVER "), element(0x1031, b"\x07\0"))),
        b"".join((*USUAL[:-1], element(0x1000, b"1.2.3.44  "))),
        b"".join((*USUAL[:4], *USUAL[5:])),
    ],
)
def test_however_a_store_request_is_written_it_is_the_same(encoded: bytes) -> None:
    assert read_command(encoded, 5) == RequestCommand(True, REQUEST)


@pytest.mark.parametrize("place", [1, 6])
def test_a_uid_that_is_longer_than_its_element_says_is_not_taken(place: int) -> None:
    elements = list(USUAL)
    elements[place] = elements[place][:4] + b"\x04" + elements[place][5:]
    with pytest.raises(UnreadableObject):
        read_command(b"".join(elements), 5)


@pytest.mark.parametrize("instance", ["1.2.3.44", "1.2.3.445", "1"])
@pytest.mark.parametrize("message_id", [0, 1, 0x1234, 0xFFFF])
def test_a_success_differs_from_other_answers_in_its_status_only(
    instance: str, message_id: int
) -> None:
    stored = StoreRequest(3, message_id, SOP_CLASS, instance)
    warned = store_response(stored, 0xB000)
    assert store_response(stored, 0) == warned.replace(b"\2\0\0\0\0\xb0", b"\2\0\0\0\0\0")


@pytest.mark.parametrize(
    ("encoded", "why"),
    [(request(0x8001), "response"), (request(0), "no Command Field"), (b"", "no")],
)
def test_what_asks_for_nothing_is_refused(encoded: bytes, why: str) -> None:
    with pytest.raises(UnreadableObject, match=why):
        read_command(encoded, 1)


def test_a_store_without_a_data_set_is_still_a_store() -> None:
    command = read_command(request(0x0001), 1)
    assert (command.has_data_set, command.store) == (False, StoreRequest(1, 0, "", ""))


@pytest.mark.parametrize(
    ("status", "comment", "told"),
    [(0x0000, "", None), (0xA700, "disk full", "disk full"), (0xC000, "x" * 63, "x" * 63)],
)
def test_a_response_is_read_by_pynetdicom_as_it_was_meant(
    status: int, comment: str, told: str | None
) -> None:
    answer = decoded(C_STORE_RSP(), store_response(REQUEST, status, comment))
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
