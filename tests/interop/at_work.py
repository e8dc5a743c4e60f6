"""An engine that has received, refused and changed something, for tests that only ask it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from engine.app.demo.sender import CT_SCANNER, study
from engine.model.known_peer import KnownPeer
from engine.model.peer import AETitle
from engine.model.processor import Location, Processor
from engine.model.project import Project
from engine.model.study_route import StudyRoute
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from engine.state.commitments import NewCommitment
from tests.fakes import NOW, FixedClock
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, configure, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCRIPT = 'version "6.6"\n(0008,1030) := "TRIAL 7"\n'
SET = Processor(0, "Set", "setElements", parameters=(("script", SCRIPT),))
COPY = Processor(
    0,
    "Copy",
    "forwardCopy",
    location=Location.AFTER_STORED,
    parameters=(("ae_title", "PACS"), ("host", LOOPBACK), ("port", "9")),
)
CALLER = "CT_SCANNER_1"


@contextmanager
def engine_at_work(data: Path) -> Iterator[Engine]:
    """Run such an engine until the block ends; its clock stands still."""
    port = free_port()
    receiver = make_receiver("XNAT", port, custom_processing=True)
    configure(data, receiver, projects=(Project("NEURO-01"),))
    engine = Engine(EngineSettings(data, durability=Durability.NONE), clock=FixedClock())
    engine.start()
    try:
        engine.processors.save(SET, "anna")
        engine.processors.save(replace(COPY, enabled=False), "anna")
        with SendingAssociation(
            Destination(LOOPBACK, port, "XNAT", CALLER), [CT_SCANNER.sop_class_uid]
        ) as peer:
            objects = islice(study(CT_SCANNER, 1, "NEURO-01", NOW), 3)
            assert [peer.send(ds) for ds in objects] == [0, 0, 0]
        engine.study_routes.save(StudyRoute("1.2.3", "NEURO-01"), "anna")
        engine.peers.save(KnownPeer(AETitle("ARCHIVE"), LOOPBACK, 9), "anna")
        assert engine._associations.wait_until_none(5)
        engine._commitment_service.take(
            NewCommitment("1.2.9", CALLER, "XNAT", receiver.label, "A-0001", (("1.2", "1.2.3"),))
        )
        while not engine.commitments.list()[0].reason:  # until nobody is found who could be told
            threading.Event().wait(0.01)
        engine._index.flush()  # nothing is written any more that an answer could tell
        yield engine
    finally:
        engine.stop(drain_seconds=0)
