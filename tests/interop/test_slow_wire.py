"""A sender at the other end of a long, thin wire is slow, not hostile (F46)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pydicom.uid import MRImageStorage

from engine.dimse.send import Destination, SendingAssociation
from tests.interop.test_scenarios_routing import image, running_dock
from tests.peers.slow_wire import SlowWire
from tests.running import LOOPBACK

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

BYTES_PER_SECOND = 8_000
"""64 kbit/s."""
DELAY_SECONDS = 0.15
COMMENT_BYTES = 6_000


def far_image() -> Dataset:
    ds = image()
    ds.add_new(0x00204000, "LT", "x" * COMMENT_BYTES)
    return ds


def test_it_completes_and_nobody_waits_for_it(tmp_path: Path) -> None:
    with running_dock(tmp_path / "data") as dock:
        wire = SlowWire(dock.port, bytes_per_second=BYTES_PER_SECOND, delay_seconds=DELAY_SECONDS)
        with wire:
            to = Destination(LOOPBACK, wire.port, "XNAT", "FAR_AWAY")
            with SendingAssociation(to, [MRImageStorage]) as sender:
                begun = time.monotonic()
                assert dock.send(image()) == [0]
                assert time.monotonic() - begun < COMMENT_BYTES / BYTES_PER_SECOND
                assert sender.send(far_image()) == 0
                assert time.monotonic() - begun > COMMENT_BYTES / BYTES_PER_SECOND
