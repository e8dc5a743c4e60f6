"""Keeps identifiers of other distributions in bounds: what fails in them fails one object."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from engine.errors import IntakeError, ProcessingFailed
from engine.events import IdentifierSlow
from engine.model.identity import Decision, Identity, to_label
from engine.plugins.loading import kind_and_place

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import UnionType

    from engine.events import Event
    from engine.host.clock import Clock
    from engine.identification.evaluation import RoutingEvaluation
    from engine.identification.identifiers import Identifier

SLOW_SECONDS = 0.5
"""An object that takes an identifier longer is worth a warning."""
WARNING_SECONDS = 60
"""There is one such warning in this time."""


class GuardedIdentifier:
    """An identifier that is not ours: what goes wrong in it fails one object and names it."""

    def __init__(
        self, identifier: Identifier, report: Callable[[Event], object], clock: Clock
    ) -> None:
        self.info = identifier.info
        self.tags = identifier.tags
        self.is_settled_by_header = identifier.is_settled_by_header
        self._identifier = identifier
        self._report = report
        self._clock = clock
        self._quiet_until = 0.0

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        """Return what the identifier says, its labels made safe.

        Raises:
            IntakeError: what the identifier raises of that kind.
            ProcessingFailed: if it raises anything else, or returns no identity that can be.
        """
        began = monotonic()
        try:
            return _accepted(self._identifier.identify(evaluation), evaluation)
        except IntakeError:
            raise
        except BaseException as error:  # the border to code of others, which may even sys.exit()
            # What the exception says may quote the object; kind and place do not.
            detail = f"identifier {self.info.id} failed: {place_of(error)}"
            raise ProcessingFailed(detail) from error
        finally:
            self._note(monotonic() - began, evaluation)

    def _note(self, seconds: float, evaluation: RoutingEvaluation) -> None:
        now = self._clock.monotonic()
        if seconds > SLOW_SECONDS and now >= self._quiet_until:
            self._quiet_until = now + WARNING_SECONDS
            receiver = evaluation.routing.receiver
            self._report(
                IdentifierSlow(receiver=receiver, identifier=self.info.id, seconds=seconds)
            )


class _Refused(Exception):
    """An identity that can't be."""


def _accepted(identity: object, evaluation: RoutingEvaluation) -> Identity:
    if not isinstance(identity, Identity):
        raise _Refused("no Identity was returned")
    decisions = (identity.project, identity.subject, identity.session)
    if not all(is_a(Decision, d) and is_a(str | None, d.value) for d in decisions):
        raise _Refused("project, subject or session is no Decision")
    project = identity.project.value
    if project is not None and evaluation.routing.projects.find(project) != project:
        raise _Refused("the project does not exist")
    if not is_a(bool | None, identity.auto_archive) or not is_a(str, identity.warning):
        raise _Refused("auto_archive or warning is of the wrong kind")
    return replace(identity, subject=_safe(identity.subject), session=_safe(identity.session))


def _safe(label: Decision) -> Decision:
    return replace(label, value=to_label(label.value)) if label.value else label


def place_of(error: BaseException) -> str:
    """Say of which kind an error of foreign code is, and where it arose; not what it says."""
    if isinstance(error, _Refused):
        return str(error)
    return kind_and_place(error)


def is_a(kind: type | UnionType, value: object) -> bool:
    """Check what the type of foreign code only promises."""
    return isinstance(value, kind)
