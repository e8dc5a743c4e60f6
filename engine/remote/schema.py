"""JSON forms of types: pydantic-core schemas made from type hints.

Values are frozen dataclasses, enums, texts, numbers, moments, paths, bytes, and tuples, lists and
mappings of these. A dataclass that others are derived from stands for any of them, and so does a
union: such objects have a member ``kind``, the name of the class.
"""

from __future__ import annotations

import collections.abc
import enum
import importlib
import inspect
import json
import pkgutil
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import date, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, NewType, Union, get_args, get_origin

from pydantic_core import PydanticSerializationError, SchemaSerializer, SchemaValidator
from pydantic_core import ValidationError as Refused
from pydantic_core import core_schema as core

from engine.errors import ConfigurationError, Problem
from engine.events import Event
from engine.events.event import UnknownEvent

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
    from pydantic_core.core_schema import CoreSchema


@cache
def hints_of(owner: type | Callable[..., Any]) -> Mapping[str, Any]:
    """Return the hints of a class, of those that it is derived from too, or of a function.

    Raises:
        NameError: if a hint names something that its module does not import.
    """
    classes = reversed(owner.__mro__[:-1]) if isinstance(owner, type) else (owner,)
    found: dict[str, Any] = {}
    for each in classes:
        if each.__module__ in {"typing", "enum"}:
            continue
        names = _names_of(sys.modules[each.__module__])
        found |= inspect.get_annotations(each, globals=names, eval_str=True)
    return found


@cache
def _names_of(module: types.ModuleType) -> Mapping[str, Any]:
    return {**_names_of_values(), **vars(module)}


@cache
def _names_of_values() -> Mapping[str, Any]:
    """Return the public names of the packages that values are of, each as it is defined there.

    Their modules import one another for type checkers only, so that the console's first picture
    loads few of them. A name that means different things in two modules is left out.
    """
    meanings: dict[str, dict[int, Any]] = {}
    for module in ("engine.api", "engine.model", "engine.events"):
        for each in modules_of(module):
            for name, value in vars(each).items():
                if not name.startswith("_"):
                    meanings.setdefault(name, {})[id(value)] = value
    return {name: next(iter(found.values())) for name, found in meanings.items() if len(found) == 1}


KIND = "kind"
CONFIG = core.CoreConfig(ser_json_bytes="base64", val_json_bytes="base64")
_INT = core.int_schema(ge=-(2**63), le=2**63 - 1)
_PLAIN: Mapping[object, Callable[[], core.CoreSchema]] = {
    str: core.str_schema,
    int: lambda: _INT,
    # JSON has neither.
    float: lambda: core.float_schema(allow_inf_nan=False),
    bool: core.bool_schema,
    bytes: core.bytes_schema,
    type(None): core.none_schema,
    None: core.none_schema,
    datetime: lambda: core.datetime_schema(tz_constraint="aware"),
    date: core.date_schema,
    timedelta: core.timedelta_schema,
}


class NotPlain(TypeError):
    """A type that has no JSON form, such as a callable or `Any`."""


