"""`support-bundle`: what is in it, and above all what is not."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING

from engine.host.clock import SystemClock
from engine.model.alerts import AlertSettings, AlertTarget
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, configure, free_port, make_receiver

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.cli.outcome import Run

PLANTED = ("Geheim", "PAT4711", "wl.secret", "10.66.66.66", "s3cr3t", "1.2.840.99999", "key.pem")


def contents(path: Path) -> dict[str, str]:
    with tarfile.open(path) as archive:
        found = {}
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            found[member.name.rpartition("/")[2]] = file.read().decode()
        return found


def fill(run: Run, data: Path) -> int:
    """Make a data directory with patients, secrets and names wherever there may be some."""
    from dataclasses import replace

    from engine.app.demo.sender import CT_SCANNER, study
    from engine.config.store import ConfigurationStore

    port = free_port()
    configure(data, make_receiver("XNAT", port))
    run("projects", "add", "P1", "--title", "Geheim", "--alias", "s3cr3t")
    run("receivers", "add", "--ae-title", "FIXED", "--port", str(port + 1), "--no-enabled",
        "--identifier", "fixedProjectSubject", "--identifier-setting", "project=P1",
        "--identifier-setting", "subject=Geheim", "--whitelist", "CT1@10.66.66.66")  # fmt: skip
    store = ConfigurationStore(data / "config.json", clock=SystemClock())
    site = store.load().site
    told = AlertSettings((AlertTarget("ops", webhook="https://wl.secret/s3cr3t"),))
    store.set_site(replace(site, alerts=told), "Geheim from 10.66.66.66")
    engine = Engine(EngineSettings(data, durability=Durability.NONE))
    engine.start()
    with SendingAssociation(
        Destination(LOOPBACK, port, "XNAT", "CT1"), [CT_SCANNER.sop_class_uid]
    ) as peer:
        ds = next(iter(study(CT_SCANNER, 1, "P1", SystemClock().now())))
        ds.PatientName, ds.PatientID, ds.StudyInstanceUID = (
            "Geheim^Paul",
            "PAT4711",
            "1.2.840.99999.1",
        )
        assert peer.send(ds) == 0
    engine.stop(drain_seconds=5)
    return port


def test_a_bundle_helps_and_tells_nothing_of_patients_people_and_secrets(
    run: Run, data: Path, tmp_path: Path
) -> None:
    port = fill(run, data)
    with (data / "logs" / "events.jsonl").open("a") as log:
        log.write('{"kind": "Odd", "note": "Geheim", "message": "from 10.66.66.66"}\nGeheim\n')
    with (data / "logs" / "metrics.prom").open("a") as metrics:
        metrics.write("Geheim 1\n")
    outcome = run("support-bundle", "-o", str(tmp_path / "b.tar.gz"), "--check", "--json")
    found = contents(tmp_path / "b.tar.gz")
    assert outcome.data["contains"] == list(found)
    everything = "\n".join(found.values())
    assert [planted for planted in PLANTED if planted in everything] == []
    settings = json.loads(found["settings.json"])
    assert [r["ae_title"] for r in settings["receivers"]] == ["XNAT", "FIXED"]
    assert f'dicomdock_received_bytes_total{{receiver="XNAT:{port}"}}' in found["metrics.prom"]
    assert json.loads(found["check.json"])["agrees"] is True
    assert json.loads(found["about.json"])["packages"]["pydicom"]
    assert "AssociationEstablished" in found["events.jsonl"]
    assert "ConfigurationApplied" in found["audit.jsonl"]
    assert "AssociationEstablished" not in found["audit.jsonl"]
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o777 == 0o600
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        assert {entry.mode for entry in archive} == {0o600}


def test_a_bundle_is_made_of_what_can_be_read_and_replaces_no_file(
    run: Run, data: Path, tmp_path: Path
) -> None:
    assert run("support-bundle", "--data", str(tmp_path / "none")).code == 4
    (data / "config.json").write_text("broken")
    outcome = run("support-bundle", "-o", str(tmp_path / "b.tar.gz"))
    assert outcome.code == 0
    assert "the settings are left out" in outcome.err
    assert "check.json" not in contents(tmp_path / "b.tar.gz")
    assert json.loads(contents(tmp_path / "b.tar.gz")["settings.json"]) is None
    assert run("support-bundle", "-o", str(tmp_path / "b.tar.gz")).code == 2
