"""The self-test of one receiver: a marked object is sent, followed and removed, step by step."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import closing
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from engine.app.selftest.filed import (
    FiledObject,
    SelfTestStep,
    StepResult,
    find_filed,
    on_disk,
    remove,
    route,
)
from engine.app.selftest.promises import preview, sent_again, stranger, xnat_interface
from engine.certificates.tls_context import own_caller, read_certificate
from engine.dicom.part10 import open_sendable
from engine.dimse.commands import SUCCESS, status_in_words
from engine.dimse.commitment import Reference
from engine.dimse.commitment_scu import ask
from engine.dimse.contexts import (
    COMMITMENT_CONTEXTS,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    VERIFICATION,
)
from engine.dimse.scu import call, store_one
from engine.errors import PeerError
from engine.host.lock import EngineLock
from engine.index.arrivals import Arrivals
from engine.model import whitelist
from engine.model.peer import Peer, PeerDeadlines
from engine.model.processing import TEST_ROOT
from engine.net.ports import calling_address, listening_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from ssl import SSLContext

    from engine.api import EngineView
    from engine.dimse.scu import OutgoingAssociation
    from engine.host.clock import Clock
    from engine.model.configuration import Configuration
    from engine.model.receiver import Receiver
    from engine.settings import EngineSettings


SOP_CLASS_UID = str(SecondaryCaptureImageStorage)
TRANSFER_SYNTAX_UID = str(ExplicitVRLittleEndian)
_SIDE = 16
# With the root and the last component this makes 64 characters (PS3.5 9.1).
_UID_DIGITS = 15


def marked_object(now: datetime) -> tuple[str, bytes]:
    """Return the SOP Instance UID of a new object, and its file."""
    stem = f"{TEST_ROOT}{secrets.randbelow(10**_UID_DIGITS - 1) + 1}"
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = SOP_CLASS_UID, f"{stem}.1"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{stem}.2", f"{stem}.3"
    ds.StudyDate, ds.StudyTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    ds.Modality, ds.ConversionType = "OT", "SYN"
    ds.PatientName, ds.PatientID = "SELFTEST^DICOMDOCK", "DICOMDOCK-SELFTEST"
    ds.PatientBirthDate = ds.PatientSex = ds.ReferringPhysicianName = ""
    ds.StudyID, ds.AccessionNumber, ds.SeriesNumber, ds.InstanceNumber = "SELFTEST", "", 1, 1
    ds.StudyDescription = "dicomdock self-test"
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows = ds.Columns = _SIDE
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.PixelData = bytes(range(_SIDE * _SIDE))
    ds["PixelData"].VR = "OB"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = BytesIO()
    ds.save_as(file, enforce_file_format=True)
    return f"{stem}.1", file.getvalue()


NOT_ACCEPTED = 9
COMMITMENT_SECONDS = 10.0
"""How long the report may take."""
_COMPRESSED = (
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.5",  # RLE Lossless
)
_CONTEXTS = (
    (str(VERIFICATION), IMPLICIT_LITTLE),
    *COMMITMENT_CONTEXTS,
    *((SOP_CLASS_UID, syntax) for syntax in (EXPLICIT_LITTLE, IMPLICIT_LITTLE, *_COMPRESSED)),
)


class SelfTest:
    """Tests one receiver of a running engine over the network; used once."""

    def __init__(
        self,
        settings: EngineSettings,
        configuration: Configuration,
        receiver: Receiver,
        calling_ae_title: str,
        clock: Clock,
        engine: EngineView | None = None,
        get: Callable[[str], tuple[int, bytes]] = lambda _: (0, b""),
    ) -> None:
        """Take what is tested, and how.

        Args:
            settings: name the files of the engine.
            configuration: as it is in force.
            receiver: the receiver.
            calling_ae_title: the AE title to call with.
            clock: the time.
            engine: the engine; None if it has no control socket, which leaves out some steps.
            get: asks a resource of its control API, and returns status and body.
        """
        self._engine = engine
        self._get = get
        self._settings = settings
        self._receiver = receiver
        self._clock = clock
        bind = receiver.bind_address or configuration.site.bind_address
        self._host = calling_address(listening_address(bind))
        self._peer = Peer(self._host, receiver.port, str(receiver.ae_title), calling_ae_title)

    def run(self) -> Iterator[StepResult]:
        """Run the steps and yield the result of each.

        Raises:
            EngineError: if a step can't be run; the results before it have been yielded.
        """
        if not EngineLock.holder(self._settings.lock_file):
            yield _bad(SelfTestStep.ENGINE, "no engine runs on this data directory", "start it", 8)
            return
        yield _good(SelfTestStep.ENGINE, "runs")
        if not self._receiver.enabled:
            remedy = f"enable it with: receivers enable {self._receiver.label}"
            yield _bad(SelfTestStep.RECEIVER, "is disabled", remedy, NOT_ACCEPTED)
            return
        yield _good(SelfTestStep.RECEIVER, f"{self._receiver.label} is enabled")
        yield self._whitelisted()
        try:
            if self._receiver.whitelist_enabled:
                yield stranger(self._receiver, self._peer, self._tls())
            yield from self._called()
        except PeerError as error:
            yield _bad(SelfTestStep.ASSOCIATION, error.detail, error.remedy, error.exit_code)

    def _whitelisted(self) -> StepResult:
        """Check the caller against the whitelist, as a hint; the listener decides later."""
        receiver, caller = self._receiver, self._peer.calling_ae_title
        if not receiver.whitelist_enabled:
            return _good(SelfTestStep.WHITELIST, "is off: everybody may call")
        shown = None
        if receiver.tls is not None:
            certificate = Path(receiver.tls.certificate)
            shown = read_certificate(certificate, "tls_certificate").identity
        verdict = whitelist.match(receiver.whitelist_entries, caller, ip_address(self._host), shown)
        if verdict.admitted_by is not None:
            return _good(
                SelfTestStep.WHITELIST, f"admits {caller} by the line {verdict.admitted_by.text}"
            )
        remedy = "name another AE title with --as, or add a line for this host"
        return _bad(SelfTestStep.WHITELIST, verdict.why, remedy, NOT_ACCEPTED)

    def _called(self) -> Iterator[StepResult]:
        with closing(Arrivals(self._settings.index_file)) as arrivals:
            # Before the call: the row of the object is behind this one.
            before = arrivals.newest()
            association = call(self._peer, _CONTEXTS, PeerDeadlines(), self._tls())
            with association:
                yield self._spoken()
                yield _good(SelfTestStep.ASSOCIATION, f"accepted for {self._peer.calling_ae_title}")
                yield _accepted(association)
                yield _answered(SelfTestStep.ECHO, association.echo().status)
                uid, content = marked_object(self._clock.now())
                status, detail = _stored(association, content)
                # Answered once more: whether it is stored twice shows in its row.
                again, _ = _stored(association, content) if status == SUCCESS else (status, "")
                # On the association of the object: no peer has to be known for the report.
                commitment = self._committed(association, uid) if status == SUCCESS else None
            if status != SUCCESS:
                yield _bad(SelfTestStep.STORE, detail, "see the engine's events", NOT_ACCEPTED)
                return
            yield _good(SelfTestStep.STORE, "answered with success")
            if again != SUCCESS:
                yield _answered(SelfTestStep.AGAIN, again)
            yield from self._followed(arrivals, before, uid, content, commitment)

    def _committed(self, association: OutgoingAssociation, uid: str) -> StepResult:
        """Ask the receiver for storage commitment of the object."""
        step = SelfTestStep.COMMITMENT
        if not self._receiver.storage_commitment:
            return _good(step, "is off: senders can't learn whether their objects are safe")
        reference = Reference(SOP_CLASS_UID, uid)
        try:
            result = ask(association, [reference], COMMITMENT_SECONDS)
        except PeerError as error:
            return _bad(step, error.detail, error.remedy, error.exit_code)
        why = result.why_not(reference)
        if why:
            return _bad(step, f"not committed: {why}", "see: commitments list", NOT_ACCEPTED)
        return _good(step, "the receiver reports the object as committed")

    def _tls(self) -> SSLContext | None:
        return own_caller(self._receiver.tls) if self._receiver.tls else None

    def _spoken(self) -> StepResult:
        tls = self._receiver.tls
        if tls is None:
            return _good(SelfTestStep.TLS, "is off: what is sent can be read on the way")
        certificate = read_certificate(Path(tls.certificate), "tls_certificate")
        now = self._clock.now()
        if certificate.is_expired(now):
            return _bad(SelfTestStep.TLS, "the certificate has expired", "renew it", NOT_ACCEPTED)
        days = certificate.days_left(now)
        return _good(SelfTestStep.TLS, f"is spoken; the certificate is valid for {days} more days")

    def _followed(
        self,
        arrivals: Arrivals,
        before: int,
        uid: str,
        content: bytes,
        commitment: StepResult | None,
    ) -> Iterator[StepResult]:
        """Find the object, compare it, and remove it."""
        found = find_filed(self._settings, arrivals, before, uid, self._clock)
        if not isinstance(found, FiledObject):
            yield found
            return
        yield route(found)
        yield on_disk(self._settings, found, content)
        yield sent_again(arrivals, before, uid)
        yield from self._asked(uid, found)
        # Only now: of an object that a filter has dropped, the step of the route says so.
        if commitment is not None:
            yield commitment
        yield remove(self._settings, found, self._peer.calling_ae_title, self._clock)

    def _asked(self, uid: str, found: FiledObject) -> Iterator[StepResult]:
        """Ask the engine for its preview, and as a client of XNAT does."""
        if self._engine is not None:
            yield preview(self._engine, self._receiver, uid, found.session)
            yield xnat_interface(self._receiver, self._get)


def _accepted(association: OutgoingAssociation) -> StepResult:
    taken = [syntax for uid, syntax in association.contexts if uid == SOP_CLASS_UID]
    offered = sum(uid == SOP_CLASS_UID for uid, _ in _CONTEXTS)
    if TRANSFER_SYNTAX_UID not in taken:
        detail = "Secondary Capture in Explicit VR Little Endian is refused"
        return _bad(SelfTestStep.CONTEXTS, detail, "see the engine's events", NOT_ACCEPTED)
    return _good(
        SelfTestStep.CONTEXTS,
        f"{len(taken)} of {offered} transfer syntaxes of Secondary Capture accepted",
    )


def _answered(step: SelfTestStep, status: int) -> StepResult:
    if status == SUCCESS:
        return _good(step, "answered with success")
    return _bad(step, f"answered {status_in_words(status)}", "", NOT_ACCEPTED)


def _stored(association: OutgoingAssociation, content: bytes) -> tuple[int, str]:
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(content)
        file.flush()
        with open_sendable(Path(file.name)) as sendable:
            return store_one(association, sendable)


def _good(step: SelfTestStep, detail: str) -> StepResult:
    return StepResult(step, True, detail)


def _bad(step: SelfTestStep, detail: str, remedy: str, exit_code: int) -> StepResult:
    return StepResult(step, False, detail, remedy, exit_code)
