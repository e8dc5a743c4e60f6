"""The state machine of the DICOM upper layer: PS3.8 table 9-10, as a table.

`acceptor` and `requestor` look up action and next state here, and carry out the action. Actions and
states have the numbers of the standard (PS3.8 9.2.1 to 9.2.3).
"""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """The states Sta1 to Sta13 (PS3.8 tables 9-1 to 9-5)."""

    IDLE = 1
    AWAITING_REQUEST = 2
    AWAITING_DECISION = 3
    AWAITING_CONNECTION = 4
    AWAITING_ANSWER = 5
    ESTABLISHED = 6
    AWAITING_RELEASE_RP = 7
    ANSWERING_RELEASE = 8
    COLLISION_ANSWERING_AS_REQUESTOR = 9
    COLLISION_AWAITING_RP_AS_ACCEPTOR = 10
    COLLISION_AWAITING_RP_AS_REQUESTOR = 11
    COLLISION_ANSWERING_AS_ACCEPTOR = 12
    AWAITING_CLOSE = 13


class UpperLayerEvent(Enum):
    """The events of PS3.8 table 9-10, in its order: PDUs of the peer, and requests of our side."""

    ASSOCIATE_ASKED = 1
    CONNECTED = 2
    ASSOCIATE_AC_CAME = 3
    ASSOCIATE_RJ_CAME = 4
    CONNECTION_CAME = 5
    ASSOCIATE_RQ_CAME = 6
    ACCEPT_ASKED = 7
    REJECT_ASKED = 8
    DATA_ASKED = 9
    DATA_CAME = 10
    RELEASE_ASKED = 11
    RELEASE_RQ_CAME = 12
    RELEASE_RP_CAME = 13
    RELEASE_ANSWER_ASKED = 14
    ABORT_ASKED = 15
    ABORT_CAME = 16
    CONNECTION_CLOSED = 17
    ARTIM_EXPIRED = 18
    INVALID_PDU_CAME = 19


class Action(Enum):
    """The actions of PS3.8 tables 9-6 to 9-9."""

    AE_1 = "connect"
    AE_2 = "send an A-ASSOCIATE-RQ"
    AE_3 = "say that the association is accepted"
    AE_4 = "say that the association is rejected, close"
    AE_5 = "answer the connection, start ARTIM"
    AE_6 = "stop ARTIM, say that an association is asked for"
    AE_7 = "send an A-ASSOCIATE-AC"
    AE_8 = "send an A-ASSOCIATE-RJ, start ARTIM"
    DT_1 = "send a P-DATA-TF"
    DT_2 = "say that data came"
    AR_1 = "send an A-RELEASE-RQ"
    AR_2 = "say that the release is asked for"
    AR_3 = "say that the release is confirmed, close"
    AR_4 = "send an A-RELEASE-RP, start ARTIM"
    AR_5 = "stop ARTIM"
    AR_6 = "say that data came, while a release is asked for"
    AR_7 = "send a P-DATA-TF, before the release is answered"
    AR_8 = "say that both sides ask for the release"
    AR_9 = "send an A-RELEASE-RP, as requestor of two"
    AR_10 = "say that the release is confirmed, as acceptor of two"
    AA_1 = "send an A-ABORT of the service user, start ARTIM"
    AA_2 = "stop ARTIM, close"
    AA_3 = "say that the peer aborts, close"
    AA_4 = "say that the connection is lost"
    AA_5 = "stop ARTIM, as the connection is lost"
    AA_6 = "ignore what came"
    AA_7 = "send an A-ABORT of the service provider again"
    AA_8 = "send an A-ABORT of the service provider, say so, start ARTIM"


_LATER = range(6, 13)
"""Sta6 to Sta12: an established association, or its release."""

