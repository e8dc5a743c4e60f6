"""The receiver form without a screen: values, visible fields, problems, and the result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from engine.errors import InvalidReceiver
from engine.model.anonymization import AsReceived, stored_as_received
from engine.model.configuration import has_anonymization
from engine.model.limits import RECEIVER_LIMITS
from engine.model.plugins import DEFAULT_IDENTIFIER, offered_identifiers
from engine.model.receiver import (
    DEFAULT_PORT,
    ROUTING_FIELDS,
    Receiver,
    ReceiverRules,
    parse_receiver,
)
from engine.model.tls import TLS_FILES, ClientCertificates
from tui.receivers.help import (
    HELP,
    LABELS,
    MEANINGS,
    NO_APPEND,
    NO_SCRIPT,
    PROJECT_SCRIPTS,
)
from tui.text import counted, safe, sentence_case, size_in, typed_number
from tui.widgets.whitelist import CallerVerdict, LineState, caller_verdict, line_verdicts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.errors import Problem
    from engine.model.plugins import IdentifierField, IdentifierInfo
    from engine.model.processor import Processor
    from engine.model.project import ProjectRegistry
    from tui.widgets.whitelist import LineVerdict


PREFIX = "identifier_settings."
"""Before a field's own name in the problems that the model finds."""


@dataclass(frozen=True, slots=True)
class SettingField:
    """A field of one identifier, with the name that it has in the dialog."""

    name: str
    """Unique there, such as ``setting_1_project``."""
    identifier: str
    field: IdentifierField

    @property
    def label(self) -> str:
        """What stands before it."""
        return f"  {self.field.label}{' *' if self.field.required else ''}"


def setting_fields(identifiers: Sequence[IdentifierInfo]) -> tuple[SettingField, ...]:
    """Return the fields of all identifiers, in their order."""
    return tuple(
        SettingField(f"setting_{position}_{field.name}", info.id, field)
        for position, info in enumerate(identifiers)
        for field in info.fields
    )


def project_choices(projects: ProjectRegistry | None, chosen: str) -> tuple[tuple[str, str], ...]:
    """Return words and value of each project, and of what is chosen though it is none of them."""
    known = projects.projects if projects is not None else ()
    choices = {p.id: f"{p.id}  {p.title}".rstrip() for p in known}
    if chosen and chosen not in choices:
        owner = projects.find(chosen) if projects is not None else None
        choices[chosen] = f"{chosen} ({f'alias of {owner}' if owner else 'does not exist'})"
    return tuple((words, value) for value, words in choices.items())


LIMIT_FIELDS = RECEIVER_LIMITS
ADVANCED_FIELDS = ("bind_address", "duplicates", *LIMIT_FIELDS, "storage_commitment", "tls_enabled")
TLS_DETAILS = (*TLS_FILES, "tls_client")
"""What there is to say about TLS while it is on."""
OPENED_FIELDS = (*ADVANCED_FIELDS, *TLS_DETAILS)
"""The fields of the advanced section, in its order."""
TEXT_FIELDS = (
    "ae_title",
    "port",
    "identifier",
    "whitelist",
    *ROUTING_FIELDS,
    "bind_address",
    "duplicates",
    "file_namer",
    *TLS_FILES,
)
STORING_FIELDS = ("custom_processing", "direct_archive", "direct_archive_append")
PROCESSING_FIELDS = (*STORING_FIELDS, "anonymization")
SWITCH_FIELDS = (
    *PROCESSING_FIELDS,
    "whitelist_enabled",
    "routing_enabled",
    "storage_commitment",
    "tls_enabled",
    "tls_client",
)
CALLER_FIELDS = ("caller_ae_title", "caller_address")
"""The caller that the whitelist is tried with; never saved."""
FIELD_ORDER = (
    "ae_title",
    "port",
    *STORING_FIELDS,
    "identifier",
    "anonymization",
    "whitelist_enabled",
    "whitelist",
    *CALLER_FIELDS,
    "routing_enabled",
    *ROUTING_FIELDS,
    "advanced",
    *OPENED_FIELDS,
)
"""Every field in the order of XNAT's dialog (XNAT 1.2a); ``advanced`` opens those below."""

_ALWAYS_VISIBLE = frozenset({"ae_title", "port", *SWITCH_FIELDS[:5], "advanced"}) - {
    "direct_archive_append"
}
SWITCH_OF = (
    dict.fromkeys(ROUTING_FIELDS, "routing_enabled")
    | dict.fromkeys(("whitelist", *CALLER_FIELDS), "whitelist_enabled")
    | dict.fromkeys(ADVANCED_FIELDS, "advanced")
    | dict.fromkeys(TLS_DETAILS, "tls_enabled")
    | {"direct_archive_append": "direct_archive", "file_namer": "advanced"}
)
_LIMIT_PREFIX = "limits."


