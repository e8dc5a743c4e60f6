"""History, senders and objects of a made-up hospital, and views that answer from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from engine.api.history import ChangeRow, RevisionPage, RevisionSummary
from engine.api.objects import (
    Comparison,
    ElementRow,
    ObjectHeader,
    ObjectReference,
    ObjectTrail,
    RecentObject,
    Thumbnail,
    TrailStep,
    Window,
)
from engine.api.senders import HOURS_KEPT, HourVolume, Sender, SenderDetail, SenderOrder, SenderPage
from engine.api.study_routes import StudyRoutePage
from engine.errors import ChangedMeanwhile, NotFound
from engine.model.configuration_diff import Change
from engine.model.identity import element_number, is_identifying, is_private
from engine.queries.objects import compared, masked, masked_comparison

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.model.study_route import StudyRoute

NOW = datetime(2026, 8, 24, 14, 3, 22, tzinfo=UTC)


def example_revisions() -> list[RevisionSummary]:
    """Return thirty revisions, the newest first."""
    shapes = (
        ("anna", "10.4.1.20", ("receiver PET_STAGING:8106 added",)),
        ("bert", "", ("receiver CT_INTAKE:8104 whitelist: +OLD_WS1",)),
        ("an editor", "", ("site limits.associations: 25 → 200",)),
        (
            *("anna", "10.4.1.20"),
            (
                "site project_routing: -(0008,1030):(.*), +(0008,1030):([A-Z]+-\\d+).*:1",
                "project NEURO-07 added",
                "receiver MR_RESEARCH:11112 routing_enabled: off → on",
            ),
        ),
        ("dicomdock import", "", tuple(f"receiver US_ROOM{n}:8105 added" for n in range(1, 6))),
    )
    return [
        RevisionSummary(
            number=number,
            changed_at=NOW - timedelta(hours=5 * (12 - number), minutes=number * 7 % 60),
            changed_by=who,
            changed_from=where,
            changes=len(said) + 7 * (number % 5 == 0),
            summary=said,
            subjects=tuple(dict.fromkeys(" ".join(words.split()[:2]) for words in said)),
        )
        for number in range(12, 0, -1)
        for who, where, said in (shapes[number % len(shapes)],)
    ]


def example_changes() -> tuple[ChangeRow, ...]:
    """Return differences of every kind: whole subjects, fields, lines, and a secret."""
    rows = (
        ("receiver PET_STAGING:8106", Change.ADDED, "", "", ""),
        ("receiver US_OLD:8105", Change.REMOVED, "", "", ""),
        ("receiver CT_INTAKE:8104", Change.CHANGED, "enabled", "off", "on"),
        (
            *("receiver CT_INTAKE:8104", Change.CHANGED, "whitelist"),
            "CT_SCANNER_1@10.4.7.0/24\nER_CT",
            "CT_SCANNER_1@10.4.7.0/24\nER_CT\nOLD_WS1",
        ),
        ("site", Change.CHANGED, "limits.associations", "25", "200"),
        ("site", Change.CHANGED, "control.token", "••••••••", "••••••••"),
    )
    return tuple(ChangeRow(*row, sentence=_sentence(*row)) for row in rows)


def _sentence(subject: str, change: Change, field: str, before: str, after: str) -> str:
    if change is not Change.CHANGED:
        return f"{subject} {change}"
    come = [f"+{line}" for line in after.splitlines() if line not in before.splitlines()]
    return f"{subject} {field}: " + (", ".join(come) if "\n" in after else f"{before} → {after}")


@dataclass
class FakeHistory:
    """A `HistoryView` that answers from memory."""

    command: Callable[..., None]
    known: list[RevisionSummary] = field(default_factory=example_revisions)
    changes: tuple[ChangeRow, ...] = field(default_factory=example_changes)
    restored: Callable[[int], None] = lambda number: None
    """Told the number of the revision that a restore made."""

    def revisions(self, *, before: int | None = None, limit: int = 50) -> RevisionPage:
        found = [r for r in self.known if before is None or r.number < before]
        in_force = self.known[0].number if self.known else 0
        return RevisionPage(tuple(found[:limit]), in_force, more=len(found) > limit)

    def diff(self, before: int, after: int | None = None) -> tuple[ChangeRow, ...]:
        numbers = {0, *(revision.number for revision in self.known)}
        for number in (before, before if after is None else after):
            if number not in numbers:
                raise NotFound(f"revision {number} is not kept", "kept revisions: 1 to 12")
        return () if before == after else self.changes

    def restore(self, number: int, actor: str, *, replacing: int | None = None) -> int:
        self.command("history.restore", number, actor, replacing)
        newest = self.known[0]
        if number not in {revision.number for revision in self.known}:
            raise NotFound(f"revision {number} is not kept", "kept revisions: 1 to 12")
        if replacing is not None and replacing != newest.number:
            raise ChangedMeanwhile("the configuration", "bert", NOW, newest.summary)
        return self.add(actor, f"as revision {number}")

    def add(self, actor: str, said: str) -> int:
        """Make a revision; return its number."""
        number = self.known[0].number + 1
        self.known.insert(0, RevisionSummary(number, NOW, actor, "", 1, (said,)))
        self.restored(number)
        return number


def make_sender(calling_ae_title: str, address: str = "10.4.7.21", **changes: Any) -> Sender:
    """Return a sender that is known for a month and called a minute ago."""
    sender = Sender(
        calling_ae_title,
        address,
        first_seen=NOW - timedelta(days=31),
        last_seen=NOW - timedelta(minutes=1),
        associations=412,
        objects=48_211,
        bytes=13_400_000_000,
        receiver="XNAT:8104",
        implementation="DCM4CHE_5_29",
        implementation_class_uid="1.2.40.0.13.1.3",
        contexts_proposed=14,
        contexts_refused=2,
        refused_contexts=(
            "Encapsulated PDF Storage, no common transfer syntax",
            "Modality Performed Procedure Step, not a storage class",
        ),
    )
    return replace(sender, **changes)


def example_senders() -> list[Sender]:
    """Return forty senders: busy ones, silent ones, failing ones and strangers."""
    rejection = (
        "calling AE title OLD_WS from 10.4.2.77 is on no whitelist line of CT_INTAKE; "
        "nearest: OLD_WS1"
    )
    strangers: dict[str, Any] = {
        "associations": 0,
        "objects": 0,
        "bytes": 0,
        "implementation": "",
        "contexts_proposed": 0,
        "contexts_refused": 0,
        "refused_contexts": (),
    }
    named = [
        make_sender("CT_SCANNER_1", open_associations=1),
        make_sender("MR_PRISMA", "10.4.7.33", implementation="SIEMENS_MRXA", aborted=3),
        make_sender(
            *("PACS_PUSH", "10.4.1.9"),
            failed=19,
            last_error="the data set ends inside an element",
            last_error_at=NOW - timedelta(minutes=40),
            contexts_proposed=138,
            contexts_refused=18,
        ),
        make_sender("ER_CT", "10.4.9.2", objects=9_804, bytes=3_900_000_000),
        make_sender(
            *("OLD_WS", "10.4.2.77"),
            rejected=25,
            last_rejection=rejection,
            last_rejection_at=NOW - timedelta(minutes=2),
            **strangers,
        ),
        make_sender("US_ROOM3", "10.4.8.14", last_seen=NOW - timedelta(days=4), aborted=41),
    ]
    return named + [
        make_sender(
            *(f"MODALITY_{i:02}", f"10.5.{i}.7"),
            last_seen=NOW - timedelta(hours=i),
            objects=1_000 * i,
            bytes=520_000_000 * i,
            associations=3 * i,
        )
        for i in range(1, 35)
    ]


def hostile_senders(names: tuple[str, ...]) -> list[Sender]:
    """Return senders whose names are markup, escape sequences or tricks."""
    return [
        make_sender(name, name, implementation=name, last_rejection=name, last_error=name)
        for name in names
    ]


@dataclass
class FakeSenders:
    """A `SendersView` that answers from memory."""

    known: list[Sender] = field(default_factory=example_senders)

    def list(
        self,
        *,
        text: str = "",
        order: SenderOrder = SenderOrder.LAST_SEEN,
        descending: bool = True,
        offset: int = 0,
        limit: int = 100,
    ) -> SenderPage:
        wanted = text.casefold()
        found = [
            sender
            for sender in self.known
            if any(
                wanted in one.casefold()
                for one in (sender.calling_ae_title, sender.address, sender.implementation)
            )
        ]
        name = order.value.replace(" ", "_").replace("AE", "ae")
        found.sort(key=lambda sender: getattr(sender, name), reverse=descending)
        page = (_with_day(sender) for sender in found[offset : offset + limit])
        return SenderPage(tuple(page), offset, len(found))

    def detail(self, calling_ae_title: str, address: str) -> SenderDetail:
        for sender in self.known:
            if (sender.calling_ae_title, sender.address) == (calling_ae_title, address):
                return SenderDetail(_with_day(sender), _hours(sender), (sender.receiver,))
        raise NotFound(f"no sender {calling_ae_title!r} is known", "look at the list again")


def _with_day(sender: Sender) -> Sender:
    day = tuple(hour.bytes for hour in _hours(sender, 24))
    return replace(sender, day=day) if any(day) else sender


def _hours(sender: Sender, count: int = HOURS_KEPT) -> tuple[HourVolume, ...]:
    """Return a week of days with traffic from seven to eighteen o'clock."""
    last = NOW.replace(minute=0, second=0)
    hours = []
    for back in range(count - 1, -1, -1):
        at = last - timedelta(hours=back)
        share = max(0.0, math.sin((at.hour - 6) / 13 * math.pi)) if 6 < at.hour < 19 else 0.0
        objects = int(share * sender.objects / 60 * (0.3 if at.weekday() > 4 else 1))
        hours.append(HourVolume(at, objects, objects * 280_000, failed=objects // 4000))
    return tuple(hours)


_STUDY = "1.2.840.113619.2.55.3.604688119.971.1756018147"
STORED_OBJECT = ObjectReference(416, "SCANS/3/DICOM/3-0112.dcm", f"{_STUDY}.3.112")
_ELEMENTS: tuple[tuple[int, int, str, str, str, str], ...] = (
    # depth, tag, VR, keyword, as received, as stored; empty for absent
    (0, 0x00020010, "UI", "TransferSyntaxUID", "", "1.2.840.10008.1.2.4.80 JPEG-LS Lossless"),
    (0, 0x00080005, "CS", "SpecificCharacterSet", "ISO_IR 100", "ISO_IR 100"),
    *(
        (0, tag, "UI", name, value, value)
        for tag, name, value in (
            (0x00080016, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2 CT Image Storage"),
            (0x00080018, "SOPInstanceUID", f"{_STUDY}.3.112"),
        )
    ),
    (0, 0x00080020, "DA", "StudyDate", "20260824", "20260824"),
    (0, 0x00080050, "SH", "AccessionNumber", "A-2026-08-4711", ""),
    (0, 0x00080060, "CS", "Modality", "CT", "CT"),
    (0, 0x00080080, "LO", "InstitutionName", "General Hospital", ""),
    (0, 0x00080090, "PN", "ReferringPhysicianName", "Miller^Ann", ""),
    (0, 0x00081030, "LO", "StudyDescription", "NEURO-01^BRAIN", "NEURO-01^BRAIN"),
    (0, 0x00081111, "SQ", "ReferencedPerformedProcedureStepSequence", "1 item", "1 item"),
    (1, 0x00081150, "UI", "ReferencedSOPClassUID", "1.2.840.10008.3.1.2.3.3", "1.2.3.3"),
    (0, 0x00081140, "SQ", "ReferencedImageSequence", "2 items", "2 items"),
    (1, 0x00081155, "UI", "ReferencedSOPInstanceUID", f"{_STUDY}.1.1", f"{_STUDY}.1.1"),
    (0, 0x00090010, "LO", "", "GEMS_IDEN_01", ""),
    (0, 0x00091001, "LO", "", "GE_GENESIS_FF Doe", ""),
    (0, 0x00100010, "PN", "PatientName", "Doe^Jane", "S0041"),
    (0, 0x00100020, "LO", "PatientID", "P-0001", "S0041_CT_01"),
    (0, 0x00100030, "DA", "PatientBirthDate", "19610412", ""),
    (0, 0x00100040, "CS", "PatientSex", "F", "F"),
    (0, 0x00104000, "LT", "PatientComments", "Project:NEURO-01 Subject:S0041", ""),
    (0, 0x00120062, "CS", "PatientIdentityRemoved", "", "YES"),
    (0, 0x00180060, "DS", "KVP", "120", "120"),
    (0, 0x0020000D, "UI", "StudyInstanceUID", f"{_STUDY}.7781", f"{_STUDY}.7781"),
    (0, 0x00200011, "IS", "SeriesNumber", "3", "3"),
    (0, 0x00200013, "IS", "InstanceNumber", "112", "112"),
    (0, 0x00280010, "US", "Rows", "512", "512"),
    (0, 0x00280011, "US", "Columns", "512", "512"),
    (0, 0x00281050, "DS", "WindowCenter", "40\\80", "40\\80"),
    (0, 0x7FE00010, "OB", "PixelData", "", "compressed frames"),
)


def example_elements(*, as_received: bool = False) -> tuple[ElementRow, ...]:
    """Return a header, unmasked, as it arrived or as it is stored."""
    rows, above = list[ElementRow](), ""
    for depth, tag, vr, keyword, received, stored in _ELEMENTS:
        value, number = received if as_received else stored, element_number(tag)
        above = above if depth else number
        if not value and (received if not as_received else stored):
            continue
        rows.append(
            ElementRow(
                depth=depth,
                item=depth,
                path=f"{above}[1].{number}" if depth else number,
                tag=tag,
                vr=vr,
                keyword=keyword,
                value=value,
                length=-1 if vr == "SQ" else len(value) + len(value) % 2,
                identifying=is_identifying(tag, vr),
                private=is_private(tag),
                cut=vr == "OB",
                first_bytes=b"" if vr in {"SQ", "OB"} else value.encode()[:32],
            )
        )
    return tuple(rows)


def example_recent() -> tuple[RecentObject, ...]:
    """Return fifty objects, newest first."""
    shapes = (
        ("CT_SCANNER_1", "CT", "NEURO-01", "S0042_CT_01", "stored", 0, ""),
        ("CT_SCANNER_1", "CT", "NEURO-01", "S0042_CT_01", "duplicate", 0, "already here"),
        ("MR_PRISMA", "MR", "Unassigned", "ANON-9_US_01", "stored", 0, ""),
        ("PACS_PUSH", "SR", "", "", "quarantined", 0xC000, "the data set ends inside an element"),
        ("CT_SCANNER_1", "CT", "NEURO-01", "S0042_CT_01", "stored", 0, ""),
    )
    return tuple(
        RecentObject(
            ObjectReference(412, f"SCANS/3/DICOM/3-{i:04}.dcm", f"{_STUDY}.3.{i}"),
            NOW - timedelta(seconds=i),
            "XNAT:8104",
            caller,
            f"{modality} Image Storage",
            modality,
            project,
            label,
            524_840,
            state,
            status,
            reason,
            as_received=i < 20,
        )
        for i in range(50)
        for caller, modality, project, label, state, status, reason in (shapes[i % len(shapes)],)
    )


@dataclass
class FakeObjects:
    """An `ObjectsView` that answers from memory."""

    command: Callable[..., None]
    has_session: Callable[[int], bool] = lambda session_id: True
    known: tuple[RecentObject, ...] = field(default_factory=example_recent)
    image: Thumbnail | None = None
    """What `thumbnail` answers instead of a phantom."""
    elements: tuple[ElementRow, ...] = field(default_factory=example_elements)
    received: tuple[ElementRow, ...] | None = field(
        default_factory=lambda: example_elements(as_received=True)
    )
    """None if nothing of it is in memory any more."""

    def recent(
        self, *, receiver: str = "", calling_ae_title: str = "", limit: int = 50
    ) -> tuple[RecentObject, ...]:
        return tuple(
            one
            for one in self.known
            if receiver in {"", one.receiver} and calling_ae_title in {"", one.calling_ae_title}
        )[:limit]

    def header(self, reference: ObjectReference, *, as_received: bool = False) -> ObjectHeader:
        header = self._header(reference, as_received)
        return replace(header, elements=masked(header.elements))

    def compare(self, reference: ObjectReference) -> Comparison:
        self._require(reference)
        return masked_comparison(self._comparison())

    def shown(
        self, reference: ObjectReference, actor: str, *, as_received: bool = False
    ) -> ObjectHeader:
        self.command("objects.shown", reference, actor)
        return self._header(reference, as_received)

    def shown_comparison(self, reference: ObjectReference, actor: str) -> Comparison:
        self.command("objects.shown_comparison", reference, actor)
        self._require(reference)
        return self._comparison()

    def _header(self, reference: ObjectReference, as_received: bool) -> ObjectHeader:
        self._require(reference)
        return ObjectHeader(
            reference,
            self._received() if as_received else self.elements,
            complete=True,
            transfer_syntax="JPEG-LS Lossless Image Compression",
            sop_class="CT Image Storage",
            bytes=524_840,
            frames=1,
            has_pixels=True,
            anonymized_by=() if as_received else ("12",),
        )

    def _comparison(self) -> Comparison:
        rows = compared(self._received(), self.elements, 0x00324000)
        return Comparison(rows, 0x00324000, complete=True)

    def _require(self, reference: ObjectReference) -> None:
        """Refuse an object of a session that is not there."""
        if reference.session and not self.has_session(reference.session):
            raise NotFound(f"session {reference.session} has no such object")

    def trail(self, reference: ObjectReference) -> ObjectTrail:
        self._require(reference)
        step = TrailStep(
            *(NOW - timedelta(minutes=12), "XNAT:8104", "CT_SCANNER_1", "stored", 0, ""),
            *(reference.session or 416, reference.file),
        )
        again = replace(step, at=NOW, state="duplicate", reason="already here")
        return ObjectTrail((step, again), ())

    def thumbnail(
        self,
        reference: ObjectReference,
        *,
        frame: int = 1,
        width: int = 256,
        height: int = 256,
        window: Window | None = None,
    ) -> Thumbnail:
        self._require(reference)
        return self.image or phantom(min(width, height, 256), frame, window or Window(40.0, 80.0))

    def _received(self) -> tuple[ElementRow, ...]:
        if self.received is None:
            raise NotFound(
                "what was received is not in memory any more",
                "only the last 20 headers of each receiver are kept, until the engine stops",
            )
        return self.received


def phantom(side: int, frame: int = 1, window: Window | None = None) -> Thumbnail:
    """Return a round head with two dark ventricles; a narrower window makes it sharper."""
    used = window or Window(40.0, 80.0)
    pixels = bytearray()
    for y in range(side):
        for x in range(side):
            u, v = 2 * (x + 0.5) / side - 1, 2 * (y + 0.5) / side - 1
            pixels.append(_grey(_density(u, v, frame), used))
    return Thumbnail(side, side, 1, bytes(pixels), frame, 1, 512, 512, used)


def _density(u: float, v: float, frame: int) -> float:
    radius = math.hypot(u / 0.8, v / 0.95)
    if radius > 1:
        return -1000.0
    if radius > 0.9:
        return 800.0
    inside = min(math.hypot((abs(u) - 0.18) / 0.12, (v + 0.05) / 0.35), 1.0)
    return 8.0 if inside < 1 else 38.0 + 6 * math.sin(9 * u + frame) * math.cos(7 * v)


def _grey(value: float, window: Window) -> int:
    low = window.center - window.width / 2
    return min(max(0, round((value - low) / window.width * 255)), 255)


@dataclass
class FakeStudyRoutes:
    """A `StudyRoutesView` that answers from memory."""

    command: Callable[..., None]
    known: list[StudyRoute] = field(default_factory=list)

    def list(self, limit: int = 1_000) -> StudyRoutePage:
        return StudyRoutePage(tuple(self.known[:limit]), len(self.known))

    def save(
        self, route: StudyRoute, actor: str, *, replacing: StudyRoute | None = None
    ) -> StudyRoute:
        self.command("study_routes.save", route, actor, replacing)
        if replacing is not None and replacing not in self.known:
            raise ChangedMeanwhile("the route", "bert", NOW, ("subject: S1 → S2",))
        saved = replace(route, added_by=actor, added_at=NOW)
        self.known = [saved, *(r for r in self.known if r != replacing)]
        return saved

    def delete(self, study_instance_uid: str, actor: str) -> None:
        self.command("study_routes.delete", study_instance_uid, actor)
        if study_instance_uid not in {route.study_instance_uid for route in self.known}:
            raise NotFound(f"study {study_instance_uid} has no route", "look at the list again")
        self.known = [r for r in self.known if r.study_instance_uid != study_instance_uid]
