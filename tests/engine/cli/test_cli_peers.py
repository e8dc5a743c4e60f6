"""echo, send and selftest against an engine that runs, and against nobody."""

from __future__ import annotations

import json
import re
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydicom import dcmread

from engine.cli import main, progress
from engine.dicom.part10 import FileMeta
from engine.dimse.commitment_scu import CommitmentResult
from engine.importing.commitment import Commitment
from engine.model.project import Project
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests import dicom
from tests.certificates import Authority
from tests.engine.importing.files import dicom_file, write_dicomdir, write_zip
from tests.peers.scp import Mood, Scp, always
from tests.running import LOOPBACK, configure, free_port, make_receiver, stored_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.dimse.commitment import Reference
    from engine.importing.outcomes import Result
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
    table = run("send", str(study), site.peer(), "--jobs", "2").out.splitlines()
    assert [line.split() for line in table[1:]] == [["stored", "3"], ["not", "DICOM", "1"]]


def test_archives_and_media_are_sent_as_they_are_imported(
    run: Run, study: Path, tmp_path: Path
) -> None:
    files = {path.name: path.read_bytes() for path in study.rglob("*.dcm")}
    archive = write_zip(tmp_path / "study.zip", files)
    (tmp_path / "DISC").mkdir()
    (tmp_path / "DISC" / "IM1").write_bytes(dicom_file("1.2.826.9.4"))
    medium = write_dicomdir(tmp_path, ("DISC", "IM1"), ("DISC", "GONE"))
    with Scp() as scp:
        peer = f"PACS@{LOOPBACK}:{scp.port}"
        outcome = run("send", str(archive), str(medium), peer, "--json")
    assert outcome.code == 9
    assert outcome.data["outcomes"] == {"missing": 1, "stored": 4}
    (missing,) = outcome.data["failures"]
    assert (Path(missing["file"]).name, missing["status"]) == ("GONE", None)
    assert len(set(scp.uids())) == 4


