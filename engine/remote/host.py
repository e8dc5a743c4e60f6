"""Serves an engine: control socket, optional TCP port, metrics and health."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

from engine.errors import (
    CertificateUnusable,
    ConfigurationError,
    PortInUse,
    Problem,
    StorageUnusable,
)
from engine.remote.commands import CommandServer
from engine.remote.metrics import metrics_routes
from engine.remote.server import ControlServer
from engine.remote.sockets import BACKLOG, listen_at
from engine.remote.tokens import token_of
from engine.remote.xnat import xnat_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.routing import BaseRoute

    from engine.api import EngineView
    from engine.events import Event
    from engine.settings import EngineSettings


LOOPBACK = "127.0.0.1"


def serve(
    engine: EngineView,
    settings: EngineSettings,
    *,
    more: Sequence[BaseRoute] = (),
    report: Callable[[Event], object] = lambda _event: None,
) -> Callable[[], None]:
    """Serve an engine that has started; return the function that ends it.

    Args:
        engine: what is served; it holds the lock of its data directory.
        settings: where the socket is, and whether there is a TCP port.
        more: further routes, see `engine.remote.routes.application`.
        report: records events in the engine's journal, such as who uses the control API.

    Raises:
        StorageUnusable: if the socket can't be made.
        ConfigurationError: if the options of the TCP port are not acceptable.
        PortInUse: if the TCP port can't be had.
        CertificateUnusable: if its certificate can't be.
    """
    # First: if its options are wrong, no socket was made yet.
    remote, token, tls = _remote(settings)
    try:
        local, commands = listen_at(settings.control_file), CommandServer(settings.commands_file)
    except OSError as error:
        if remote is not None:
            remote.close()
        raise StorageUnusable(
            f"{settings.control_file} can't be made: {error.strerror or error}",
            "check the directory and its permissions",
        ) from error
    routes = (*xnat_routes(), *metrics_routes(), *more)
    server = ControlServer(
        engine, local, remote=remote, token=token, tls=tls, more=routes, report=report,
        uid_behind=commands.uid_behind,
    )  # fmt: skip
    server.start()
    commands.start()

    def end() -> None:
        commands.stop()
        server.stop()
        with suppress(OSError):
            settings.control_file.unlink()

    return end


def address_of(text: str) -> tuple[str, int]:
    """Return host and port of ``PORT``, ``ADDRESS:PORT`` or ``[ADDRESS]:PORT``.

    Raises:
        ConfigurationError: if the text is none of these.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or LOOPBACK
    try:
        ip_address(host)
    except ValueError as error:
        raise _invalid("control_tcp", text, "names no address", "write ADDRESS:PORT") from error
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise _invalid("control_tcp", text, "names no port", "write PORT or ADDRESS:PORT")
    return host, int(port)


def require_tls(settings: EngineSettings) -> None:
    """Refuse a TCP port without TLS that others can reach: the token would be readable.

    Raises:
        ConfigurationError: if it is beyond the loopback without a certificate, or no address.
    """
    if not settings.control_tcp or settings.control_certificate:
        return
    if not ip_address(address_of(settings.control_tcp)[0]).is_loopback:
        raise _invalid(
            "control_tcp",
            settings.control_tcp,
            "would send the token in the clear beyond the loopback",
            "give --control-certificate and --control-key, or listen on 127.0.0.1",
        )


def _remote(settings: EngineSettings) -> tuple[socket.socket | None, str, ssl.SSLContext | None]:
    if not settings.control_tcp:
        return None, "", None
    require_tls(settings)
    host, port = address_of(settings.control_tcp)
    token = token_of(settings.control_token_file)
    tls = _tls(settings)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PortInUse(host, port, error.strerror or str(error)) from error
    return listening, token, tls


def _tls(settings: EngineSettings) -> ssl.SSLContext | None:
    if not settings.control_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without the callback OpenSSL would ask for a passphrase on the terminal, and wait.
        context.load_cert_chain(
            settings.control_certificate, settings.control_key or None, _no_passphrase
        )
    except (OSError, ValueError) as error:
        host, port = address_of(settings.control_tcp)
        why = f"the control certificate can't be used: {error}"
        remedy = "give a certificate and its key as PEM files without a passphrase"
        raise CertificateUnusable(host, port, why, remedy) from error
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")


def _invalid(field: str, value: str, message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(Problem(field, value[:200], message, remedy))
