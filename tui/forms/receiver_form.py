"""The New/Edit receiver form without a screen: raw values, what is visible, what is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from engine.errors import InvalidReceiver, InvalidWhitelistEntry, Problem
from engine.model.receiver import (
    DEFAULT_IDENTIFIER,
    DEFAULT_PORT,
    ROUTING_FIELDS,
    Receiver,
    ReceiverRules,
    parse_receiver,
)
from engine.model.whitelist import parse_entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TEXT_FIELDS = ("ae_title", "port", "identifier", "whitelist", *ROUTING_FIELDS)
SWITCH_FIELDS = (
    "direct_archive",
    "anonymization",
    "custom_processing",
    "whitelist_enabled",
    "routing_enabled",
)
FIELD_ORDER = (
    "ae_title",
    "port",
    "identifier",
    *SWITCH_FIELDS[:4],
    "whitelist",
    "routing_enabled",
    *ROUTING_FIELDS,
)
"""Every field in the order of the dialog, from top to bottom."""

_ALWAYS_VISIBLE = frozenset({"ae_title", "port", *SWITCH_FIELDS[:4]})
SWITCH_OF = dict.fromkeys(ROUTING_FIELDS, "routing_enabled") | {"whitelist": "whitelist_enabled"}


class LineState(StrEnum):
    """What is to be said about one whitelist line."""

    GOOD = "good"
    REPEATED = "repeated"
    BLANK = "blank"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class LineVerdict:
    """One whitelist line: its state, and in words what it means or why it is wrong."""

    state: LineState
    words: str = ""


class ReceiverForm:
    """Raw values of one receiver while it is edited; decides visibility and validity.

    Values of hidden fields are kept, but they are neither checked nor in force.
    """

    def __init__(
        self, values: Mapping[str, str | bool], rules: ReceiverRules, original: Receiver | None
    ) -> None:
        self._values = dict(values)
        self._start = dict(values)
        self.rules = rules
        self.original = original
        """The receiver being edited; None for a new one."""

    @classmethod
    def new(cls, rules: ReceiverRules, port: int | None = None) -> ReceiverForm:
        """Return the form of a new receiver, with a port suggested unless one is given."""
        chosen = port or _suggested_port(rules.others)
        return cls(_initial_values(rules) | {"port": str(chosen)}, rules, None)

    @classmethod
    def edit(cls, receiver: Receiver, rules: ReceiverRules) -> ReceiverForm:
        """Return the form filled with a receiver that exists."""
        record = receiver.to_record()
        values = {name: str(record[name]) for name in TEXT_FIELDS}
        switches = {name: bool(record[name]) for name in SWITCH_FIELDS}
        return cls(
            {**values, **switches, "whitelist": "\n".join(receiver.whitelist)}, rules, receiver
        )

    def set(self, name: str, value: str | bool) -> None:
        """Take over what was typed or switched."""
        if type(value) is not type(self._values[name]):
            raise TypeError(f"{name} can't be {value!r}")
        self._values[name] = value

    def value(self, name: str) -> str | bool:
        """Return the raw value of a field, hidden or not."""
        return self._values[name]

    def text(self, name: str) -> str:
        """Return the raw value of a text field."""
        return str(self._values[name])

    def is_on(self, name: str) -> bool:
        """Tell whether a switch is on and in force."""
        return bool(self._values[name]) and (name != "routing_enabled" or self.can_route())

    def can_route(self, identifier: str | None = None) -> bool:
        """Tell whether an identifier, by default the chosen one, supports routing rules."""
        wanted = self.text("identifier") if identifier is None else identifier
        return any(known.can_route for known in self.rules.identifiers if known.id == wanted)

    def identifier_choices(self) -> tuple[str, ...]:
        """Return the ids to choose from; one that is set but not installed comes last."""
        known = [info.id for info in self.rules.identifiers]
        return tuple(dict.fromkeys([*known, str(self._start["identifier"])]))

    def visible_fields(self) -> frozenset[str]:
        """Return the names of the fields that matter with the present values."""
        visible = set(_ALWAYS_VISIBLE)
        if len(self.identifier_choices()) > 1:
            visible.add("identifier")
        if self.is_on("whitelist_enabled"):
            visible.add("whitelist")
        if self.can_route():
            visible.add("routing_enabled")
        if self.is_on("routing_enabled"):
            visible.update(ROUTING_FIELDS)
        return frozenset(visible)

    def choose_identifier(self, identifier: str, confirmed: bool = False) -> bool:
        """Choose an identifier; return True if that needs confirmation and nothing was changed.

        Confirmation is needed if routing is on and the identifier can't route; once confirmed,
        routing is switched off.
        """
        loses_routing = self.is_on("routing_enabled") and not self.can_route(identifier)
        if loses_routing and not confirmed:
            return True
        if loses_routing:
            self._values["routing_enabled"] = False
        self._values["identifier"] = identifier
        return False

    def problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return what is wrong, by visible field, in the order of the dialog."""
        try:
            self.to_receiver()
        except InvalidReceiver as error:
            return self.by_field(error.problems)
        return {}

    def by_field(self, problems: Sequence[Problem]) -> dict[str, tuple[Problem, ...]]:
        """Sort problems under the visible fields that they are to be shown at."""
        visible = self.visible_fields()
        found: dict[str, tuple[Problem, ...]] = {}
        for problem in problems:
            name = problem.field
            if name not in visible:
                name = SWITCH_OF.get(name, "ae_title")
            name = name if name in visible else "ae_title"
            found[name] = (*found.get(name, ()), problem)
        return {name: found[name] for name in FIELD_ORDER if name in found}

    def whitelist_verdicts(self) -> tuple[LineVerdict, ...]:
        """Return one verdict per whitelist line, also while the whitelist is off."""
        return tuple(_verdicts(self.text("whitelist").splitlines()))

    def is_dirty(self) -> bool:
        """Tell whether anything differs from what the form started with."""
        return self._values != self._start

    def keeps_its_port(self) -> bool:
        """Tell whether an edited receiver stays on a port that it shares with nobody."""
        if self.original is None or self.text("port").strip() != str(self.original.port):
            return False
        return all(
            other.port != self.original.port or other.id == self.original.id
            for other in self.rules.others
        )

    def summary(self) -> str:
        """Say in one sentence what saving this would mean."""
        missing = [
            words
            for name, words in (("ae_title", "an AE title"), ("port", "a port"))
            if not self.text(name).strip()
        ]
        if missing:
            return f"Needs {' and '.join(missing)} before it can listen."
        place = "archive" if self.is_on("direct_archive") else "prearchive"
        listens = "Will listen" if self._enabled() else "Once enabled, will listen"
        port, title = self.text("port").strip(), self.text("ae_title").strip()
        return f"{listens} on port {port} as {title}, into the {place}."

    def to_receiver(self) -> Receiver:
        """Return the receiver that the form describes.

        Raises:
            InvalidReceiver: with every problem at once.
        """
        raw: dict[str, object] = dict(self._values)
        raw["routing_enabled"] = self.is_on("routing_enabled")
        if self.original is not None:
            raw["id"] = self.original.id
            raw["enabled"] = self.original.enabled
            raw["file_namer"] = self.original.file_namer
        return parse_receiver(raw, self.rules)

    def meaning(self, name: str) -> str:
        """Say in words what a switch does as it stands now."""
        match name, self.is_on(name):
            case "whitelist_enabled", True:
                return self._whitelist_in_words()
            case switch, on:
                return _MEANINGS[switch][on]

    def _whitelist_in_words(self) -> str:
        states = Counter(verdict.state for verdict in self.whitelist_verdicts())
        good, bad = states[LineState.GOOD], states[LineState.BAD]
        if not good and not bad:
            return "on: no entry yet, so every caller is refused"
        entries = f"{good + bad} {'entry' if good + bad == 1 else 'entries'}"
        return f"on: only callers below · {entries}" + (f", {bad} wrong" if bad else "")

    def _enabled(self) -> bool:
        return self.original is None or self.original.enabled


