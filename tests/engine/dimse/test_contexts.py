"""Which presentation contexts are accepted."""

from __future__ import annotations

import pytest
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, build_context

from engine.dimse.contexts import (
    DEFLATED,
    TRANSFER_SYNTAXES,
    is_storage,
    supported_contexts,
)


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


def test_only_what_was_proposed_is_supported_and_echo_always() -> None:
    proposed = [build_context("1.2.840.10008.5.1.4.1.1.2"), build_context("1.2.840.10008.5.1.4.31")]
    supported = {str(context.abstract_syntax) for context in supported_contexts(proposed)}
    assert supported == {"1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"}
