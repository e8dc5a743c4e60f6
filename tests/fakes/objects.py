"""Objects of a made-up hospital, and an `ObjectsView` that answers from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from engine.api.objects import (
    Comparison,
    ElementRow,
    Filed,
    HeaderBasis,
    ObjectHeader,
    ObjectReference,
    ObjectTrail,
    ObjectWhy,
    RecentObject,
    Thumbnail,
    TrailStep,
    Window,
)
from engine.errors import NotFound
from engine.model.identity import (
    Attribute,
    Decision,
    Identification,
    IdentifyingValue,
    IdentifyingValues,
    Identity,
    Source,
    Step,
    Trace,
    element_number,
    is_identifying,
    is_private,
)
from engine.queries.explanations import masked_explanation
from engine.queries.objects import compared, masked, masked_comparison
from tests.fakes.sessions import make_session
from tests.fakes.values import NOW

if TYPE_CHECKING:
    from collections.abc import Callable


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


def example_why(reference: ObjectReference, arrival: TrailStep) -> ObjectWhy:
    """Explain an object whose second rule takes the name of a project that there is not."""
    steps = (
        _step(Attribute.PROJECT, Source.RECEIVER, 1, 0x00080050, "AccessionNumber", None,
              "the object has no such element"),
        _step(Attribute.PROJECT, Source.RECEIVER, 2, 0x00081030, "StudyDescription", "TRIAL-7",
              "project 'TRIAL-7' does not exist"),
        _step(Attribute.PROJECT, Source.DEFAULT, None, 0x00104000, "PatientComments", None,
              "the object has no such element"),
        _step(Attribute.SUBJECT, Source.DEFAULT, None, 0x00100010, "PatientName", "Doe", ""),
        _step(Attribute.SESSION, Source.SITE, 1, 0x00100020, "PatientID", "P-0001", ""),
    )  # fmt: skip
    identity = Identity(
        Decision(None, "no value names a project"), Decision("Doe", ""), Decision("P-0001", "")
    )
    session = make_session(arrival.session or 416, project=None, subject="Doe", label="P-0001")
    return ObjectWhy(
        *(arrival, HeaderBasis.RECEIVED, 1),
        *(Identification(identity, "", Trace(steps)), (), session),
        agrees=True,
        unknown_project="TRIAL-7",
    )


def _step(
    attribute: Attribute,
    source: Source,
    line: int | None,
    tag: int,
    keyword: str,
    value: str | None,
    why_not: str,
) -> Step:
    result = None if why_not else value
    place = (attribute, source, line, f"{element_number(tag)}:(.*)", tag, keyword)
    return Step(*place, value, False, value, value, result, why_not)


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
        session = make_session(reference.session or 416)
        step = TrailStep(
            *(NOW - timedelta(minutes=12), "XNAT:8104", "CT_SCANNER_1", "stored", 0, ""),
            *(session.id, reference.file, Filed.IN_SESSION, session.place),
        )
        again = replace(step, at=NOW, state="duplicate", reason="already here")
        return ObjectTrail((step, again), (session,))

    def why(self, reference: ObjectReference) -> ObjectWhy:
        self._require(reference)
        found = example_why(reference, self.trail(reference).steps[0])
        known = IdentifyingValues((IdentifyingValue("Doe", "PN"),))
        hidden = masked_explanation(found.found, known) if found.found else None
        return replace(found, found=hidden)

    def shown_why(self, reference: ObjectReference, actor: str) -> ObjectWhy:
        self.command("objects.shown_why", reference, actor)
        return example_why(reference, self.trail(reference).steps[0])

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
