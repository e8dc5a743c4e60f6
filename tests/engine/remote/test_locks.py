"""What a lock guards is touched only while it is held: a client's connections and pauses."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from engine.remote.channel import HttpChannel, SocketBackend
from engine.remote.client import EventSubscription
from engine.remote.failures import EngineSilent
from engine.remote.sockets import listen_at
from tests.guarded import guarded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize("is_silent", [True, False])
def test_the_pause_after_a_failure(tmp_path: Path, is_silent: bool) -> None:
    channel = HttpChannel(tmp_path / "nothing")
    with guarded(channel, "_pause", "_not_before", by=channel._lock):
        if is_silent:
            with pytest.raises(EngineSilent):
                channel.greet()
        else:
            with channel._answering():
                pass
    channel.close()


def test_the_connections_of_a_client(tmp_path: Path) -> None:
    wire = SocketBackend()
    with listen_at(tmp_path / "socket"):
        with guarded(wire, "_opened", by=wire._lock):
            stream = wire.connect_unix_socket(str(tmp_path / "socket"))
        with guarded(wire, "_opened", by=wire._lock):
            wire.cut()
        assert stream.read(1) == b""
        stream.close()


class Stream:
    """An engine's stream of news that begins and ends when it may."""

    def __init__(self) -> None:
        self.may_begin, self.has_begun, self.may_end = (threading.Event() for _ in range(3))
        self.mine, self.peers = socket.socketpair()
        self.extensions = {"network_stream": self}

    @contextmanager
    def stream(self, path: str) -> Iterator[Stream]:
        self.may_begin.wait()
        yield self

    def get_extra_info(self, name: str) -> socket.socket:
        return self.mine

    def iter_stream(self) -> Iterator[bytes]:
        self.has_begun.set()
        self.may_end.wait()
        yield from ()


def test_the_connection_that_brings_news() -> None:
    stream = Stream()
    news = EventSubscription(cast("Any", stream), lambda recorded: None)
    with stream.mine, stream.peers:
        with guarded(news, "_connected", by=news._lock):
            stream.may_begin.set()
            assert stream.has_begun.wait(20)
        ending = threading.Thread(target=news.end)
        with guarded(news, "_connected", by=news._lock):
            ending.start()
            assert stream.peers.recv(1) == b""
        with guarded(news, "_connected", by=news._lock):
            stream.may_end.set()
            ending.join()
