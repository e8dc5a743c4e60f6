"""Evaluates the rules for one object: in order, in limited time, with a trace on request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic, thread_time
from typing import TYPE_CHECKING

from pydicom.datadict import keyword_for_tag

from engine.errors import RoutingFailed
from engine.index.studies import LabelKey
from engine.model.identity import (
    DEFAULT_SESSION_LABEL,
    Attribute,
    Decision,
    Source,
    Step,
    Trace,
    to_label,
)
from engine.model.project import requested
from engine.routing import Application, RuleError, RulesTimeout, RuleSuspended

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.dicom.header import HeaderView
    from engine.identification.sources import Routing, ValueSource
    from engine.model.project import ProjectRegistry
    from engine.model.study_route import StudyRoute


_NOTHING = Application("", False, False, None, None)


def step(
    attribute: Attribute,
    clause: ValueSource,
    evaluation: RoutingEvaluation,
    value: str | None,
    accepted: str | None,
) -> Step:
    """Describe how a clause was asked; nothing is decided here."""
    text = evaluation.header.text(clause.tag)
    if text is None:
        return _step(attribute, clause, None, _NOTHING, None, _absence(clause, evaluation.header))
    seen = _explained(clause, text)
    if accepted is not None:
        why_not = _doubt(attribute, accepted)
    elif value:
        cut = "; value cut to 64 characters" if seen.cut else ""
        why_not = _unknown(value, evaluation.routing.projects) + cut
    else:
        why_not = seen.why_not or "the result is empty"
    return _step(attribute, clause, seen.value, seen, accepted, why_not)


def failed_step(attribute: Attribute, clause: ValueSource, text: str, error: RuleError) -> Step:
    """Describe a rule that failed."""
    seen = _step(attribute, clause, text, _NOTHING, None, error.detail)
    return replace(seen, failed=True)


def own_step(attribute: Attribute, value: str | None, source: str, why: str) -> Step:
    """Describe what an identifier decides without asking any clause."""
    return Step(
        attribute, Source.IDENTIFIER, None, source, None, "", None, False, None, value, value, why
    )


def _step(
    attribute: Attribute,
    clause: ValueSource,
    value: str | None,
    seen: Application,
    result: str | None,
    why_not: str,
) -> Step:
    keyword = keyword_for_tag(clause.tag)
    place = (attribute, clause.source, clause.line, clause.words, clause.tag, keyword)
    return Step(*place, value, seen.cut, seen.captured, seen.result, result, why_not)


def _explained(clause: ValueSource, text: str) -> Application:
    """Ask again, slowly; what went well once may still run out of time now."""
    try:
        return clause.explain(text)
    except RuleError as error:
        return Application(text, False, False, None, None, error.detail)


def _doubt(attribute: Attribute, accepted: str) -> str:
    if attribute is Attribute.AUTO_ARCHIVE and requested(accepted) is None:
        return "neither true nor false, so the project's setting counts"
    return ""


def _absence(clause: ValueSource, header: HeaderView) -> str:
    if clause.tag in header:
        return "the element is empty or no text"
    if clause.tag >> 16 > header.last_tag >> 16:
        return f"not known: nothing beyond group {header.last_tag >> 16:04X} was read"
    return "the object has no such element"


def _unknown(name: str, projects: ProjectRegistry) -> str:
    """Say why a name is no project's; spelling counts, and two projects of one name are none."""
    alike = {
        known
        for project in projects.projects
        for known in (project.id, *project.aliases)
        if known.casefold() == name.casefold()
    }
    if name in alike:
        return f"{name!r} names more than one project"
    said = f"project {name!r} does not exist"
    return f"{said}; is {min(alike)!r} meant?" if alike else said


OBJECT_SECONDS = 0.050
"""What all rules of one object may take; after that, none is begun (reliability-security 7)."""
NOT_SUSPENDED: frozenset[ValueSource] = frozenset()

_NO_PROJECT = Decision(None, "no value names a project")
_NO_SUBJECT = Decision(None, "no value names a subject")
_NO_SESSION = Decision(DEFAULT_SESSION_LABEL, "no value names a session")


@dataclass(frozen=True, slots=True)
class RoutingFailure:
    """A rule that failed on an object."""

    attribute: Attribute
    clause: ValueSource
    error: RuleError


