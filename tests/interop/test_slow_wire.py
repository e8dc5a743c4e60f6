"""A sender at the other end of a long, thin wire is slow, not hostile (F46)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pydicom.uid import MRImageStorage

from tests.interop.routing_dock import image, running_dock
from tests.peers.scu import Destination, SendingAssociation
from tests.peers.slow_wire import SlowWire
from tests.running import LOOPBACK

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

PART_BYTES = 100
COMMENT_BYTES = 10_000


def far_image() -> Dataset:
    ds = image()
    ds.add_new(0x00204000, "LT", "x" * COMMENT_BYTES)
    return ds


def test_it_completes_and_nobody_waits_for_it(tmp_path: Path) -> None:
    with running_dock(tmp_path / "data") as dock, ThreadPoolExecutor(1) as far_away:
        wire = SlowWire(dock.port, part_bytes=PART_BYTES, stands_after_bytes=COMMENT_BYTES // 2)
        with wire:
            to = Destination(LOOPBACK, wire.port, "XNAT", "FAR_AWAY")
            with SendingAssociation(to, [MRImageStorage]) as sender:
                sent = far_away.submit(sender.send, far_image())
                assert wire.stands.wait(20)
                assert dock.send(image()) == [0]
                assert not sent.done()
                wire.go_on.set()
                assert sent.result(20) == 0
