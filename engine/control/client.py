"""`RemoteEngine`: an engine in another process, with the methods of `EngineView`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import ValidationError as Refused

from engine.control.channel import Channel
from engine.control.failures import EngineSilent
from engine.control.looks import PATIENCE_SECONDS, Looks
from engine.control.news import News
from engine.control.protocol import Method, groups, methods
from engine.view import EngineView

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.events import Listener
    from engine.view import EngineSnapshot

LOOKS = frozenset({"snapshot", "events_since"})
"""What a console asks several times a second, on the thread that draws."""


class RemoteEngine:
    """An engine that is reached over its control socket; `view` is what a console works with."""

    def __init__(self, socket_file: Path, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Take the engine's control socket; nothing is sent yet.

        Args:
            socket_file: where the engine listens.
            patience_seconds: how long a look waits before the engine counts as silent.
        """
        self.channel = Channel(socket_file)
        self._looks = Looks(self._ask_impatiently, patience_seconds)
        self.view = cast(EngineView, _mirror(EngineView, "", self._call, self._subscribe))

    def meet(self) -> None:
        """Look once, for as long as it takes.

        Raises:
            EngineSilent: if there is no answer, or none that is understood.
        """
        method = methods()["snapshot"]
        self._read(method, self.channel.ask(method.path, method.arguments.dump({})))

    def close(self) -> None:
        """End every connection; the engine goes on."""
        self._looks.close()
        self.channel.close()

    def _call(self, method: Method, arguments: dict[str, Any]) -> Any:
        if method.changes:
            self.channel.require_same_protocol()
        content = method.arguments.dump(arguments)
        if method.path in LOOKS:
            answer = self._looks.look(method.path, content)
        else:
            answer = self.channel.ask(method.path, content)
        return self._read(method, answer)

    def _ask_impatiently(self, path: str, arguments: bytes) -> bytes:
        return self.channel.ask(path, arguments, patient=False)

    def _read(self, method: Method, answer: bytes) -> Any:
        try:
            result = method.result.load(answer)
        except Refused as refused:
            reason = self.channel.counterpart.mismatch or "it can't be read"
            raise EngineSilent(
                f"its answer to {method.path} is not understood: {reason}",
                "use the console of the engine's version",
            ) from refused
        mismatch = self.channel.counterpart.mismatch
        if mismatch and method.path == "snapshot":
            return replace(cast("EngineSnapshot", result), read_only=mismatch)
        return result

    def _subscribe(self, listener: Listener) -> Callable[[], None]:
        return News(self.channel, listener).end


def _mirror(
    protocol: type,
    prefix: str,
    call: Callable[[Method, dict[str, Any]], Any],
    subscribe: Callable[[Listener], Callable[[], None]] | None = None,
) -> object:
    """Return an object with the methods and groups of a protocol, each of which is a call."""
    members: dict[str, object] = {"__slots__": (), "__doc__": protocol.__doc__}
    for path, method in methods().items():
        parent, _, name = path.rpartition("/")
        if parent == prefix.rstrip("/"):
            members[name] = _caller(method, call)
    for name, group in groups(protocol).items():
        members[name] = _mirror(group, f"{prefix}{name}/", call)
    if subscribe is not None:
        members["subscribe"] = staticmethod(subscribe)
    return type(f"Remote{protocol.__name__}", (), members)()


def _caller(method: Method, call: Callable[[Method, dict[str, Any]], Any]) -> object:
    def called(*arguments: Any, **named: Any) -> Any:
        return call(method, method.signature.bind(*arguments, **named).arguments)

    called.__name__ = method.function.__name__
    called.__doc__ = method.function.__doc__
    called.__signature__ = method.signature  # type: ignore[attr-defined]
    return staticmethod(called)
