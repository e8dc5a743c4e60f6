"""Custom processing, forward copies and scripts of a fake engine."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.api.commitments import (
    CommitmentDetail,
    CommitmentState,
    CommitmentStatus,
    CommittedObject,
)
from engine.api.scripts import ScriptPreview, TrialOutcome
from engine.api.status import EchoResult
from engine.errors import ChangedMeanwhile, EngineError, InvalidPeer, NotFound, Problem
from engine.model.known_peer import parse_known_peer, peer_named
from engine.model.processing import ProcessorStatus, ProcessorTrial

if TYPE_CHECKING:
    from engine.api.forwarding import DestinationStatus, NotForwarded
    from engine.api.objects import ObjectReference
    from engine.api.scripts import LeftText, ScriptFinding, ScriptTrial
    from engine.model.file_sample import FileSample
    from engine.model.known_peer import KnownPeer
    from engine.model.processor import Processor, ProcessorClass


@dataclass
class FakeProcessors:
    """Satisfies `engine.api.processors.ProcessorsView`."""

    known: tuple[ProcessorClass, ...] = ()
    statuses: tuple[ProcessorStatus, ...] = ()
    trial: ProcessorTrial = field(default_factory=lambda: ProcessorTrial(None, "", "", "", ()))
    error: EngineError | None = None
    listing_error: EngineError | None = None
    """Raised by `list`."""
    calls: builtins.list[tuple[Any, ...]] = field(default_factory=builtins.list)

    def classes(self) -> tuple[ProcessorClass, ...]:
        return self.known

    def list(self) -> tuple[ProcessorStatus, ...]:
        if self.listing_error is not None:
            raise self.listing_error
        return self.statuses

    def save(
        self, processor: Processor, actor: str, *, replacing: Processor | None = None
    ) -> Processor:
        self._command("save", processor, actor, replacing)
        ids = [status.processor.id for status in self.statuses]
        if processor.id:
            now = self._processor(processor.id)
            if replacing not in {None, now}:
                raise ChangedMeanwhile(f"processor {now.label}", "bert", None, ("label",))
        saved = processor if processor.id else replace(processor, id=max(ids, default=0) + 1)
        kept = tuple(s for s in self.statuses if s.processor.id != saved.id)
        self.statuses = (*kept, ProcessorStatus(saved))
        return saved

    def set_enabled(self, processor_id: int, enabled: bool, actor: str) -> Processor:
        self._command("set_enabled", processor_id, enabled, actor)
        return self.save(replace(self._processor(processor_id), enabled=enabled), actor)

    def delete(self, processor_id: int, actor: str) -> None:
        self._command("delete", processor_id, actor)
        self._processor(processor_id)
        self.statuses = tuple(s for s in self.statuses if s.processor.id != processor_id)

    def test(self, processor: Processor, receiver: str = "") -> ProcessorTrial:
        self._command("test", processor, receiver)
        return self.trial.masked()

    def shown_test(self, processor: Processor, actor: str, receiver: str = "") -> ProcessorTrial:
        self._command("shown_test", processor, actor, receiver)
        return self.trial

    def _processor(self, processor_id: int) -> Processor:
        for status in self.statuses:
            if status.processor.id == processor_id:
                return status.processor
        raise NotFound(f"there is no processor with id {processor_id}", "look at the list again")

    def _command(self, *call: Any) -> None:
        self.calls.append(call)
        if self.error is not None:
            raise self.error


@dataclass
class FakeForwarding:
    """A `ForwardingView` that answers from memory and notes every command in `calls`."""

    known: tuple[DestinationStatus, ...] = ()
    given_up: tuple[NotForwarded, ...] = ()
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def destinations(self) -> tuple[DestinationStatus, ...]:
        return self.known

    def failed(self, destination: int | None = None, limit: int = 100) -> tuple[NotForwarded, ...]:
        found = (f for f in self.given_up if destination in {None, f.destination})
        return tuple(found)[:limit]

    def retry(self, destination: int, actor: str, items: tuple[int, ...] = ()) -> int:
        self.calls.append(("retry", destination, actor, items))
        self._require(destination)
        return len(items)

    def drop(
        self,
        destination: int,
        actor: str,
        items: tuple[int, ...] = (),
        *,
        waiting: bool = False,
    ) -> int:
        self.calls.append(("drop", destination, actor, items, waiting))
        self._require(destination)
        return len(items)

    def _require(self, destination: int) -> None:
        if destination not in {status.id for status in self.known}:
            raise NotFound(f"there is no destination {destination}", "look at the list again")


_ASKED_AT = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)


@dataclass
class FakeCommitments:
    """A `CommitmentsView` that answers from memory."""

    known: tuple[CommitmentDetail, ...] = (
        CommitmentDetail(
            CommitmentStatus(
                *(1, "1.2.9", "CT_SCANNER_1", "XNAT:8104", _ASKED_AT),
                *(CommitmentState.DELIVERED, 1, 0, _ASKED_AT),
            ),
            (CommittedObject("1.2", "1.2.3", committed=True),),
        ),
    )
    retried: builtins.list[tuple[int, str]] = field(default_factory=builtins.list)

    def list(self, limit: int = 100) -> tuple[CommitmentStatus, ...]:
        return tuple(detail.status for detail in self.known)[:limit]

    def show(self, number: int, limit: int = 1000) -> CommitmentDetail:
        for detail in self.known:
            if detail.status.id == number:
                return detail
        raise NotFound(f"there is no request {number}", "list them again")

    def retry(self, number: int, actor: str) -> CommitmentStatus:
        self.retried.append((number, actor))
        return self.show(number).status


@dataclass
class FakeScripts:
    """Notes what it is asked in `calls`."""

    findings: tuple[ScriptFinding, ...] = ()
    kept: tuple[LeftText, ...] = ()
    result: ScriptPreview = field(default_factory=lambda: ScriptPreview(TrialOutcome.EDITED))
    calls: list[tuple[str, object]] = field(default_factory=list)
    files: list[FileSample | None] = field(default_factory=list)
    """What each preview was of: a file, or an object."""

    def check(self, text: str) -> tuple[ScriptFinding, ...]:
        self.calls.append(("check", text))
        return self.findings

    def left(self, text: str) -> tuple[LeftText, ...]:
        self.calls.append(("left", text))
        return self.kept if text.strip() else ()

    def default_script(self) -> str:
        return 'version "6.1"\n(0010,0010) := subject\n'

    def preview(
        self,
        trial: ScriptTrial,
        reference: ObjectReference,
        *,
        as_received: bool = False,
        equal: bool = False,
        file: FileSample | None = None,
    ) -> ScriptPreview:
        self.files.append(file)
        self.calls.append(("preview", (trial, reference, as_received, equal)))
        return self.result

    def shown_preview(
        self,
        trial: ScriptTrial,
        reference: ObjectReference,
        actor: str,
        *,
        as_received: bool = False,
        equal: bool = False,
        file: FileSample | None = None,
    ) -> ScriptPreview:
        self.files.append(file)
        self.calls.append(("shown_preview", (trial, reference, actor, as_received, equal)))
        return self.result


@dataclass
class FakePeers:
    """A `PeersView` that answers from memory; nobody answers a C-ECHO."""

    known: tuple[KnownPeer, ...] = ()

    def list(self) -> tuple[KnownPeer, ...]:
        return self.known

    def save(self, peer: KnownPeer, actor: str, *, replacing: KnownPeer | None = None) -> KnownPeer:
        peer = parse_known_peer(peer.to_record())
        if replacing is not None and self._require(replacing.ae_title) != replacing:
            raise ChangedMeanwhile("the peer", "bert", _ASKED_AT, ("port: 104 → 1",))
        others = tuple(one for one in self.known if one != replacing)
        if peer_named(others, peer.ae_title) is not None:
            raise InvalidPeer(Problem("ae_title", peer.ae_title, "exists already", "change it"))
        self.known = (*others, peer)
        return peer

    def delete(self, ae_title: str, actor: str) -> None:
        gone = self._require(ae_title)
        self.known = tuple(one for one in self.known if one != gone)

    def echo(self, ae_title: str, actor: str, calling: str = "DICOMDOCK") -> EchoResult:
        peer = self._require(ae_title)
        return EchoResult(False, f"{peer.host}:{peer.port}", "no answer: connection refused")

    def _require(self, ae_title: str) -> KnownPeer:
        peer = peer_named(self.known, ae_title)
        if peer is None:
            raise NotFound(f"there is no peer {ae_title}", "list them with: peers list")
        return peer