_MEANINGS = {
    "direct_archive": (
        "off: objects wait in the prearchive",
        "on: objects go straight to the archive",
    ),
    "anonymization": (
        "off: objects are stored as they arrive",
        "on: site and project scripts run",
    ),
    "custom_processing": (
        "off: no processors run",
        "on: installed processors run on each object",
    ),
    "whitelist_enabled": ("off: every caller is accepted", ""),
    "routing_enabled": (
        "off: the identifier decides",
        "on: these rules come before the identifier",
    ),
}


def _initial_values(rules: ReceiverRules) -> dict[str, str | bool]:
    default = next((known.id for known in rules.identifiers if known.is_default), None)
    first = next((known.id for known in rules.identifiers), DEFAULT_IDENTIFIER)
    values: dict[str, str | bool] = dict.fromkeys(TEXT_FIELDS, "")
    values.update(dict.fromkeys(SWITCH_FIELDS, False))
    return values | {"identifier": default or first, "anonymization": True}


def _suggested_port(others: Sequence[Receiver]) -> int:
    """Prefer the usual port; where it is in use, ports are shared as a rule."""
    ports = Counter(other.port for other in others)
    return DEFAULT_PORT if DEFAULT_PORT not in ports else ports.most_common(1)[0][0]


def _verdicts(lines: Sequence[str]) -> Iterator[LineVerdict]:
    first_seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            yield LineVerdict(LineState.BLANK)
        elif text in first_seen:
            yield LineVerdict(LineState.REPEATED, f"same as line {first_seen[text]}")
        else:
            first_seen[text] = number
            yield _verdict(text)


