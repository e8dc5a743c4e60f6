"""A site with rules, scripts, alerts and projects, as the settings screen shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.api.objects import RowChange
from engine.api.scripts import (
    EditedRow,
    FindingKind,
    LeftText,
    ScriptFinding,
    ScriptPreview,
    TrialOutcome,
)
from engine.model.alerts import AlertKind, AlertSettings, AlertTarget
from engine.model.anonymization import ProfileSettings, Retain, SiteScript
from engine.model.project import AutoArchive, Project
from engine.model.routing import SiteRouting
from engine.model.site import SessionSettings, SiteSettings
from tests.fakes import HOSTILE_NAMES, FakeEngine, busy
from tests.tui.previewing import preview_of

if TYPE_CHECKING:
    from engine.model.receiver import Receiver

RULES = r"(0010,4000):(.*)" + "\n" + r"(0008,1030):([A-Z]+-\d+).*:1"
SCRIPT = 'version "6.1"\n(0010,0010) := subject\n(0010,0020) := session\n-(0010,1000)\n'
TARGETS = (
    AlertTarget("pager", ("/usr/local/bin/page", "--group", "radiology")),
    AlertTarget("chat", webhook="https://u:p@chat.example/secret", kinds=(AlertKind.STORAGE,)),
)
SITE = SiteSettings(
    routing=SiteRouting(project_enabled=True, project_routing=RULES),
    script=SiteScript(True, SCRIPT, 3),
    sessions=SessionSettings(series_filter="whitelist\n[Modality]\nCT|MR"),
    alerts=AlertSettings(TARGETS),
)
PROJECTS = (
    Project("NEURO-01", "Brain study", ("neuro", "brain 1"), series_import_filter="localizer"),
    Project(
        "CARDIO-3T",
        auto_archive=AutoArchive.MANUAL,
        anonymization_script=SCRIPT,
        anonymization_script_enabled=True,
        profile=ProfileSettings(True, (Retain.UIDS,)),
    ),
    Project("PETLAB", "PET laboratory", anonymization_script=SCRIPT),
)
DOTS = "••••••••"
_ROWS = (
    ("(0010,0010)", "PatientName", RowChange.CHANGED, DOTS, DOTS),
    ("(0010,0020)", "PatientID", RowChange.CHANGED, DOTS, DOTS),
    ("(0010,1000)", "OtherPatientIDs", RowChange.REMOVED, DOTS, None),
    ("(0012,0063)", "DeidentificationMethod", RowChange.ADDED, None, "script 3"),
    ("(0008,1140)[0]/(0008,1155)", "ReferencedSOPInstanceUID", RowChange.CHANGED,
     "1.2.840.113619.2.55.3.604688119.971.1756018147.1.1",
     "2.25.329800735698586629295641978511506172918"),
)  # fmt: skip
PREVIEW = ScriptPreview(
    TrialOutcome.EDITED,
    tuple(
        EditedRow(path, keyword, "LO", change, before, after, identifying=before == DOTS,
                  masked=before == DOTS)
        for path, keyword, change, before, after in _ROWS
    ),
    labels=("NEURO-01", "S0042", "S0042_CT_01"),
    complete=False,
)  # fmt: skip
TRAP = ScriptFinding(
    *(FindingKind.TRAP, 4, 1, "removes what a viewer may look for"),
    *("keep it, or empty it", "removal"),
)
LEFT = (
    LeftText("*/(0008,0104)", "Code Meaning in reports"),
    LeftText("(0042,0010)", "Document Title"),
)
ERROR = ScriptFinding(FindingKind.ERROR, 3, 13, "an unexpected word", "write one statement a line")


def settled(engine: FakeEngine | None = None) -> FakeEngine:
    """Return a busy engine with such a site; its receivers' objects can be tried."""
    engine = engine or busy()
    engine.site_settings, engine.known_projects = SITE, PROJECTS
    engine.scripts.findings, engine.scripts.result = (TRAP,), PREVIEW
    engine.scripts.kept = LEFT
    first = engine.current.receivers[0].receiver
    tried = preview_of(first)

    def preview(receiver: Receiver, site: Any = None, file: Any = None) -> object:
        engine.calls.append(("preview_routing", receiver, site))
        return tried(receiver, False, site) if receiver.id == first.id else ()

    def shown(receiver: Receiver, actor: str, site: Any = None, file: Any = None) -> object:
        engine.calls.append(("shown_routing", receiver, actor, site))
        return tried(receiver, True, site) if receiver.id == first.id else ()

    engine.preview_routing = preview  # type: ignore[method-assign, assignment]
    engine.shown_routing = shown  # type: ignore[method-assign, assignment]
    return engine


def hostile(engine: FakeEngine | None = None) -> FakeEngine:
    """Return an engine whose projects, script and findings are markup or escape sequences."""
    engine = settled(engine)
    texts = [name for name in HOSTILE_NAMES if name.isprintable()]
    engine.known_projects = tuple(
        Project(
            f"P-{n}",
            title=name,
            aliases=(name, name * 9),
            anonymization_script=SCRIPT,
            anonymization_script_enabled=True,
        )
        for n, name in enumerate(texts)
    )
    rows = tuple(replace(row, keyword=HOSTILE_NAMES[4], after=HOSTILE_NAMES[5])
                 for row in PREVIEW.rows)  # fmt: skip
    engine.scripts.result = replace(PREVIEW, rows=rows)
    engine.scripts.findings = tuple(
        replace(TRAP, line=n, message=name) for n, name in enumerate(HOSTILE_NAMES[:4], start=1)
    )
    return engine
