"""Processors, classes and destinations of a made-up site, for tests of their screen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.api.forwarding import DestinationState, DestinationStatus, NotForwarded
from engine.model.processing import (
    Assignment,
    ElementChange,
    ProcessorStatus,
    ProcessorStep,
    ProcessorTrial,
    Verdict,
)
from engine.model.processor import (
    Location,
    ParameterKind,
    Processor,
    ProcessorClass,
    ProcessorParameter,
)
from engine.processing.installed import classes_of, load_processors
from tests.fakes import NOW, FakeEngine, busy

if TYPE_CHECKING:
    from engine.model.receiver import Receiver

ACME = ProcessorClass(
    "acmeTriage",
    "Acme triage",
    "Sorts objects by what a service of the hospital says.",
    parameters=(
        ProcessorParameter("service", "Service", "write its address", required=True),
        ProcessorParameter(
            "unknown", "Unknown", "say what becomes of others", ParameterKind.CHOICE,
            default="continue", choices=("continue", "reject"),
        ),
    ),
    origin="acme-processors 1.4",
)  # fmt: skip
BROKEN = ProcessorClass(
    "brokenProcessor",
    "brokenProcessor",
    origin="other-site 0.3",
    error="ModuleNotFoundError: No module named 'hospital_client'",
)
CLASSES = (
    *(replace(known, origin="dicomdock 0.1.0") for known in classes_of(load_processors())),
    ACME,
    BROKEN,
)
SCRIPT = 'version "6.6"\n(0008,1030) := "TRIAL 7"\n(0010,4000) := "seen"\n'
PEER = (("ae_title", "PACS"), ("host", "pacs.example.org"), ("port", "11112"))

SET = Processor(1, "Set trial", "setElements", parameters=(("script", SCRIPT),))
RELABEL = Processor(
    2,
    "Relabel CT",
    "relabelFromTable",
    location=Location.AFTER_PROJECT_SET,
    priority=5,
    receivers_allowed=("CT_INTAKE:8104",),
    parameters=(("file", "/etc/dicomdock/ct.csv"), ("key", "calling_ae_title")),
)
TRIAGE = Processor(
    3,
    "Triage",
    "acmeTriage",
    location=Location.AFTER_PROJECT_SET,
    projects=("NEURO-01",),
    parameters=(("service", "triage.example.org"),),
)
COPY = Processor(4, "Copy to PACS", "forwardCopy", location=Location.AFTER_STORED, parameters=PEER)
OLD = Processor(5, "Old copy", "forwardCopy", False, Location.AFTER_STORED, parameters=PEER)
SEEN = ("XNAT:8104", "CT_INTAKE:8104")

STATUSES = (
    ProcessorStatus(SET, SEEN, "", 48_211, 0, 0, "", None, 0.0184),
    ProcessorStatus(
        RELABEL,
        SEEN[1:],
        "/etc/dicomdock/ct.csv: No such file or directory",
        9_804,
        12,
        31,
        "/etc/dicomdock/ct.csv: No such file or directory",
        NOW - timedelta(seconds=74),
        0.0002,
    ),
    ProcessorStatus(TRIAGE, (), "", 0),
    ProcessorStatus(COPY, SEEN, "", 47_100, 0, 0, "", None, 0.0001),
    ProcessorStatus(OLD),
)
DESTINATIONS = (
    DestinationStatus(
        4, "Copy to PACS", "PACS@pacs.example.org:11112", True, DestinationState.WAITING, 1_240, 37,
        45_860, 24_000_000_000, NOW - timedelta(minutes=9), NOW - timedelta(minutes=9),
        "the peer can't be reached: connection refused", NOW - timedelta(seconds=50),
        NOW + timedelta(seconds=70),
    ),
    DestinationStatus(
        5, "Old copy", "PACS@pacs.example.org:11112", False, DestinationState.PAUSED, 0, 0,
        3, 1_500_000, None, NOW - timedelta(days=3), "", None, None,
    ),
)  # fmt: skip
GIVEN_UP = tuple(
    NotForwarded(
        100 - number, 4, "Copy to PACS", f"1.2.826.0.1.3680043.8.498.{4000 + number}",
        NOW - timedelta(minutes=10 * number), 1 + number % 3,
        "0x0122: SOP class not supported" if number % 4 else "0xA900: data set does not match",
    )
    for number in range(37)
)  # fmt: skip
TRIAL = ProcessorTrial(
    NOW - timedelta(seconds=9),
    "CT_INTAKE:8104",
    "ER_CT",
    "1.2.826.0.1.3680043.8.498.77",
    (
        ProcessorStep(
            "Relabel CT",
            "relabelFromTable",
            Location.AFTER_PROJECT_SET,
            Verdict.CONTINUED,
            assigned=Assignment("NEURO-01", "DOE_JANE"),
            changes=(
                ElementChange("(0010,0010)", "PatientName", "changed", "Doe^Jane", "S042"),
                ElementChange("(0010,4000)", "PatientComments", "added", None, "seen"),
            ),
            seconds=0.0123,
        ),
    ),
)


def processing() -> FakeEngine:
    """A site with five processors: one broken, one that no receiver uses, one disabled."""
    engine = busy()
    statuses = tuple(replace(s, receiver=_processed(s.receiver)) for s in engine.current.receivers)
    engine.current = replace(engine.current, receivers=statuses)
    engine.processors.known = CLASSES
    engine.processors.statuses = STATUSES
    engine.processors.trial = TRIAL
    engine.forwarding.known = DESTINATIONS
    engine.forwarding.given_up = GIVEN_UP
    return engine


def no_processors() -> FakeEngine:
    """A site on which nobody has thought of processors yet."""
    engine = busy()
    engine.processors.known = CLASSES[:-2]
    return engine


def hostile_processing(names: tuple[str, ...]) -> FakeEngine:
    """Names from files and plug-ins that are markup or escape sequences, and too long ones."""
    engine = processing()
    long = "A label that is far longer than any column has room for it"
    engine.processors.statuses = tuple(
        ProcessorStatus(
            Processor(
                number, f"{name} {long}", name, parameters=((name, f"{name}\n{name}"),),
                receivers_allowed=(f"{name}:104",),
            ),
            (name,), name, 3, 2, 1, name, NOW, 0.5,
        )
        for number, name in enumerate(names, start=1)
    )  # fmt: skip
    engine.processors.known = tuple(
        ProcessorClass(name, name, name, origin=name, error=name) for name in names
    )
    engine.forwarding.known = tuple(
        replace(DESTINATIONS[0], id=number, label=name, peer=name, last_error=name)
        for number, name in enumerate(names, start=1)
    )
    engine.forwarding.given_up = tuple(
        replace(GIVEN_UP[0], id=number, destination=1, label=name, reason=name,
                sop_instance_uid=name)
        for number, name in enumerate(names, start=1)
    )  # fmt: skip
    return engine


def _processed(receiver: Receiver) -> Receiver:
    return replace(receiver, custom_processing=receiver.label in SEEN)
