"""The installed identifiers: ours, those of others, and what is refused as none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine.identification.installed import (
    _checked,
    infos_of,
    installed_identifiers,
    load_identifiers,
    usable,
)
from engine.model.plugins import IDENTIFIERS, IdentifierField, IdentifierInfo, PluginInfo
from engine.plugins.loading import GuardedIdentifier, NotAPlugin, Plugin
from tests.fakes import FixedClock

if TYPE_CHECKING:
    from engine.events import Event
    from engine.identification.evaluation import RoutingEvaluation
    from engine.model.identity import Identity

INFO = IdentifierInfo("acme", "Acme", can_route=False)


class Acme:
    info: Any = INFO
    tags: Any = frozenset({0x00100010})
    is_settled_by_header: Any = True

    def identify(self, evaluation: RoutingEvaluation) -> Identity:
        raise NotImplementedError


def changed(**members: object) -> type[Acme]:
    return type("Changed", (Acme,), members)


def saying(**values: Any) -> type[Acme]:
    return changed(info=replace(INFO, **values))


def with_fields(*fields: Any) -> type[Acme]:
    return saying(fields=fields)


def test_ours_are_installed_like_any_other_and_the_default_comes_first() -> None:
    plugins = load_identifiers()
    assert all(plugin.info.distribution == "dicomdock" for plugin in plugins)
    infos = infos_of(plugins)
    assert [info.id for info in infos] == [
        "dicomObjectIdentifier",
        "fixedProjectSubject",
        "studyRouting",
    ]
    assert [info.is_default for info in infos] == [True, False, False]
    assert [info.can_route for info in infos] == [True, False, False]
    assert {info.origin for info in infos} == {plugins[0].info.origin}
    assert list(installed_identifiers()) == [info.id for info in infos]


def test_what_an_identifier_says_of_itself_is_asked_once() -> None:
    asked: list[str] = []

    class Telling(Acme):
        @property
        def info(self) -> IdentifierInfo:
            asked.append("info")
            return INFO

    loaded = _checked("acme", Telling)
    assert (loaded.info, loaded.info, asked) == (INFO, INFO, ["info"])
    assert loaded.tags == {0x00100010}


@pytest.mark.parametrize(
    ("named", "why"),
    [
        (Acme(), "is neither a class nor a function"),
        (3, "is neither a class nor a function"),
        (changed(identify=3), "has no method identify"),
        (changed(info="acme"), "info is not an IdentifierInfo"),
        (saying(id="other"), "calls itself 'other' but is installed as"),
        (saying(name=" "), "info.name is not a name"),
        (saying(name="a\x1b[2J"), "info.name is not a name"),
        (saying(can_route=1), "info.can_route is not True or False"),
        (saying(fields=None), "info.fields is not a tuple"),
        (with_fields("project"), "info.fields is not a tuple"),
        (with_fields(IdentifierField("Not A Name", "", "")), "a field's name is not lower case"),
        (with_fields(*[IdentifierField("twice", "", "")] * 2), "two fields have the same name"),
        (with_fields(IdentifierField("name", 3, "")), "label or help of a field is not text"),  # type: ignore[arg-type]
        (changed(tags=[1]), "tags is not a frozenset of numbers"),
        (changed(tags=frozenset({True})), "tags is not a frozenset of numbers"),
        (changed(tags=frozenset({1 << 32})), "tags is not a frozenset of numbers"),
        (changed(is_settled_by_header=None), "is_settled_by_header is not True or False"),
    ],
)
def test_what_is_no_identifier_is_refused(named: object, why: str) -> None:
    with pytest.raises(NotAPlugin) as caught:
        _checked("acme", named)
    assert str(caught.value).startswith(why)


def plugin(plugin_id: str, distribution: str = "acme", error: str = "") -> Plugin[Any]:
    info = PluginInfo(IDENTIFIERS, plugin_id, "acme:Acme", distribution, "2.5", error)
    return Plugin(info, None if error else Acme())


def test_broken_ones_are_shown_with_their_error_and_told_once() -> None:
    plugins = [plugin("acme"), plugin("bad", error="ValueError: no"), plugin("bad", "zeta", "twin")]
    shown = {info.id: info for info in infos_of(plugins)}
    assert (shown["acme"].error, shown["acme"].origin) == ("", "acme 2.5")
    assert (shown["bad"].error, shown["bad"].can_route) == ("ValueError: no", False)
    told: list[Event] = []
    assert list(usable(plugins, told.append, FixedClock())) == ["acme"]
    assert [event.sentence() for event in told] == [
        "plugin bad of acme 2.5 can't be used: ValueError: no",
        "plugin bad of zeta 2.5 can't be used: twin",
    ]


def test_a_rival_does_not_make_ours_unusable() -> None:
    ours = load_identifiers()
    rival = plugin("dicomObjectIdentifier", error="dicomdock has the same id")
    assert infos_of((*ours, rival)) == infos_of(ours)
    assert not infos_of(ours)[0].error


def test_only_those_of_others_are_guarded() -> None:
    found = usable([plugin("ours", "dicomdock"), plugin("acme")], print, FixedClock())
    assert isinstance(found["acme"], GuardedIdentifier)
    assert isinstance(found["ours"], Acme)
