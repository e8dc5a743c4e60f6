"""The installed identifiers: loaded from entry points, checked, and guarded against errors."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.api import ListenFailure
from engine.events import PluginBroken, ReceiverFailed
from engine.host.clock import SystemClock
from engine.model.plugins import (
    DEFAULT_IDENTIFIER,
    IDENTIFIERS,
    IdentifierField,
    IdentifierInfo,
    PluginInfo,
    identifier_problems,
)
from engine.plugins.loading import OWN_DISTRIBUTION, GuardedIdentifier, NotAPlugin, is_a, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.errors import Problem
    from engine.events import Event
    from engine.host.clock import Clock
    from engine.identification.evaluation import RoutingEvaluation
    from engine.identification.identifiers import Identifier
    from engine.model.identity import Identity
    from engine.model.receiver import Receiver
    from engine.plugins.loading import Plugin


MAX_TAG = 0xFFFF_FFFF

_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def load_identifiers() -> tuple[Plugin[Identifier], ...]:
    """Load the installed identifiers, the default one first; broken ones carry their error."""
    found = load(IDENTIFIERS, _checked)
    return tuple(sorted(found, key=lambda plugin: plugin.info.id != DEFAULT_IDENTIFIER))


def installed_identifiers() -> dict[str, Identifier]:
    """Return the identifiers that can be used, by id, for a dry run."""
    return usable(load_identifiers(), lambda _: None, SystemClock())


def infos_of(plugins: Iterable[Plugin[Identifier]]) -> tuple[IdentifierInfo, ...]:
    """Return id, name and fields of each identifier, broken ones included.

    An id that several distributions claim is listed once: as ours, or as broken.
    """
    found: dict[str, IdentifierInfo] = {}
    for plugin in plugins:
        found.setdefault(plugin.info.id, _info(plugin.info, plugin.loaded))
    return tuple(found.values())


def usable(
    plugins: Sequence[Plugin[Identifier]], report: Callable[[Event], object], clock: Clock
) -> dict[str, Identifier]:
    """Return the identifiers by id, and report those that can't be used.

    Identifiers of other distributions are guarded: an error in one fails an object, no more.
    """
    found: dict[str, Identifier] = {}
    for info, identifier in ((plugin.info, plugin.loaded) for plugin in plugins):
        if identifier is None:
            report(PluginBroken(plugin=f"{info.id} of {info.origin}", error=info.error))
        elif info.distribution == OWN_DISTRIBUTION:
            found[info.id] = identifier
        else:
            found[info.id] = GuardedIdentifier(identifier, report, clock)
    return found


@dataclass(frozen=True, slots=True)
class _Loaded:
    """An identifier with its properties as they were when it was loaded."""

    identifier: Identifier
    info: IdentifierInfo
    tags: frozenset[int]
    is_settled_by_header: bool

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        return self.identifier.identify(evaluation)


def _checked(plugin_id: str, named: object) -> Identifier:
    """Return the identifier of an entry point, which names a class or a function."""
    if not callable(named):
        raise NotAPlugin("is neither a class nor a function that makes an identifier")
    made: Identifier = named()
    # Read once: a plug-in's property could return another value at the next call, unchecked.
    info, tags = made.info, made.tags
    if not callable(getattr(made, "identify", None)):
        raise NotAPlugin("has no method identify")
    _check_info(plugin_id, info)
    if not is_a(frozenset, tags) or not all(_is_tag(tag) for tag in tags):
        raise NotAPlugin("tags is not a frozenset of numbers such as 0x00100010")
    settled = made.is_settled_by_header
    if not is_a(bool, settled):
        raise NotAPlugin("is_settled_by_header is not True or False")
    return _Loaded(made, info, tags, settled)


def _is_tag(tag: object) -> bool:
    # `True` is an int in Python, and would be element (0000,0001).
    return isinstance(tag, int) and not isinstance(tag, bool) and 0 <= tag <= MAX_TAG


def _check_info(plugin_id: str, info: object) -> None:
    if not isinstance(info, IdentifierInfo):
        raise NotAPlugin("info is not an IdentifierInfo")
    if info.id != plugin_id:
        raise NotAPlugin(f"calls itself {info.id!r} but is installed as {plugin_id!r}")
    if not is_a(str, info.name) or not info.name.strip() or not info.name.isprintable():
        raise NotAPlugin("info.name is not a name")
    if not is_a(bool, info.can_route):
        raise NotAPlugin("info.can_route is not True or False")
    if not is_a(tuple, info.fields) or not all(is_a(IdentifierField, f) for f in info.fields):
        raise NotAPlugin("info.fields is not a tuple of IdentifierField")
    names = [field.name for field in info.fields]
    if not all(is_a(str, name) and _FIELD_NAME.fullmatch(name) for name in names):
        raise NotAPlugin("a field's name is not lower case letters, digits and '_'")
    if len(set(names)) < len(names):
        raise NotAPlugin("two fields have the same name")
    if not all(is_a(str, f.label) and is_a(str, f.help) for f in info.fields):
        raise NotAPlugin("label or help of a field is not text")


def _info(plugin: PluginInfo, loaded: Identifier | None) -> IdentifierInfo:
    if loaded is None:
        broken = IdentifierInfo(plugin.id, plugin.id, False)
        return replace(broken, origin=plugin.origin, error=plugin.error)
    return replace(loaded.info, origin=plugin.origin, is_default=plugin.id == DEFAULT_IDENTIFIER)


class IdentifierFaults:
    """Receivers that can't be served because of their identifier; for all threads."""

    def __init__(
        self,
        identifiers: Sequence[IdentifierInfo],
        clock: Clock,
        report: Callable[[Event], object],
    ) -> None:
        self._identifiers = identifiers
        self._clock = clock
        self._report = report
        self._lock = threading.Lock()
        self._failures: dict[int, ListenFailure] = {}
        """By the receiver's id."""

    def sort_out(self, receivers: Iterable[Receiver]) -> tuple[Receiver, ...]:
        """Return the receivers, with those disabled whose identifier can't be used."""
        with self._lock:
            before, self._failures = self._failures, {}
            return tuple(self._served(receiver, before.get(receiver.id)) for receiver in receivers)

    def of(self, receiver: Receiver) -> ListenFailure | None:
        """Return why an enabled receiver does not listen; None if its identifier is usable."""
        with self._lock:
            return self._failures.get(receiver.id)

    def _served(self, receiver: Receiver, before: ListenFailure | None) -> Receiver:
        problem = next(identifier_problems(receiver.choice, self._identifiers), None)
        if problem is None or not receiver.enabled:
            return receiver
        reason, remedy = self._reason(problem, receiver.identifier), problem.remedy
        # Called at each change of the configuration: the same reason is reported once, and keeps
        # its time.
        if before is not None and before.reason == reason:
            self._failures[receiver.id] = before
        else:
            self._failures[receiver.id] = ListenFailure(reason, remedy, self._clock.now())
            self._report(ReceiverFailed(receiver=receiver.label, reason=reason, remedy=remedy))
        return replace(receiver, enabled=False)

    def _reason(self, problem: Problem, identifier: str) -> str:
        """Describe a problem for events, without texts of plug-ins, which may quote a setting."""
        info = next((known for known in self._identifiers if known.id == identifier), None)
        origin = info.origin.split()[:1] if info else []
        foreign = bool(origin) and origin != [OWN_DISTRIBUTION]
        if foreign and problem.field.startswith("identifier_settings."):
            return f"its {problem.field} is not acceptable to the identifier"
        return _describe(problem)


def _describe(problem: Problem) -> str:
    if problem.field == "identifier" and problem.value not in problem.message:
        return f"its identifier {problem.value} {problem.message}"
    if problem.field == "routing_enabled":
        return f"its identifier {problem.message}"
    return f"its {problem.field} {problem.message}"
