"""Records what real senders say to a receiver of ours.

``python -m tests.engine.dimse.record_senders`` writes `recorded/*.bin`, one association each;
`test_acceptor` replays them. It needs DCMTK, Orthanc and a C compiler.
"""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pynetdicom import AE

from engine.dicom.part10 import open_sendable
from engine.dimse.scu import call, store_one
from engine.intake.pipeline import ObjectOutcome
from engine.model.peer import Peer, PeerDeadlines
from engine.model.session import ObjectState
from tests.bench.pdus import Context, Encoded
from tests.bench.sender import Blaster
from tests.bench.tape import write_tape
from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, image
from tests.peers.pdus import VERIFICATION, part_10
from tests.recording import Relay
from tests.running import LOOPBACK, Dock, free_port, make_receiver, run_dcmtk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RECORDED = Path(__file__).with_name("recorded")


class TakesAll:
    """Stands for the storage: every object is a success."""

    def begin(self, *_: Any) -> TakesAll:
        return self

    def begins_write_back(self) -> bool:
        return False

    def finish_at_once(self) -> ObjectOutcome:
        return self.finish()

    def write(self, segments: Sequence[memoryview], size_bytes: int) -> None:
        """Keep nothing."""

    def finish(self) -> ObjectOutcome:
        return ObjectOutcome(ObjectState.STORED, 0)

    def record(self, _outcome: ObjectOutcome) -> None:
        """Keep no account."""


def objects() -> list[tuple[str, bytes]]:
    """Return three small CT images, always the same."""
    uids = [f"1.2.826.0.1.3680043.8.498.{number}" for number in (1, 2, 3)]
    return [(uid, image(SOPInstanceUID=uid)) for uid in uids]


def dcmtk(tool: str, *arguments: str) -> None:
    ran = run_dcmtk(tool, *arguments)
    assert ran.returncode == 0, ran.stderr + ran.stdout


def by_echoscu(port: int, _: list[Path]) -> None:
    dcmtk("echoscu", "--repeat", "3", "-aec", "BENCH", LOOPBACK, str(port))


def by_storescu(port: int, files: list[Path]) -> None:
    dcmtk("storescu", "-R", "-aec", "BENCH", LOOPBACK, str(port), *map(str, files))


def by_dcmsend(port: int, files: list[Path]) -> None:
    dcmtk("dcmsend", "-aec", "BENCH", LOOPBACK, str(port), *map(str, files))


def by_dcmtk_that_aborts(port: int, _: list[Path]) -> None:
    dcmtk("echoscu", "--abort", "-aec", "BENCH", LOOPBACK, str(port))


def by_pynetdicom(port: int, files: list[Path]) -> None:
    ae = AE(ae_title="PYNETDICOM")
    ae.add_requested_context(VERIFICATION)
    ae.add_requested_context(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)
    association = ae.associate(LOOPBACK, port, ae_title="BENCH")
    assert association.send_c_echo().Status == 0
    for file in files:
        assert association.send_c_store(file).Status == 0
    association.release()


def by_our_scu(port: int, files: list[Path]) -> None:
    contexts = [(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)]
    with call(Peer(LOOPBACK, port, "BENCH", "OURS"), contexts, PeerDeadlines()) as association:
        for file in files:
            with open_sendable(file) as sendable:
                assert store_one(association, sendable)[0] == 0


def by_our_bench(port: int, files: list[Path]) -> None:
    context = Context(CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN)
    encoded = [Encoded(context, uid, data_set) for uid, data_set in objects()]
    folder = files[0].parent
    tape = write_tape(folder / "tape", encoded, 500)
    assert Blaster(folder).play(tape, port, 1).objects == 3


def by_orthanc(port: int, files: list[Path]) -> None:
    """Let an Orthanc forward the objects, which was started for this."""
    web = free_port()
    peer = {"AET": "BENCH", "Host": LOOPBACK, "Port": port}
    settings = {
        "StorageDirectory": str(files[0].parent / "orthanc"),
        "HttpPort": web,
        "DicomPort": free_port(),
        "DicomModalities": {"bench": peer},
    }
    file = files[0].parent / "orthanc.json"
    file.write_text(json.dumps(settings))
    with subprocess.Popen(["Orthanc", str(file)], stderr=subprocess.DEVNULL) as orthanc:
        try:
            wait_until_it_listens(web)
            stored = [ask_orthanc(web, "/instances", file.read_bytes())["ID"] for file in files]
            ask_orthanc(web, "/modalities/bench/store", json.dumps(stored).encode())
        finally:
            orthanc.terminate()


def wait_until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 30
    while socket.socket().connect_ex((LOOPBACK, port)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def ask_orthanc(port: int, path: str, body: bytes) -> Any:
    request = urllib.request.Request(f"http://{LOOPBACK}:{port}{path}", body)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


SENDERS: dict[str, Callable[[int, list[Path]], None]] = {
    "echoscu": by_echoscu,
    "echoscu_abort": by_dcmtk_that_aborts,
    "storescu": by_storescu,
    "dcmsend": by_dcmsend,
    "pynetdicom": by_pynetdicom,
    "orthanc": by_orthanc,
    "our_scu": by_our_scu,
    "our_bench": by_our_bench,
}


def record() -> None:
    """Let every sender speak through a relay, and keep what it says."""
    port = free_port()
    storage: Any = TakesAll()
    with tempfile.TemporaryDirectory() as temporary, Dock(storage=storage) as dock:
        dock.apply(make_receiver("BENCH", port))
        files = []
        for number, (uid, data_set) in enumerate(objects()):
            files.append(Path(temporary) / f"{number}.dcm")
            files[-1].write_bytes(part_10(data_set, EXPLICIT_VR_LITTLE_ENDIAN, uid))
        for name, send in SENDERS.items():
            with Relay((LOOPBACK, port)) as relay:
                send(relay.port, files)
            (said,) = relay.recorded
            (RECORDED / f"{name}.bin").write_bytes(said)


if __name__ == "__main__":
    record()
