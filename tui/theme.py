"""Colors: the themes, the look of each state, and a style sheet that is parsed once per theme.

A state is always shown as glyph, word and color, in that order, so that no color alone carries
meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from textual.color import Color, ColorParseError
from textual.css.stylesheet import Stylesheet
from textual.theme import Theme

from engine.api import AssociationEnd, ReceiverState
from engine.events import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tone(StrEnum):
    """What a piece of text means, from which its color follows."""

    PLAIN = "plain"
    STRONG = "strong"
    MUTED = "muted"
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class StateStyle:
    """How a state is shown."""

    glyph: str
    word: str
    tone: Tone

    def __str__(self) -> str:
        return f"{self.glyph} {self.word}"


RECEIVER_STYLES = {
    ReceiverState.LISTENING: StateStyle("●", "LISTEN", Tone.OK),
    ReceiverState.DISABLED: StateStyle("○", "STOPPED", Tone.MUTED),
    ReceiverState.FAILED: StateStyle("✗", "FAILED", Tone.ERROR),
    ReceiverState.DRAINING: StateStyle("◐", "DRAIN", Tone.WARNING),
    ReceiverState.NOT_ALLOWED: StateStyle("⊘", "BARRED", Tone.WARNING),
}

REJECTING = StateStyle("✗", "REJECTS", Tone.ERROR)
"""A receiver that listens while every caller is rejected."""


def receiver_style(state: ReceiverState, *, rejecting: bool) -> StateStyle:
    """Return how a receiver's state is shown while every caller is rejected, or is not."""
    return REJECTING if rejecting and state is ReceiverState.LISTENING else RECEIVER_STYLES[state]


RECEIVER_FLAGS = (
    ("A", "anonymization", "anonymize"),
    ("W", "whitelist_enabled", "whitelist"),
    ("R", "routing_enabled", "routing"),
    ("P", "custom_processing", "processing"),
)
"""Letter, the receiver's switch, word for the legend."""
AS_RECEIVED = "!"
"""In place of the first of those letters where objects are stored as received."""
FLAGS_LEGEND = "   ".join(
    (*(f"{letter} {word}" for letter, _, word in RECEIVER_FLAGS), f"{AS_RECEIVED} as received")
)

ASSOCIATION_STYLES = {
    None: StateStyle("●", "live", Tone.OK),
    AssociationEnd.RELEASED: StateStyle("○", "released", Tone.MUTED),
    AssociationEnd.ABORTED: StateStyle("▲", "aborted", Tone.WARNING),
    AssociationEnd.REJECTED: StateStyle("✗", "rejected", Tone.ERROR),
}

SEVERITY_STYLES = {
    Severity.INFO: StateStyle("·", "INFO", Tone.MUTED),
    Severity.WARNING: StateStyle("▲", "WARN", Tone.WARNING),
    Severity.ERROR: StateStyle("✗", "ERROR", Tone.ERROR),
}


@dataclass(frozen=True, slots=True)
class Palette:
    """Rich style strings of one theme."""

    ok: str
    warning: str
    error: str
    muted: str
    key: str
    plain: str = ""
    strong: str = "bold"

    def style(self, tone: Tone) -> str:
        """Return the style of a tone."""
        match tone:
            case Tone.PLAIN:
                return self.plain
            case Tone.STRONG:
                return self.strong
            case Tone.MUTED:
                return self.muted
            case Tone.OK:
                return self.ok
            case Tone.WARNING:
                return self.warning
            case Tone.ERROR:
                return f"bold {self.error}"
            case Tone.KEY:
                return f"bold {self.key}"

    def greyed(self) -> Palette:
        """Return the palette for values that are no longer known to be true."""
        grey = self.muted
        return Palette(grey, grey, grey, grey, grey, grey, grey)


def palette_of(theme: Theme) -> Palette:
    """Return the styles of a theme, with fallbacks for themes that are not ours."""
    return Palette(
        ok=theme.success or "#5fbf77",
        warning=theme.warning or "#e3b04b",
        error=theme.error or "#f07178",
        muted=theme.variables.get("quiet", QUIET),
        key=theme.variables.get("key", theme.primary),
    )


QUIET = "#8593a3"

