"""Stock pynetdicom as a receiver: `python -m tests.bench.stock_receiver PORT FOLDER`.

What its documentation recommends for speed: the data set as it came, written and renamed, without
decoding it. pynetdicom sends each PDU with one call, so Nagle's algorithm does not slow it down.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

if TYPE_CHECKING:
    from pynetdicom.events import Event

MAXIMUM_ASSOCIATIONS = 200
SUCCESS = 0x0000


def store(event: Event, folder: Path) -> int:
    """Write one object under its SOP instance UID."""
    name = str(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
    part = folder / f"{name}.part"
    part.write_bytes(event.encoded_dataset())
    part.rename(folder / f"{name}.dcm")
    return SUCCESS


def main(port: int, folder: Path) -> None:
    """Receive until a signal comes."""
    entity = AE(ae_title="BENCH")
    entity.maximum_associations = MAXIMUM_ASSOCIATIONS
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    handlers: list[Any] = [(evt.EVT_C_STORE, store, [folder])]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    assert server is not None
    server.shutdown()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    main(int(sys.argv[1]), Path(sys.argv[2]))
