"""What an engine knows of objects, sessions and senders, asked by commands over its real socket."""

from __future__ import annotations

import struct
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from engine.app.demo.sender import CT_SCANNER, study
from engine.events import IdentifyingValuesShown
from engine.model.identity import MASK
from engine.model.processor import Processor
from engine.model.project import Project
from engine.remote.host import serve
from engine.service.engine import Engine
from engine.settings import Durability, EngineSettings
from tests.peers.scu import Destination, SendingAssociation
from tests.running import LOOPBACK, configure, free_port, make_receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.cli.outcome import Run

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)
COPIES = 'version "6.1"\n(0018,1030) := (0010,0010)\n- (0010,1010)\n'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects") / "data"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def engine(data: Path, port: int) -> Iterator[Engine]:
    receiver = make_receiver("XNAT", port, custom_processing=True, anonymization=False)
    configure(data, receiver, projects=(Project("A"), Project("B")))
    settings = EngineSettings(data, durability=Durability.NONE)
    engine = Engine(settings)
    engine.start()
    end = serve(engine, settings)
    try:
        yield engine
    finally:
        end()
        engine.stop(drain_seconds=0)


@pytest.fixture(scope="module")
def uid(engine: Engine, port: int) -> str:
    """The SOP Instance UID of an object that arrived."""
    ds = next(study(CT_SCANNER, 1, "A", NOW))
    ds.PatientComments = f"{ds.PatientComments} AA:false"
    to = Destination(LOOPBACK, port, "XNAT", "CT_1")
    with SendingAssociation(to, [CT_SCANNER.sop_class_uid]) as peer:
        assert peer.send(ds) == 0
    assert engine._index.flush(10)
    return str(ds.SOPInstanceUID)


