r"""The places ``^ $ \A \z \Z \G \b \B`` of Java patterns, written with look-around.

Java's line terminators are CR LF, LF, CR, NEL, U+2028 and U+2029; with the flag ``d`` only LF.
Word boundaries are those of Java 8 to 18, where letters and digits of all scripts are words.
"""

from __future__ import annotations

from engine.routing.java_source import Mode

_ENDS_BUT_LF = r"[\r\x85\u2028\u2029]"
_LINE_START = r"(?:\A|(?<=[\n\x85\u2028\u2029])|(?<=\r)(?!\n))(?!\Z)"
_UNIX_LINE_START = r"(?:\A|(?<=\n))(?!\Z)"
_LINE_END = rf"(?:(?=\Z|{_ENDS_BUT_LF})|(?<!\r)(?=\n))"
_LAST_LINE_END = rf"(?:(?=(?:\r\n|{_ENDS_BUT_LF})?\Z)|(?<!\r)(?=\n\Z))"
_BASE = r"[\p{L}\p{Nd}]"


def line_start(mode: Mode) -> str:
    """Return ``^``."""
    if Mode.MULTI_LINE not in mode:
        return r"\A"
    return _UNIX_LINE_START if Mode.UNIX_LINES in mode else _LINE_START


def line_end(mode: Mode) -> str:
    """Return ``$``."""
    if Mode.MULTI_LINE not in mode:
        return input_end(mode)
    return r"(?=\n|\Z)" if Mode.UNIX_LINES in mode else _LINE_END


def input_end(mode: Mode) -> str:
    r"""Return ``\Z``: the end, or the place before a line terminator that is the end."""
    return r"(?=\n?\Z)" if Mode.UNIX_LINES in mode else _LAST_LINE_END


def word_boundary(mode: Mode, *, negative: bool) -> str:
    r"""Return ``\b`` or ``\B``; a combining mark belongs to the word of its base character."""
    if Mode.UNICODE_CLASSES in mode:
        word = r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\u200c\u200d]"
        before, after = rf"(?<={word})", rf"(?={word})"
    else:
        before = rf"(?<=_|{_BASE}\p{{Mn}}*)"
        after = rf"(?=_|{_BASE}|\p{{Mn}}(?<={_BASE}\p{{Mn}}*\p{{Mn}}))"
    not_before = before.replace("(?<=", "(?<!", 1)
    not_after = after.replace("(?=", "(?!", 1)
    if negative:
        return f"(?:{before}{after}|{not_before}{not_after})"
    return f"(?:{before}{not_after}|{not_before}{after})"
