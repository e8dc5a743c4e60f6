"""The commands backup and restore beside an engine that receives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pydicom

from engine.cli import main
from tests.interop.test_crash import Sender
from tests.running import configure, engine_process, free_port, make_receiver, stored_files

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def uids(data: Path) -> set[str]:
    return {str(pydicom.dcmread(file).SOPInstanceUID) for file in stored_files(data)}


def test_what_was_answered_before_is_restored_and_reception_goes_on_meanwhile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, new, file, port = tmp_path / "data", tmp_path / "new", tmp_path / "b.tar", free_port()

    def run(where: Path, *arguments: str) -> int:
        capsys.readouterr()
        return main(["--data", str(where), *arguments])

    configure(data, make_receiver("XNAT", port))
    sender = Sender(port)
    with engine_process(data, 1, "--durability", "none", "--receiving-processes", "0") as running:
        sender.start()
        sender.wait_for(5)
        answered = {str(ds.SOPInstanceUID) for ds in sender.succeeded}
        assert run(data, "backup", "-o", str(file), "--objects") == 0
        sender.wait_for(len(sender.succeeded) + 5)
        assert run(data, "restore", str(file), "--replace") == 3
        # The secrets of the configuration are in it: the audit log says who made it.
        assert run(data, "events", "--audit") == 0
        assert "by: backup" in capsys.readouterr().out
        running.kill()
        sender.join()
    assert json.loads((data / "last-backup.json").read_text())["objects"] is True
    assert run(new, "restore", str(file)) == 0
    assert answered <= uids(new)
    # Rows of the last 50 ms may be missing: their objects are said, and adopted.
    assert run(new, "check") in {0, 1}
    assert "missing on disk" not in capsys.readouterr().out
    run(new, "check", "--adopt")
    assert run(new, "check", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["receivers"][0]["states"] == {"stored": len(stored_files(new))}
    # Nothing is overwritten unasked, and another file is no backup.
    assert run(new, "restore", str(file), "--state-only") == 5
    assert "put aside what is there with --replace" in capsys.readouterr().err
    assert run(new, "backup", "--verify", str(data / "config.json")) == 2
    assert "no sound tar file" in capsys.readouterr().err
