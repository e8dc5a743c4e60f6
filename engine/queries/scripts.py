"""`ScriptsView` of an engine in this process: checks texts here, tries objects in a worker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.api.scripts import FindingKind, LeftText, ScriptFinding, ScriptPreview
from engine.dicom.header import SOP_INSTANCE_UID
from engine.dicom.part10 import read_sample
from engine.errors import UnreadableObject
from engine.inspection.job import TrialJob, TrialResult
from engine.model.anonymization import Anonymization, ScriptScope
from engine.model.identity import MASK, UNASSIGNED, IdentifyingValues
from engine.model.series_filter import LAST_TAG

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api.objects import ObjectReference
    from engine.api.scripts import EditedRow, ScriptTrial
    from engine.dicom.header import HeaderView
    from engine.errors import Problem
    from engine.intake.rules import ObjectRouter
    from engine.model.anonymization import ProfileSettings
    from engine.model.configuration import Configuration
    from engine.model.file_sample import FileSample
    from engine.queries.objects import ObjectQueries


class ScriptQueries:
    """Checks and tries scripts; for all threads."""

    def __init__(
        self,
        objects: ObjectQueries,
        router: ObjectRouter,
        configuration: Callable[[], Configuration],
    ) -> None:
        self._objects = objects
        self._router = router
        self._configuration = configuration

    def check(self, text: str) -> tuple[ScriptFinding, ...]:
        """Return the errors of a text, or the traps in it; an empty text has none."""
        from engine.anonymize import Script, ScriptError, lint

        if not text.strip():
            return ()
        try:
            script = Script.parse(text)
        except ScriptError as error:
            return tuple(map(_finding, error.problems))
        return tuple(
            ScriptFinding(FindingKind.TRAP, f.line, 1, f.message, f.remedy, f.trap)
            for f in lint(script)
        )

    def left(self, text: str) -> tuple[LeftText, ...]:
        """Return the text elements that neither the script nor the basic profile removes."""
        from engine.anonymize import Script, ScriptError, texts_kept_by

        if not text.strip():
            return ()
        try:
            return tuple(
                LeftText(left.path, left.name) for left in texts_kept_by(Script.parse(text))
            )
        except ScriptError:
            return ()

    def default_script(self) -> str:
        """Return XNAT's default site script."""
        from engine.anonymize import DEFAULT_SITE_SCRIPT

        return DEFAULT_SITE_SCRIPT

    def preview(
        self,
        trial: ScriptTrial,
        reference: ObjectReference,
        *,
        as_received: bool = False,
        equal: bool = False,
        file: FileSample | None = None,
    ) -> ScriptPreview:
        """Apply a trial to a copy of an object, with identifying values masked."""
        made, known = self._preview(trial, reference, file, as_received=as_received, equal=equal)
        rows = tuple(_masked(row, known) for row in made.rows)
        # An error may quote the value that a function could not use.
        return replace(made, rows=rows, why=known.hide(made.why))

    def shown_preview(
        self,
        trial: ScriptTrial,
        reference: ObjectReference,
        actor: str,
        *,
        as_received: bool = False,
        equal: bool = False,
        file: FileSample | None = None,
    ) -> ScriptPreview:
        """Apply a trial unmasked, and record in the journal who saw it."""
        made, _ = self._preview(trial, reference, file, as_received=as_received, equal=equal)
        if file is None:
            self._objects.record_phi_access(reference, actor)
        else:
            uid = read_sample(file, last_tag=SOP_INSTANCE_UID).sop_instance_uid
            self._objects.record_file_shown(uid or "", actor)
        return made

    def _preview(
        self,
        trial: ScriptTrial,
        reference: ObjectReference,
        file: FileSample | None,
        *,
        as_received: bool,
        equal: bool,
    ) -> tuple[ScriptPreview, IdentifyingValues]:
        """Return the unmasked result of a trial, and the object's identifying values."""
        step = self._step(trial)
        if file is not None:
            first = next((r.id for r in self._configuration().receivers), 0)
            job = self._job_of_header(trial, first, read_sample(file, last_tag=LAST_TAG))
        elif as_received or not reference.file:
            recent = self._objects.received(reference)
            job = self._job_of_header(trial, recent.receiver_id, recent.header)
        else:
            job = self._job_of_stored(trial, reference)
        job = replace(job, steps=(step,), equal=equal)
        result = self._objects.run(job)
        assert isinstance(result, TrialResult)
        if result.problem:
            raise UnreadableObject(result.problem, "look at the file with another program")
        preview = ScriptPreview(
            result.outcome,
            result.rows,
            result.why,
            result.remedy,
            result.line,
            job.labels,
            complete=result.complete,
        )
        return preview, IdentifyingValues(result.telling)

    def _step(self, trial: ScriptTrial) -> Anonymization:
        """Return the anonymization to try: the draft, and saved values where there is no draft."""
        configuration = self._configuration()
        saved = _saved_of_site(configuration)
        if trial.scope is ScriptScope.PROJECT:
            saved = _saved_of_project(configuration, trial.project)
        text, revision, profile = saved
        profile = trial.profile or profile
        return Anonymization(
            trial.scope,
            text if trial.text is None else trial.text,
            # A draft gets the number that saving it would give.
            revision or configuration.revision + 1,
            profile if profile.enabled else None,
        )

    def _job_of_stored(self, trial: ScriptTrial, reference: ObjectReference) -> TrialJob:
        session = self._objects.session(reference)
        labels = (session.project or UNASSIGNED, session.subject or "", session.label)
        path = self._objects.path(reference)
        return TrialJob(path=str(path), labels=trial.labels or labels)

    def _job_of_header(self, trial: ScriptTrial, receiver_id: int, header: HeaderView) -> TrialJob:
        site = self._configuration().site.anonymization
        is_projects = trial.scope is ScriptScope.PROJECT
        return TrialJob(
            data=header.kept_bytes,
            transfer_syntax_uid=header.transfer_syntax_uid,
            labels=trial.labels or self._router.labels_at(receiver_id, header),
            # As on the real way: the site's script has run when the project's begins. A stored
            # object has it behind it.
            before=(site,) if site and is_projects else (),
        )


def _finding(problem: Problem) -> ScriptFinding:
    line, column = problem.line or 1, problem.column or 1
    return ScriptFinding(FindingKind.ERROR, line, column, problem.message, problem.remedy)


def _saved_of_site(configuration: Configuration) -> tuple[str, int, ProfileSettings]:
    site = configuration.site
    return site.script.text, site.script.revision, site.profile


def _saved_of_project(
    configuration: Configuration, project_id: str
) -> tuple[str, int, ProfileSettings]:
    project = configuration.projects.project(project_id)
    return project.anonymization_script, project.anonymization_script_revision, project.profile


def _masked(row: EditedRow, known: IdentifyingValues) -> EditedRow:
    """Hide identifying values, and their copies in other elements."""
    before, after = (
        MASK if text and (row.identifying or known.appear_in(text)) else text
        for text in (row.before, row.after)
    )
    masked = (before, after) != (row.before, row.after)
    return replace(
        row, path=known.hide_in_path(row.path), before=before, after=after, masked=masked
    )
