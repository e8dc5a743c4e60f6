"""Says what another project or other labels of a session would come to; changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api.sessions import EditPreview
from engine.errors import NotFound
from engine.events import counted
from engine.model.identity import UNASSIGNED
from engine.model.project import AutoArchive
from engine.model.session import ProjectScript, SessionArea
from engine.sessions.context import effective_code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.index.operations import Request
    from engine.model.configuration import Configuration
    from engine.model.session import Session
    from engine.sessions.ledger import SessionRepository


def require_project(configuration: Configuration, project: str) -> None:
    """Check that there is a project of an id.

    Raises:
        NotFound: if there is none.
    """
    if project not in {known.id for known in configuration.projects.projects}:
        # The name comes from a client: quoted, and cut.
        raise NotFound(f"there is no project {project[:80]!r}", "add it first")


def archives_itself(configuration: Configuration, session: Session, project: str | None) -> bool:
    """Tell whether a session would be archived by itself once it is built in a project."""
    if project is None or session.area is not SessionArea.PREARCHIVE:
        return False
    code = effective_code(session.auto_archive, configuration.projects.archive_code(project))
    return code is not AutoArchive.MANUAL


def preview_edit(
    ledger: SessionRepository, configuration: Configuration, session_id: int, request: Request
) -> EditPreview:
    """Return what a move or relabelling would come to; raises for what its request would raise."""
    if request.project:
        require_project(configuration, request.project)
    session = ledger.possible(session_id, request)
    project = request.project or session.project
    label = request.label or session.label
    consequences = [
        *_script_words(ledger, configuration, session, project),
        *_next_words(configuration, session, project),
    ]
    return EditPreview(
        project,
        request.subject or session.subject,
        label,
        tuple(_clashes(ledger, session, project, label)),
        tuple(consequences),
    )


def _clashes(
    ledger: SessionRepository, session: Session, project: str | None, label: str
) -> Iterator[str]:
    if (project, label) == (session.project, session.label):
        return
    for other in ledger.named(project, label):
        if other.id == session.id:
            continue
        if other.area is SessionArea.ARCHIVE:
            yield (
                f"the archive has this session already (session {other.id}): archiving merges the"
                " two, or ends in a conflict"
            )
        elif other.area is SessionArea.PREARCHIVE:
            yield f"session {other.id} in the prearchive has this project and label too"


def _script_words(
    ledger: SessionRepository, configuration: Configuration, session: Session, project: str | None
) -> Iterator[str]:
    """Say which script runs when, on how many objects, with which labels."""
    if configuration.site.anonymization is not None:
        yield "the site's script ran on receipt, with the labels of then; it does not run again"
    if project is None:
        return
    if configuration.projects.anonymizations.get(project) is None:
        yield f"{project} has no script: objects are archived as they are"
        return
    scripts = [row.project_script for row in ledger.stored_rows(session.id)]
    done, exempt = scripts.count(ProjectScript.DONE), scripts.count(ProjectScript.EXEMPT)
    reruns = configuration.site.sessions.rerun_script_on_rename or project != session.project
    due = len(scripts) - exempt - (0 if reruns else done)
    if due:
        objects = counted(due, "object")
        yield f"the script of {project} runs on {objects} when the session is archived"
    if done and not reruns:
        yield (
            f"{counted(done, 'object')} anonymized before, with the labels of then, stay as they"
            " are: the site's setting rerun_script_on_rename is off"
        )
    if exempt:
        objects = counted(exempt, "object")
        yield f"{objects} not anonymized: anonymization was off at the receiver"


def _next_words(
    configuration: Configuration, session: Session, project: str | None
) -> Iterator[str]:
    yield "later objects of the study go to this session too"
    if archives_itself(configuration, session, project):
        yield f"it is built again, and {project or UNASSIGNED} archives it by itself then"
    else:
        yield "it is built again and waits in the prearchive"