class ReceiverForm:
    """Raw values of one receiver while it is edited; decides visibility and validity.

    Values of hidden fields are kept, but they are neither checked nor in force.
    """

    def __init__(
        self, values: Mapping[str, str | bool], rules: ReceiverRules, original: Receiver | None
    ) -> None:
        self.settings = {f.name: f for f in setting_fields(rules.identifiers or ())}
        """The fields of the identifiers, by their name in the dialog."""
        at = FIELD_ORDER.index("identifier") + 1
        order = (*FIELD_ORDER[:at], *self.settings, *FIELD_ORDER[at:])
        after = order.index("duplicates") + 1
        namer = ("file_namer",) if rules.file_namers or values["file_namer"] else ()
        self.field_order = (*order[:after], *namer, *order[after:])
        """Every field from top to bottom; that of the file namer only if there is a choice."""
        self.processors: tuple[Processor, ...] | None = None
        """Those that there are; None leaves open whom custom processing means."""
        self._values = dict(values) | self._setting_values(original)
        self._start = dict(self._values)
        self._caller = dict.fromkeys(CALLER_FIELDS, "")
        self._opened = any(_is_own(name, values) for name in (*ADVANCED_FIELDS, *namer))
        self._found: tuple[Problem, ...] | None = None
        self.rules = rules
        self.original = original
        """The receiver being edited, as it is replaced on saving; None for a new one."""

    @classmethod
    def new(cls, rules: ReceiverRules, port: int | None = None) -> ReceiverForm:
        """Return the form of a new receiver, with a port suggested unless one is given."""
        chosen = port or suggested_port(rules.others)
        return cls(_initial_values(rules) | {"port": str(chosen)}, rules, None)

    @classmethod
    def edit(cls, receiver: Receiver, rules: ReceiverRules) -> ReceiverForm:
        """Return the form filled with a receiver that exists."""
        return cls(_values_of(receiver), rules, receiver)

    @classmethod
    def duplicate(cls, receiver: Receiver, rules: ReceiverRules) -> ReceiverForm:
        """Return the form of a new receiver with the same values and an empty AE title."""
        form = cls(_values_of(receiver) | {"ae_title": ""}, rules, None)
        form._values |= form._setting_values(receiver)
        form._start = dict(form._values)
        return form

    def set(self, name: str, value: str | bool) -> None:
        """Take over what was typed or switched."""
        if type(value) is not type(self.value(name)):
            raise TypeError(f"{name} can't be {value!r}")
        if name in CALLER_FIELDS:
            self._caller[name] = str(value)
        else:
            self._values[name] = value
            self._found = None

    def value(self, name: str) -> str | bool:
        """Return the raw value of a field, hidden or not."""
        return self._caller[name] if name in CALLER_FIELDS else self._values[name]

    def text(self, name: str) -> str:
        """Return the raw value of a text field."""
        return str(self.value(name))

    def is_on(self, name: str) -> bool:
        """Tell whether a switch is on and in force."""
        return bool(self._values[name]) and (name != "routing_enabled" or self.can_route())

    def can_route(self, identifier: str | None = None) -> bool:
        """Tell whether an identifier, by default the chosen one, supports routing rules."""
        info = self.info(identifier)
        return info is not None and info.can_route

    def identifier_choices(self) -> tuple[str, ...]:
        """Return the ids to choose from; one that is set but not installed comes last."""
        known, chosen = self.rules.identifiers or (), str(self._start["identifier"])
        used = {chosen, *(receiver.identifier for receiver in self.rules.others)}
        everything = self.rules.site.offer_all_identifiers
        offered = offered_identifiers(known, used, everything=everything)
        return tuple(dict.fromkeys([*(info.id for info in offered), chosen]))

    def info(self, identifier: str | None = None) -> IdentifierInfo | None:
        """Return what is known of an identifier, by default the chosen one."""
        wanted = self.text("identifier") if identifier is None else identifier
        return next((known for known in self.rules.identifiers or () if known.id == wanted), None)

    def identifier_name(self, identifier: str | None = None) -> str:
        """Return what an identifier is called, by default the chosen one; safe text."""
        wanted = self.text("identifier") if identifier is None else identifier
        info = self.info(wanted)
        if info is None:
            return f"✗ {safe(wanted)} (not installed)"
        if info.error:
            return f"✗ {safe(wanted)} (broken)"
        return f"{safe(info.name)}{' (Default)' if info.is_default else ''}"

    def label(self, name: str) -> str:
        """Return what stands before a field."""
        return safe(self.settings[name].label) if name in self.settings else LABELS[name]

    def help(self, name: str) -> str:
        """Explain a field, with examples."""
        field = self.settings.get(name)
        return sentence_case(f"{safe(field.field.help)}.") if field else HELP[name]

    def _own_settings(self) -> tuple[SettingField, ...]:
        """Return the fields of the chosen identifier."""
        chosen = self.text("identifier")
        return tuple(field for field in self.settings.values() if field.identifier == chosen)

    def _setting_values(self, receiver: Receiver | None) -> dict[str, str | bool]:
        """Return the value of every identifier's fields; those of other identifiers are empty."""
        known = dict(receiver.identifier_settings) if receiver else {}
        identifier = receiver.identifier if receiver else ""
        return {
            field.name: known.get(field.field.name, "") if field.identifier == identifier else ""
            for field in self.settings.values()
        }

    def visible_fields(self) -> frozenset[str]:
        """Return the names of the fields that matter with the present values."""
        visible = set(_ALWAYS_VISIBLE)
        if len(self.identifier_choices()) > 1:
            visible.add("identifier")
        visible.update(field.name for field in self._own_settings())
        if self.is_on("direct_archive"):
            visible.add("direct_archive_append")
        if self.is_on("whitelist_enabled"):
            visible.update(("whitelist", *CALLER_FIELDS))
        if self.can_route():
            visible.add("routing_enabled")
        if self.is_on("routing_enabled"):
            visible.update(ROUTING_FIELDS)
        if self.is_advanced_open():
            visible.update(ADVANCED_FIELDS)
            visible.update({"file_namer"}.intersection(self.field_order))
        if self.is_advanced_open() and self.is_on("tls_enabled"):
            visible.update(TLS_DETAILS)
        return frozenset(visible)

    def is_advanced_open(self) -> bool:
        """Tell whether the advanced fields are shown: if opened, or if one of them is wrong."""
        wrong = {self._field_of(problem) for problem in self._problems()}
        return self._opened or not wrong.isdisjoint((*OPENED_FIELDS, "file_namer"))

    def open_advanced(self, opened: bool = True) -> None:
        """Show the advanced fields, or hide them."""
        self._opened = opened

    def advanced_in_words(self) -> str:
        """Say which advanced values this receiver has of its own."""
        names = [name for name in self.field_order if name in (*ADVANCED_FIELDS, "file_namer")]
        labels = [LABELS[name] for name in names if _is_own(name, self._values)]
        own = [label if label[:2].isupper() else label.casefold() for label in labels]
        return f"its own: {', '.join(own)}" if own else "as the site says"

    def choose_identifier(self, identifier: str, confirmed: bool = False) -> bool:
        """Choose an identifier; return True if that needs confirmation and nothing was changed.

        Confirmation is needed if routing is on and the identifier can't route; once confirmed,
        routing is switched off.
        """
        loses_routing = self.is_on("routing_enabled") and not self.can_route(identifier)
        if loses_routing and not confirmed:
            return True
        if loses_routing:
            self.set("routing_enabled", False)
        self.set("identifier", identifier)
        return False

    def problems(self) -> dict[str, tuple[Problem, ...]]:
        """Return what is wrong, by visible field, in the order of the dialog."""
        return self.by_field(self._problems())

    def by_field(self, problems: Sequence[Problem]) -> dict[str, tuple[Problem, ...]]:
        """Sort problems under the visible fields that they are to be shown at."""
        visible = self.visible_fields()
        found: dict[str, tuple[Problem, ...]] = {}
        for problem in problems:
            name = self._field_of(problem)
            if name not in visible:
                name = SWITCH_OF.get(name, "ae_title")
            name = name if name in visible else "ae_title"
            found[name] = (*found.get(name, ()), problem)
        return {name: found[name] for name in self.field_order if name in found}

    def _field_of(self, problem: Problem) -> str:
        name = problem.field.removeprefix(PREFIX)
        if name == problem.field:
            return name.removeprefix(_LIMIT_PREFIX)
        named = (field.name for field in self._own_settings() if field.field.name == name)
        return next(named, "identifier")

    def _problems(self) -> tuple[Problem, ...]:
        if self._found is None:
            self._found = ()
            try:
                self.result()
            except InvalidReceiver as error:
                self._found = error.problems
        return self._found

    def whitelist_verdicts(self) -> tuple[LineVerdict, ...]:
        """Return one verdict per whitelist line, also while the whitelist is off."""
        return _line_verdicts(self.text("whitelist"))

    def caller_verdict(self) -> CallerVerdict:
        """Say whether the caller that is tried would be admitted."""
        lines = self.text("whitelist").splitlines()
        return caller_verdict(lines, *(self._caller[name] for name in CALLER_FIELDS))

    def is_dirty(self) -> bool:
        """Tell whether anything differs from what the form started with."""
        return self._values != self._start

    def rebase(self, current: Receiver) -> tuple[str, ...]:
        """Edit the receiver as it is now, keep the fields that were changed here; name those."""
        mine = {n: v for n, v in self._values.items() if v != self._start[n]}
        self._start = _values_of(current) | self._setting_values(current)
        self._values = self._start | mine
        self._found = None
        self.original = current
        return tuple(
            n for n in self.field_order if mine.get(n, self._start.get(n)) != self._start.get(n)
        )

    def keeps_its_port(self) -> bool:
        """Tell whether an edited receiver stays on a port that it shares with nobody."""
        if self.original is None or self.text("port").strip() != str(self.original.port):
            return False
        return all(
            other.port != self.original.port or other.id == self.original.id
            for other in self.rules.others
        )

    def summary(self) -> str:
        """Return a sentence on what saving means."""
        missing = [
            words
            for name, words in (("ae_title", "an AE title"), ("port", "a port"))
            if not self.text(name).strip()
        ]
        if missing:
            return f"Needs {' and '.join(missing)} before it can listen."
        place = "archive" if self.is_on("direct_archive") else "prearchive"
        enabled = self.original is None or self.original.enabled
        listens = "Will listen" if enabled else "Once enabled, will listen"
        port, title = self.text("port").strip(), self.text("ae_title").strip()
        return f"{listens} on port {port} as {title}, into the {place}."

    def result(self) -> Receiver:
        """Return the receiver that the form describes.

        Raises:
            InvalidReceiver: with every problem at once.
        """
        elsewhere = {*LIMIT_FIELDS, *self.settings}
        raw: dict[str, object] = {n: v for n, v in self._values.items() if n not in elsewhere}
        raw["identifier_settings"] = self._settings_record()
        raw["routing_enabled"] = self.is_on("routing_enabled")
        asks = ClientCertificates.REQUIRED if self.is_on("tls_client") else ClientCertificates.NONE
        raw["tls_client"] = asks
        raw["limits"] = {n: _limit(n, self.text(n)) for n in LIMIT_FIELDS if self.text(n).strip()}
        if self.original is not None:
            raw["id"] = self.original.id
            raw["enabled"] = self.original.enabled
        return parse_receiver(raw, self.rules)

    def previews_routing(self) -> bool:
        """Tell whether a dry run on recent objects matters: something else may decide than now."""
        chosen = self.text("identifier")
        other = self.original is not None and chosen != self.original.identifier
        return self.is_on("routing_enabled") or other

    def to_draft(self) -> Receiver:
        """Return a receiver that identifies objects as the form says; all else does not count.

        Raises:
            InvalidReceiver: if a rule or a setting of the identifier is wrong.
        """
        original = self.original
        raw: dict[str, object] = {
            "id": original.id if original else 0,
            "ae_title": str(original.ae_title) if original else "DRAFT",
            "port": original.port if original else self.rules.site.ports.start,
            "identifier": self.text("identifier"),
            "identifier_settings": self._settings_record(),
            "routing_enabled": self.is_on("routing_enabled"),
            **{name: self.text(name) for name in ROUTING_FIELDS},
        }
        return parse_receiver(raw, replace(self.rules, others=()))

    def _settings_record(self) -> dict[str, str]:
        """Return the settings of the identifier; a broken identifier keeps its saved ones."""
        chosen, original, info = self.text("identifier"), self.original, self.info()
        if original is not None and chosen == original.identifier and (not info or info.error):
            return dict(original.identifier_settings)
        return {field.field.name: self.text(field.name) for field in self._own_settings()}

    def meaning(self, name: str) -> str:
        """Say in words what a switch does as it stands now."""
        match name, self.is_on(name):
            case "whitelist_enabled", True:
                return self._whitelist_in_words()
            case "direct_archive_append", on if not self.rules.site.direct_archive_append:
                return NO_APPEND[on]
            case "anonymization", True if self.rules.site.anonymization is None:
                return NO_SCRIPT if self.as_received() else PROJECT_SCRIPTS
            case "custom_processing", True if self.processors is not None:
                number = len(self.seeing_processors())
                if not number:
                    return "on: no processor sees its objects"
                return f"on: {counted(number, 'processor')} will see its objects"
            case switch, on:
                return MEANINGS[switch][on]

    def as_received(self) -> AsReceived | None:
        """Return why objects would be stored with all that identifies patients, if they would."""
        in_force = has_anonymization(self.rules.site, self.rules.projects)
        return stored_as_received(wanted=self.is_on("anonymization"), in_force=in_force)

    def gives_up_anonymization(self) -> bool:
        """Tell whether saving switches anonymization off for a receiver that had it on."""
        had = self.original is None or self.original.anonymization
        return had and not self.is_on("anonymization")

    def is_unwise(self, switch: str) -> bool:
        """Tell whether what a switch does now may not be meant."""
        match switch:
            case "anonymization":
                return self.as_received() is not None
            case "custom_processing":
                known = self.processors is not None
                return known and self.is_on(switch) and not self.seeing_processors()
            case _:
                return False

    def seeing_processors(self) -> tuple[str, ...]:
        """Return the labels of the processors that would see this receiver's objects, in order."""
        label = f"{self.text('ae_title').strip()}:{self.text('port').strip()}"
        known = sorted(self.processors or (), key=lambda processor: processor.order)
        return tuple(p.label for p in known if p.enabled and p.admits_receiver(label))

    def processing_in_words(self) -> str:
        """Name the processors that would see this receiver's objects; safe text."""
        if self.processors is None or not self.is_on("custom_processing"):
            return ""
        labels = self.seeing_processors()
        if not labels:
            return "no processor is enabled for it; screen 7 adds one"
        return ", then ".join(map(safe, labels))

    def file_namer_choices(self) -> tuple[str, ...]:
        """Return the ids to choose from besides the site's own; one that is gone comes last."""
        known = [namer.id for namer in self.rules.file_namers or ()]
        chosen = str(self._start["file_namer"])
        return tuple(dict.fromkeys([*known, *([chosen] if chosen else [])]))

    def _whitelist_in_words(self) -> str:
        states = Counter(verdict.state for verdict in self.whitelist_verdicts())
        good, bad = states[LineState.GOOD] + states[LineState.ODD], states[LineState.BAD]
        if not good and not bad:
            return "on: no entry yet, so every caller is refused"
        entries = f"{good + bad} {'entry' if good + bad == 1 else 'entries'}"
        return f"on: only callers below · {entries}" + (f", {bad} wrong" if bad else "")


