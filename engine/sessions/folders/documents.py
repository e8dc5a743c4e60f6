"""The XML documents of a session: session document and catalogs, as XNAT writes them (9.1, 9.4)."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from engine.model.project import PetMr
from engine.state.database import stamp
from engine.storage.scans import DICOM, SECONDARY, lead_modality, scan_type, session_type

if TYPE_CHECKING:
    from pathlib import Path

    from engine.storage.scans import Resource, Scan


# XML 1.0, 2.2: everything that is not a Char. ElementTree would write it as it is.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Replace characters that no XML 1.0 document may have, not even escaped."""
    return _NOT_XML.sub("\ufffd", text)


def document(root: ET.Element) -> bytes:
    """Return an element as an indented document in UTF-8."""
    ET.indent(root)
    encoded: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return encoded + b"\n"


XNAT_NAMESPACE = "http://nrg.wustl.edu/xnat"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
# PS3.5 6.2: a DA is YYYYMMDD, a TM is HHMMSS.FFFFFF. A TM of fewer digits gives no time.
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)")
_TIME = re.compile(r"(\d\d)(\d\d)(\d\d)(?:\.\d*)?")


@dataclass(frozen=True, slots=True)
class BuiltSession:
    """A session as it was built from its files."""

    project: str | None
    subject: str | None
    label: str
    study_instance_uid: str
    scans: tuple[Scan, ...]
    pet_mr: PetMr = PetMr.PETMR
    """The type of a session with both PET and MR scans."""

    @property
    def modality(self) -> str:
        """The modality that gives the session its type (XNAT 12.12)."""
        return lead_modality({scan.modality for scan in self.scans}, self.pet_mr)

    @property
    def objects(self) -> int:
        """How many objects it has."""
        return sum(len(scan.objects) for scan in self.scans)

    @property
    def bytes(self) -> int:
        """The size of its objects."""
        return sum(resource.bytes for scan in self.scans for resource in scan.resources)


@dataclass(frozen=True, slots=True)
class Origin:
    """What no object of a session says, kept in its document for the case that the index is lost.

    A processing instruction: XNAT's schema has no place for it, and readers skip it.
    """

    session: int
    """The number of the session, which queues and people use."""
    receiver: str
    calling_ae_title: str
    first_object_at: str
    """UTC, as the index has it."""
    last_object_at: str

    def instruction(self) -> ET.Element[Any]:
        """Return the processing instruction."""
        # ElementTree writes its text as it is, and JSON has other ways to write these.
        text = json.dumps(asdict(self)).replace("?", r"\u003f").replace(">", r"\u003e")
        return ET.ProcessingInstruction(_ORIGIN, text)

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        """Return what an instruction says; None if it says something else."""
        try:
            raw = json.loads(text)
            moments = [
                stamp(datetime.fromisoformat(raw[name]))
                for name in ("first_object_at", "last_object_at")
            ]
            number, words = raw["session"], [raw["receiver"], raw["calling_ae_title"]]
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None
        if not isinstance(number, int) or not 0 < number < FIRST_UNKNOWN:
            return None
        if not all(isinstance(word, str) and len(word) <= _LONGEST_WORD for word in words):
            return None
        return cls(number, *words, *moments)


FIRST_UNKNOWN = 1 << 40
"""No session has a number from here on, but while an index is made anew."""
_ORIGIN = "dicomdock"
_LONGEST_WORD = 100


@dataclass(frozen=True, slots=True)
class SessionDocument:
    """What the document of a session says of it as a whole."""

    project: str | None = None
    subject: str | None = None
    label: str = ""
    modality: str = ""
    origin: Origin | None = None
    """None in documents of earlier versions, and of others."""


def read_session_xml(path: Path) -> SessionDocument:
    """Return what a document says; nothing if there is none, or it can't be read."""
    try:
        parser = ET.XMLParser(target=ET.TreeBuilder(insert_pis=True))
        root = ET.parse(path, parser).getroot()
    except (OSError, ET.ParseError):
        return SessionDocument()
    instruction: Any = ET.ProcessingInstruction
    notes = (one.text or "" for one in root if one.tag is instruction)
    found = (note.removeprefix(_ORIGIN) for note in notes if note.startswith(f"{_ORIGIN} "))
    return SessionDocument(
        root.get("project") or None,
        root.findtext(_name("dcmSubject")) or None,
        root.get("label", ""),
        root.get("modality", ""),
        next(filter(None, map(Origin.parse, found)), None),
    )


