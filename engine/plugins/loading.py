"""Loads plug-ins of other distributions from entry points, and contains their errors."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections import defaultdict
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from engine.errors import IntakeError, ProcessingFailed
from engine.events import IdentifierSlow
from engine.model.identity import Decision, Identity, to_label
from engine.model.plugins import PluginInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import UnionType

    from engine.events import Event
    from engine.host.clock import Clock
    from engine.identification.evaluation import RoutingEvaluation
    from engine.identification.identifiers import Identifier


OWN_DISTRIBUTION = "dicomdock"
# A plug-in may raise an error with a text of any length.
MAX_ERROR_CHARACTERS = 300

T = TypeVar("T")


class NotAPlugin(Exception):
    """An entry point names something else than its group requires; the text says what."""


@dataclass(frozen=True, slots=True)
class Plugin(Generic[T]):
    """An entry point with its loaded object, or with the reason why it can't be used."""

    info: PluginInfo
    loaded: T | None
    """None if it can't be used; `info` says why."""


def load(group: str, check: Callable[[str, object], T]) -> tuple[Plugin[T], ...]:
    """Load every entry point of a group, our own first, then by name.

    Args:
        group: the entry point group.
        check: returns the plugin of an id and the object it names; raises `NotAPlugin`, or
            whatever the object itself raises when looked at.
    """
    by_id: dict[str, list[tuple[PluginInfo, EntryPoint]]] = defaultdict(list)
    for info, entry_point in _entry_points(group):
        by_id[info.id].append((info, entry_point))
    found = (plugin for rivals in by_id.values() for plugin in _load_rivals(rivals, check))
    return tuple(sorted(found, key=_rank))


def describe_error(error: BaseException) -> str:
    """Return type and text of an error in one line, cut to `MAX_ERROR_CHARACTERS`."""
    kind = type(error).__name__
    try:
        said = " ".join(str(error).split())
    except Exception:  # its __str__ is code of the plug-in, too
        said = ""
    text = f"{kind}: {said}" if said else kind
    return text if len(text) <= MAX_ERROR_CHARACTERS else f"{text[: MAX_ERROR_CHARACTERS - 1]}…"


def kind_and_place(error: BaseException) -> str:
    """Return type and place of an error of a plug-in, without its text, for events and logs."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else "nowhere"
    return f"{type(error).__name__} in {where}"


def _rank(plugin: Plugin[T]) -> tuple[bool, str, str]:
    info = plugin.info
    # False sorts before True, so our own come first.
    return info.distribution != OWN_DISTRIBUTION, info.id, info.distribution


def _entry_points(group: str) -> Iterator[tuple[PluginInfo, EntryPoint]]:
    """Yield a group's entry points. Of a distribution that is found twice, the first counts."""
    seen: set[str] = set()
    for distribution in distributions():
        wanted = [entry for entry in _entries_of(distribution) if entry.group == group]
        name, version = _name_of(distribution) if wanted else ("", "")
        if name not in seen:
            for entry in wanted:
                yield PluginInfo(group, entry.name, entry.value, name, version), entry
        if wanted:
            seen.add(name)


def _entries_of(distribution: Distribution) -> Sequence[EntryPoint]:
    try:
        return tuple(distribution.entry_points)
    except Exception:  # a damaged distribution must not hide the others
        return ()


def _name_of(distribution: Distribution) -> tuple[str, str]:
    try:
        metadata = distribution.metadata
        return metadata["Name"] or "unnamed", metadata["Version"] or ""
    except Exception:  # as above
        return "unnamed", ""


