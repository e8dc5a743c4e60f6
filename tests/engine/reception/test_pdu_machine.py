"""Whatever several peers do in whatever order, the engine is as it was afterwards (★)."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    rule,
    run_state_machine_as_test,
)

from tests.dicom import CT_IMAGE_STORAGE, image
from tests.peers.dock import Dock
from tests.peers.pdus import (
    AC,
    C_ECHO,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    RJ,
    abort_pdu,
    associate_rq,
    c_store_rq,
    command,
    message,
    pdu,
    pdv,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers.peer import Peer

ROOM = {"unassociated_peers": 50, "unassociated_peers_per_address": 50}
EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "0"))
"""How many new sequences to try; 0 for the same few every time."""
FEW = 20
STEPS = 20
ROOT = "1.2.826.0.1.3680043.8.498.99"

_numbers = count(1)

SINGLE_PDUS = st.sampled_from(
    [
        associate_rq(),
        associate_rq("NOBODY"),
        associate_rq(contexts=()),
        pdu(AC, associate_rq()[6:]),
        pdu(RJ, bytes([0, 1, 1, 1])),
        pdu(RELEASE_RQ),
        pdu(RELEASE_RP),
        abort_pdu(),
        abort_pdu(2, 6),
        message(C_ECHO, context_id=3),
        message(command(c_store_rq(CT_IMAGE_STORAGE, f"{ROOT}.0"))),
        pdu(P_DATA, pdv(b"rubbish", 0)),
        pdu(P_DATA, pdv(b"rubbish", 3, context_id=9)),
        pdu(P_DATA, b""),
        pdu(0x42),
    ]
)
CUTS = st.integers(1, 600)


class Peers(RuleBasedStateMachine):
    """Several peers at one engine, each doing as it likes."""

    connected = Bundle("connected")
    associated = Bundle("associated")

    def __init__(self, dock: Dock) -> None:
        super().__init__()
        self._dock = dock
        self._around = ExitStack()
        self._peers: list[Peer] = []

    @initialize()
    def begin(self) -> None:
        self._around.enter_context(self._dock.unharmed())
        self._dock.associate().release()  # so that there is something to tell

    @rule(target=connected)
    def connect(self) -> Peer:
        self._peers.append(self._dock.call())
        return self._peers[-1]

    @rule(target=associated)
    def associate(self) -> Peer:
        self._peers.append(self._dock.associate())
        return self._peers[-1]

    @rule(peer=connected, sent=st.one_of(SINGLE_PDUS, st.binary(max_size=40)))
    def say_anything(self, peer: Peer, sent: bytes) -> None:
        peer.send(sent)

    @rule(peer=associated, sent=st.one_of(SINGLE_PDUS, st.binary(max_size=40)))
    def say_anything_in_an_association(self, peer: Peer, sent: bytes) -> None:
        peer.send(sent)

    @rule(peer=connected, first=SINGLE_PDUS, second=SINGLE_PDUS, cut=CUTS)
    def say_two_things_in_pieces(self, peer: Peer, first: bytes, second: bytes, cut: int) -> None:
        peer.send((first + second)[:cut]).send((first + second)[cut:])

    @rule(peer=associated, sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4))
    def store(self, peer: Peer, sizes: list[int]) -> None:
        uid, data_set = self._new_object()
        peer.store(data_set, uid, pdv_sizes=sizes)

    @rule(peer=consumes(associated), left_out=CUTS)
    def store_but_not_to_the_end(self, peer: Peer, left_out: int) -> None:
        uid, data_set = self._new_object()
        whole = message(command(c_store_rq(CT_IMAGE_STORAGE, uid)), data_set, pdv_sizes=(90,))
        peer.send(whole[:-left_out])

    @rule(peer=consumes(associated))
    def release(self, peer: Peer) -> None:
        peer.send(pdu(RELEASE_RQ))

    @rule(peer=consumes(connected), way=st.sampled_from(["close", "rst", "half_close"]))
    def hang_up(self, peer: Peer, way: str) -> None:
        getattr(peer, way)()

    @rule(peer=consumes(associated), way=st.sampled_from(["close", "rst", "half_close"]))
    def hang_up_an_association(self, peer: Peer, way: str) -> None:
        getattr(peer, way)()

    def teardown(self) -> None:
        for peer in self._peers:
            if peer.is_open:
                peer.half_close().drain()
        self._around.close()

    def _new_object(self) -> tuple[str, bytes]:
        uid = f"{ROOT}.{next(_numbers)}"
        data_set = image(SOPInstanceUID=uid, InstanceNumber=uid.rpartition(".")[2])
        return uid, data_set


@pytest.mark.no_cover  # as of all random tests
def test_no_sequence_of_events_harms_the_engine(tmp_path: Path) -> None:
    with Dock(tmp_path / "data", ROOM) as dock:
        run_state_machine_as_test(
            partial(Peers, dock),  # type: ignore[arg-type]
            settings=settings(
                max_examples=EXAMPLES or FEW,
                derandomize=not EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate],  # each failure takes seconds: too long to shrink
            ),
        )
