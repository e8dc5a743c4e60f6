"""The installed identifiers: loaded from entry points, checked, and kept apart from the engine."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.events import PluginBroken
from engine.host.clock import SystemClock
from engine.model.plugins import (
    DEFAULT_IDENTIFIER,
    IDENTIFIERS,
    IdentifierField,
    IdentifierInfo,
    PluginInfo,
)
from engine.plugins.guarded import GuardedIdentifier, is_a
from engine.plugins.loading import OWN_DISTRIBUTION, NotAPlugin, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.events import Event
    from engine.host.clock import Clock
    from engine.identification.evaluation import RoutingEvaluation
    from engine.identification.identifiers import Identifier
    from engine.model.identity import Identity
    from engine.plugins.loading import Plugin

MAX_TAG = 0xFFFF_FFFF

_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def load_identifiers() -> tuple[Plugin[Identifier], ...]:
    """Load the installed identifiers, the default one first; broken ones say what is wrong."""
    found = load(IDENTIFIERS, _checked)
    return tuple(sorted(found, key=lambda plugin: plugin.info.id != DEFAULT_IDENTIFIER))


def installed_identifiers() -> dict[str, Identifier]:
    """Return the identifiers that can be used, by id, for a dry run."""
    return usable(load_identifiers(), lambda _: None, SystemClock())


def infos_of(plugins: Iterable[Plugin[Identifier]]) -> tuple[IdentifierInfo, ...]:
    """Return what the dialog must know about each, broken ones included.

    Where several distributions claim one id, it is there once: as ours, or as nobody's.
    """
    found: dict[str, IdentifierInfo] = {}
    for plugin in plugins:
        found.setdefault(plugin.info.id, _info(plugin.info, plugin.loaded))
    return tuple(found.values())


def usable(
    plugins: Sequence[Plugin[Identifier]], report: Callable[[Event], object], clock: Clock
) -> dict[str, Identifier]:
    """Return the identifiers by id, and tell of those that can't be used.

    Those of other distributions can fail an object, but no more.
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
    """An identifier with what it said of itself when it was loaded; it is not asked again."""

    identifier: Identifier
    info: IdentifierInfo
    tags: frozenset[int]
    is_settled_by_header: bool

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        return self.identifier.identify(evaluation)


def _checked(plugin_id: str, named: object) -> Identifier:
    """Return the identifier that an entry point names: a class, or what makes one."""
    if not callable(named):
        raise NotAPlugin("is neither a class nor a function that makes an identifier")
    made: Identifier = named()
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
