"""The control protocol: a path, parameters and a result for each method of `EngineView`."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import core_schema as core

from engine.api import EngineView
from engine.events import RecordedEvent
from engine.remote.schema import Codec, NotPlain, Schemas, hints_of
from engine.remote.snapshot_changes import SnapshotChangesView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


ACTOR = "actor"
"""The parameter that names the caller: of commands, and of answers with nothing masked."""
STREAMED = frozenset({"subscribe"})
"""Methods that have no single answer; see `engine.remote.routes.EventStream`."""


@dataclass(frozen=True)
class Method:
    """One method of the view, with its path and JSON forms."""

    path: str
    """Its name, after those of the groups that lead to it, such as ``sessions/show``."""
    function: Callable[..., Any]
    """As the protocol declares it."""
    signature: inspect.Signature
    """Without ``self``."""

    @property
    def changes(self) -> bool:
        """Whether the caller is recorded: for changes, and for access to identifying values."""
        return ACTOR in self.signature.parameters

    @property
    def arguments(self) -> Codec:
        """Writes and reads the arguments, by name."""
        return _arguments_codec(self)

    @property
    def result(self) -> Codec:
        """Writes and reads what it returns."""
        return _result_codec(self)

    def of(self, view: object) -> Callable[..., Any]:
        """Return the method of a view."""
        found: Any = view
        for name in self.path.split("/"):
            found = getattr(found, name)
        return cast("Callable[..., Any]", found)

    def described_arguments(self, schemas: Schemas) -> core.CoreSchema:
        """Return the schema of its arguments; the actor may be left out."""
        members = {
            name: core.typed_dict_field(
                schemas.of(hints_of(self.function)[name]),
                required=parameter.default is parameter.empty and name != ACTOR,
            )
            for name, parameter in self.signature.parameters.items()
        }
        return core.typed_dict_schema(members, extra_behavior="forbid")

    def described_result(self, schemas: Schemas) -> core.CoreSchema:
        """Return the schema of what it returns."""
        return schemas.of(hints_of(self.function)["return"])


@cache
def methods(protocol: type = EngineView) -> Mapping[str, Method]:
    """Return the methods of a protocol and its groups by their paths.

    Raises:
        NotPlain: if one can't be called with named arguments.
    """
    return {method.path: method for method in _methods_of(protocol, "")}


def groups(protocol: type) -> Mapping[str, type]:
    """Return the groups of methods that a protocol has as attributes, by name."""
    found: dict[str, type] = {}
    for name, member in inspect.getmembers(protocol, lambda m: isinstance(m, property)):
        if not name.startswith("_"):
            found[name] = hints_of(member.fget)["return"]
    declared = {n: h for n, h in hints_of(protocol).items() if not n.startswith("_")}
    return found | declared


def served_methods() -> Mapping[str, Method]:
    """Return all methods of the control API by their paths: those of the view, and further ones."""
    return {**methods(), **methods(SnapshotChangesView)}


@cache
def fingerprint() -> str:
    """Return a hash of all methods, arguments and values; it differs between protocols."""
    schemas = Schemas()
    lines = []
    for path, method in sorted(served_methods().items()):
        method.described_arguments(schemas)
        method.described_result(schemas)
        hints = hints_of(method.function)
        lines.append(f"{path}({[(n, str(hints[n])) for n in method.signature.parameters]})")
        lines.append(f"{path}={hints['return']}")
    shape = "\n".join((*lines, schemas.shape))
    return hashlib.sha256(shape.encode()).hexdigest()[:16]


def _methods_of(protocol: type, prefix: str) -> Iterator[Method]:
    for name, function in inspect.getmembers(protocol, inspect.isfunction):
        if not name.startswith("_") and name not in STREAMED:
            yield _method(f"{prefix}{name}", function)
    for name, group in groups(protocol).items():
        yield from _methods_of(group, f"{prefix}{name}/")


def _method(path: str, function: Callable[..., Any]) -> Method:
    signature = inspect.signature(function)
    _self, *parameters = signature.parameters.values()
    for parameter in parameters:
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise NotPlain(f"{path} takes any number of arguments")
    return Method(path, function, signature.replace(parameters=parameters))


@cache
def _arguments_codec(method: Method) -> Codec:
    return Codec(method.described_arguments)


@cache
def _result_codec(method: Method) -> Codec:
    return Codec(method.described_result, lenient=True)


PREFIX = "/v1"
JSON = "application/json"
VERSION_HEADER = "dicomdock-version"
PROTOCOL_HEADER = "dicomdock-protocol"
"""The fingerprint of the methods and values that the sender knows."""


BEAT_SECONDS = 10.0
"""Interval of the comments that show that a stream without events is alive."""
SILENT_SECONDS = 3 * BEAT_SECONDS
"""A stream that was silent for so long is dead."""
NEWS = Codec(lambda schemas: schemas.of(RecordedEvent), lenient=True)
BEAT = b": alive\n\n"
_DATA = b"data: "


def written(recorded: RecordedEvent) -> bytes:
    """Return an event as lines of the stream (server-sent events)."""
    return b"id: %d\n" % recorded.sequence + _DATA + NEWS.dump(recorded) + b"\n\n"


def event_of(line: bytes) -> bytes | None:
    """Return the JSON of an event from a line of the stream; None for other lines."""
    return line.removeprefix(_DATA) if line.startswith(_DATA) else None