def _verdict(text: str) -> LineVerdict:
    try:
        return LineVerdict(LineState.GOOD, parse_entry(text).meaning())
    except InvalidWhitelistEntry as error:
        return LineVerdict(LineState.BAD, error.problems[0].message)


LABELS = {
    "ae_title": "AE title",
    "port": "Port",
    "identifier": "Identifier",
    "direct_archive": "Direct archive",
    "anonymization": "Anonymization",
    "custom_processing": "Custom processing",
    "whitelist_enabled": "Whitelist",
    "whitelist": "Callers",
    "routing_enabled": "Routing rules",
    "project_routing": "Project",
    "subject_routing": "Subject",
    "session_routing": "Session",
}

_ROUTING_HELP = r"""One rule per line, tried from top to bottom:

  (gggg,eeee):pattern:group
  (gggg,eeee):pattern:group t:text r:replacement

The pattern must match the whole value of that element. The
group says which parenthesis is taken; it is 1 if left out,
and 0 takes the whole match. t and r replace inside it.

  (0010,4000):.*Project:\s*([\w-]+).*:1
  (0010,0020):([^_]+)_.*:1     S0042_T1 gives S0042
  (0008,0060):(.*) t:MR r:PET  MR gives PET"""

HELP = {
    "ae_title": """The name that senders call, their "called AE title".
1 to 16 printable ASCII characters without a backslash;
upper and lower case differ, as on the network.

  XNAT        CT_INTAKE        Research 2

Several receivers may share a port if their AE titles
differ, and one AE title may be used on several ports.""",
    "port": """The TCP port that senders connect to; 8104 is usual.

Receivers may share a port. The state beside the port is
what a probe saw; only listening itself decides. ctrl+t
probes again.""",
    "identifier": """Decides from an object's header to which project,
subject and session it belongs.

Identifiers marked "routing –" don't support routing rules
of a receiver; choosing one hides them.""",
    "direct_archive": """Off: objects wait in the prearchive until somebody, or
the project's setting, archives them.

On: they are written straight to the archive.""",
    "anonymization": """On: the site's script runs when an object arrives and the
project's script when its session is archived.

Off: neither runs for what this receiver takes in.""",
    "custom_processing": """On: the installed processors see each object before it
is stored; they may change or drop it.""",
    "whitelist_enabled": """Off: every caller is accepted.

On: only callers that a line below names are accepted;
without any line that is nobody. The lines are kept while
the whitelist is off.""",
    "whitelist": """A caller is accepted if any line lets it in.

  MR_PRISMA              this AE title from any address
  10.4.1.9               any AE title from this address
  10.4.0.0/16            any AE title from this network
  MR_PRISMA@10.4.1.9     this AE title from this address
  MR_PRISMA@2001:db8::/32

Upper and lower case differ in AE titles. Host names are
not looked up. Repeated and blank lines don't matter.""",
    "routing_enabled": """Off: the identifier alone decides where objects belong.

On: the rules below are asked first. They are kept while
routing is off.""",
    **dict.fromkeys(ROUTING_FIELDS, _ROUTING_HELP),
}
