"""Scripts and processors for a receiving process: the engine's worker processes run them.

So their number is one limit for the engine, and all are forked from one process that has loaded
what they need. The files of a job are given as descriptors: what is still to be anonymized is in
memory and has no path. They go ahead of the call, by the socket that connections come by.
"""

from __future__ import annotations

import os
import socket
import struct
from itertools import count
from typing import TYPE_CHECKING, Any

from engine.storage.incoming import out_of_resources

if TYPE_CHECKING:
    from engine.model.anonymization import Anonymization
    from engine.processing.job import PluginCall, ProcessorJob, ProcessorResult
    from engine.reception.processes.link import Link
    from engine.workers.scripts import ScriptResult

_TICKET = struct.Struct("!Q")
"""The number of a job, which its files come with."""
FILES = 2
"""Of each job: source and target."""


class RemoteWorkers:
    """Satisfies `RunsScripts` and `RunsProcessors` in a receiving process; for all threads."""

    def __init__(self, link: Link, sockets: socket.socket) -> None:
        self._link = link
        self._sockets = sockets
        self._tickets = count(1)

    def run(self, instance_id: int, job: ProcessorJob, files: tuple[int, int]) -> ProcessorResult:
        """Run a job of a processor."""
        result: ProcessorResult = self._call("run_processor", files, instance_id, job)
        return result

    def run_scripts(
        self,
        source: int,
        target: int,
        steps: tuple[Anonymization, ...],
        labels: tuple[str, str, str],
    ) -> ScriptResult:
        """Anonymize a file into another, unless a script rejects the object."""
        result: ScriptResult = self._call("run_scripts", (source, target), steps, labels)
        return result

    def start_ahead(self, instance_id: int, call: PluginCall | None) -> None:
        """Do nothing: the engine starts its processes by itself."""

    def keep_only(self, instance_ids: set[int]) -> None:
        """Do nothing: the engine has the same configuration."""

    def close(self) -> None:
        """Do nothing: the processes are the engine's."""

    def _call(self, name: str, files: tuple[int, int], *arguments: Any) -> Any:
        ticket = next(self._tickets)
        try:
            socket.send_fds(self._sockets, [_TICKET.pack(ticket)], files)
        except OSError as error:
            raise out_of_resources(error) from error
        return self._link.call(name, ticket, *arguments)


class FilesOfJobs:
    """In the engine: the files of jobs that a process asks for; for one thread."""

    def __init__(self, sockets: socket.socket) -> None:
        self._sockets = sockets
        self._come: dict[int, tuple[int, ...]] = {}

    def of(self, ticket: int) -> tuple[int, int]:
        """Return the files of a job, which the caller closes.

        Raises:
            OSError: if they did not come.
        """
        while ticket not in self._come:
            message, files, _, _ = socket.recv_fds(self._sockets, _TICKET.size, FILES)
            (number,) = _TICKET.unpack(message)
            self._come[number] = tuple(files)
        source, target = self._come.pop(ticket)
        return source, target

    def close(self) -> None:
        """Close the files of jobs that were never asked for."""
        for files in self._come.values():
            for descriptor in files:
                os.close(descriptor)
        self._come.clear()