@lru_cache(maxsize=4)
def _line_verdicts(text: str) -> tuple[LineVerdict, ...]:
    return line_verdicts(text.splitlines())


def _limit(name: str, text: str) -> int | str:
    if name.endswith("_bytes"):
        return size_in(text)
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdecimal() else digits


def _is_own(name: str, values: Mapping[str, str | bool]) -> bool:
    """Tell whether an advanced field has another value than most receivers."""
    # The others are empty, or off.
    return bool(values[name]) is not (name == "storage_commitment")


def _values_of(receiver: Receiver) -> dict[str, str | bool]:
    record, limits = receiver.to_record(), dict(receiver.limits)
    values: dict[str, str | bool] = {name: str(record[name] or "") for name in TEXT_FIELDS}
    values.update({name: bool(record[name]) for name in SWITCH_FIELDS})
    values.update(dict.fromkeys(LIMIT_FIELDS, ""))
    values.update({name: typed_number(name, limit) for name, limit in limits.items()})
    values["tls_client"] = receiver.tls_client is ClientCertificates.REQUIRED
    return values | {"whitelist": "\n".join(receiver.whitelist)}


def _initial_values(rules: ReceiverRules) -> dict[str, str | bool]:
    default = next((known.id for known in rules.identifiers or () if known.is_default), None)
    first = next((known.id for known in rules.identifiers or ()), DEFAULT_IDENTIFIER)
    values: dict[str, str | bool] = dict.fromkeys((*TEXT_FIELDS, *LIMIT_FIELDS), "")
    values.update(dict.fromkeys(SWITCH_FIELDS, False))
    on = dict.fromkeys(("anonymization", "storage_commitment", "tls_client"), True)
    return values | {"identifier": default or first} | on


def suggested_port(others: Sequence[Receiver]) -> int:
    """Prefer the usual port; where it is in use, ports are shared as a rule."""
    ports = Counter(other.port for other in others)
    return DEFAULT_PORT if DEFAULT_PORT not in ports else ports.most_common(1)[0][0]
