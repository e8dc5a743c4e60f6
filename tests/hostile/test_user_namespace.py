"""In a namespace that maps one user only, others are unknown, and never who they say (V6)."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

from tests.running import LOGIN, EngineProcess, configure, free_port, make_receiver
from tests.serving import send

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hostile.conftest import Service

OTHER = 1234
_ONE_USER = ("unshare", "--user", "--map-root-user", "--")
"""As `PrivateUsers=yes` does: only the engine's own user has a number there."""
CHANGE = json.dumps({"actor": "berta (console)"}).encode()


def namespace() -> tuple[str, ...]:
    """Return what runs a command in such a namespace; nothing where there are none."""
    ran = subprocess.run((*_ONE_USER, "true"), capture_output=True, check=False)
    return () if ran.returncode else _ONE_USER


def change_as_another_user(file: Path) -> None:
    """Undo a change; the kernel keeps who connects, if this may be somebody else."""
    file.chmod(0o666)
    if os.geteuid() == 0:
        os.seteuid(OTHER)
    try:
        status, answer = send(file, "POST", "/v1/undo", CHANGE)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
    assert status == 200, answer


def test_who_has_no_number_in_the_engines_namespace_is_unknown(service: Service) -> None:
    configure(service.data, make_receiver("XNAT", free_port()))
    os.chown(service.data, os.geteuid(), os.getegid())
    for path in service.data.rglob("*"):
        os.chown(path, os.geteuid(), os.getegid())
    service.data.chmod(0o755)
    through = namespace()
    engine = EngineProcess(service.data, through=through)
    try:
        engine.wait_until_listening(1)
        change_as_another_user(service.data / "control.sock")
    finally:
        engine.kill()
    history = json.loads(service.run("config", "history", "--json").stdout)
    author = history["revisions"][0]["changed_by"]
    if os.geteuid() == 0:
        name = "user unknown" if through else f"user {OTHER}"
    else:
        name = "root" if through else LOGIN
    assert author == f"{name}, says: berta (console)"
