"""What a DICOM conformance statement lists: SOP classes, transfer syntaxes, rejections, limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom._uid_dict import UID_dictionary

from engine import reception
from engine.commitment import service as commitment
from engine.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from engine.dimse.commitment import (
    ALL_COMMITTED,
    MOST_REFERENCES,
    REASONS,
    REQUEST_ACTION,
    SOME_FAILED,
)
from engine.dimse.contexts import (
    COMMITMENT_CONTEXTS,
    COMMITMENT_INSTANCE,
    STORAGE_COMMITMENT,
    TRANSFER_SYNTAXES,
    VERIFICATION,
    is_storage,
    name_of,
)
from engine.errors import IntakeError
from engine.model.limits import Limits
from engine.reception import commitment_scp
from engine.settings import EngineSettings
from engine.state.commitments import MOST_OBJECTS, MOST_WAITING
from tables.markdown import code, table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType


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


def commitment_sop_class() -> str:
    """Return what identifies storage commitment, and the numbers of the service."""
    syntaxes = ", ".join(name_of(syntax) for _, syntax in COMMITMENT_CONTEXTS)
    rows = [
        ("SOP class", f"{name_of(STORAGE_COMMITMENT)}, {code(STORAGE_COMMITMENT)}"),
        ("SOP instance", code(COMMITMENT_INSTANCE)),
        ("Transfer syntaxes", syntaxes),
        ("Action Type ID of a request", code(REQUEST_ACTION)),
        ("Event Type ID, all objects are committed", code(ALL_COMMITTED)),
        ("Event Type ID, some or all have failed", code(SOME_FAILED)),
        ("Objects of one request", f"at most {MOST_REFERENCES:,}"),
        ("Requests that wait", f"at most {MOST_WAITING:,}, with {MOST_OBJECTS:,} objects"),
    ]
    return table(("what", "value"), rows)


_ACTION_STATUSES = {
    0x0000: "accepted, and kept on disk; the report follows",
    0x0110: "a fault of the receiver",
    0x0112: "the requested SOP instance is another one",
    0x0115: "the data set can't be read, or names no object",
    0x0118: "the requested SOP class is another one",
    0x0122: "the receiver's storage commitment was switched off after the association began",
    0x0123: "another Action Type ID",
    0x0211: "not an N-ACTION",
    0x0213: "too many objects or requests, or the storage takes nothing",
}
"""When a receiver answers an N-ACTION so."""
_REPORT_REASONS = {
    0x0110: "the index knows the object, but its file is missing or can't be read",
    0x0112: "it never came, was dropped by a rule, or was deleted",
    0x0119: "it came with another SOP class",
    0x0131: "another request of the same AE title has this Transaction UID",
}
"""When a report fails an object so."""


def commitment_statuses() -> str:
    """Return the statuses of N-ACTION responses; fails if the receiver sends another one."""
    sent = {0x0000, *_statuses_in(commitment_scp)}
    _require_all(sent, _ACTION_STATUSES)
    rows = [(code(f"0x{status:04X}"), words) for status, words in _ACTION_STATUSES.items()]
    return table(("status", "when"), rows)


def failure_reasons() -> str:
    """Return the values of Failure Reason (0008,1197) in reports."""
    rows = [
        (code(f"0x{reason:04X}"), words, _REPORT_REASONS.get(reason, "not sent; read in reports"))
        for reason, words in REASONS.items()
    ]
    return table(("failure reason", "words of PS3.3 C.14.1.1", "when"), rows)


def report_times() -> str:
    """Return how long reports of storage commitment are tried."""
    answer, longest = commitment.REPORT_SECONDS, commitment.RETRIES.longest_seconds
    leaving = commitment.LEAVING.total_seconds()
    hours = EngineSettings(Path()).commitment_hours
    rows = [
        ("Pause before a report on the association of its request", f"{leaving:g} s"),
        ("Wait for the answer to a report there", f"{answer:g} s"),
        ("Longest pause between two attempts on new associations", f"{longest:g} s"),
        ("A report is given up after", f"{hours:g} h; the option `--commitment-hours`"),
    ]
    return table(("what", "value"), rows)


def _statuses_in(module: ModuleType) -> set[int]:
    """Return the statuses that a module names as constants."""
    return {v for name, v in vars(module).items() if name[:1] == "_" and isinstance(v, int)}


def _require_all(sent: Iterable[int], explained: Iterable[int]) -> None:
    odd = set(sent) ^ set(explained)
    if odd:
        raise ValueError(f"explain these statuses, or remove them: {[hex(one) for one in odd]}")
