"""What the engine uses of pynetdicom: a codec and a dictionary; no other version may lack it."""

from __future__ import annotations

import ast
import importlib
import logging
from pathlib import Path

import pynetdicom
import pytest
from pynetdicom import ALL_TRANSFER_SYNTAXES
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext

import engine
from tests.peers.pdus import APPLICATION_CONTEXT, VERIFICATION

USED = {
    "pynetdicom": {"ALL_TRANSFER_SYNTAXES"},
    "pynetdicom.pdu": {"A_ASSOCIATE_AC", "A_ASSOCIATE_RQ"},
    "pynetdicom.pdu_primitives": {
        "A_ASSOCIATE",
        "ImplementationClassUIDNotification",
        "ImplementationVersionNameNotification",
        "MaximumLengthNotification",
        "SCP_SCU_RoleSelectionNegotiation",
    },
    "pynetdicom.presentation": {"PresentationContext"},
}
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
ENGINE = Path(engine.__file__).parent


def test_nothing_else_of_pynetdicom_is_imported() -> None:
    found: dict[str, set[str]] = {}
    for file in ENGINE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pynetdicom"):
                found.setdefault(str(node.module), set()).update(n.name for n in node.names)
            elif isinstance(node, ast.Import):
                names = [n.name for n in node.names if n.name.startswith("pynetdicom")]
                assert not names, file
    assert found == USED


def primitive(context: PresentationContext) -> A_ASSOCIATE:
    associate = A_ASSOCIATE()
    associate.application_context_name = APPLICATION_CONTEXT
    associate.called_ae_title, associate.calling_ae_title = "XNAT", "CT1"
    length = MaximumLengthNotification()
    length.maximum_length_received = 16_384
    uid = ImplementationClassUIDNotification()
    uid.implementation_class_uid = "1.2.3"
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = "V1"
    associate.user_information = [length, uid, version]
    associate.presentation_context_definition_list = [context]
    associate.presentation_context_definition_results_list = [context]
    return associate


def context() -> PresentationContext:
    proposed = PresentationContext()
    proposed.context_id = 3
    proposed.abstract_syntax = VERIFICATION
    proposed.transfer_syntax = [IMPLICIT]
    return proposed


def require_user_information(pdu: A_ASSOCIATE_RQ | A_ASSOCIATE_AC) -> None:
    information = pdu.user_information
    assert information is not None
    assert information.maximum_length == 16_384
    assert information.implementation_class_uid == "1.2.3"
    assert information.implementation_version_name == "V1"


def test_a_request_goes_round() -> None:
    request = A_ASSOCIATE_RQ()
    request.decode(A_ASSOCIATE_RQ(primitive(context())).encode())
    assert (request.called_ae_title, request.calling_ae_title) == ("XNAT", "CT1")
    assert request.application_context_name == APPLICATION_CONTEXT
    (proposed,) = request.presentation_context
    assert (proposed.context_id, proposed.abstract_syntax) == (3, VERIFICATION)
    assert proposed.transfer_syntax == [IMPLICIT]
    require_user_information(request)


@pytest.mark.parametrize("result", [0, 3, 4])
def test_an_answer_goes_round(result: int) -> None:
    answered = context()
    answered.result = result
    associate = primitive(answered)
    associate.result, associate.result_source = 0, 1
    answer = A_ASSOCIATE_AC()
    answer.decode(A_ASSOCIATE_AC(associate).encode())
    assert (answer.reserved_aet, answer.reserved_aec) == ("XNAT", "CT1")
    (item,) = answer.presentation_context
    assert (item.context_id, item.result, item.transfer_syntax) == (3, result, IMPLICIT)
    require_user_information(answer)


def test_all_transfer_syntaxes_are_texts_with_the_uncompressed_ones_among_them() -> None:
    assert {IMPLICIT, EXPLICIT} < set(ALL_TRANSFER_SYNTAXES)
    assert all(isinstance(uid, str) for uid in ALL_TRANSFER_SYNTAXES)


def test_association_control_silences_all_of_its_loggers() -> None:
    importlib.import_module("engine.dimse.acse")
    modules = (pynetdicom.pdu, pynetdicom.pdu_primitives, pynetdicom.presentation, pynetdicom.utils)
    assert {module.LOGGER.getEffectiveLevel() for module in modules} == {logging.CRITICAL}
