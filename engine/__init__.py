"""dicomdock's engine: receives DICOM objects, labels them and files them; runs without a console.

From the top down; an import contract keeps it one-way:

- `cli`: the commands | `remote`: the control API | `app`: headless run, status, self-test, demo
- `service`: the `Engine`, which builds the parts below and starts and stops them
- `reception` (ports, associations) over `dimse` (the protocol as bytes) and `net` (sockets, TLS)
- `intake`: the line of one object, with `identification`, `processing` and `workers`
- `sessions`: what becomes of whole sessions | `queries`: answers to `api` | `monitoring`
- `index` (SQLite) | `storage` (files) | `config` (TinyDB) | `anonymize` | `inspection` | `dicom`
- `api`: what may be asked and told | `model`: values and rules | `events` | `routing` | `host`

The console uses this façade, `engine.api`, `engine.model`, `engine.events`, `engine.metrics` and
`engine.errors`, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api import EngineSnapshot, EngineView
from engine.errors import EngineError
from engine.settings import Durability, EngineSettings, default_data_dir

if TYPE_CHECKING:
    from engine.service.engine import Engine

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
        from engine.service.engine import Engine

        return Engine
    if name == "__version__":
        from importlib.metadata import version

        return version("dicomdock")
    raise AttributeError(name)
