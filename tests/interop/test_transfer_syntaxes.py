"""DCMTK and pynetdicom as senders: every transfer syntax, PDU length and user item they have."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from tests.dicom import (
    CT_IMAGE_STORAGE,
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    image,
)
from tests.peers.dock import Dock
from tests.peers.pdus import USER_ITEMS, item, part_10
from tests.recording import Relay
from tests.running import LOOPBACK, run_dcmtk, stored_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pynetdicom.association import Association

OWN = "1.2.826.0.1.3680043.8.498.61"

PROPOSED = {
    "-xi": "1.2.840.10008.1.2",
    "-xe": "1.2.840.10008.1.2.1",
    "-xb": "1.2.840.10008.1.2.2",
    "-x=": "1.2.840.10008.1.2.1",
    "-xs": "1.2.840.10008.1.2.4.70",
    "-xy": "1.2.840.10008.1.2.4.50",
    "-xx": "1.2.840.10008.1.2.4.51",
    "-xv": "1.2.840.10008.1.2.4.90",
    "-xw": "1.2.840.10008.1.2.4.91",
    "-xt": "1.2.840.10008.1.2.4.80",
    "-xu": "1.2.840.10008.1.2.4.81",
    "-xm": "1.2.840.10008.1.2.4.100",
    "-xh": "1.2.840.10008.1.2.4.101",
    "-xn": "1.2.840.10008.1.2.4.102",
    "-xl": "1.2.840.10008.1.2.4.103",
    "-x2": "1.2.840.10008.1.2.4.104",
    "-x3": "1.2.840.10008.1.2.4.105",
    "-xo": "1.2.840.10008.1.2.4.106",
    "-x4": "1.2.840.10008.1.2.4.107",
    "-x5": "1.2.840.10008.1.2.4.108",
    "-xr": "1.2.840.10008.1.2.5",
}
"""Every transfer syntax that storescu can send, by the option that proposes it."""


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Dock]:
    with Dock(tmp_path / "data") as dock:
        yield dock


def own_object(folder: Path) -> Path:
    """Write the object that most of these tests send."""
    return write_file(folder, image(SOPInstanceUID=OWN), EXPLICIT_VR_LITTLE_ENDIAN)


def write_file(folder: Path, data_set: bytes, transfer_syntax_uid: str) -> Path:
    file = folder / "sent.dcm"
    file.write_bytes(part_10(data_set, transfer_syntax_uid, OWN))
    return file


def storescu(port: int, *arguments: str) -> None:
    """Send with DCMTK and require that it is content."""
    *options, file = arguments
    where = ["-aec", "XNAT", LOOPBACK, str(port)]
    sent = run_dcmtk("storescu", "-v", *options, *where, file)
    assert sent.returncode == 0, sent.stdout + sent.stderr


def own_file(dock: Dock) -> Path:
    """Return the one file of the object that these tests send."""
    (found,) = [
        file
        for file in stored_files(dock.data_dir)
        if str(read_file_meta_info(file).MediaStorageSOPInstanceUID) == OWN
    ]
    return found


@pytest.mark.parametrize("option", PROPOSED)
def test_what_storescu_sends_in_a_transfer_syntax_is_stored_in_it_byte_for_byte(
    dock: Dock, tmp_path: Path, option: str
) -> None:
    syntax = PROPOSED[option]
    file = write_file(tmp_path, image(syntax, SOPInstanceUID=OWN), syntax)
    with dock.unharmed(says="stored 1 object"), Relay((LOOPBACK, dock.port)) as relay:
        storescu(relay.port, option, str(file))
    stored = own_file(dock)
    (sent,) = relay.data_sets()
    assert stored.read_bytes().endswith(sent)
    assert read_file_meta_info(stored).TransferSyntaxUID == syntax


@pytest.mark.parametrize("options", [("-xd",), ("-xd", "+C")], ids=" ".join)
def test_what_storescu_would_deflate_arrives_uncompressed(
    dock: Dock, tmp_path: Path, options: tuple[str, ...]
) -> None:
    file = own_object(tmp_path)
    with dock.unharmed(says="refused|stored 1 object"):
        storescu(dock.port, *options, str(file))
    stored = read_file_meta_info(own_file(dock)).TransferSyntaxUID
    assert stored != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN


@pytest.mark.parametrize("length", [4_096, 16_384, 65_536, 131_072])
@pytest.mark.parametrize("option", ["--max-pdu", "--max-send-pdu"])
def test_any_pdu_length_of_the_sender_makes_no_difference(
    dock: Dock, tmp_path: Path, option: str, length: int
) -> None:
    data_set = image(SOPInstanceUID=OWN, pixels=bytes(range(256)) * 2_000)
    file = write_file(tmp_path, data_set, EXPLICIT_VR_LITTLE_ENDIAN)
    with dock.unharmed(says="stored 1 object"):
        storescu(dock.port, "-xe", option, str(length), str(file))
    assert dcmread(own_file(dock)).PixelData == bytes(range(256)) * 2_000


def test_a_sender_that_repeats_itself_many_times_has_one_file(dock: Dock, tmp_path: Path) -> None:
    file = own_object(tmp_path)
    with dock.unharmed(says="already here"):
        storescu(dock.port, "--repeat", "20", str(file))
    assert own_file(dock).is_file()


def test_what_was_confirmed_before_storescu_aborts_is_kept(dock: Dock, tmp_path: Path) -> None:
    file = own_object(tmp_path)
    with dock.unharmed(says="association aborted after 1 object"):
        run_dcmtk("storescu", "--abort", "-aec", "XNAT", LOOPBACK, str(dock.port), str(file))
    assert own_file(dock).is_file()


def test_echoscu_that_aborts_or_repeats_is_answered(dock: Dock) -> None:
    with dock.unharmed(says="abort"):
        for options in (["--abort"], ["--repeat", "20"], ["-pts", "38"], ["-ppc", "128"]):
            answer = run_dcmtk("echoscu", "-v", *options, "-aec", "XNAT", LOOPBACK, str(dock.port))
            assert "Received Echo Response (Success)" in answer.stdout + answer.stderr


IDENTITIES = {
    "a name": ("-usr", "anna"),
    "a name with a password": ("-usr", "anna", "-pwd", "secret"),
    "a token": ("--jwt", "TOKEN"),
    "a SAML request": ("--saml", "TOKEN"),
    "a Kerberos ticket": ("-kt", "TOKEN"),
}


@pytest.mark.parametrize("what", IDENTITIES)
def test_a_user_identity_that_storescu_offers_is_ignored(
    dock: Dock, tmp_path: Path, what: str
) -> None:
    token = tmp_path / "token"
    token.write_bytes(b"x" * 4_000)
    options = [str(token) if option == "TOKEN" else option for option in IDENTITIES[what]]
    file = own_object(tmp_path)
    with dock.unharmed(says="stored 1 object"):
        storescu(dock.port, *options, str(file))
    assert "secret" not in dock.logged()


def window(operations: int) -> AsynchronousOperationsWindowNegotiation:
    """Propose an asynchronous operations window (PS3.7 D.3.3.3)."""
    proposed = AsynchronousOperationsWindowNegotiation()
    proposed.maximum_number_operations_invoked = operations
    proposed.maximum_number_operations_performed = operations
    return proposed


def identity(kind: int, response_wanted: bool) -> UserIdentityNegotiation:
    """Propose a user identity (PS3.7 D.3.3.7)."""
    proposed = UserIdentityNegotiation()
    proposed.user_identity_type = kind
    proposed.primary_field = b"anna"
    if kind == 2:
        proposed.secondary_field = b"secret"
    proposed.positive_response_requested = response_wanted
    return proposed


def extended() -> SOPClassExtendedNegotiation:
    """Propose extended negotiation of storage (PS3.4 B.3.1)."""
    proposed = SOPClassExtendedNegotiation()
    proposed.sop_class_uid = UID(CT_IMAGE_STORAGE)
    proposed.service_class_application_information = bytes([2, 0, 3, 0, 1, 0])
    return proposed


def common_extended(sop_class_uid: str) -> SOPClassCommonExtendedNegotiation:
    """Propose the service class of a SOP class (PS3.7 D.3.3.6)."""
    proposed = SOPClassCommonExtendedNegotiation()
    proposed.sop_class_uid = UID(sop_class_uid)
    proposed.service_class_uid = UID("1.2.840.10008.4.2")
    proposed.related_general_sop_class_identification = [UID(CT_IMAGE_STORAGE)]
    return proposed


def role() -> SCP_SCU_RoleSelectionNegotiation:
    """Propose both roles for storage (PS3.7 D.3.3.4)."""
    proposed = SCP_SCU_RoleSelectionNegotiation()
    proposed.sop_class_uid = UID(CT_IMAGE_STORAGE)
    proposed.scu_role = proposed.scp_role = True
    return proposed


ITEMS: dict[str, Callable[[], list[Any]]] = {
    "an asynchronous window of 8": lambda: [window(8)],
    "an unlimited asynchronous window": lambda: [window(0)],
    "a user name": lambda: [identity(1, False)],
    "a user name with a password": lambda: [identity(2, False)],
    "a user name that wants a response": lambda: [identity(1, True)],
    "a Kerberos ticket that wants a response": lambda: [identity(3, True)],
    "extended negotiation": lambda: [extended()],
    "common extended negotiation": lambda: [common_extended(CT_IMAGE_STORAGE)],
    "both roles": lambda: [role()],
    "everything at once": lambda: [
        window(8),
        identity(2, True),
        extended(),
        common_extended("1.2.3.4"),
        role(),
    ],
}


def associate(port: int, items: list[Any]) -> Association:
    """Associate with pynetdicom as requestor."""
    ae = AE(ae_title="PYNETDICOM")
    ae.acse_timeout = ae.dimse_timeout = 10
    ae.add_requested_context(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)
    return ae.associate(LOOPBACK, port, ae_title="XNAT", ext_neg=items)


@pytest.mark.parametrize("what", ITEMS)
def test_an_item_that_pynetdicom_negotiates_does_not_keep_it_from_sending(
    dock: Dock, tmp_path: Path, what: str
) -> None:
    ds = dcmread(own_object(tmp_path))
    with dock.unharmed(says="stored 1 object"):
        association = associate(dock.port, ITEMS[what]())
        assert association.is_established
        assert association.send_c_store(ds).Status == 0x0000
        association.release()
    assert own_file(dock).is_file()


@pytest.mark.parametrize("operations", [0, 1, 2, 8, 0xFFFF])
def test_an_asynchronous_window_is_negotiated_down_to_one(dock: Dock, operations: int) -> None:
    proposed = item(0x53, struct.pack(">HH", operations, operations))
    with dock.unharmed():
        peer = dock.associate(user_items=[*USER_ITEMS, proposed])
        one = struct.pack(">HH", 1, 1)
        assert peer.user_items.get(0x53, one) == one  # PS3.7 D.3.3.3: absent means one
        peer.store(image()).expect_status(0x0000).release()


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4, 5, 6, 255])
def test_a_user_identity_of_any_kind_is_answered(dock: Dock, kind: int) -> None:
    with dock.unharmed():
        for response_wanted in (0, 1, 255):
            fields = struct.pack(">BBH4sH6s", kind, response_wanted, 4, b"anna", 6, b"secret")
            peer = dock.associate(user_items=[*USER_ITEMS, item(0x58, fields)])
            peer.echo().release()
    assert "secret" not in dock.logged()
