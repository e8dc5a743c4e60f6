"""echo, send and selftest against an engine that runs, and against nobody."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from engine.cli import main
from engine.dicom.part10 import FileMeta
from engine.model.project import Project
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests import dicom
from tests.certificates import Authority
from tests.peers.scp import Mood, Scp, always
from tests.running import LOOPBACK, configure, free_port, make_receiver, stored_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.cli.outcome import Run


@dataclass(frozen=True)
class Site:
    """An engine of this process, and what its callers need."""

    data: Path
    port: int
    tls_port: int
    authority: Authority
    engine: Engine

    def peer(self, ae_title: str = "XNAT", port: int = 0) -> str:
        return f"{ae_title}@{LOOPBACK}:{port or self.port}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    root = tmp_path_factory.mktemp("site")
    data, port, tls_port = root / "data", free_port(), free_port()
    authority = Authority(root / "certificates")
    configure(
        data,
        make_receiver("XNAT", port),
        make_receiver("GUARDED", port, whitelist_enabled=True, whitelist=("CT1",)),
        make_receiver("OFF", port, enabled=False),
        make_receiver("DIRECT", port, direct_archive=True),
        make_receiver("SAFE", tls_port, **authority.settings()),
        projects=(Project("NEURO-01"),),
    )
    engine = Engine(EngineSettings(data, durability=Durability.NONE))
    engine.start()
    yield Site(data, port, tls_port, authority, engine)
    engine.stop(0)


@pytest.fixture
def data(site: Site) -> Path:
    return site.data


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder with three objects, and a text beside them."""
    folder = tmp_path / "study"
    (folder / "deeper").mkdir(parents=True)
    (folder / "notes.txt").write_text("not an image")
    for number in range(3):
        uid = f"1.2.826.9.{abs(hash(tmp_path.name))}.{number}"
        preamble = FileMeta(
            dicom.CT_IMAGE_STORAGE, dicom.EXPLICIT_VR_LITTLE_ENDIAN, "CT1", "XNAT"
        ).preamble(uid)
        content = preamble + dicom.image(SOPInstanceUID=uid)
        (folder / "deeper" / f"{number}.dcm").write_bytes(content)
    return folder


def trusting(site: Site) -> tuple[str, ...]:
    certificate, key = site.authority.issue("ct1.hospital.example")
    ca = str(site.authority.ca_file)
    shown = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    return ("--tls-ca", ca, *shown, "--tls-any-name")


def test_an_echo_is_answered(run: Run, site: Site) -> None:
    assert run("echo", site.peer()).out.splitlines()[1].startswith(f"{site.peer()}  answered in")
    record = run("echo", site.peer(), "--json").data
    assert (record["peer"], record["status"]) == (site.peer(), 0)


@pytest.mark.parametrize(
    ("called", "options", "code", "says"),
    [
        ("NOBODY", (), 9, "there is no AE title NOBODY"),
        ("OFF", (), 9, "there is no AE title OFF"),
        ("GUARDED", (), 9, "the calling AE title DICOMDOCK is not allowed"),
        ("GUARDED", ("--calling", "CT1"), 0, ""),
        ("XNAT", ("--tls", "--timeout", "1"), 8, "no TLS"),
        ("XNAT", ("--tls-certificate", "/a.pem"), 2, "goes with tls_certificate"),
        ("XNAT", ("--timeout", "0"), 2, "is no number of seconds from 1 to 3600"),
        ("WAY TOO LONG AE TITLE", (), 2, "longer than 16 characters"),
    ],
)
def test_why_an_echo_fails_is_said_and_the_exit_code_tells_kinds_apart(
    run: Run, site: Site, called: str, options: tuple[str, ...], code: int, says: str
) -> None:
    outcome = run("echo", site.peer(called), *options)
    assert outcome.code == code, outcome.err
    assert says in outcome.err


def test_a_wrong_port_is_exit_code_8_and_a_wrong_name_is_2(run: Run, site: Site) -> None:
    nobody = site.peer(port=free_port())
    outcome = run("echo", nobody, "--json")
    assert outcome.code == 8
    assert outcome.error["detail"] == f"{nobody}: connection refused"
    assert "firewall" in outcome.error["remedy"]
    for wrong in ("XNAT", "XNAT@host", "XNAT@h/ost:104", "XNAT@host:0", "XNAT@host:x"):
        assert run("echo", wrong).code == 2


def test_tls_is_spoken_with_both_certificates(run: Run, site: Site) -> None:
    peer = site.peer("SAFE", site.tls_port)
    assert run("echo", peer, *trusting(site)).code == 0
    outcome = run("echo", peer, *trusting(site)[:-1])
    assert outcome.code == 8
    assert "its certificate is not accepted" in outcome.err
    outcome = run("echo", peer, "--tls-ca", str(site.data / "none.pem"))
    assert outcome.code == 2
    assert "does not exist" in outcome.err


def test_the_dicom_files_of_a_folder_are_sent(run: Run, site: Site, study: Path) -> None:
    outcome = run("send", str(study), site.peer(), "--json")
    assert outcome.code == 0
    record = outcome.data
    assert (record["files"], record["stored"], record["statuses"]) == (3, 3, {"0x0000": 3})
    assert (record["failures"], record["not_sent"], record["error"]) == ([], 0, None)
    table = run("send", str(study), site.peer()).out.splitlines()
    assert table[1].split()[:4] == [site.peer(), "3", "0", "0"]


def test_a_named_file_that_is_no_object_is_refused_before_anything_is_sent(
    run: Run, study: Path
) -> None:
    outcome = run("send", str(study), str(study / "notes.txt"), "XNAT@127.0.0.1:1")
    assert (outcome.code, outcome.out) == (2, "")
    assert "notes.txt is no DICOM file" in outcome.err


