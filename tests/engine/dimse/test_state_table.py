"""PS3.8 table 9-10, written out once more, cell by cell."""

from __future__ import annotations

import pytest
from pynetdicom.fsm import TRANSITION_TABLE

from engine.dimse.state_table import OF_PDU_TYPE, TABLE, Action, State, UpperLayerEvent
from tests.peers import pdus

COLUMNS = """
        Sta1 Sta2 Sta3 Sta4 Sta5 Sta6 Sta7 Sta8 Sta9 Sta10 Sta11 Sta12 Sta13
"""
ROWS = """
 Evt1   AE-1 -    -    -    -    -    -    -    -    -     -     -     -
 Evt2   -    -    -    AE-2 -    -    -    -    -    -     -     -     -
 Evt3   -    AA-1 AA-8 -    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
 Evt4   -    AA-1 AA-8 -    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
 Evt5   AE-5 -    -    -    -    -    -    -    -    -     -     -     -
 Evt6   -    AE-6 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-7
 Evt7   -    -    AE-7 -    -    -    -    -    -    -     -     -     -
 Evt8   -    -    AE-8 -    -    -    -    -    -    -     -     -     -
 Evt9   -    -    -    -    -    DT-1 -    AR-7 -    -     -     -     -
 Evt10  -    AA-1 AA-8 -    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
 Evt11  -    -    -    -    -    AR-1 -    -    -    -     -     -     -
 Evt12  -    AA-1 AA-8 -    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
 Evt13  -    AA-1 AA-8 -    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3  AA-8  AA-6
 Evt14  -    -    -    -    -    -    -    AR-4 AR-9 -     -     AR-4  -
 Evt15  -    -    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1  AA-1  -
 Evt16  -    AA-2 AA-3 -    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3  AA-3  AA-2
 Evt17  -    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4  AA-4  AR-5
 Evt18  -    AA-2 -    -    -    -    -    -    -    -     -     -     AA-2
 Evt19  -    AA-1 AA-8 -    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-7
"""
# PS3.8 tables 9-6 to 9-9. After AR-8 it is Sta9 for a requestor and Sta10 for an acceptor; ours
# never asks for a release. After AE-6 it is Sta3, or Sta13 if the request is rejected at once.
NEXT = {
    "AE-1": 4,
    "AE-2": 5,
    "AE-3": 6,
    "AE-4": 1,
    "AE-5": 2,
    "AE-6": 3,
    "AE-7": 6,
    "AE-8": 13,
    "DT-1": 6,
    "DT-2": 6,
    "AR-1": 7,
    "AR-2": 8,
    "AR-3": 1,
    "AR-4": 13,
    "AR-5": 1,
    "AR-6": 7,
    "AR-7": 8,
    "AR-8": 9,
    "AR-9": 11,
    "AR-10": 12,
    "AA-1": 13,
    "AA-2": 1,
    "AA-3": 1,
    "AA-4": 1,
    "AA-5": 1,
    "AA-6": 13,
    "AA-7": 13,
    "AA-8": 13,
}
CELLS = [
    (event, int(column[3:]), cell)
    for event, line in enumerate(ROWS.strip().splitlines(), 1)
    for column, cell in zip(COLUMNS.split(), line.split()[1:], strict=True)
]


def test_there_are_19_events_and_13_states() -> None:
    assert [line.split()[0] for line in ROWS.strip().splitlines()] == [
        f"Evt{occurrence.value}" for occurrence in UpperLayerEvent
    ]
    assert COLUMNS.split() == [f"Sta{state.value}" for state in State]
    assert len(CELLS) == 19 * 13
    assert {action.name.replace("_", "-") for action in Action} == NEXT.keys()


@pytest.mark.parametrize(("event", "state", "cell"), CELLS)
def test_a_cell_has_the_action_of_the_standard_and_the_state_after_it(
    event: int, state: int, cell: str
) -> None:
    entry = TABLE.get((UpperLayerEvent(event), State(state)))
    wanted = None if cell == "-" else (Action[cell.replace("-", "_")], State(NEXT[cell]))
    assert entry == wanted
    theirs = TRANSITION_TABLE.get((f"Evt{event}", f"Sta{state}"))
    assert theirs == (None if cell == "-" else cell)


def test_each_pdu_type_is_the_event_that_the_standard_makes_of_it() -> None:
    types = (pdus.AC, pdus.RJ, pdus.RQ, pdus.P_DATA, pdus.RELEASE_RQ, pdus.RELEASE_RP, pdus.ABORT)
    events = (3, 4, 6, 10, 12, 13, 16)
    assert {
        kind: UpperLayerEvent(event) for kind, event in zip(types, events, strict=True)
    } == OF_PDU_TYPE
