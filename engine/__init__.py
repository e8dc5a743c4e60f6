"""dicomdock's engine: receives DICOM objects, labels them and files them; runs without a console.

The map, from the top down (import contracts keep it one-way):

- `cli`, `demo`: commands; stdout is data, stderr is everything else
- `service`: the `Engine`, which builds the parts and starts and stops them
- `answers`: what answers the questions of `view`, one module for each group of them
- `session_keeping`: the parts that look after whole sessions, for an engine or a single command
- `reception`: ports and associations | `config`: TinyDB and watchfiles
- `dimse`: the protocol as bytes, with pynetdicom's help | `net`: sockets, TLS, the one loop
- `intake`: one object's way in, from its bytes to its final file
- `inspection`: headers and images of single objects, read in a process of their own
- `sessions`: the SQLite index, and what becomes of whole sessions: built, archived, moved, deleted
- `view`: what an engine shows and does for a console | `anonymize`: DicomEdit 6 scripts
- `plugins`: what other distributions add
- `model`, `metrics`, `journal`, `events`, `clock`, `settings`, `errors`: values and rules

The console uses this façade, `engine.view`, `engine.model`, `engine.events`, `engine.metrics` and
`engine.errors`, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import EngineError
from engine.settings import Durability, EngineSettings, default_data_dir
from engine.view import EngineSnapshot, EngineView

if TYPE_CHECKING:
    from engine.service import Engine

    __version__: str

__all__ = [
    "Durability",
    "Engine",
    "EngineError",
    "EngineSettings",
    "EngineSnapshot",
    "EngineView",
    "__version__",
    "default_data_dir",
]


def __getattr__(name: str) -> object:
    """Load only where it is used what takes long: the engine itself, and who tells the version."""
    if name == "Engine":
        from engine.service import Engine

        return Engine
    if name == "__version__":
        from importlib.metadata import version

        return version("dicomdock")
    raise AttributeError(name)
