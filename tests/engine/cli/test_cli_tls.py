"""TLS and certificate-bound whitelist lines on the command line."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from tests.caller import SERVER_NAME
from tests.certificates import LONG_AGO, OVER, Authority, party, revocations

if TYPE_CHECKING:
    from tests.engine.cli.outcome import Run

CLIENT = "ct1.hospital.example"
NEW = ("receivers", "add", "--ae-title", "SAFE", "--port", "2762")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
def files(authority: Authority) -> list[str]:
    certificate, key = authority.issue(SERVER_NAME, file="server")
    return [
        f"--tls-certificate={certificate}",
        f"--tls-key={key}",
        f"--tls-ca={authority.ca_file}",
    ]


def listed(run: Run) -> dict[str, Any]:
    (record,) = run("receivers", "list", "--json").data["receivers"]
    return dict(record)


def test_naming_a_certificate_switches_tls_on_and_the_list_shows_it(
    run: Run, files: list[str]
) -> None:
    assert run(*NEW, *files).code == 0
    record = listed(run)
    assert (record["tls_enabled"], record["tls_client"]) == (True, "required")
    assert record["certificate"]["names"] == [SERVER_NAME]
    assert record["certificate"]["days_left"] > 365
    assert record["certificate"]["problem"] == ""
    assert run("receivers", "edit", "SAFE", "--no-tls").code == 0
    record = listed(run)
    assert (record["tls_enabled"], record["certificate"]) == (False, None)
    assert record["tls_key"].endswith("server.key")
    assert run("receivers", "edit", "SAFE", "--tls", "--tls-client", "none").code == 0
    assert listed(run)["tls_client"] == "none"


def test_files_are_kept_with_their_full_path(
    run: Run, files: list[str], authority: Authority
) -> None:
    before = Path.cwd()
    os.chdir(authority.folder)
    try:
        relative = ["--tls-certificate=server.pem", "--tls-key=server.key", "--tls-ca=ca.pem"]
        assert run(*NEW, *relative).code == 0
    finally:
        os.chdir(before)
    assert listed(run)["tls_key"] == str(authority.folder / "server.key")


def test_an_expired_certificate_is_saved_and_shown_as_such(run: Run, authority: Authority) -> None:
    certificate, key = authority.issue(SERVER_NAME, not_before=LONG_AGO, not_after=OVER)
    tls = [f"--tls-certificate={certificate}", f"--tls-key={key}", "--tls-client=none"]
    outcome = run(*NEW, *tls)
    assert outcome.code == 0
    assert "the certificate has expired, at 2002-01-01" in outcome.err
    assert listed(run)["certificate"]["problem"] == "has expired"
    soon = datetime.now(UTC) + timedelta(days=9, hours=1)
    authority.issue(SERVER_NAME, not_after=soon)
    outcome = run("receivers", "edit", "SAFE", "--limit", "idle_seconds=30")
    assert "the certificate expires in 9 days, at " in outcome.err


def test_a_file_that_is_gone_is_named_when_saving_and_in_the_list(
    run: Run, files: list[str], authority: Authority
) -> None:
    key = authority.folder / "server.key"
    hidden = key.rename(key.with_suffix(".hidden"))
    refused = run(*NEW, *files)
    assert refused.code == 2
    shown = str(key) if len(str(key)) <= 80 else f"…{str(key)[-79:]}"
    assert f"tls_key '{shown}': does not exist\n  → create it or name another file" in refused.err
    hidden.rename(key)
    assert run(*NEW, *files).code == 0
    (authority.folder / "server.pem").unlink()
    assert "does not exist" in listed(run)["certificate"]["problem"]
    assert run("receivers", "edit", "SAFE", "--whitelist", "CT1").code == 0


def test_a_neighbour_without_tls_is_named(run: Run, files: list[str]) -> None:
    assert run("receivers", "add", "--ae-title", "PLAIN", "--port", "2762").code == 0
    refused = run(*NEW, *files)
    assert refused.code == 2
    assert "PLAIN:2762 listens on the same port without TLS" in refused.err
    assert run("receivers", "disable", "PLAIN").code == 0
    assert run(*NEW, *files).code == 0
    refused = run("receivers", "enable", "PLAIN")
    assert refused.code == 2
    assert "listens on the same port" in refused.err


def test_a_caller_is_tried_with_its_certificate(run: Run, authority: Authority) -> None:
    line = f"CT1@10.1.0.0/16#san:{CLIENT}"
    run("receivers", "add", "--ae-title", "SAFE", "--port", "2762", "--whitelist-enabled",
        "--whitelist", line)  # fmt: skip
    caller = ("whitelist", "test", "SAFE", "--calling", "CT1", "--ip", "10.1.2.3")
    refused = run(*caller, "--json")
    assert refused.code == 1
    assert refused.data["why"].endswith("its certificate does not match: the caller showed none")
    certificate, _ = authority.issue(CLIENT)
    admitted = run(*caller, "--certificate", str(certificate), "--json")
    assert admitted.code == 0
    assert admitted.data["admitted_by"]["text"] == line
    other = run("whitelist", "test", "SAFE", "--calling", "CT1", "--ip", "10.9.2.3", "--json")
    assert "showed none and 10.9.2.3 is not in 10.1.0.0/16" in other.data["why"]
    assert run(*caller, "--certificate", "/gone.pem").code == 2


def test_lint_knows_conditions_and_what_only_looks_like_one(run: Run) -> None:
    lines = [f"CT1#san:{CLIENT}", "CT2#san:a"]
    run(*NEW, "--whitelist-enabled", *(f"--whitelist={line}" for line in lines))
    findings = run("whitelist", "lint", "SAFE", "--json").data["findings"]
    assert [(f["line"], f["finding"]) for f in findings] == [(2, "no condition")]


def test_a_devices_certificate_among_the_authorities_is_named_at_save_and_by_lint(
    run: Run, files: list[str], authority: Authority
) -> None:
    device = party("ct1", x509.DNSName(CLIENT), is_authority=True)
    with authority.ca_file.open("ab") as trusted:
        trusted.write(device.write(authority.folder / "device")[0].read_bytes())
    said = "tls_ca: CN=ct1 is one device's certificate; what it signs is not accepted"
    assert said in run(*NEW, *files).err
    authorities = listed(run)["callers"]["authorities"]
    assert [one["is_device"] for one in authorities] == [False, True]
    (finding,) = run("whitelist", "lint", "SAFE", "--json").data["findings"]
    assert (finding["line"], finding["finding"], finding["message"]) == (None, "device", said)
    assert said in run("whitelist", "lint").out
    authority.ca_file.unlink()
    (finding,) = run("whitelist", "lint", "SAFE", "--json").data["findings"]
    assert "does not exist" in finding["message"]


def test_an_authority_that_may_be_a_device_is_named_at_save(
    run: Run, files: list[str], authority: Authority
) -> None:
    """What `openssl req -x509` makes without names: nobody can tell which of both it is."""
    unnamed = party("ct1", is_authority=True)
    assert "tls_ca" not in run(*NEW, *files).err
    with authority.ca_file.open("ab") as trusted:
        trusted.write(unnamed.write(authority.folder / "unnamed")[0].read_bytes())
    said = run("receivers", "edit", "SAFE", "--limit", "idle_seconds=30").err
    assert "tls_ca: CN=ct1 is an authority; every certificate it signs is accepted; if it" in said
    assert run("whitelist", "lint", "SAFE").code == 0


def test_revocation_lists_are_named_listed_and_checked_at_save(
    run: Run, files: list[str], authority: Authority
) -> None:
    file = authority.folder / "crl.pem"
    gone = run(*NEW, *files, f"--tls-crl={file}")
    assert gone.code == 2
    assert "tls_crl" in gone.err
    file.write_bytes(revocations(authority.party, begin=LONG_AGO))
    outcome = run(*NEW, *files, f"--tls-crl={file}")
    assert outcome.code == 0
    assert "has expired, at 2001-01-08 00:00 UTC; replace the file" in outcome.err
    record = listed(run)
    assert record["tls_crl"] == str(file)
    assert record["callers"]["revocation_lists"][0]["next_update"].startswith("2001-01-08")
    assert run("receivers", "edit", "SAFE", "--tls-crl", "").code == 0
    assert listed(run)["callers"]["revocation_lists"] == []


def test_xnat_neither_gets_tls_nor_loses_it_for_us(
    run: Run, files: list[str], tmp_path: Path
) -> None:
    run(*NEW, *files, "--whitelist", f"CT1#san:{CLIENT}")
    exported = run("export-xnat")
    assert "tls" not in exported.out.lower()
    assert "asks for a certificate" in exported.err
    file = tmp_path / "xnat.json"
    file.write_text(exported.out)
    assert run("import-xnat", str(file), "--apply").code == 0
    assert listed(run)["tls_enabled"] is True