def test_a_send_goes_on_after_an_interruption_and_only_with_the_same_peer(
    run: Run, study: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    with Scp() as scp:
        peer = f"PACS@{LOOPBACK}:{scp.port}"
        words = ("send", str(study), peer, "--report", str(report))
        scp.status = lambda uid: 0xA700 if uid.endswith(".1") else 0
        full = run(*words)
        assert full.code == 9
        assert full.err.count("the peer has no room: 0xA700 (out of resources)") == 1
        assert f"go on with: --report {report} --resume" in full.err
        scp.status = always(0)
        again = run(*words, "--resume", "--json")
        other = run("send", str(study), f"OTHER{peer}", "--report", str(report), "--resume")
        asking = run(*words, "--resume", "--commit")
    assert (again.code, again.data["stored"], again.data["stored_before"]) == (0, 2, 1)
    assert sorted(uid[-1] for uid in scp.uids()) == ["0", "1", "2"]
    lines = [json.loads(line) for line in report.read_text().splitlines()[1:]]
    assert [line["status"] for line in lines if line["status"] is not None] == [0, 0xA700, 0, 0]
    for refused in (other, asking):
        assert (refused.code, "no report of this send" in refused.err) == (2, True)


def test_a_named_file_that_is_no_object_is_refused_before_anything_is_sent(
    run: Run, study: Path
) -> None:
    outcome = run("send", str(study), str(study / "notes.txt"), "XNAT@127.0.0.1:1")
    assert (outcome.code, outcome.out) == (2, "")
    assert "notes.txt is no DICOM file" in outcome.err


def test_nothing_to_send_is_said(run: Run, site: Site, tmp_path: Path) -> None:
    assert "there is no DICOM file" in run("send", str(tmp_path), site.peer()).err
    nothing = run("send", str(tmp_path / "none"), site.peer())
    assert (nothing.code, "No such file or directory" in nothing.err) == (2, True)
    assert "'65' is no number from 1 to 64" in run(
        "send", str(tmp_path), site.peer(), "--jobs", "65"
    ).err  # fmt: skip


def test_a_rejected_send_says_why(run: Run, site: Site, study: Path) -> None:
    outcome = run("send", str(study), site.peer("GUARDED"), "--json")
    # No one has listed them.
    assert (outcome.code, outcome.data["stored"], outcome.data["not_sent"]) == (9, 0, None)
    assert "is not allowed" in outcome.data["error"]


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_a_send_to_a_peer_that_breaks_every_association_says_so(
    run: Run, study: Path, jobs: str
) -> None:
    with Scp(mood=Mood.ABORT) as scp:
        outcome = run("send", str(study), f"PACS@{LOOPBACK}:{scp.port}", "--jobs", jobs)
    assert outcome.code == 8
    assert outcome.out.splitlines()[1].split() == ["failed", "3"]
    assert "aborted the association" in outcome.err


def test_an_object_that_got_no_answer_is_sent_again(run: Run, study: Path) -> None:
    with Scp() as scp:
        scp.aborts = 2
        outcome = run("send", str(study), f"PACS@{LOOPBACK}:{scp.port}", "--json")
    assert (outcome.code, outcome.data["outcomes"]["stored"]) == (0, 3)
    assert sorted(uid[-1] for uid in scp.uids()) == ["0", "1", "2"]


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
    run: Run, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(progress, "ON_TERMINAL_SECONDS", 0.0)
    with Scp() as scp:
        scp.status = lambda uid: 0xC000 if uid.endswith(".1") else 0
        outcome = run("send", str(study), f"PACS@{LOOPBACK}:{scp.port}")
    assert re.search(r"3 files, [\d,]+ files/s, [\d.]+ MB/s, 1 failed, \d+ s left", outcome.err)


def test_a_terminal_shows_what_awaits_commitment(
    run: Run, site: Site, study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = threading.Event()

    def outcomes(self: Commitment, *given: Any) -> list[Result]:
        assert shown.wait(20)
        return real(self, *given)

    def write(text: str) -> int:
        if "3 await commitment" in text:
            shown.set()
        return len(text)

    real = Commitment.outcomes
    monkeypatch.setattr(Commitment, "outcomes", outcomes)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "write", write)
    monkeypatch.setattr(progress, "ON_TERMINAL_SECONDS", 0.0)
    assert run("send", str(study), site.peer(), "--commit").code == 0


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_a_send_asks_for_commitment_if_it_is_told_to(
    run: Run, site: Site, study: Path, jobs: str
) -> None:
    sent = run("send", str(study), site.peer(), "--commit", "--jobs", jobs, "--json")
    assert (sent.code, sent.data["committed"], sent.data["not_committed"]) == (0, 3, [])
    assert "'0' is no port" in run("send", str(study), site.peer(), "--commit-port", "0").err


def test_what_a_peer_does_not_commit_to_is_in_the_output_and_in_the_report(
    run: Run, site: Site, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = "deeper/1.dcm"
    uid = dcmread(study / lost).SOPInstanceUID

    def why_not(self: CommitmentResult, reference: Reference) -> str:
        return "0x0110 (processing failure)" if reference.sop_instance_uid == uid else ""

    monkeypatch.setattr(CommitmentResult, "why_not", why_not)
    report = tmp_path / "report"
    words = ("send", str(study), site.peer(), "--commit", "--report", str(report))
    outcome = run(*words)
    assert outcome.code == 9
    assert f"{lost}: not committed: 0x0110 (processing failure)" in outcome.err
    monkeypatch.undo()
    again = run(*words, "--resume", "--json")
    assert (again.code, again.data["committed"], again.data["stored_before"]) == (0, 1, 2)
    lines = [json.loads(line) for line in report.read_text().splitlines()[1:]]
    assert [line["outcome"] for line in lines if line["source"].endswith(lost)] == [
        *("not committed", "stored"),
    ]


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
