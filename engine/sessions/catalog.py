"""The catalog of a scan's resource: which objects it holds (XNAT 9.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from engine.sessions.scans import SECONDARY
from engine.sessions.xml_text import clean, document

if TYPE_CHECKING:
    from engine.sessions.scans import Resource, Scan

NAMESPACE = "http://nrg.wustl.edu/catalog"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def catalog_name(scan: Scan, resource: Resource) -> str:
    """Return a catalog's file name; it lies among the objects it lists."""
    label = f"{scan.id}_{SECONDARY}" if resource.label == SECONDARY else scan.id
    return f"scan_{label}_catalog.xml"


def catalog(scan: Scan, resource: Resource) -> bytes:
    """Return the catalog as UTF-8 XML, its entries relative to itself."""
    ET.register_namespace("cat", NAMESPACE)
    ET.register_namespace("xsi", _XSI)
    root = ET.Element(f"{{{NAMESPACE}}}DCMCatalog")
    root.set("UID", clean(scan.series_instance_uid))
    entries = ET.SubElement(root, f"{{{NAMESPACE}}}entries")
    for entry in resource.entries:
        element = ET.SubElement(entries, f"{{{NAMESPACE}}}entry")
        element.set(f"{{{_XSI}}}type", "cat:dcmEntry")
        element.set("URI", clean(entry.name))
        element.set("UID", clean(entry.stored.sop_instance_uid))
        if entry.stored.instance_number:
            element.set("instanceNumber", clean(entry.stored.instance_number))
    return document(root)