class Schemas:
    """Makes the schemas of types; each dataclass is described once and may contain itself."""

    def __init__(self, *, lenient: bool = False) -> None:
        """Begin with nothing.

        Args:
            lenient: leave out members that are not known, as a newer engine may send them.
        """
        self._extra: core.ExtraBehavior = "ignore" if lenient else "forbid"
        self._definitions: dict[str, core.CoreSchema] = {}
        self._shapes: set[str] = set()

    @property
    def shape(self) -> str:
        """The fields of all dataclasses, in a stable order, for the fingerprint."""
        return "\n".join(sorted(self._shapes))

    def of(self, hint: Any) -> core.CoreSchema:
        """Return the schema of a type; dataclasses in it are references.

        Raises:
            NotPlain: if values of the type have no JSON form.
        """
        if hint in _PLAIN:
            return _PLAIN[hint]()
        if isinstance(hint, NewType):
            return self.of(hint.__supertype__)
        origin, arguments = get_origin(hint), get_args(hint)
        if origin is not None:
            return self._generic(hint, origin, arguments)
        if not isinstance(hint, type):
            raise NotPlain(f"{hint!r} has no JSON form")
        return self._class(hint)

    def complete(self, schema: core.CoreSchema) -> core.CoreSchema:
        """Return a schema together with the descriptions that it refers to."""
        return core.definitions_schema(schema, list(self._definitions.values()))

    def _generic(self, hint: Any, origin: Any, arguments: tuple[Any, ...]) -> core.CoreSchema:
        if origin in {Union, types.UnionType}:
            return self._union(arguments)
        if origin is Literal:
            return core.literal_schema(list(arguments))
        if origin is tuple and arguments[1:] == (...,):
            return core.tuple_schema([self.of(arguments[0])], variadic_item_index=0)
        if origin is tuple:
            return core.tuple_schema([self.of(argument) for argument in arguments])
        if origin in {list, Sequence}:
            return core.list_schema(self.of(arguments[0]))
        if origin is frozenset:
            return core.frozenset_schema(self.of(arguments[0]))
        if origin in {dict, Mapping}:
            return core.dict_schema(self.of(arguments[0]), self.of(arguments[1]))
        raise NotPlain(f"{hint!r} has no JSON form")

    def _union(self, arguments: tuple[Any, ...]) -> core.CoreSchema:
        others = [argument for argument in arguments if argument is not type(None)]
        classes = [c for other in others for c in _concrete(other)]
        if len(classes) > 1 and all(is_dataclass(c) for c in classes):
            schema = self._one_of(classes)
        elif len(others) > 1:
            schema = core.union_schema([self.of(other) for other in others])
        else:
            schema = self.of(others[0])
        return schema if len(others) == len(arguments) else core.nullable_schema(schema)

    def _class(self, cls: type) -> core.CoreSchema:
        if issubclass(cls, enum.Enum):
            self._shapes.add(f"{cls.__name__}={[member.value for member in cls]}")
            return _enum(cls)
        if issubclass(cls, PurePath):
            return _text_as(Path if cls is PurePath else cls)
        if issubclass(cls, str):
            return _text_as(cls)
        if not is_dataclass(cls):
            raise NotPlain(f"{cls.__name__} has no JSON form")
        kinds = _concrete(cls)
        return self._reference(cls) if len(kinds) == 1 else self._one_of(kinds)

    def _one_of(self, classes: Sequence[type]) -> core.CoreSchema:
        choices = {cls.__name__: self._reference(cls, tagged=True) for cls in classes}
        is_event = all(issubclass(cls, Event) for cls in classes)
        return core.tagged_union_schema(choices, _event_kind(choices) if is_event else _kind_of)

    def _reference(self, cls: type, *, tagged: bool = False) -> core.CoreSchema:
        name = f"{cls.__module__}.{cls.__qualname__}"
        name = f"{name}OfKind" if tagged else name
        if name not in self._definitions:
            self._definitions[name] = core.none_schema()  # before its fields: it may contain itself
            self._definitions[name] = self._dataclass(cls, name, tagged=tagged)
        return core.definition_reference_schema(name)

    def _dataclass(self, cls: type, name: str, *, tagged: bool) -> core.CoreSchema:
        hints = {f.name: hints_of(cls)[f.name] for f in _carried(cls)}
        if tagged and KIND in hints:
            raise NotPlain(f"{cls.__name__} has a field named {KIND}, which names its class")
        self._shapes.add(f"{name}={hints}")
        members = [self._field(f, hints[f.name]) for f in _carried(cls)]
        extra: core.ExtraBehavior = "ignore" if tagged else self._extra
        return core.dataclass_schema(
            cls,
            core.dataclass_args_schema(cls.__name__, members, extra_behavior=extra),
            [member["name"] for member in members],
            post_init=hasattr(cls, "__post_init__"),
            slots="__slots__" in vars(cls),
            config=CONFIG,
            ref=name,
            serialization=_with_kind(cls) if tagged else None,
            metadata={"pydantic_js_functions": [_kind_described(cls)]} if tagged else None,
        )

    def _field(self, field: Field[Any], hint: Any) -> core.DataclassField:
        if field.default is None and _has_callable(hint):  # what it does can't be told
            nothing = core.with_default_schema(core.none_schema(), default=None)
            return core.dataclass_field(field.name, nothing, serialization_exclude=True)
        schema = self.of(hint)
        if field.default is not MISSING:
            schema = core.with_default_schema(schema, default=field.default)
        elif field.default_factory is not MISSING:
            schema = core.with_default_schema(schema, default_factory=field.default_factory)
        return core.dataclass_field(field.name, schema, kw_only=field.kw_only is True)


def event_modules() -> Sequence[types.ModuleType]:
    """Return the modules of `engine.events`, which define all kinds of events."""
    return modules_of("engine.events")


@cache
def modules_of(package: str) -> Sequence[types.ModuleType]:
    """Import the modules of a package, in order of their names."""
    found = pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}.")
    return [importlib.import_module(name) for name in sorted(module.name for module in found)]


def _carried(cls: type) -> Iterator[Field[Any]]:
    """Yield the fields of the constructor, not those that are computed from them."""
    return (field for field in fields(cls) if field.init)


def _has_callable(hint: Any) -> bool:
    return any(get_origin(h) is collections.abc.Callable for h in (hint, *get_args(hint)))


def _concrete(cls: Any) -> list[type]:
    """Return a class, or, if others are derived from it, those in order of their names."""
    if not (isinstance(cls, type) and is_dataclass(cls)):
        return [cls]
    if issubclass(cls, Event):
        event_modules()
    derived = {d.__name__: d for d in _derived(cls)}
    return [derived[name] for name in sorted(derived)] or [cls]