DARK = Theme(
    name="dark",
    primary="#5aa9d6",
    secondary="#8aa4bd",
    accent="#e3b04b",
    success="#5fbf77",
    warning="#e3b04b",
    error="#f07178",
    foreground="#d5dde6",
    background="#10151b",
    surface="#151b22",
    panel="#1f2832",
    variables={
        "quiet": QUIET,
        "key": "#8cc8ec",
        "footer-key-foreground": "#8cc8ec",
        "line": "#3a4756",
        "block-cursor-background": "#24527a",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#243442",
        "block-cursor-blurred-foreground": "#d5dde6",
    },
)

LIGHT = Theme(
    name="light",
    primary="#1f5fa8",
    secondary="#4d6377",
    accent="#8a5a00",
    success="#1a6b33",
    warning="#8a5a00",
    error="#b3202b",
    foreground="#1c242d",
    background="#f3f5f7",
    surface="#fbfcfd",
    panel="#e2e8ee",
    dark=False,
    variables={
        "quiet": "#5a6875",
        "key": "#1f5fa8",
        "footer-key-foreground": "#1f5fa8",
        "line": "#aab6c2",
        "block-cursor-background": "#1f5fa8",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#d3e0ee",
        "block-cursor-blurred-foreground": "#1c242d",
    },
)

HIGH_CONTRAST = Theme(
    name="high-contrast",
    primary="#ffffff",
    secondary="#ffffff",
    accent="#ffff00",
    success="#4dff88",
    warning="#ffe14d",
    error="#ff8080",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#000000",
    variables={
        "quiet": "#d0d0d0",
        "key": "#66e0ff",
        "footer-key-foreground": "#66e0ff",
        "line": "#bfbfbf",
        "block-cursor-background": "#ffffff",
        "block-cursor-foreground": "#000000",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#3d3d3d",
        "block-cursor-blurred-foreground": "#ffffff",
    },
)

COLOUR_BLIND = Theme(
    name="colour-blind",
    primary="#56b4e9",
    secondary="#9aa5b1",
    accent="#f5c77e",
    success="#56b4e9",
    warning="#f5d8a0",
    error="#ff9d2e",
    foreground="#e3e6ea",
    background="#101318",
    surface="#14181e",
    panel="#22272f",
    variables={
        "quiet": "#949ca6",
        "key": "#9ad4f5",
        "footer-key-foreground": "#9ad4f5",
        "line": "#434b56",
        "block-cursor-background": "#1d4f78",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#29333f",
        "block-cursor-blurred-foreground": "#e3e6ea",
    },
)
"""Blue, orange and grey after Okabe and Ito: no pair of red and green carries meaning."""

THEMES = (DARK, LIGHT, HIGH_CONTRAST, COLOUR_BLIND)

BASE = "base"
"""What a user's theme calls the one of ours that it begins with."""
COLORS = (
    *("primary", "secondary", "accent", "success", "warning", "error"),
    *("foreground", "background", "surface", "panel"),
)
"""What a user's theme may set, besides the variables of its base."""


def user_theme(name: str, said: Mapping[str, str]) -> Theme:
    """Return a theme of the user: one of ours in other colors.

    Raises:
        ValueError: in words that name what is wrong and what to write instead.
    """
    base = next((theme for theme in THEMES if theme.name == said.get(BASE, DARK.name)), None)
    if base is None or name in {theme.name for theme in THEMES}:
        ours = ", ".join(theme.name for theme in THEMES)
        raise ValueError(f"theme “{name}” needs a name of its own, and as base one of {ours}")
    # Text styles are no colors: a user's theme keeps those of its base.
    variables = {key for key in base.variables if not key.endswith("text-style")}
    for key, value in said.items():
        if key != BASE and key not in variables.union(COLORS):
            raise ValueError(f"theme “{name}”: “{key}” is no color; use {', '.join(COLORS)}")
        if key != BASE and not _is_color(value):
            raise ValueError(f"theme “{name}”: {key} “{value}” is no color; write such as #5aa9d6")
    colors: dict[str, Any] = {key: value for key, value in said.items() if key in COLORS}
    others = {key: value for key, value in said.items() if key in variables}
    return replace(base, name=name, variables=base.variables | others, **colors)


def _is_color(text: str) -> bool:
    try:
        return bool(Color.parse(text))
    except ColorParseError:
        return False


class OnceParsed(Stylesheet):
    """Forgets what it parsed only when the variables are others."""

    def set_variables(self, variables: dict[str, str]) -> None:
        """Use these variables from now on."""
        # Textual parses all styles anew for equal variables too.
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Parse what was not parsed yet with these variables; on an error all stays as it is."""
        self.parse()
