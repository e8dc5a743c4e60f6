"""What a DICOM conformance statement lists: SOP classes, transfer syntaxes, rejections, limits."""

from __future__ import annotations

from pydicom.uid import UID_dictionary

from engine.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from engine.dimse.contexts import TRANSFER_SYNTAXES, VERIFICATION, is_storage, name_of
from engine.errors import IntakeError
from engine.model.limits import Limits
from engine.monitoring.exposition import _REJECTED_BECAUSE
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
    for cls in (IntakeError, *IntakeError.__subclasses__()):
        if cls.__module__ == IntakeError.__module__:
            found.setdefault(cls.status, []).append(
                (cls.__doc__ or "").partition("\n")[0].rstrip(".")
            )
    rows = [(code(f"0x{status:04X}"), "; ".join(found[status])) for status in sorted(found)]
    return table(("status", "meaning"), rows)


def rejections() -> str:
    """Return the codes of A-ASSOCIATE-RJ."""
    rows = [("/".join(map(str, key)), words) for key, words in sorted(_REJECTED_BECAUSE.items())]
    return table(("result/source/reason", "words of PS3.8 table 9-21"), rows)
