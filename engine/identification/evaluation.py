"""Evaluates the rules for one object: in order, in limited time, with a trace on request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic, thread_time
from typing import TYPE_CHECKING

from pydicom.datadict import keyword_for_tag

from engine.errors import RoutingFailed
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
from engine.state.studies import LabelKey

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
    """Describe for the trace how one source was evaluated; decides nothing."""
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
    """Describe a decision that an identifier made without any rule."""
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
    """Evaluate a source again with an explanation; a rule may time out this second time."""
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
        # Not "no such element": the element may be there, behind the last one that was read.
        return f"not known: nothing beyond group {header.last_tag >> 16:04X} was read"
    return "the object has no such element"


def _unknown(name: str, projects: ProjectRegistry) -> str:
    """Say why no project was found: names are case-sensitive, and must be unique (XNAT 5.5)."""
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
"""CPU time for all rules of one object; after that, no rule is begun."""
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
    """The rules, values and routes of one object, for its identifier; used by one thread."""

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
        """The rules that failed; after a project rule that fails, subject and session go on."""
        self._suspended = suspended
        self._steps: list[Step] | None = [] if recording else None
        self._began = 0.0
        """This thread's CPU time before the first rule."""
        self._look_again_at = 0.0
        """Monotonic time before which the CPU time can't be used up, and need not be read."""

    @property
    def trace(self) -> Trace:
        """The steps so far; empty unless `recording`."""
        return Trace(tuple(self._steps or ()))

    @property
    def warning(self) -> str:
        """Which project rule failed; empty if none did. It is stored with the object."""
        failed = (f for f in self.failures if f.attribute is Attribute.PROJECT)
        return "; ".join(
            f"a project rule failed: {_describe_failure(failure)}" for failure in failed
        )

    def project(self) -> Decision:
        """Return the first value that is the id or alias of a project (XNAT 5.5).

        A rule that fails leaves the object unassigned, and no further rule is evaluated, as in
        XNAT. Unlike XNAT, the failure is reported.
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
        """Return the first value as true or false, None if it is neither (XNAT 5.2).

        Raises:
            RoutingFailed: if a rule fails.
        """
        # The first value decides even if it is neither true nor false; no later one is tried.
        said = self._asked(Attribute.AUTO_ARCHIVE, str)
        return requested(said.value or "") if said else None

    def study_route(self) -> StudyRoute | None:
        """Return where the object's study was announced to go (XNAT 7.3).

        Raises:
            OutOfResources: if the routes can't be read.
        """
        return self.routing.studies.route(self.header.study_instance_uid or "")

    def running_label(self, project: str | None, subject: str, modality: str) -> str:
        """Return the study's label ``<subject>_<modality><n>``, the same for all its objects.

        The number is assigned permanently, unless the trace is recorded, as for a preview.

        Raises:
            OutOfResources: if the label can't be read or written.
        """
        key = LabelKey(project, subject, self.header.study_instance_uid or "")
        return self.routing.studies.label(key, modality, take=self._steps is None)

    def settle(
        self, attribute: Attribute, value: str | None, source: str, why: str = ""
    ) -> Decision:
        """Record a decision that the identifier makes without rules.

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
            # XNAT 5.5: a failing project rule leaves the object unassigned, a failing label rule
            # refuses it (0xC000).
            raise RoutingFailed(f"a routing rule failed: {why}") from error

    def _first(self, attribute: Attribute, accept: Callable[[str], str | None]) -> Decision | None:
        """Evaluate one source after the other until a value is accepted."""
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
            # Only patterns of admins can be slow; the defaults are searched in linear time. The
            # system call for the CPU time is needed only once so much wall time has passed.
            if clause.source is not Source.DEFAULT and monotonic() > self._look_again_at:
                self._require_time(clause)
            return clause.take(text)
        except RuleError as error:
            self.failures.append(RoutingFailure(attribute, clause, error))
            if self._steps is not None:
                self._steps.append(failed_step(attribute, clause, text, error))
            raise

    def _require_time(self, clause: ValueSource) -> None:
        """Raise for a rule that is suspended, or for any if the object's time is used up.

        Only CPU time of this thread counts, so that no object fails because the machine is busy.
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
        # With suspended rules, each one must come by here to be refused.
        if not self._suspended:
            self._look_again_at = monotonic() + left


def _describe_failure(failure: RoutingFailure) -> str:
    """Name the rule by its place: its text, which may contain names, goes into no event."""
    return f"{failure.clause.name}: {failure.error.detail}"