class Viewers:
    """Who was shown values since the test began."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._before = len(self._all())

    @property
    def names(self) -> list[str]:
        return self._all()[self._before :]

    def _all(self) -> list[str]:
        events = [recorded.event for recorded in self._engine.events_since(0, 10_000).events]
        return [event.by for event in events if isinstance(event, IdentifyingValuesShown)]


@pytest.fixture
def viewers(engine: Engine) -> Viewers:
    return Viewers(engine)


def values(run: Run, *words: str) -> dict[str, str]:
    rows = run("objects", "show", *words, "--json").data["elements"]
    return {row["keyword"]: row["value"] for row in rows}


def test_a_header_is_shown_masked_until_values_are_asked_for_which_is_kept(
    run: Run, engine: Engine, uid: str, viewers: Viewers
) -> None:
    (recent,) = run("objects", "recent", "--calling", "CT_1", "--json").data["objects"]
    assert recent["reference"]["sop_instance_uid"] == uid
    assert uid in run("objects", "recent").out
    place = f"{recent['reference']['session']}:{recent['reference']['file']}"
    masked = run("objects", "show", uid)
    assert "identifying values are masked" in masked.err
    for words in ((uid,), (place,), (uid, "--as-received")):
        assert values(run, *words)["PatientName"] == MASK
    assert viewers.names == []
    name = values(run, uid, "--show-values")["PatientName"]
    assert "^" in name
    assert name not in masked.out
    (viewer,) = viewers.names
    assert viewer


def test_what_arrived_is_compared_with_what_is_stored(
    run: Run, engine: Engine, uid: str, viewers: Viewers
) -> None:
    found = run("objects", "compare", uid, "--all", "--json").data
    assert {row["change"] for row in found["rows"]} == {"equal"}
    assert run("objects", "compare", uid).out.splitlines() == [
        "CHANGE  TAG  KEYWORD  AS RECEIVED  AS STORED"
    ]
    name = next(r for r in found["rows"] if r["received"]["keyword"] == "PatientName")
    assert (name["received"]["value"], name["stored"]["value"]) == (MASK, MASK)
    shown = run("objects", "compare", uid, "--all", "--show-values")
    assert "^" in shown.out
    assert len(viewers.names) == 1


def test_an_object_is_followed_and_drawn(
    run: Run, engine: Engine, uid: str, tmp_path: Path
) -> None:
    told = run("objects", "trail", uid, "--json").data
    (step,), (session,) = told["steps"], told["sessions"]
    assert (step["state"], step["calling_ae_title"]) == ("stored", "CT_1")
    assert (step["filed"], step["session"]) == ("in session", session["id"])
    assert step["place"] == {n: session[n] for n in ("project", "subject", "label", "area")}
    assert session["arrivals"] == [1]
    trail = run("objects", "trail", uid).out
    assert f"session {session['id']}: " in trail
    assert "CT_1" in trail
    traced = run("trace", uid, "--json").data
    assert traced["arrivals"] == told["steps"]
    assert traced["sessions"][0]["arrivals"] == [1]
    assert f"session {session['id']}: " in run("trace", uid).out
    assert "ARRIVALS" not in run("trace", session["label"]).out
    file = tmp_path / "image.png"
    drawn = run("objects", "image", uid, "-o", str(file), "--size", "64", "--json").data
    assert drawn["problem"] == ""
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">II", content[16:24]) == (drawn["width"], drawn["height"])
    length = struct.unpack(">I", content[33:37])[0]
    assert len(zlib.decompress(content[41 : 41 + length])) == drawn["height"] * (1 + drawn["width"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("objects", "image", uid, "-o", str(file)).code == 2
    beyond = run("objects", "image", uid, "-o", str(tmp_path / "x"), "--frame", "99")
    assert (beyond.code, (tmp_path / "x").exists()) == (1, False)


def test_why_an_object_and_its_session_are_where_they_are(
    run: Run, engine: Engine, uid: str, viewers: Viewers
) -> None:
    (session,) = run("sessions", "list", "--json").data["sessions"]
    (why,) = run("objects", "why", uid, "--json").data["objects"]
    assert (why["as_received"], why["agrees"], why["session"]["id"]) == (True, True, session["id"])
    assert why["decides"]["project"] == session["project"]
    assert set(why["decides"]["subject"]) == {"•"}
    assert run("sessions", "why", str(session["id"]), "--json").data["objects"] == [why]
    told = run("sessions", "why", str(session["id"]))
    assert f"is in       {session['project']} / {session['label']}, prearchive" in told.out
    assert "ATTRIBUTE" in told.out
    assert "identifying values are masked" in told.err
    assert viewers.names == []
    (shown,) = run("objects", "why", uid, "--show-values", "--json").data["objects"]
    assert shown["decides"]["session"] == session["label"]
    assert len(viewers.names) == 1
    assert run("sessions", "why", "77").code == 4


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("why", "1.2.3"), 4),
        (("show", "1.2.3"), 4),
        (("show", "77:SCANS/x.dcm"), 4),
        (("show", "../../etc/passwd"), 2),
        (("image", "1.2.3", "-o", "x", "--window", "40"), 2),
        (("image", "1.2.3", "-o", "x", "--window", "nan/1"), 2),
        (("image", "1.2.3"), 2),
    ],
)
def test_what_is_no_object_is_refused(
    run: Run, engine: Engine, words: tuple[str, ...], code: int
) -> None:
    assert run("objects", *words).code == code


def test_a_script_is_tried_on_an_object_and_what_it_copies_is_masked(
    run: Run, engine: Engine, uid: str, viewers: Viewers, tmp_path: Path
) -> None:
    script = tmp_path / "script.das"
    script.write_text(COPIES)
    for more in ((), ("--as-received",)):
        tried = run("script", "try", uid, str(script), *more, "--json").data
        rows = {row["keyword"]: row for row in tried["rows"]}
        assert (tried["outcome"], rows["ProtocolName"]["after"]) == ("edited", MASK)
    told = run("script", "try", uid, str(script))
    assert "ProtocolName" in told.out
    assert "masked" in told.err
    shown = run("script", "try", uid, str(script), "--show-values")
    assert "^" in shown.out
    assert len(viewers.names) == 1
    script.write_text('version "6.1"\nreject[]\n')
    assert run("script", "try", uid, str(script)).code == 3
    script.write_text("nonsense")
    assert run("script", "try", uid, str(script), "--json").code == 2
    assert run("script", "try", uid, "--project", "GONE").code == 4
    assert run("script", "default", "--json").data["text"] == run("script", "default").out


def test_rules_are_tried_on_what_arrived_last(
    run: Run, engine: Engine, uid: str, viewers: Viewers, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.txt"
    rules.write_text("[subject]\n(0010,0010):([^^]+).*\n")
    words = ("route", "--recent", "--receiver", "XNAT", "--rules", str(rules))
    (masked,) = run(*words, "--json").data["objects"]
    assert set(masked["subject"]) == {"•"}
    assert masked["changes"] is True
    (shown,) = run(*words, "--show-values", "--json").data["objects"]
    assert set(shown["subject"]).isdisjoint("•")
    assert len(viewers.names) == 1
    assert "1 of 1 object would change" in run(*words).err
    assert run("route", "--receiver", "XNAT").code == 2
    assert run("route", "x.dcm", "--recent", "--receiver", "XNAT").code == 2


def test_a_processor_is_tried_on_the_newest_object(
    run: Run, engine: Engine, uid: str, viewers: Viewers, tmp_path: Path
) -> None:
    copy = Processor(0, "Copy", "setElements", enabled=False, parameters=(("script", COPIES),))
    engine.processors.save(copy, "anna")
    masked = run("processors", "test", "Copy")
    assert masked.code == 0
    assert "ProtocolName" in masked.out
    assert "^" not in masked.out
    shown = run("processors", "test", "Copy", "--receiver", "XNAT", "--show-values", "--json").data
    assert "^" in str(shown["steps"])
    assert len(viewers.names) == 1
    assert run("processors", "test", "Copy", "--receiver", "GONE").code == 4
    (listed,) = run("processors", "list", "--json").data["processors"]
    assert (listed["status"]["state"], listed["status"]["runs"]) == ("disabled", 0)
    assert "disabled" in run("processors", "list").out


def test_a_session_is_told_with_its_scans_and_what_archiving_comes_to(
    run: Run, engine: Engine, uid: str
) -> None:
    (session,) = run("sessions", "list", "--json").data["sessions"]
    number = str(session["id"])
    detail = run("sessions", "show", number, "--json").data
    (scan,) = detail["scans"]
    assert (detail["label"], scan["objects"]) == (session["label"], 1)
    told = run("sessions", "show", number)
    assert "CT_1" in told.out
    assert "may be asked for now:" in told.err
    (found,) = run("sessions", "objects", number, scan["id"], "--json").data["objects"]
    assert found["sop_instance_uid"] == uid
    named = run("sessions", "objects", number, scan["id"]).out.splitlines()[1].split()[0]
    assert run("objects", "show", named).code == 0
    assert run("sessions", "archive", number, "--dry-run").code == 7
    assert run("sessions", "rebuild", number, "--wait", "30").code == 0
    planned = run("sessions", "archive", number, "--dry-run", "--json")
    (plan,) = planned.data["sessions"]
    assert (planned.code, plan["conflicts"], plan["added"]) == (0, [], 1)
    assert run("sessions", "archive", "99", "--dry-run").code == 4
    done = run("sessions", "archive", number, "--wait", "30", "--json")
    assert (done.code, done.data["sessions"][0]["status"]) == (0, "ARCHIVED")


def test_a_sender_is_shown_with_what_came_by_hour(run: Run, engine: Engine, uid: str) -> None:
    shown = run("senders", "show", "CT_1", LOOPBACK, "--json").data
    assert (shown["objects"], len(shown["hours"])) == (1, 24)
    assert sum(hour["objects"] for hour in shown["hours"]) == 1
    week = run("senders", "show", "CT_1", LOOPBACK, "--week", "--json").data
    assert len(week["hours"]) == 7 * 24
    assert "CT_1" in run("senders", "show", "CT_1", LOOPBACK).out
    assert run("senders", "show", "NOBODY", LOOPBACK).code == 4


def test_a_receiver_is_called_as_a_peer_would(run: Run, engine: Engine, port: int) -> None:
    called = run("receivers", "echo", "XNAT", "--json")
    assert (called.code, called.data["ok"]) == (0, True)
    engine.set_enabled(1, False, "anna")
    assert run("receivers", "echo", "XNAT").code == 8
    engine.set_enabled(1, True, "anna")


def test_monitoring_asks_by_commands_too(run: Run, engine: Engine, uid: str) -> None:
    well = run("health", "--json")
    assert (well.code, well.data["ok"]) == (0, True)
    assert run("health").out.splitlines()[0].split() == ["HEALTH", "ok"]
    assert "dicomdock_engine_start_time_seconds" in run("metrics").out
    counted = run("metrics", "--json").data
    assert any(receiver["bytes"] for receiver in counted["receivers"])
