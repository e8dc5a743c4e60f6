"""Which association requests are accepted, and which A-ASSOCIATE-RJ the others get."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from engine.model.limits import Limits
from engine.model.peer import AETitle
from engine.model.receiver import Receiver
from engine.model.site import SiteSettings
from engine.reception.acceptance import (
    Acceptance,
    AssociationRequest,
    EngineLoad,
    OpenAssociation,
    Rejection,
    decide,
)

ROOM = EngineLoad()


def request(
    called: str = "XNAT", calling: str = "CT1", address: str = "10.1.2.3"
) -> AssociationRequest:
    return AssociationRequest(called, calling, ip_address(address))


def receivers(*configured: Receiver) -> dict[str, Receiver]:
    return {str(receiver.ae_title): receiver for receiver in configured}


XNAT = Receiver(1, AETitle("XNAT"), 8104)
GUARDED = Receiver(
    2, AETitle("GUARDED"), 8104, whitelist_enabled=True, whitelist=("CT1@10.1.0.0/16", "MR1")
)


def test_a_call_to_an_enabled_receiver_is_accepted_by_that_receiver() -> None:
    assert decide(request(), 8104, receivers(XNAT, GUARDED), ROOM) == Acceptance(XNAT)


@pytest.mark.parametrize("called", ["xnat", "XNAT2", "", "ANY", "*"])
def test_an_unknown_called_ae_title_is_rejected_with_1_1_7(called: str) -> None:
    decision = decide(request(called), 8104, receivers(XNAT), ROOM)
    assert isinstance(decision, Rejection)
    assert (decision.result, decision.source, decision.reason) == (1, 1, 7)
    assert "enabled there: XNAT" in decision.why


def test_a_caller_outside_the_whitelist_is_rejected_with_1_1_3_naming_the_nearest_line() -> None:
    decision = decide(request("GUARDED", "CT1", "10.9.9.9"), 8104, receivers(GUARDED), ROOM)
    assert isinstance(decision, Rejection)
    assert (decision.result, decision.source, decision.reason) == (1, 1, 3)
    assert decision.why == (
        "calling AE title CT1 from 10.9.9.9 is on no whitelist line; nearest: CT1@10.1.0.0/16"
    )


@pytest.mark.parametrize(
    ("calling", "address", "line"),
    [
        ("CT1", "10.1.2.3", "CT1@10.1.0.0/16"),
        ("MR1", "192.0.2.1", "MR1"),
        ("MR1", "2001:db8::1", "MR1"),
    ],
)
def test_a_caller_on_the_whitelist_is_accepted(calling: str, address: str, line: str) -> None:
    decision = decide(request("GUARDED", calling, address), 8104, receivers(GUARDED), ROOM)
    assert decision == Acceptance(GUARDED, whitelist_line=line)


def test_an_empty_enabled_whitelist_keeps_everybody_out() -> None:
    closed = Receiver(3, AETitle("CLOSED"), 8104, whitelist_enabled=True)
    decision = decide(request("CLOSED"), 8104, receivers(closed), ROOM)
    assert isinstance(decision, Rejection)
    assert decision.reason == 3


def test_the_list_of_a_switched_off_whitelist_is_ignored() -> None:
    receiver = Receiver(3, AETitle("OPEN"), 8104, whitelist=("10.0.0.0/33", "nobody"))
    assert decide(request("OPEN"), 8104, receivers(receiver), ROOM) == Acceptance(receiver)


LIMITS = Limits(
    associations=5,
    associations_per_receiver=4,
    associations_per_address=3,
    associations_per_calling_ae_title=2,
)


def an_open(
    number: int, *, ae_title: str = "", calling: str = "", address: str = ""
) -> OpenAssociation:
    return OpenAssociation(
        f"{ae_title or f'R{number}'}:8104",
        ip_address(address or f"10.9.9.{number}"),
        calling or f"C{number}",
    )


@pytest.mark.parametrize(
    ("open_ones", "words"),
    [
        ([an_open(n) for n in range(5)], "5 associations of the engine are open"),
        ([an_open(n, ae_title="XNAT") for n in range(4)], "4 associations of XNAT are open"),
        (
            [an_open(n, address="10.1.2.3") for n in range(3)],
            "3 associations of address 10.1.2.3 are open",
        ),
        (
            [an_open(n, calling="CT1") for n in range(2)],
            "2 associations of calling AE title CT1 are open",
        ),
    ],
)
def test_beyond_each_limit_callers_are_rejected_for_now_with_2_3_2(
    open_ones: list[OpenAssociation], words: str
) -> None:
    full = EngineLoad(tuple(open_ones), SiteSettings(limits=LIMITS))
    decision = decide(request(), 8104, receivers(XNAT), full)
    assert isinstance(decision, Rejection)
    assert (decision.result, decision.source, decision.reason) == (2, 3, 2)
    assert decision.why == f"{words}, and no more are allowed"
    room = EngineLoad(tuple(open_ones[1:]), SiteSettings(limits=LIMITS))
    assert decide(request(), 8104, receivers(XNAT), room) == Acceptance(XNAT)


def test_a_receivers_own_limit_takes_the_place_of_the_sites() -> None:
    generous = replace(XNAT, limits=(("associations_per_receiver", 10),))
    open_ones = tuple(an_open(n, ae_title="XNAT") for n in range(4))
    load = EngineLoad(open_ones, SiteSettings(limits=LIMITS))
    assert decide(request(), 8104, receivers(generous), load) == Acceptance(generous)


def test_a_stopping_engine_rejects_for_now_with_2_3_1() -> None:
    decision = decide(request(), 8104, receivers(XNAT), EngineLoad(draining=True))
    assert isinstance(decision, Rejection)
    assert (decision.result, decision.source, decision.reason) == (2, 3, 1)


def test_a_foreign_application_context_is_rejected_with_1_1_2() -> None:
    strange = AssociationRequest("XNAT", "CT1", ip_address("10.1.2.3"), "1.2.3")
    decision = decide(strange, 8104, receivers(XNAT), ROOM)
    assert isinstance(decision, Rejection)
    assert (decision.result, decision.source, decision.reason) == (1, 1, 2)


def test_strangers_learn_nothing_about_the_load_of_a_full_engine() -> None:
    full = EngineLoad(tuple(an_open(n) for n in range(9)), SiteSettings(limits=LIMITS))
    decision = decide(request("NOBODY"), 8104, receivers(XNAT), full)
    assert isinstance(decision, Rejection)
    assert decision.reason == 7


def test_a_storage_that_takes_nothing_is_a_transient_rejection() -> None:
    """PS3.8 9.3.4: rejected-transient, presentation related, local limit exceeded."""
    load = EngineLoad(storage_refusal="only 3 MB free on the storage")
    verdict = decide(request(), 8104, receivers(XNAT), load)
    assert verdict == Rejection(2, 3, 2, "only 3 MB free on the storage")


def test_a_caller_that_comes_too_fast_is_rejected_for_now_whoever_is_called() -> None:
    verdict = decide(replace(request("NOBODY"), is_rate_limited=True), 8104, receivers(XNAT), ROOM)
    allowed = Limits().associations_per_second_per_address
    assert verdict == Rejection(
        2, 3, 1, f"its address asks for more than {allowed} associations a second"
    )
