"""Text of peers in XML documents: what XML 1.0 does not admit is replaced, the rest escaped."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Replace characters that no XML 1.0 document may have, not even escaped."""
    return _NOT_XML.sub("\ufffd", text)


def document(root: ET.Element) -> bytes:
    """Return an element as an indented document in UTF-8."""
    ET.indent(root)
    encoded: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return encoded + b"\n"
