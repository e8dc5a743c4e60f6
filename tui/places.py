"""The console's screens in one table; a new screen is its module and its line here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """One screen that a number key leads to."""

    name: str
    number: str
    label: str
    short: str
    """What it is called where there is little room."""
    screen: str = ""
    """``module:class`` of a `ConsoleScreen`, imported when first gone to; empty hides the place."""


HOME = "dashboard"

PLACES = (
    Place(HOME, "1", "Dashboard", "Dash", "tui.screens.dashboard:DashboardScreen"),
    Place(
        "associations", "2", "Associations", "Assoc", "tui.screens.associations:AssociationsScreen"
    ),
    Place("sessions", "3", "Sessions", "Sess", "tui.screens.sessions:SessionsScreen"),
    Place("log", "4", "Log", "Log", "tui.screens.log:LogScreen"),
    Place("senders", "5", "Senders", "Send", "tui.screens.senders:SendersScreen"),
    Place("site", "6", "Site & projects", "Site", "tui.screens.site:SiteScreen"),
    Place("processors", "7", "Processors", "Proc"),
    Place("history", "8", "History", "Hist", "tui.screens.history:HistoryScreen"),
)
