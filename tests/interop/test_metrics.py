"""Metrics of an engine in a process of its own, scraped and parsed as a monitoring system does."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from itertools import islice
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from engine.app.demo.sender import CT_SCANNER, study
from tests.caller import call
from tests.fakes import NOW
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, configure, engine_process, free_port, make_receiver
from tests.serving import connect

if TYPE_CHECKING:
    from pathlib import Path


def scraped(connection: HTTPConnection) -> dict[str, float]:
    """Return every sample by its name and its labels' values."""
    connection.request("GET", "/metrics", headers={"Host": "localhost"})
    text = connection.getresponse().read().decode()
    return {
        " ".join((sample.name, *map(str, sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_arrived_is_counted_on_the_socket_and_on_the_port(tmp_path: Path) -> None:
    data, port, metrics = tmp_path / "data", free_port(), free_port()
    configure(data, make_receiver("XNAT", port))
    with engine_process(data, 1, "--durability", "none", "--metrics", f"{LOOPBACK}:{metrics}"):
        destination = Destination(LOOPBACK, port, "XNAT", "CT_SCANNER_1")
        with SendingAssociation(destination, [CT_SCANNER.sop_class_uid]) as peer:
            sent = [peer.send(ds) for ds in islice(study(CT_SCANNER, 1, "P", NOW), 3)]
        assert call(port, "NOBODY") == "1/1/7"
        on_port = HTTPConnection(LOOPBACK, metrics, timeout=20)
        on_socket = HTTPConnection("localhost")
        on_socket.sock = connect(data / "control.sock")
        ways = [scraped(on_port), scraped(on_socket)]
        on_port.close()
        on_socket.close()
    assert sent == [0, 0, 0]
    expected = {
        f"dicomdock_objects_total XNAT:{port} stored": 3,
        f"dicomdock_answer_seconds_count XNAT:{port}": 3,
        f"dicomdock_associations_accepted_total XNAT:{port}": 1,
        "dicomdock_sender_objects_total CT_SCANNER_1": 3,
        "dicomdock_associations_rejected_total 1/1/7 called AE title not recognized": 1,
        f"dicomdock_receiver_listening XNAT:{port}": 1,
    }
    for found in ways:
        assert {name: found.get(name) for name in expected} == expected


def test_metrics_are_read_while_the_engine_drains(tmp_path: Path) -> None:
    data, port, metrics = tmp_path / "data", free_port(), free_port()
    configure(data, make_receiver("XNAT", port))
    options = ("--drain-seconds", "20", "--metrics", f"{LOOPBACK}:{metrics}")
    with engine_process(data, 1, *options) as running:
        destination = Destination(LOOPBACK, port, "XNAT", "CT_SCANNER_1")
        with SendingAssociation(destination, [CT_SCANNER.sop_class_uid]):
            running.process.terminate()
            end = time.monotonic() + 20
            while (data / "control.sock").exists():  # it goes when the drain begins
                assert time.monotonic() < end
            found = scraped(HTTPConnection(LOOPBACK, metrics, timeout=20))
        assert running.process.wait(20) == 0
        assert running.process.stderr is not None
        running.process.stderr.close()
    assert found[f"dicomdock_associations_accepted_total XNAT:{port}"] == 1