def _load_rivals(
    rivals: Sequence[tuple[PluginInfo, EntryPoint]], check: Callable[[str, object], T]
) -> Iterator[Plugin[T]]:
    """Load the only one of an id, or our own; the others get an error.

    Two of other distributions are never chosen from: objects would be filed by chance.
    """
    own = [rival for rival in rivals if rival[0].distribution == OWN_DISTRIBUTION]
    chosen = own[:1] or (rivals if len(rivals) == 1 else [])
    for rival in rivals:
        info, entry_point = rival
        if rival in chosen:
            yield _load_one(info, entry_point, check)
        else:
            others = ", ".join(o.origin for o, _ in rivals if o is not info)
            error = f"{others} has the same id {info.id}; uninstall one of them"
            yield Plugin(replace(info, error=error), None)


def _load_one(
    info: PluginInfo, entry_point: EntryPoint, check: Callable[[str, object], T]
) -> Plugin[T]:
    if not EntryPoint.pattern.match(entry_point.value):
        error = f"{entry_point.value!r} is not module:object"
        return Plugin(replace(info, error=error), None)
    try:
        # Standard output has the data of a command, so what a plug-in prints goes to stderr.
        with contextlib.redirect_stdout(sys.stderr):
            return Plugin(info, check(info.id, entry_point.load()))
    except NotAPlugin as error:
        return Plugin(replace(info, error=str(error)), None)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the border to code of others, which may even sys.exit()
        broken = replace(info, error=kind_and_place(error), said=describe_error(error))
        return Plugin(broken, None)


SLOW_SECONDS = 0.5
"""A warning is reported if an identifier takes longer for one object."""
WARNING_SECONDS = 60
"""At most one such warning is reported within this time."""


class GuardedIdentifier:
    """Wraps an identifier of another distribution: an error in it fails one object."""

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
        """Call the identifier, and return its identity with safe labels.

        Raises:
            IntakeError: if the identifier raises one.
            ProcessingFailed: if it raises anything else, or returns an unusable identity.
        """
        began = monotonic()
        try:
            return _accepted(self._identifier.identify(evaluation), evaluation)
        except IntakeError:
            raise
        except BaseException as error:  # the border to code of others, which may even sys.exit()
            # The text of the exception may quote the object; type and place do not.
            detail = f"identifier {self.info.id} failed: {place_of(error)}"
            raise ProcessingFailed(detail) from error
        finally:
            self._note(monotonic() - began, evaluation)

    def _note(self, seconds: float, evaluation: RoutingEvaluation) -> None:
        now = self._clock.monotonic()
        if seconds > SLOW_SECONDS and now >= self._quiet_until:
            # Not locked: two threads may both report, which costs one more line.
            self._quiet_until = now + WARNING_SECONDS
            receiver = evaluation.routing.receiver
            self._report(
                IdentifierSlow(receiver=receiver, identifier=self.info.id, seconds=seconds)
            )


class _Refused(Exception):
    """An identity that can't be used."""


def _accepted(identity: object, evaluation: RoutingEvaluation) -> Identity:
    if not isinstance(identity, Identity):
        raise _Refused("no Identity was returned")
    decisions = (identity.project, identity.subject, identity.session)
    if not all(is_a(Decision, d) and is_a(str | None, d.value) for d in decisions):
        raise _Refused("project, subject or session is no Decision")
    project = identity.project.value
    # The id itself: an alias would become a folder beside the project's own.
    if project is not None and evaluation.routing.projects.find(project) != project:
        raise _Refused("the project does not exist")
    if not is_a(bool | None, identity.auto_archive) or not is_a(str, identity.warning):
        raise _Refused("auto_archive or warning is of the wrong kind")
    # Labels become names of folders, so they are made of label characters whatever the plug-in
    # returns.
    return replace(identity, subject=_safe(identity.subject), session=_safe(identity.session))


def _safe(label: Decision) -> Decision:
    return replace(label, value=to_label(label.value)) if label.value else label


def place_of(error: BaseException) -> str:
    """Return type and place of an error without its text; our own errors have a safe text."""
    if isinstance(error, _Refused):
        return str(error)
    return kind_and_place(error)


def is_a(kind: type | UnionType, value: object) -> bool:
    """Check a type at run time: annotations of a plug-in are only promises."""
    return isinstance(value, kind)
