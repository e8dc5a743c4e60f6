"""Which presentation contexts are accepted."""

from __future__ import annotations

import pytest
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts

from engine.dimse.contexts import (
    DEFLATED,
    TRANSFER_SYNTAXES,
    AcceptedUIDs,
    ProposedContext,
    Refusal,
    answer_contexts,
    is_storage,
    refused_contexts,
    supported_syntaxes,
)

CT, WORKLIST, ECHO = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.31", "1.2.840.10008.1.1"
IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"


def test_every_storage_class_that_pynetdicom_knows_is_taken() -> None:
    known = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    assert len(known) > 120
    assert [uid for uid in known if not is_storage(uid)] == []


@pytest.mark.parametrize(
    "uid",
    [
        "1.3.12.2.1107.5.9.1",  # Siemens CSA Non-Image
        "1.3.46.670589.5.0.1",  # Philips private
        "1.2.3.4.99999999999999999999999",
        "1.2.840.10008.5.1.4.1.1.9999",  # of the standard's root, newer than our dictionary
        "1.2.840.10008.5.1.4.1.1.6",  # retired Ultrasound Image Storage
        "1.2.840.10008.5.1.4.34.7",  # RT Beams Delivery Instruction Storage
    ],
)
def test_private_unknown_and_retired_storage_classes_are_taken(uid: str) -> None:
    assert is_storage(uid)


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.1.1",  # Verification
        "1.2.840.10008.5.1.4.1.2.2.1",  # Study Root Query/Retrieve FIND
        "1.2.840.10008.5.1.4.31",  # Modality Worklist
        "1.2.840.10008.1.20.1",  # Storage Commitment Push Model
        "1.2.840.10008.1.3.10",  # Media Storage Directory
        "1.2.840.10008.5.1.1.9",  # Basic Grayscale Print
        "1.2.840.10008.4.2",  # the Storage Service Class itself
    ],
)
def test_other_services_are_not_taken_for_storage(uid: str) -> None:
    assert not is_storage(uid)


def test_all_transfer_syntaxes_but_the_deflated_ones_are_offered() -> None:
    assert set(TRANSFER_SYNTAXES) == set(ALL_TRANSFER_SYNTAXES) - DEFLATED
    assert len(TRANSFER_SYNTAXES) == len(set(TRANSFER_SYNTAXES))


def test_readable_syntaxes_come_first_and_big_endian_last() -> None:
    assert TRANSFER_SYNTAXES[:2] == ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
    assert TRANSFER_SYNTAXES[-1] == "1.2.840.10008.1.2.2"


def test_echo_is_supported_uncompressed_and_storage_in_every_syntax() -> None:
    assert supported_syntaxes(ECHO) == (EXPLICIT, IMPLICIT)
    assert supported_syntaxes(CT) == TRANSFER_SYNTAXES
    assert supported_syntaxes(WORKLIST) == ()


def test_the_receiver_chooses_the_syntax_and_answers_in_the_order_of_the_ids() -> None:
    proposed = [
        ProposedContext(7, CT, (BIG, "1.2.3")),
        ProposedContext(5, CT, (BIG, IMPLICIT, EXPLICIT)),
        ProposedContext(1, "1.2.03", (IMPLICIT,)),
        ProposedContext(3, ECHO, (IMPLICIT,)),
    ]
    assert answer_contexts(proposed) == (
        (
            AcceptedUIDs(1, "1.2.03", IMPLICIT),
            AcceptedUIDs(3, ECHO, IMPLICIT),
            AcceptedUIDs(5, CT, EXPLICIT),
            AcceptedUIDs(7, CT, BIG),
        ),
        (),
    )


def test_a_refused_context_says_whether_class_or_syntaxes_are_at_fault() -> None:
    worklist, deflated = (
        ProposedContext(5, WORKLIST, (IMPLICIT,)),
        ProposedContext(3, CT, ("1.2.03",)),
    )
    _, refused = answer_contexts([worklist, deflated])
    assert refused == (Refusal(deflated, 4), Refusal(worklist, 3))
    assert [(c.sop_class, c.transfer_syntaxes, c.reason) for c in refused_contexts(refused)] == [
        ("CT Image Storage", ("1.2.03",), "no common transfer syntax"),
        (
            "Modality Worklist Information Model - FIND",
            ("Implicit VR Little Endian",),
            "not a storage class",
        ),
    ]
