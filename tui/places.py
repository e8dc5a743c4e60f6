"""The table of the console's screens; each screen is imported when it is first shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScreenSpec:
    """One screen that a number key leads to."""

    name: str
    number: str
    label: str
    short: str
    """What it is called where there is little room."""
    screen: str = ""
    """``module:class`` of a `ConsoleScreen`, imported when first gone to; empty hides the place."""


HOME = "dashboard"

SCREEN_SPECS = (
    ScreenSpec(HOME, "1", "Dashboard", "Dash", "tui.dashboard.screen:DashboardScreen"),
    ScreenSpec(
        "associations", "2", "Associations", "Assoc", "tui.associations.screen:AssociationsScreen"
    ),
    ScreenSpec("sessions", "3", "Sessions", "Sess", "tui.sessions.list:SessionsScreen"),
    ScreenSpec("log", "4", "Log", "Log", "tui.log.screen:LogScreen"),
    ScreenSpec("senders", "5", "Senders", "Send", "tui.senders.screen:SendersScreen"),
    ScreenSpec("site", "6", "Site & projects", "Site", "tui.settings.screen:SiteScreen"),
    ScreenSpec("processors", "7", "Processors", "Proc", "tui.processors.screen:ProcessorsScreen"),
    ScreenSpec("history", "8", "History", "Hist", "tui.history.screen:HistoryScreen"),
)