def session_xml(session: BuiltSession, origin: Origin | None = None) -> bytes:
    """Return the document as UTF-8 XML."""
    # Else ElementTree names the prefixes ns0, ns1.
    ET.register_namespace("xnat", XNAT_NAMESPACE)
    ET.register_namespace("xsi", _XSI)
    root = ET.Element(_name(session_type(session.modality)))
    if origin is not None:
        root.append(origin.instruction())
    root.set("project", session.project or "")
    root.set("label", clean(session.label))
    root.set("UID", clean(_study_instance_uid(session)))
    root.set("modality", clean(session.modality))
    dates = {"date": _date(session), "time": _time(session), "dcmSubject": session.subject or ""}
    for name, value in dates.items():
        if value:
            ET.SubElement(root, _name(name)).text = clean(value)
    scans = ET.SubElement(root, _name("scans"))
    for scan in session.scans:
        _add_scan(scans, scan)
    return document(root)


def _add_scan(scans: ET.Element, scan: Scan) -> None:
    has_images = any(resource.label == DICOM for resource in scan.resources)
    element = ET.SubElement(scans, _name("scan"))
    element.set("ID", scan.id)
    element.set("type", clean(scan.description))
    element.set("UID", clean(scan.series_instance_uid))
    kind = scan_type(scan.modality, has_images=has_images)
    element.set(f"{{{_XSI}}}type", f"xnat:{kind}")
    for name, value in (
        ("series_description", scan.description),
        ("modality", scan.modality),
        ("frames", str(scan.frames)),
    ):
        ET.SubElement(element, _name(name)).text = clean(value)
    for resource in scan.resources:
        _add_resource(element, scan, resource)


def _add_resource(scan_element: ET.Element, scan: Scan, resource: Resource) -> None:
    element = ET.SubElement(scan_element, _name("file"))
    element.set(f"{{{_XSI}}}type", "xnat:resourceCatalog")
    element.set("label", resource.label)
    element.set("format", DICOM)
    # XNAT 9.4: the content of the resource DICOM is RAW.
    element.set("content", "RAW" if resource.label == DICOM else resource.label)
    element.set("URI", scan.folder(resource))
    element.set("file_count", str(len(resource.entries)))
    element.set("file_size", str(resource.bytes))


def _study_instance_uid(session: BuiltSession) -> str:
    """Return the study's UID as its objects have it, which scripts may have changed."""
    uids = (o.study_instance_uid for scan in session.scans for o in scan.objects)
    return next(filter(None, uids), session.study_instance_uid)


def _date(session: BuiltSession) -> str:
    """Return the study's date as XML has it, from the first object that says a valid one."""
    dates = (_DATE.fullmatch(o.study_date) for scan in session.scans for o in scan.objects)
    found = next(filter(None, dates), None)
    return "-".join(found.groups()) if found else ""


def _time(session: BuiltSession) -> str:
    times = (_TIME.fullmatch(o.study_time) for scan in session.scans for o in scan.objects)
    found = next(filter(None, times), None)
    return ":".join(found.groups()) if found else ""


def _name(name: str) -> str:
    return f"{{{XNAT_NAMESPACE}}}{name}"


CATALOG_NAMESPACE = "http://nrg.wustl.edu/catalog"


def catalog_name(scan: Scan, resource: Resource) -> str:
    """Return a catalog's file name; it lies among the objects it lists."""
    label = f"{scan.id}_{SECONDARY}" if resource.label == SECONDARY else scan.id
    return f"scan_{label}_catalog.xml"


def catalog(scan: Scan, resource: Resource) -> bytes:
    """Return the catalog as UTF-8 XML, its entries relative to itself."""
    ET.register_namespace("cat", CATALOG_NAMESPACE)
    ET.register_namespace("xsi", _XSI)
    root = ET.Element(f"{{{CATALOG_NAMESPACE}}}DCMCatalog")
    root.set("UID", clean(scan.series_instance_uid))
    entries = ET.SubElement(root, f"{{{CATALOG_NAMESPACE}}}entries")
    for entry in resource.entries:
        element = ET.SubElement(entries, f"{{{CATALOG_NAMESPACE}}}entry")
        element.set(f"{{{_XSI}}}type", "cat:dcmEntry")
        element.set("URI", clean(entry.name))
        element.set("UID", clean(entry.stored.sop_instance_uid))
        if entry.stored.instance_number:
            element.set("instanceNumber", clean(entry.stored.instance_number))
    return document(root)