def test_nothing_to_send_is_said(run: Run, site: Site, tmp_path: Path) -> None:
    assert "there is no DICOM file" in run("send", str(tmp_path), site.peer()).err
    assert "does not exist" in run("send", str(tmp_path / "none"), site.peer()).err


def test_a_rejected_send_says_how_many_were_not_sent(run: Run, site: Site, study: Path) -> None:
    outcome = run("send", str(study), site.peer("GUARDED"), "--json")
    assert outcome.code == 9
    assert (outcome.data["stored"], outcome.data["not_sent"]) == (0, 3)
    assert "is not allowed" in outcome.data["error"]


def test_a_send_that_breaks_off_tells_what_arrived(run: Run, study: Path) -> None:
    with Scp(mood=Mood.ABORT) as scp:
        outcome = run("send", str(study), f"PACS@{LOOPBACK}:{scp.port}")
    assert outcome.code == 8
    assert outcome.out.splitlines()[1].split()[1:4] == ["0", "0", "3"]
    assert "aborted the association" in outcome.err


def test_failures_are_named_up_to_a_number(run: Run, tmp_path: Path, study: Path) -> None:
    (first, *_) = sorted(study.rglob("*.dcm"))
    for number in range(25):
        (study / f"{number}.dcm").write_bytes(first.read_bytes())
    with Scp() as scp:
        scp.status = always(0xC000)
        outcome = run("send", str(study), f"PACS@{LOOPBACK}:{scp.port}")
    assert outcome.code == 9
    assert outcome.err.count("0xC000 (cannot understand)") == 20
    assert "… and 8 more" in outcome.err.encode("utf-8", "replace").decode()


def test_a_terminal_shows_the_progress(
    run: Run, site: Site, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Scp() as scp:
        scp.status = lambda uid: 0xA700 if uid.endswith(".1") else 0
        outcome = run("send", str(study), f"PACS@{LOOPBACK}:{scp.port}")
    assert "2 of 3 stored, 1 not taken, " in outcome.err


def test_a_send_asks_for_commitment_if_it_is_told_to(run: Run, site: Site, study: Path) -> None:
    sent = run("send", str(study), site.peer(), "--commit", "--json")
    assert (sent.code, sent.data["committed"], sent.data["not_committed"]) == (0, 3, [])
    assert "'0' is no port" in run("send", str(study), site.peer(), "--commit-port", "0").err


@pytest.mark.parametrize(
    ("receiver", "calling", "tls"),
    [
        ("XNAT", "CT1", "is off"),
        ("GUARDED", "CT1", "is off"),
        ("DIRECT", "CT1", "is off"),
        ("SAFE", "CT1", "the certificate is valid for"),
    ],
)
def test_a_selftest_goes_all_the_way_and_leaves_nothing(
    run: Run, site: Site, receiver: str, calling: str, tls: str
) -> None:
    before = {*stored_files(site.data), *site.data.glob("archive/**/*.dcm")}
    outcome = run("selftest", receiver, "--calling", calling, "--json")
    assert outcome.code == 0, outcome.out
    assert outcome.data["ok"]
    steps = {step["step"]: step["detail"] for step in outcome.data["steps"]}
    guarded = ("stranger",) if receiver == "GUARDED" else ()
    assert list(steps) == [
        *("engine", "receiver", "whitelist", *guarded, "TLS", "association", "contexts"),
        *("C-ECHO", "C-STORE", "route", "disk", "sent again", "commitment", "removal"),
    ]
    assert steps["sent again"] == "is a duplicate, and not stored twice"
    assert tls in steps["TLS"]
    assert "session DICOMDOCK-SELFTEST" in steps["route"]
    assert "as it was sent" in steps["disk"]
    assert {*stored_files(site.data), *site.data.glob("archive/**/*.dcm")} == before
    assert list((site.data / "trash").iterdir()) == []
    sessions = run("sessions", "list", "--json").data["sessions"]
    assert not [s for s in sessions if s["label"] == "DICOMDOCK-SELFTEST"]


@pytest.mark.parametrize(
    ("receiver", "calling", "code", "step", "says"),
    [
        ("GUARDED", "CT2", 9, "whitelist", "calling AE title CT2 from 127.0.0.1"),
        ("OFF", "CT1", 9, "receiver", "is disabled"),
        ("NONE", "CT1", 4, "", "there is no receiver 'NONE'"),
        ("XNAT", "A\\B", 2, "", "contains a backslash"),
    ],
)
def test_a_selftest_says_at_which_step_it_ends(
    run: Run, site: Site, receiver: str, calling: str, code: int, step: str, says: str
) -> None:
    outcome = run("selftest", receiver, "--calling", calling)
    assert outcome.code == code
    assert says in outcome.out + outcome.err
    if step:
        assert re.search(f"^{step} +FAILED", outcome.out, re.MULTILINE)


def test_a_selftest_needs_an_engine(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(tmp_path / "other", make_receiver("XNAT", free_port()))
    assert main(["--data", str(tmp_path / "other"), "selftest", "XNAT", "--calling", "CT1"]) == 8
    assert "no engine runs on this data directory" in capsys.readouterr().out


def test_a_selftest_of_an_object_that_a_filter_keeps_out_says_so(run: Run, site: Site) -> None:
    before = site.engine.site()
    wanted = replace(before.sessions, series_filter="whitelist\n[Modality]\nCT")
    site.engine.set_site(replace(before, sessions=wanted), "test")
    try:
        outcome = run("selftest", "XNAT", "--calling", "CT1")
    finally:
        site.engine.set_site(before, "test")
    assert outcome.code == 1
    assert "the object is filtered, not stored" in outcome.out
