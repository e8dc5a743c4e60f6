"""Which types have a JSON form, and what it is."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic_core import ValidationError

import engine
from engine.errors import InvalidWhitelistEntry
from engine.events import Event
from engine.remote import schema
from engine.remote.protocol import fingerprint, methods
from engine.remote.schema import Codec, NotPlain, event_modules, hints_of
from tests.fakes import busy, make_receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Item:
    """One that may contain others."""

    name: str
    items: tuple[Item, ...] = ()
    check: Callable[[str], str] | None = None


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Circle:
    radius: float


@dataclass(frozen=True, slots=True)
class Square:
    side: float
    colour: Colour = Colour.RED


class Odd(Enum):
    FIRST = ()


@dataclass
class Live:
    kept: Any


def codec(hint: Any) -> Codec:
    return Codec(lambda schemas: schemas.of(hint))


def there_and_back(hint: Any, value: Any) -> Any:
    return codec(hint).load(codec(hint).dump(value))


def test_a_value_may_contain_others_of_its_kind_and_leaves_callables_behind() -> None:
    tree = Item("a", (Item("b", (Item("c", check=str.upper),)),))
    back = there_and_back(Item, tree)
    assert back.items[0].items[0].name == "c"
    assert back.items[0].items[0].check is None


def test_one_of_several_classes_is_told_by_its_name() -> None:
    both: Any = Circle | Square | None
    assert json.loads(codec(both).dump(Square(2.0))) == {
        "kind": "Square",
        "side": 2.0,
        "colour": "red",
    }
    for value in (Circle(1.5), Square(2.0), None):
        assert there_and_back(both, value) == value
    with pytest.raises(ValidationError):
        codec(both).load(b'{"kind": "Triangle"}')


def test_texts_that_are_no_unicode_survive() -> None:
    name = "\udce9tude \x00 \U0001f600"
    assert there_and_back(Path, Path(name)) == Path(name)
    assert there_and_back(tuple[str, ...], (name, "é")) == (name, "é")


@pytest.mark.parametrize(
    "hint", [Any, object, "Callable[[], int]", Live, Odd, tuple[Any, ...], complex, Item | Any]
)
def test_what_has_no_json_form_is_refused_when_the_method_is_described(hint: Any) -> None:
    with pytest.raises(NotPlain):
        codec(hint).dump(None)


@pytest.mark.parametrize(
    ("hint", "content"),
    [
        (int, b"1.0"),
        (int, b'"1"'),
        (str, b"1"),
        (bool, b"1"),
        (float, b"NaN"),
        (float, b"1e999"),
        (datetime, b'"2026-08-24T14:03:22"'),
        (tuple[int, int], b"[1]"),
        (Colour, b'"blue"'),
        (bytes, b'"*"'),
        (Circle, b'{"radius": 1.0, "side": 2.0}'),
    ],
)
def test_a_value_of_another_type_is_not_taken(hint: Any, content: bytes) -> None:
    with pytest.raises(ValidationError):
        codec(hint).load(content)


def test_the_checks_of_a_value_itself_are_made_too() -> None:
    receiver = json.loads(codec(type(make_receiver(1))).dump(make_receiver(1)))
    wrong = receiver | {"whitelist_enabled": True, "whitelist": ["a\\b@10.0.0.0/99"]}
    with pytest.raises(InvalidWhitelistEntry):
        codec(type(make_receiver(1))).load(json.dumps(wrong).encode())


ACTING_ON_IMPORT = ("engine.__main__", "engine.workers.preload")
"""They run the program, and make a worker of the process that loads them."""


def test_every_event_of_the_engine_can_be_told() -> None:
    for module in pkgutil.walk_packages(engine.__path__, "engine."):
        if module.name not in ACTING_ON_IMPORT:
            importlib.import_module(module.name)
    told = {module.__name__ for module in event_modules()}
    ours = [c for c in derived(Event) if c.__module__.startswith("engine.")]
    assert {c.__module__ for c in ours if vars(sys.modules[c.__module__])[c.__name__] is c} <= told


def derived(cls: type) -> Sequence[type]:
    classes: list[type] = cls.__subclasses__()
    return [cls, *(d for each in classes for d in derived(each))]


def test_looking_four_times_a_second_costs_little_and_the_protocol_has_one_fingerprint() -> None:
    result = methods()["snapshot"].result
    assert len(result.dump(busy().current)) < 20_000
    assert len(fingerprint()) == 16
    fingerprint.cache_clear()
    assert fingerprint() == fingerprint()


def test_hints_are_understood_where_there_is_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fingerprint()

    def missing(_: object) -> str:
        raise OSError("could not get source code")

    monkeypatch.setattr(inspect, "getsource", missing)
    for kept in (fingerprint, hints_of, schema._names_of):
        kept.cache_clear()
    assert fingerprint() == expected


def test_a_name_that_means_two_things_is_not_guessed() -> None:
    names = schema._names_of_values()
    assert names["Receiver"] is type(make_receiver(1))
    assert "masked" not in names  # two modules of the model have one
