"""A job on a Dask cluster, with files in an object store, whose result is that of one process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from engine.cli import main
from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import pytest

SCRIPT = """version "6.6"
(0008,0018) := hashUID[(0008,0018)]
(0020,000D) := mapUID[(0020,000D), "1.9"]
(0010,0010) := "A"
"""
FILES = 100
"""Four chunks."""
HOST = "127.0.0.1"
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=a/20261201/us-east-1/s3/aws4_request,"
    " SignedHeaders=host, Signature=0"
}
"""That of the owner: others may not read what was uploaded. The store does not check it."""


def make_file(number: int, file: Path) -> Path:
    ds = dcmread(str(get_testdata_file("CT_small.dcm")))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.{number}")
    file.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(file)
    return file


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 50
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Processes(ExitStack):
    """Programs that are killed at the end."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        super().__init__()
        self._folder, self._environment = folder, environment

    def start(self, *words: str) -> subprocess.Popen[str]:
        command, out = [sys.executable, "-m", *words], self._folder / f"{words[0]}{id(words)}.log"
        process = subprocess.Popen(
            *(command,),
            cwd=self._folder,
            env=self._environment,
            stdout=self.enter_context(out.open("w")),
            stderr=subprocess.PIPE if words[0] == "engine" else subprocess.STDOUT,
            text=True,
        )
        self.enter_context(process)
        self.callback(process.kill)
        return process


def test_a_cluster_that_loses_a_worker_makes_the_same_files_as_one_process(
    tmp_path: Path,
) -> None:
    store, scheduler = f"http://{HOST}:{free_port()}", f"tcp://{HOST}:{free_port()}"
    given, names = tmp_path / "in", [f"{n % 3}/{n}.dcm" for n in range(FILES)]
    (tmp_path / "s.das").write_text(SCRIPT)
    environment = os.environ | {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": store,
    }
    words = ["anonymize", "s.das", "s3://hospital/in", "-o", "s3://hospital/out"]
    with (
        Processes(tmp_path, environment) as processes,
        httpx.Client(base_url=store, headers=SIGNED) as s3,
    ):
        start = processes.start
        start("moto.server", "-H", HOST, "-p", store.rsplit(":", 1)[1])
        port = scheduler.rsplit(":", 1)[1]
        start("distributed.cli.dask_scheduler", "--host", HOST, "--port", port, "--no-dashboard")
        nobody = start("engine", *words, "--dask", f"tcp://{HOST}:{free_port()}")
        options = ("--no-nanny", "--nthreads", "1", "--no-dashboard")
        workers = [start("distributed.cli.dask_worker", scheduler, *options) for _ in range(3)]
        for number, name in enumerate(names):
            make_file(number, given / name)
        wait_for(lambda: answers(s3))
        s3.put("/hospital")
        for name, content in tree(given).items():
            assert s3.put(f"/hospital/in/{name}", content=content).is_success
        report = ("--report", "report", "--uid-map", "uids")
        command = start("engine", *words, "--dask", scheduler, *report)
        wait_for(lambda: keys(s3) or command.poll() is not None)
        workers[0].kill()
        _, said = command.communicate(timeout=50)
        assert command.returncode == 0, said
        made = {name: s3.get(f"/hospital/out/{name}").content for name in keys(s3)}
        _, said = nobody.communicate(timeout=20)
        assert (nobody.returncode, "no scheduler answers at tcp://" in said) == (8, True)
    assert len(tmp_path.joinpath("report").read_text().splitlines()) == 1 + FILES
    script, out = str(tmp_path / "s.das"), tmp_path / "out"
    alone = [script, str(given), "-o", str(out), "--jobs", "1", "--uid-map", str(tmp_path / "uids")]
    assert main(["anonymize", *alone]) == 0
    assert sorted(made) == sorted(names)
    assert made == tree(out)


def answers(s3: httpx.Client) -> bool:
    try:
        return s3.get("/").is_success
    except httpx.TransportError:
        return False


def keys(s3: httpx.Client) -> Sequence[str]:
    listing = s3.get("/hospital", params={"prefix": "out/"}).text
    return [part.split("</Key>")[0] for part in listing.split("<Key>out/")[1:]]


def test_without_dask_the_command_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, script = make_file(1, tmp_path / "a.dcm"), tmp_path / "s.das"
    script.write_text(SCRIPT)
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    for words in (["-o", str(tmp_path / "b"), "--dask", "tcp://x:1"], ["-o", "s3://bucket/b"]):
        assert main(["anonymize", str(script), str(file), *words]) in {2, 8}
        assert "pip install 'dicomdock[dask]'" in capsys.readouterr().err
