"""The installed identifiers: loaded from entry points, those of other distributions in bounds."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from engine.errors import IntakeError, ProcessingFailed
from engine.events import IdentifierSlow, PluginBroken
from engine.model.identifier import DEFAULT_IDENTIFIER, IdentifierField, IdentifierInfo
from engine.model.identity import Decision, Identity, to_label
from engine.model.plugin import IDENTIFIERS, PluginInfo
from engine.plugins import OWN_DISTRIBUTION, NotAPlugin, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import UnionType

    from engine.clock import Clock
    from engine.events import Event
    from engine.intake.identifiers import Identifier
    from engine.intake.inquiry import Inquiry
    from engine.plugins import Plugin

SLOW_SECONDS = 0.5
"""An object that takes an identifier longer is worth a warning."""
WARNING_SECONDS = 60
"""There is one such warning in this time."""
MAX_TAG = 0xFFFF_FFFF


def load_identifiers() -> tuple[Plugin[Identifier], ...]:
    """Load the installed identifiers, the default one first; broken ones say what is wrong."""
    found = load(IDENTIFIERS, _checked)
    return tuple(sorted(found, key=lambda plugin: plugin.info.id != DEFAULT_IDENTIFIER))


def infos_of(plugins: Iterable[Plugin[Identifier]]) -> tuple[IdentifierInfo, ...]:
    """Return what the dialog must know about each, broken ones included.

    Where several distributions claim one id, and so none has it, the id is there once.
    """
    infos = (_info(plugin.info, plugin.loaded) for plugin in plugins)
    return tuple({info.id: info for info in infos}.values())


def usable(
    plugins: Sequence[Plugin[Identifier]], tell: Callable[[Event], object], clock: Clock
) -> dict[str, Identifier]:
    """Return the identifiers by id, and tell of those that can't be used.

    Those of other distributions can fail an object, but no more.
    """
    found: dict[str, Identifier] = {}
    for info, identifier in ((plugin.info, plugin.loaded) for plugin in plugins):
        if identifier is None:
            tell(PluginBroken(plugin=f"{info.id} of {info.origin}", error=info.error))
        elif info.distribution == OWN_DISTRIBUTION:
            found[info.id] = identifier
        else:
            found[info.id] = GuardedIdentifier(identifier, tell, clock)
    return found


class GuardedIdentifier:
    """An identifier that is not ours: what goes wrong in it fails one object and names it."""

    def __init__(
        self, identifier: Identifier, tell: Callable[[Event], object], clock: Clock
    ) -> None:
        self.info = identifier.info
        self.tags = identifier.tags
        self._identifier = identifier
        self._tell = tell
        self._clock = clock
        self._quiet_until = 0.0

    def identify(self, inquiry: Inquiry) -> Identity:
        """Return what the identifier says, its labels made safe.

        Raises:
            IntakeError: what the identifier raises of that kind.
            ProcessingFailed: if it raises anything else, or returns no identity that can be.
        """
        began = monotonic()
        try:
            return _accepted(self._identifier.identify(inquiry), inquiry)
        except IntakeError:
            raise
        except BaseException as error:  # the border to code of others, which may even sys.exit()
            # What the exception says may quote the object; kind and place do not.
            detail = f"identifier {self.info.id} failed: {_place(error)}"
            raise ProcessingFailed(detail) from error
        finally:
            self._note(monotonic() - began, inquiry)

    def _note(self, seconds: float, inquiry: Inquiry) -> None:
        now = self._clock.monotonic()
        if seconds > SLOW_SECONDS and now >= self._quiet_until:
            self._quiet_until = now + WARNING_SECONDS
            receiver = inquiry.routing.receiver
            self._tell(IdentifierSlow(receiver=receiver, identifier=self.info.id, seconds=seconds))


class _Refused(Exception):
    """An identity that can't be."""


def _accepted(identity: object, inquiry: Inquiry) -> Identity:
    if not isinstance(identity, Identity):
        raise _Refused("no Identity was returned")
    decisions = (identity.project, identity.subject, identity.session)
    if not all(_is(Decision, d) and _is(str | None, d.value) for d in decisions):
        raise _Refused("project, subject or session is no Decision")
    project = identity.project.value
    if project is not None and inquiry.routing.projects.find(project) != project:
        raise _Refused("the project does not exist")
    if not _is(bool | None, identity.auto_archive) or not _is(str, identity.warning):
        raise _Refused("auto_archive or warning is of the wrong kind")
    return replace(identity, subject=_safe(identity.subject), session=_safe(identity.session))


def _safe(label: Decision) -> Decision:
    return replace(label, value=to_label(label.value)) if label.value else label


def _place(error: BaseException) -> str:
    if isinstance(error, _Refused):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else "nowhere"
    return f"{type(error).__name__} in {where}"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """An identifier with what it said of itself when it was loaded; it is not asked again."""

    identifier: Identifier
    info: IdentifierInfo
    tags: frozenset[int]

    def identify(self, inquiry: Inquiry) -> Identity:
        return self.identifier.identify(inquiry)


def _checked(plugin_id: str, named: object) -> Identifier:
    """Return the identifier that an entry point names: a class, or what makes one."""
    if not callable(named):
        raise NotAPlugin("is neither a class nor a function that makes an identifier")
    made: Identifier = named()
    info, tags = made.info, made.tags
    if not callable(getattr(made, "identify", None)):
        raise NotAPlugin("has no method identify")
    _check_info(plugin_id, info)
    if not _is(frozenset, tags) or not all(_is_tag(tag) for tag in tags):
        raise NotAPlugin("tags is not a frozenset of numbers such as 0x00100010")
    return _Loaded(made, info, tags)


def _is(kind: type | UnionType, value: object) -> bool:
    """Check what the type of foreign code only promises."""
    return isinstance(value, kind)


def _is_tag(tag: object) -> bool:
    return isinstance(tag, int) and not isinstance(tag, bool) and 0 <= tag <= MAX_TAG


def _check_info(plugin_id: str, info: object) -> None:
    if not isinstance(info, IdentifierInfo):
        raise NotAPlugin("info is not an IdentifierInfo")
    if info.id != plugin_id:
        raise NotAPlugin(f"calls itself {info.id!r} but is installed as {plugin_id!r}")
    if not _is(str, info.name) or not info.name.strip() or not info.name.isprintable():
        raise NotAPlugin("info.name is not a name")
    if not _is(bool, info.can_route):
        raise NotAPlugin("info.can_route is not True or False")
    if not _is(tuple, info.fields) or not all(_is(IdentifierField, f) for f in info.fields):
        raise NotAPlugin("info.fields is not a tuple of IdentifierField")


def _info(plugin: PluginInfo, loaded: Identifier | None) -> IdentifierInfo:
    if loaded is None:
        broken = IdentifierInfo(plugin.id, plugin.id, False)
        return replace(broken, origin=plugin.origin, error=plugin.error)
    return replace(loaded.info, origin=plugin.origin, is_default=plugin.id == DEFAULT_IDENTIFIER)