def _derived(cls: type) -> Iterator[type]:
    classes: list[type] = cls.__subclasses__()
    for each in classes:
        # `dataclass(slots=True)` makes a second class; the first lives on until it is collected.
        module = sys.modules.get(each.__module__)
        if module is not None and getattr(module, each.__name__, None) is each:
            yield each
        yield from _derived(each)


def _enum(cls: type[enum.Enum]) -> core.CoreSchema:
    members = list(cls)
    if all(isinstance(member.value, str) for member in members):
        return core.enum_schema(cls, members, sub_type="str")
    if all(isinstance(member.value, int) for member in members):
        return core.enum_schema(cls, members, sub_type="int")
    raise NotPlain(f"the values of {cls.__name__} are neither texts nor whole numbers")


def _text_as(cls: Callable[[str], Any]) -> core.CoreSchema:
    return core.no_info_after_validator_function(
        cls, core.str_schema(), serialization=core.to_string_ser_schema()
    )


def _kind_of(value: Any) -> str | None:
    """Return the class of an object that is written, or the one that read JSON names."""
    return value.get(KIND) if isinstance(value, dict) else type(value).__name__


def _event_kind(known: Collection[str]) -> Callable[[Any], str | None]:
    """Return a function from an event to its kind; events of a newer engine are `UnknownEvent`."""

    def kind_of(value: Any) -> str | None:
        kind = _kind_of(value)
        return kind if kind in known else UnknownEvent.__name__

    return kind_of


def _with_kind(cls: type) -> core.SerSchema:
    def written(value: Any, write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        said = _words(value) if isinstance(value, Event) else {}
        return {KIND: cls.__name__, **said, **write(value)}

    return core.wrap_serializer_function_ser_schema(written, schema=None)


def _words(event: Event) -> dict[str, str]:
    return {"severity": event.severity, "topic": event.topic, "message": event.sentence()}


def _kind_described(cls: type) -> Callable[[Any, Any], dict[str, Any]]:
    def described(schema: Any, describe: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        description = describe(schema)
        description.setdefault("properties", {})[KIND] = {"const": cls.__name__, "type": "string"}
        description["required"] = [KIND, *description.get("required", ())]
        return description

    return described


MAX_PROBLEMS = 10
MAX_VALUE_CHARACTERS = 80


class InvalidRequest(ConfigurationError):
    """What was sent is not what the method takes."""

    title = "The request is not valid"


class InvalidAnswer(ValueError):
    """What the engine answered is not what the method returns."""


@dataclass(frozen=True)
class Codec:
    """Writes and reads values of one kind."""

    describe: Callable[[Schemas], CoreSchema]
    lenient: bool = False
    """Whether members that are not known are left out instead of refused."""

    def dump(self, value: Any) -> bytes:
        """Return a value as JSON."""
        try:
            return self._serializer.to_json(value, warnings="error")
        except PydanticSerializationError:
            # Names of files may be no Unicode; JSON can say so, but not in UTF-8.
            return json.dumps(self._serializer.to_python(value, mode="json")).encode()

    def load(self, content: bytes) -> Any:
        """Return the value that JSON describes.

        Raises:
            Refused: with what is wrong and where.
        """
        try:
            # strict: else "1" would be taken for 1, and 1 for true.
            return self._validator.validate_json(content, strict=True)
        except Refused as refused:
            if b"\\ud" not in content.lower():
                raise
            return self._load_surrogates(content, refused)

    def _load_surrogates(self, content: bytes, refused: Refused) -> Any:
        try:
            return self._validator.validate_python(json.loads(content))
        except (ValueError, RecursionError):
            raise refused from None

    @cached_property
    def _schema(self) -> CoreSchema:
        schemas = Schemas(lenient=self.lenient)
        return schemas.complete(self.describe(schemas))

    @cached_property
    def _validator(self) -> SchemaValidator:
        return SchemaValidator(self._schema, CONFIG)

    @cached_property
    def _serializer(self) -> SchemaSerializer:
        return SchemaSerializer(self._schema, CONFIG)


def describe_problems(refused: Refused) -> InvalidRequest:
    """Return what is wrong with a request, each problem with field, value and remedy."""
    errors = refused.errors(include_url=False, include_context=False)
    return InvalidRequest(*map(_problem, errors[:MAX_PROBLEMS]))


def _problem(error: ErrorDetails) -> Problem:
    place = ".".join(str(part)[:MAX_VALUE_CHARACTERS] for part in error["loc"][:MAX_PROBLEMS])
    message = error["msg"][:1].lower() + error["msg"][1:200]
    value = str(error["input"])[:MAX_VALUE_CHARACTERS]
    return Problem(place or "body", value, message, "see /v1/openapi.json for what is taken")
