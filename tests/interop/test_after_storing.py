"""kill -9 between storing and what follows: each object is forwarded, each program runs."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from engine.app.demo.sender import CT_SCANNER, study
from engine.config.store import ConfigurationStore
from engine.host.clock import SystemClock
from engine.model.processor import parse_processor
from engine.model.site import SessionSettings
from engine.processing.installed import load_processors, rules_of
from tests.peers.scp import Mood, Scp
from tests.peers.scu import Destination, SendingAssociation
from tests.running import (
    LOOPBACK,
    LOOPBACK_SITE,
    configure,
    engine_process,
    free_port,
    make_receiver,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pydicom.dataset import Dataset

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)


FORWARDED = {"label": "PACS", "processor_class": "forwardCopy", "location": "after_stored"}
RUN = {"label": "run", "processor_class": "command", "location": "after_session_complete"}
PROGRAM = """#!/bin/sh
cat >"$2"
echo $$ >"$1"
exec sleep 60
"""


def configure_with(data: Path, port: int, *processors: dict[str, object]) -> None:
    """Write a configuration with a receiver and processors, and an idle time of a second."""
    configure(data, make_receiver("XNAT", port, custom_processing=True))
    rules = rules_of(load_processors())
    store = ConfigurationStore(data / "config.json", clock=SystemClock(), processors=rules)
    store.set_site(replace(LOOPBACK_SITE, sessions=SessionSettings(idle_seconds=1)), "test")
    for processor in processors:
        store.save_processor(parse_processor(processor, rules), "test")


def send(port: int, objects: Iterable[Dataset]) -> set[str]:
    """Send objects and return the UIDs of those that were answered with success."""
    destination = Destination(LOOPBACK, port, "XNAT", "CT_SCANNER_1")
    with SendingAssociation(destination, [CT_SCANNER.sop_class_uid]) as peer:
        return {str(ds.SOPInstanceUID) for ds in objects if peer.send(ds) == 0}


def test_a_kill_loses_neither_an_object_to_be_forwarded_nor_a_program_to_be_run(
    tmp_path: Path,
) -> None:
    data, port, fifo, told = tmp_path / "data", free_port(), tmp_path / "fifo", tmp_path / "told"
    os.mkfifo(fifo)
    (tmp_path / "program").write_text(PROGRAM)
    (tmp_path / "program").chmod(0o755)
    objects = study(CT_SCANNER, 1, "P", NOW)
    programs = []
    with Scp(mood=Mood.ABORT) as scp:
        peer = {"ae_title": "PACS", "host": LOOPBACK, "port": scp.port, "max_wait_seconds": 1}
        program = {"program": str(tmp_path / "program"), "arguments": f"{fifo}\n{told}"}
        configure_with(data, port, FORWARDED | {"parameters": peer}, RUN | {"parameters": program})
        try:
            with engine_process(data, 1, "--durability", "none") as running:
                confirmed = send(port, islice(objects, 1))
                programs.append(int(fifo.read_text()))
                assert '"repeated": false' in told.read_text()
                # Killed with the last answer: its row and its place in the queue are not written.
                confirmed |= send(port, islice(objects, 30))
                running.kill()
            scp.mood = Mood.TAKE
            with engine_process(data, 1, "--durability", "none") as running:
                programs.append(int(fifo.read_text()))
                assert '"repeated": true' in told.read_text()
                scp.wait_until(lambda: confirmed <= set(scp.uids()))
                assert running.terminate() == 0
            with pytest.raises(ProcessLookupError):  # as a stop in good order ends it
                os.kill(programs[1], 0)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(programs[0], signal.SIGKILL)
    assert len(confirmed) == 31
    assert len(scp.received) == 31
