"""Nothing of the configuration or of a command line becomes a line of a generated file (V0)."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from engine.app.systemd_units import ListenPlace, ServiceSettings, units
from engine.cli import completions
from engine.errors import ConfigurationError
from engine.metrics import Counters, SenderCounts
from engine.model.project import Project
from engine.model.receiver import ReceiverRules, parse_receiver
from engine.model.site import SiteSettings
from engine.monitoring.exposition import render
from tests.fakes import make_snapshot
from tests.running import configure, make_receiver

if TYPE_CHECKING:
    from engine.app.systemd_units import Unit

INJECTED = 'fe80::1%lo\nExecStartPre=sh -c "id > .pwned"\nX='
PROGRAM = ("/opt/dicomdock/bin/dicomdock",)
PLAIN = ServiceSettings(PROGRAM, Path("/srv/dock"), readable=(Path("/opt/dicomdock"),))

MAY_BE_ADDED = {"StateDirectory", "StateDirectoryMode", "BindPaths", "BindReadOnlyPaths"}
_PIECES = ("\n", "\r", "\\", '"', "'", "%", "%h", "$x", ";", " ", ":", "..", "ExecStartPre=/x",
           "[Service]", "\u2028", "\x00", "a",
           "\udc80", "é", "/", "-", "+", "!", "@", "fe80::1%")  # fmt: skip
hostile = st.one_of(
    st.text(max_size=20), st.lists(st.sampled_from(_PIECES), max_size=6).map("".join)
)
scopes = st.one_of(hostile, st.from_regex(r"[0-9A-Za-z._-]{1,16}", fullmatch=True))
addresses = st.one_of(hostile, scopes.map("fe80::1%{}".format), scopes.map("192.0.2.7%{}".format))


def shape(unit: Unit) -> list[str]:
    """Return the lines of a unit without the values: sections, keys and comments."""
    assert unit.text.endswith("\n")
    lines = unit.text.split("\n")
    assert not any(line.endswith("\\") for line in lines)
    assert all(line.isprintable() for line in lines)
    return [line.partition("=")[0] if "=" in line else line for line in lines]


def specifiers(unit: Unit) -> set[str]:
    """Return what systemd would replace: a percent sign that is neither doubled nor a number's."""
    return {*re.findall("%.", unit.text.replace("%%", ""))}


@given(addresses)
def test_no_address_of_a_receiver_or_site_holds_more_than_an_address(address: str) -> None:
    places = []
    with suppress(ConfigurationError):
        values = {"ae_title": "CT", "port": 8104, "bind_address": address}
        places.append(ListenPlace(8104, parse_receiver(values, ReceiverRules()).bind_address))
    with suppress(ConfigurationError):
        places.append(ListenPlace(8104, SiteSettings.parse({"bind_address": address}).bind_address))
    for place in places:
        unit = units(replace(PLAIN, listen=(place,)))[1]
        assert shape(unit) == shape(units(PLAIN)[1])
        assert specifiers(unit) == set()


@given(hostile, hostile, hostile, hostile, addresses)
def test_no_setting_of_a_service_becomes_a_line_of_a_unit(
    directory: str, program: str, option: str, user: str, address: str
) -> None:
    for changes in (
        {"data_dir": Path(f"/srv/{directory}")},
        {"data_dir": Path(f"/var/lib/{directory}")},
        {"data_dir": Path(f"/home/{directory}")},
        {"program": (program,)},
        {"program": (f"/opt/{program}", option)},
        {"options": ("--metrics", option)},
        {"readable": (Path(f"/home/{program}"),)},
        {"user": user},
    ):
        try:
            settings = replace(PLAIN, **changes)
        except ConfigurationError:
            continue
        *both, user_file, environment = zip(units(settings), units(PLAIN), strict=True)
        for unit, plain in both:
            assert set(shape(unit)) - set(shape(plain)) <= MAY_BE_ADDED
            assert specifiers(unit) == set()
        assert [unit.text.count("\n") for unit in user_file] == [1, 1]
        assert [unit.text.count("\n") for unit in environment] == [2, 2]
    try:
        ListenPlace(8104, address)
    except ConfigurationError:
        return
    assert address.isprintable()


def test_the_attack_of_the_review_reaches_no_unit(tmp_path: Path) -> None:
    configure(tmp_path / "data", make_receiver("XNAT", 8104))
    file = tmp_path / "data" / "config.json"
    content = json.loads(file.read_text())
    for receiver in content["receivers"].values():
        receiver["bind_address"] = INJECTED
    file.write_text(json.dumps(content))
    command = (sys.executable, "-m", "engine", "--data", str(file.parent), "service", "print")
    printed = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert "ExecStartPre" not in printed.stdout
    assert "is not an address" in printed.stderr


@pytest.mark.parametrize("address", ["fe80::1%lo", "fe80::1%1"])
def test_an_address_with_a_scope_works_in_a_unit(address: str, tmp_path: Path) -> None:
    program = tmp_path / "dicomdock"
    program.write_text("#!/bin/sh")
    program.chmod(0o755)
    place = ListenPlace.parse(
        f"[{SiteSettings.parse({'bind_address': address}).bind_address}]:8104"
    )
    files = []
    for unit in units(replace(PLAIN, program=(str(program),), user="root", listen=(place,)))[:2]:
        files.append(tmp_path / unit.path.name)
        files[-1].write_text(unit.text)
    checked = subprocess.run(
        ("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *files),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_completion_answers_plain_names_of_a_configuration_only(tmp_path: Path) -> None:
    data = tmp_path / "data"
    receivers = (make_receiver("KNOWN_AE", 8104), make_receiver("$(reboot)", 8105))
    configure(data, *receivers, projects=(Project("P1"), Project("P2")))
    line = f"dicomdock --data {data} receivers edit "
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)),
             "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer")}  # fmt: skip
    command = (sys.executable, "-m", "engine")
    subprocess.run(command, env=os.environ | asked, cwd="/", timeout=50, check=True)
    answer = (tmp_path / "answer").read_text()
    assert "KNOWN_AE" in answer
    assert "reboot" not in answer
    given = argparse.Namespace(data=data)
    assert completions.receivers(given) == ["KNOWN_AE:8104"]
    assert completions.projects(given) == ["P1", "P2"]
    assert completions.sessions(given) == []
    for broken in (b"[" * 100_000, b"[]", b'{"receivers": {"1": 7}}'):
        (data / "config.json").write_bytes(broken)
        (data / "index.sqlite").write_bytes(broken)
        assert completions.receivers(given) == completions.sessions(given) == []
    shells = [
        subprocess.run(
            (*command, "completion", shell), capture_output=True, timeout=50, check=True
        ).stdout
        for shell in ("bash", "zsh", "fish")
    ]
    assert all(b"dicomdock" in text and b"KNOWN_AE" not in text for text in shells)


@given(hostile)
def test_a_callers_name_becomes_no_line_of_the_metrics(name: str) -> None:
    rows = [
        render(
            make_snapshot(receivers=()), Counters(senders=(SenderCounts(caller, 4, 1, 400),))
        ).decode("utf-8")
        for caller in (name.encode("utf-8", "replace").decode(), "CT")
    ]
    hostile_lines, plain_lines = (text.split("\n") for text in rows)
    assert len(hostile_lines) == len(plain_lines)
    names = {
        s.name for text in rows for f in text_string_to_metric_families(text) for s in f.samples
    }
    plain = {s.name for f in text_string_to_metric_families(rows[1]) for s in f.samples}
    assert names == plain
