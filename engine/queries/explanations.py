"""Explains where an object is filed: a dry run of the rules in force now, masked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.api.objects import HeaderBasis, ObjectWhy
from engine.dicom.header import identifying_values_of
from engine.errors import NotFound
from engine.model.identity import Attribute, Trace, is_label

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.api.objects import ObjectTrail, TrailStep
    from engine.identification.caches import RecentHeader
    from engine.intake.rules import ObjectRouter
    from engine.intake.trial import DryRun
    from engine.model.identity import Identification, IdentifyingValues
    from engine.model.session import Session


def explained(
    router: ObjectRouter,
    trail: ObjectTrail,
    arrival: TrailStep,
    recent: RecentHeader | None,
    path: Callable[[], Path],
    *,
    shown: bool = False,
) -> ObjectWhy:
    """Explain one arrival of an object; values are masked unless `shown`.

    Args:
        router: runs the rules.
        trail: all arrivals and sessions of the object.
        arrival: one of these arrivals.
        recent: its header as received, if that is in memory.
        path: returns the file, if it is needed.
        shown: whether values are not masked.

    Raises:
        NotFound: if the object is neither stored nor in memory.
        UnreadableObject: if its file can't be read.
    """
    # A header of another receiver would be judged by rules that did not see it.
    if recent is not None and recent.receiver != arrival.receiver:
        recent = None
    if recent is None and not arrival.file:
        raise NotFound(
            "the object is not stored, and its header is not in memory any more",
            "send it again; the last 20 headers of each receiver are kept until the engine stops",
        )
    basis = HeaderBasis.STORED if recent is None else HeaderBasis.RECEIVED
    session = next((s for s in trail.sessions if s.id == arrival.session), None)
    receiver = router.receiver_named(arrival.receiver)
    if receiver is None:
        return ObjectWhy(arrival, basis, 0, None, (), session, agrees=False)
    if recent is not None:
        tried = router.explain_recent(receiver, recent)
    else:
        tried = router.explain_stored(receiver, path())
    known = identifying_values_of(tried.header if recent is None else recent.header)
    found, steps = tried.identification, tried.steps
    if not shown:
        found = masked_explanation(found, known)
        steps = tuple(step.masked(known) for step in steps)
    return ObjectWhy(
        *(arrival, basis, receiver.id, found, steps, session),
        agrees=_agrees(tried, session),
        unknown_project=_unknown_project(tried.identification, known),
    )


def masked_explanation(found: Identification, known: IdentifyingValues) -> Identification:
    """Mask all but names of projects: an admin looks for the very name that was not found."""
    masked = found.masked(known)
    steps = tuple(
        replace(hidden, given=step.given, result=step.result, why_not=step.why_not)
        if step.attribute is Attribute.PROJECT and step.given and not known.appear_in(step.given)
        else hidden
        for step, hidden in zip(found.trace.steps, masked.trace.steps, strict=True)
    )
    return replace(masked, trace=Trace(steps))


def _agrees(tried: DryRun, session: Session | None) -> bool:
    identity = tried.identification.identity
    if identity is None or session is None:
        return identity is None and session is None
    there = (session.project, session.subject or "", session.label)
    return (identity.project.value, identity.subject.value or "", identity.session_label) == there


def _unknown_project(found: Identification, known: IdentifyingValues) -> str:
    if found.identity is None or found.identity.project.value is not None:
        return ""
    names = (
        step.given
        for step in found.trace.of(Attribute.PROJECT)
        if step.given and not step.decided and is_label(step.given)
    )
    return next((name for name in names if not known.appear_in(name)), "")
