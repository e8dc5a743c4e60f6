"""What a DICOM conformance statement lists: SOP classes, transfer syntaxes, rejections, limits."""

from __future__ import annotations

import re
from pathlib import Path

from pydicom._uid_dict import UID_dictionary

from engine import reception
from engine.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from engine.dimse.contexts import TRANSFER_SYNTAXES, VERIFICATION, is_storage, name_of
from engine.errors import IntakeError
from engine.model.limits import Limits
from tables.markdown import code, table


def implementation() -> str:
    """Return how the program calls itself."""
    rows = [
        ("Implementation class UID", code(IMPLEMENTATION_CLASS_UID)),
        ("Implementation version name", code(IMPLEMENTATION_VERSION_NAME)),
        ("Maximum length received", f"{Limits().pdu_bytes:,} bytes; the limit `pdu_bytes`"),
        ("Associations at the same time", f"{Limits().associations:,}; the limit `associations`"),
    ]
    return table(("what", "value"), rows)


def storage_classes() -> str:
    """Return the storage SOP classes of the standard that are accepted."""
    known = [(uid, entry[0]) for uid, entry in UID_dictionary.items() if entry[1] == "SOP Class"]
    rows = [(name, code(uid)) for uid, name in known if is_storage(uid)]
    return table(("SOP class", "UID"), sorted(rows))


def transfer_syntaxes() -> str:
    """Return the accepted transfer syntaxes, in the order of preference."""
    rows = [(str(n), name_of(uid), code(uid)) for n, uid in enumerate(TRANSFER_SYNTAXES, 1)]
    return table(("preference", "transfer syntax", "UID"), rows)


def verification() -> str:
    """Return the SOP class of C-ECHO."""
    return table(("SOP class", "UID"), [(name_of(VERIFICATION), code(VERIFICATION))])


def statuses() -> str:
    """Return the statuses of C-STORE responses."""
    found: dict[int, list[str]] = {0x0000: ["stored, or not wanted by a rule, script or processor"]}
    classes: list[type[IntakeError]] = [IntakeError, *IntakeError.__subclasses__()]
    for cls in classes:
        if cls.__module__ == IntakeError.__module__:
            found.setdefault(cls.status, []).append(
                (cls.__doc__ or "").partition("\n")[0].rstrip(".")
            )
    rows = [(code(f"0x{status:04X}"), "; ".join(found[status])) for status in sorted(found)]
    return table(("status", "meaning"), rows)


_REJECTIONS = {
    (1, 1, 2): ("application context name not supported", "another application context"),
    (1, 1, 3): ("calling AE title not recognized", "no line of the whitelist admits the caller"),
    (1, 1, 7): ("called AE title not recognized", "no enabled receiver has it on this port"),
    (1, 2, 1): ("no reason given", "plain DICOM on a port with TLS"),
    (1, 2, 2): ("protocol version not supported", "another protocol version"),
    (2, 1, 1): ("no reason given", "a fault of the receiver"),
    (2, 3, 1): ("temporary congestion", "too many associations a second, or the engine stops"),
    (2, 3, 2): ("local limit exceeded", "too many open associations, or the storage takes nothing"),
}
"""Words of PS3.8 table 9-21, and when the receiver sends them."""
_SENT = re.compile(r"(?:Rejection|_UNIDENTIFIED_REJECTION =) ?\(\s*(\d),\s*(\d),\s*(\d)")


def rejections() -> str:
    """Return the codes of A-ASSOCIATE-RJ; fails if the receiver sends another one."""
    folder = Path(reception.__path__[0])
    texts = [path.read_text("utf-8") for path in sorted(folder.rglob("*.py"))]
    sent = {tuple(map(int, code)) for text in texts for code in _SENT.findall(text)}
    if sent != set(_REJECTIONS):
        raise ValueError(f"explain these rejections, or remove them: {sent ^ set(_REJECTIONS)}")
    rows = [("/".join(map(str, key)), *words) for key, words in sorted(_REJECTIONS.items())]
    return table(("result/source/reason", "words of PS3.8 table 9-21", "when"), rows)
