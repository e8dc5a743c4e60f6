"""What a dry run says that other names of a session would come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import NotFound
from engine.index.operations import OperationKind, Request
from engine.model.configuration import Configuration
from engine.model.project import AutoArchive, Project, ProjectRegistry
from engine.model.session import ProjectScript
from engine.model.site import SiteSettings
from engine.queries.session_edits import preview_edit
from tests.engine.index.depot import Depot, depot_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.api.sessions import EditPreview

SCRIPT = 'version "6.6"\n(0010,0010) := "X"\n'
SCRIPTED = {"anonymization_script": SCRIPT, "anonymization_script_enabled": True}
PROJECTS = ProjectRegistry(
    (
        Project.parse({"id": "NEURO-01", "auto_archive": int(AutoArchive.MANUAL)} | SCRIPTED),
        Project.parse({"id": "NEURO-02", "auto_archive": int(AutoArchive.ARCHIVE)} | SCRIPTED),
        Project.parse({"id": "PLAIN", "auto_archive": int(AutoArchive.MANUAL)}),
    )
)
STAYS = "the site's setting rerun_script_on_rename is off"


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with depot_in(tmp_path) as depot:
        yield depot


def mixed(depot: Depot) -> int:
    """Return a session of three objects: one was anonymized, one must not be, one is due."""
    sessions = {
        depot.receive(SeriesNumber=str(number), script=script)
        for number, script in enumerate(ProjectScript)
    }
    depot.fall_silent()
    (session,) = sessions
    return session


def seen(depot: Depot, session: int, *, reruns: bool = False, **names: str) -> EditPreview:
    sessions = {"rerun_script_on_rename": reruns}
    site = SiteSettings.parse({"sessions": sessions, **SCRIPTED})
    request = Request(OperationKind.MOVE, "anna", **names)  # type: ignore[arg-type]
    return preview_edit(depot.ledger, Configuration(0, site, PROJECTS), session, request)


@pytest.mark.parametrize(
    ("names", "reruns", "wanted"),
    [
        ({"label": "E9"}, False, ("NEURO-01 runs on 1 object when", "1 object anonymized", STAYS)),
        ({"label": "E9"}, True, ("NEURO-01 runs on 2 objects when", "1 object not anonymized")),
        ({"project": "NEURO-02"}, False, ("NEURO-02 runs on 2 objects when", "archives it by")),
        ({"project": "PLAIN"}, False, ("PLAIN has no script", "waits in the prearchive")),
    ],
)
def test_it_is_said_which_script_runs_on_what_and_what_follows(
    depot: Depot, names: dict[str, str], reruns: bool, wanted: tuple[str, ...]
) -> None:
    said = "\n".join(seen(depot, mixed(depot), reruns=reruns, **names).consequences)
    assert [words for words in wanted if words not in said] == []
    assert "the site's script ran on receipt" in said
    assert (STAYS in said) is (STAYS in wanted)


def test_other_sessions_of_that_name_are_named_wherever_they_are(depot: Depot) -> None:
    session = mixed(depot)
    archived = depot.receive(label="E9", StudyInstanceUID="1.9", direct=True)
    waiting = depot.receive(label="E9", StudyInstanceUID="1.8")
    depot.fall_silent()
    preview = seen(depot, session, label="E9", subject="S9")
    assert (preview.project, preview.subject, preview.label) == ("NEURO-01", "S9", "E9")
    assert len(preview.clashes) == 2
    assert any(f"(session {archived}): archiving merges" in words for words in preview.clashes)
    assert any(f"session {waiting} in the prearchive" in words for words in preview.clashes)
    assert seen(depot, session, subject="S9").clashes == ()
    with pytest.raises(NotFound, match="there is no project 'NOWHERE'"):
        seen(depot, session, project="NOWHERE")