# Each row of table 9-10: the states in which an event has an action.
_ROWS: dict[UpperLayerEvent, dict[Action, tuple[int, ...]]] = {
    UpperLayerEvent.ASSOCIATE_ASKED: {Action.AE_1: (1,)},
    UpperLayerEvent.CONNECTED: {Action.AE_2: (4,)},
    UpperLayerEvent.ASSOCIATE_AC_CAME: {
        Action.AA_1: (2,),
        Action.AA_8: (3, *_LATER),
        Action.AE_3: (5,),
        Action.AA_6: (13,),
    },
    UpperLayerEvent.ASSOCIATE_RJ_CAME: {
        Action.AA_1: (2,),
        Action.AA_8: (3, *_LATER),
        Action.AE_4: (5,),
        Action.AA_6: (13,),
    },
    UpperLayerEvent.CONNECTION_CAME: {Action.AE_5: (1,)},
    UpperLayerEvent.ASSOCIATE_RQ_CAME: {
        Action.AE_6: (2,),
        Action.AA_8: (3, 5, *_LATER),
        Action.AA_7: (13,),
    },
    UpperLayerEvent.ACCEPT_ASKED: {Action.AE_7: (3,)},
    UpperLayerEvent.REJECT_ASKED: {Action.AE_8: (3,)},
    UpperLayerEvent.DATA_ASKED: {Action.DT_1: (6,), Action.AR_7: (8,)},
    UpperLayerEvent.DATA_CAME: {
        Action.AA_1: (2,),
        Action.AA_8: (3, 5, *range(8, 13)),
        Action.DT_2: (6,),
        Action.AR_6: (7,),
        Action.AA_6: (13,),
    },
    UpperLayerEvent.RELEASE_ASKED: {Action.AR_1: (6,)},
    UpperLayerEvent.RELEASE_RQ_CAME: {
        Action.AA_1: (2,),
        Action.AA_8: (3, 5, *range(8, 13)),
        Action.AR_2: (6,),
        Action.AR_8: (7,),
        Action.AA_6: (13,),
    },
    UpperLayerEvent.RELEASE_RP_CAME: {
        Action.AA_1: (2,),
        Action.AA_8: (3, 5, 6, 8, 9, 12),
        Action.AR_3: (7, 11),
        Action.AR_10: (10,),
        Action.AA_6: (13,),
    },
    UpperLayerEvent.RELEASE_ANSWER_ASKED: {Action.AR_4: (8, 12), Action.AR_9: (9,)},
    UpperLayerEvent.ABORT_ASKED: {Action.AA_1: (3, 5, *_LATER), Action.AA_2: (4,)},
    UpperLayerEvent.ABORT_CAME: {Action.AA_2: (2, 13), Action.AA_3: (3, 5, *_LATER)},
    UpperLayerEvent.CONNECTION_CLOSED: {
        Action.AA_5: (2,),
        Action.AA_4: (3, 4, 5, *_LATER),
        Action.AR_5: (13,),
    },
    UpperLayerEvent.ARTIM_EXPIRED: {Action.AA_2: (2, 13)},
    UpperLayerEvent.INVALID_PDU_CAME: {
        Action.AA_1: (2,),
        Action.AA_8: (3, 5, *_LATER),
        Action.AA_7: (13,),
    },
}

# The state after an action is the same in all rows, with the one exception below.
_NEXT: dict[Action, int] = {
    Action.AE_1: 4,
    Action.AE_2: 5,
    Action.AE_3: 6,
    Action.AE_4: 1,
    Action.AE_5: 2,
    Action.AE_6: 3,
    Action.AE_7: 6,
    Action.AE_8: 13,
    Action.DT_1: 6,
    Action.DT_2: 6,
    Action.AR_1: 7,
    Action.AR_2: 8,
    Action.AR_3: 1,
    Action.AR_4: 13,
    Action.AR_5: 1,
    Action.AR_6: 7,
    Action.AR_7: 8,
    Action.AR_8: 9,  # Sta10 for an acceptor; dicomdock's never asks for a release
    Action.AR_9: 11,
    Action.AR_10: 12,
    Action.AA_1: 13,
    Action.AA_2: 1,
    Action.AA_3: 1,
    Action.AA_4: 1,
    Action.AA_5: 1,
    Action.AA_6: 13,
    Action.AA_7: 13,
    Action.AA_8: 13,
}

TABLE: dict[tuple[UpperLayerEvent, State], tuple[Action, State]] = {
    (occurrence, State(number)): (action, State(_NEXT[action]))
    for occurrence, actions in _ROWS.items()
    for action, numbers in actions.items()
    for number in numbers
}
"""Action and next state by event and state; a pair without an entry can't occur."""

OF_PDU_TYPE: dict[int, UpperLayerEvent] = {
    0x01: UpperLayerEvent.ASSOCIATE_RQ_CAME,
    0x02: UpperLayerEvent.ASSOCIATE_AC_CAME,
    0x03: UpperLayerEvent.ASSOCIATE_RJ_CAME,
    0x04: UpperLayerEvent.DATA_CAME,
    0x05: UpperLayerEvent.RELEASE_RQ_CAME,
    0x06: UpperLayerEvent.RELEASE_RP_CAME,
    0x07: UpperLayerEvent.ABORT_CAME,
}
"""The event of each PDU type (PS3.8 9.3.1)."""