class RoutingEvaluation:
    """What an identifier may ask about one object; used by one thread, for one object."""

    __slots__ = (
        "_began",
        "_look_again_at",
        "_steps",
        "_suspended",
        "failures",
        "header",
        "routing",
    )

    def __init__(
        self,
        header: HeaderView,
        routing: Routing,
        suspended: frozenset[ValueSource] = NOT_SUSPENDED,
        *,
        recording: bool = False,
    ) -> None:
        self.header = header
        self.routing = routing
        self.failures: list[RoutingFailure] = []
        """The rules that failed: a project rule may, and then another."""
        self._suspended = suspended
        self._steps: list[Step] | None = [] if recording else None
        self._began = 0.0
        """This thread's CPU time before the first rule."""
        self._look_again_at = 0.0
        """Monotonic time until which the object's time can't be used up."""

    @property
    def trace(self) -> Trace:
        """The steps so far; none unless they are recorded."""
        return Trace(tuple(self._steps or ()))

    @property
    def warning(self) -> str:
        """Why the project is not decided as configured, if so; told with the object."""
        failed = (f for f in self.failures if f.attribute is Attribute.PROJECT)
        return "; ".join(
            f"a project rule failed: {_describe_failure(failure)}" for failure in failed
        )

    def project(self) -> Decision:
        """Return the first value that is the id or alias of a project (XNAT 5.5).

        A rule that fails leaves the object unassigned and no other is asked, as in XNAT; unlike
        there, it is told.
        """
        try:
            return self._first(Attribute.PROJECT, self.routing.projects.find) or _NO_PROJECT
        except RuleError:
            return Decision(None, "a project rule failed")

    def subject(self) -> Decision:
        """Return the first value, made a label (XNAT 5.4).

        Raises:
            RoutingFailed: if a rule fails.
        """
        return self._label(Attribute.SUBJECT) or _NO_SUBJECT

    def session(self) -> Decision:
        """Return the first value, made a label, else ``dicom_upload``; raises as `subject` does."""
        return self._label(Attribute.SESSION) or _NO_SESSION

    def auto_archive(self) -> bool | None:
        """Return what the first value says, None if it says nothing clear (XNAT 5.2).

        Raises:
            RoutingFailed: if a rule fails.
        """
        said = self._asked(Attribute.AUTO_ARCHIVE, str)
        return requested(said.value or "") if said else None

    def study_route(self) -> StudyRoute | None:
        """Return where the object's study was announced to go (XNAT 7.3).

        Raises:
            OutOfResources: if that can't be read.
        """
        return self.routing.studies.route(self.header.study_instance_uid or "")

    def running_label(self, project: str | None, subject: str, modality: str) -> str:
        """Return the study's label ``<subject>_<modality><n>``, the same for all its objects.

        It is taken for good, unless this is only a preview.

        Raises:
            OutOfResources: if it can't be looked up or kept.
        """
        key = LabelKey(project, subject, self.header.study_instance_uid or "")
        return self.routing.studies.label(key, modality, take=self._steps is None)

    def settle(
        self, attribute: Attribute, value: str | None, source: str, why: str = ""
    ) -> Decision:
        """Note what the identifier decides by itself.

        Args:
            attribute: what is decided.
            value: the decision; None decides nothing.
            source: where it comes from, in a few words.
            why: why there is no value.
        """
        if self._steps is not None:
            self._steps.append(own_step(attribute, value, source, why))
        return Decision(value, source)

    def _label(self, attribute: Attribute) -> Decision | None:
        return self._asked(attribute, to_label)

    def _asked(self, attribute: Attribute, accept: Callable[[str], str]) -> Decision | None:
        try:
            return self._first(attribute, accept)
        except RuleError as error:
            why = _describe_failure(self.failures[-1])
            raise RoutingFailed(f"a routing rule failed: {why}") from error

    def _first(self, attribute: Attribute, accept: Callable[[str], str | None]) -> Decision | None:
        """Ask one clause after the other for a value that is accepted."""
        text_of, steps = self.header.text, self._steps
        for clause in self.routing.chains[attribute]:
            text = text_of(clause.tag)
            value = self._take(attribute, clause, text) if text else None
            accepted = accept(value) if value else None
            if steps is not None:
                steps.append(step(attribute, clause, self, value, accepted))
            if accepted is not None:
                return Decision(accepted, clause.name)
        return None

    def _take(self, attribute: Attribute, clause: ValueSource, text: str) -> str | None:
        try:
            if clause.source is not Source.DEFAULT and monotonic() > self._look_again_at:
                self._require_time(clause)
            return clause.take(text)
        except RuleError as error:
            self.failures.append(RoutingFailure(attribute, clause, error))
            if self._steps is not None:
                self._steps.append(failed_step(attribute, clause, text, error))
            raise

    def _require_time(self, clause: ValueSource) -> None:
        """Refuse a rule that is suspended, or any when the object's time is used up.

        Only this thread's own work counts, so that a busy machine fails no object.
        """
        if clause in self._suspended:
            remedy = "simplify it; a changed configuration gives it another chance"
            raise RuleSuspended("the rule is suspended for being slow", remedy)
        worked = thread_time()
        if not self._began:
            self._began = worked
        left = OBJECT_SECONDS - (worked - self._began)
        if left <= 0:
            detail = f"the rules of one object take longer than {OBJECT_SECONDS * 1000:g} ms"
            raise RulesTimeout(detail, "simplify the patterns")
        if not self._suspended:
            self._look_again_at = monotonic() + left


def _describe_failure(failure: RoutingFailure) -> str:
    """Name the rule by its place; its text goes into no event."""
    return f"{failure.clause.name}: {failure.error.detail}"
