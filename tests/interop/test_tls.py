"""DCMTK's tools and OpenSSL's own client against a TLS port of an engine in a second process."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from engine.model.tls import ClientCertificates
from tests.caller import SERVER_NAME, echo_bytes
from tests.certificates import Authority
from tests.dicom import CT_IMAGE_STORAGE, EXPLICIT_VR_LITTLE_ENDIAN, Element, encode, image
from tests.interop.test_dcmtk import data_set_of
from tests.running import (
    LOOPBACK,
    configure,
    engine_process,
    free_port,
    leftovers,
    make_receiver,
    run_dcmtk,
    stored_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.running import EngineProcess

CLIENT = "ct1.hospital.example"
PIXEL_BYTES = (0, 40_000, 1_000_000, 9_000_000)
"""Below, about and far above the receive buffer."""


class Ports:
    """One port that requires certificates, and one that does not ask."""

    def __init__(self, data: Path, authority: Authority) -> None:
        self.guarded, self.open = free_port(), free_port()
        tls = authority.settings()
        configure(
            data,
            make_receiver(
                "GUARDED",
                self.guarded,
                whitelist_enabled=True,
                whitelist=(f"STORESCU#san:{CLIENT}",),
                **tls,
            ),
            make_receiver("OPEN", self.open, **tls, tls_client=ClientCertificates.NONE),
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def ports(tmp_path: Path, authority: Authority) -> Ports:
    return Ports(tmp_path / "data", authority)


@pytest.fixture
def running(tmp_path: Path, ports: Ports) -> Iterator[EngineProcess]:
    with engine_process(tmp_path / "data", 2, "--durability", "none") as running:
        yield running


def with_certificate(authority: Authority) -> list[str]:
    certificate, key = authority.issue(CLIENT)
    return ["+tls", str(key), str(certificate), "+cf", str(authority.ca_file)]


def write_objects(folder: Path) -> list[Path]:
    folder.mkdir()
    files = []
    for number, length in enumerate(PIXEL_BYTES, start=1):
        uid = f"1.2.826.0.1.3680043.8.498.7.{number}"
        meta = [
            Element(0x00020002, "UI", CT_IMAGE_STORAGE),
            Element(0x00020003, "UI", uid),
            Element(0x00020010, "UI", EXPLICIT_VR_LITTLE_ENDIAN),
        ]
        encoded = encode(meta, EXPLICIT_VR_LITTLE_ENDIAN)
        group = encode([Element(0x00020000, "UL", len(encoded))], EXPLICIT_VR_LITTLE_ENDIAN)
        data_set = image(SOPInstanceUID=uid, pixels=bytes(range(250)) * (length // 250))
        files.append(folder / f"{number}.dcm")
        files[-1].write_bytes(bytes(128) + b"DICM" + group + encoded + data_set)
    return files


@pytest.mark.parametrize("tool", ["echoscu", "storescu"])
def test_a_caller_with_its_certificate_is_served(
    running: EngineProcess, ports: Ports, authority: Authority, tmp_path: Path, tool: str
) -> None:
    files = write_objects(tmp_path / "send")
    arguments = [str(file) for file in files] if tool == "storescu" else []
    answer = run_dcmtk(tool, *with_certificate(authority), "-aet", "STORESCU", "-aec", "GUARDED",
                       LOOPBACK, str(ports.guarded), *arguments)  # fmt: skip
    assert answer.returncode == 0, answer.stderr + answer.stdout
    assert running.terminate() == 0
    sent = {data_set_of(file) for file in files if arguments}
    assert {data_set_of(file) for file in stored_files(running.data_dir)} == sent
    assert leftovers(running.data_dir) == []


def test_a_caller_without_certificate_is_served_where_none_is_asked_for(
    running: EngineProcess, ports: Ports, authority: Authority
) -> None:
    anonymous = ["+tla", "+cf", str(authority.ca_file)]
    answer = run_dcmtk("echoscu", *anonymous, "-aec", "OPEN", LOOPBACK, str(ports.open))
    assert answer.returncode == 0, answer.stderr + answer.stdout
    answer = run_dcmtk("echoscu", *anonymous, "-aec", "GUARDED", LOOPBACK, str(ports.guarded))
    assert answer.returncode != 0


def test_a_caller_without_tls_gets_a_rejection_that_it_can_show(
    running: EngineProcess, ports: Ports
) -> None:
    answer = run_dcmtk("echoscu", "-aec", "GUARDED", LOOPBACK, str(ports.guarded))
    assert answer.returncode != 0
    assert "Association Rejected" in answer.stderr + answer.stdout


def test_a_key_update_in_the_middle_disturbs_nothing(
    running: EngineProcess, ports: Ports, authority: Authority
) -> None:
    command = ["openssl", "s_client", "-connect", f"{LOOPBACK}:{ports.open}", "-brief",
               "-CAfile", str(authority.ca_file), "-servername", SERVER_NAME]  # fmt: skip
    request, echo = echo_bytes("OPEN")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stderr is not None
        while b"Verification" not in client.stderr.readline():
            pass
        for said, kind in ((request, 2), (b"K\n", 0), (echo, 4), (b"K\n", 0), (echo, 4)):
            client.stdin.write(said)
            client.stdin.flush()
            if kind:
                head = client.stdout.read(6)
                assert head[0] == kind
                client.stdout.read(int.from_bytes(head[2:], "big"))
            else:
                while b"KEYUPDATE" not in client.stderr.readline():
                    pass
        client.kill()
