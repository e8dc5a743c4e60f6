"""The forms of the site's settings: receivers, routing, anonymization, sessions and storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from engine.api.scripts import ScriptTrial
from engine.errors import InvalidSite
from engine.model.anonymization import (
    ENABLED,
    SITE_SCRIPT,
    ScriptScope,
)
from engine.model.file_name_template import parse_template
from engine.model.limits import BOUNDS, Limits
from engine.model.project import AutoArchive
from engine.model.routing import ATTRIBUTES
from engine.model.site import DuplicatePolicy, SessionSettings, SiteSettings
from tui.settings.form import FieldKind, FieldSpec, Remark, SettingsForm, number_in
from tui.settings.shared_fields import (
    PROFILE_ENABLED,
    anonymization_record,
    anonymization_specs,
    anonymization_values,
    field_of_profile,
    filter_remarks,
    profile_of,
)
from tui.text import counted, exact_size, safe, size_in, typed_number, with_unit
from tui.widgets.completion import COMPLETES, Names

if TYPE_CHECKING:
    from engine.errors import Problem
    from tui.settings.form import Values


STORAGE = ("low_space_percent", "low_space_bytes", "reserve_percent", "reserve_bytes")
"""Limits that are about the storage, not about peers."""
AUTO_ARCHIVE_WORDS = {
    AutoArchive.MANUAL: "wait until somebody archives them",
    AutoArchive.ARCHIVE: "archived, never over files that are there",
    AutoArchive.OVERWRITE: "archived, over files that are there",
}
DUPLICATE_WORDS = {
    DuplicatePolicy.KEEP: "keep both",
    DuplicatePolicy.REPLACE: "replace the one that is there",
    DuplicatePolicy.REJECT: "refuse the newcomer (0x0111)",
}
_LIMIT_LABELS = {
    "associations": "All at once",
    "associations_per_receiver": "Per receiver",
    "associations_per_address": "Per address",
    "associations_per_calling_ae_title": "Per caller",
    "associations_per_second_per_address": "Per second",
    "association_burst_per_address": "After a rest",
    "association_seconds": "Longest, seconds",
    "transfer_syntaxes_per_context": "Syntaxes/context",
    "user_items": "User items",
    "idle_seconds": "Idle seconds",
    "message_seconds": "Message seconds",
    "pdu_bytes": "PDU size",
    "data_set_bytes": "Data set size",
    "drain_seconds": "Drain seconds",
    "low_space_percent": "Warn below, %",
    "low_space_bytes": "Warn below",
    "reserve_percent": "Refuse below, %",
    "reserve_bytes": "Refuse below",
}
_LIMIT_HELP = {
    "associations": "Associations open at once, over all receivers.",
    "associations_per_receiver": "Associations open at once to one receiver.",
    "associations_per_address": "Associations open at once from one address.",
    "associations_per_calling_ae_title": "Associations open at once from one calling AE title.",
    "associations_per_second_per_address": "New associations in a second from one address;\n"
    "more are rejected for now, then closed unanswered.",
    "association_burst_per_address": "So many may come at once from an address that rested.",
    "association_seconds": "An association that is open for this long ends before\n"
    "its next message.",
    "transfer_syntaxes_per_context": "Further ones in a proposed context are ignored.",
    "user_items": "Further items of the user information of a request\nare ignored.",
    "idle_seconds": "An association on which nothing arrives for this long\nis aborted.",
    "message_seconds": "One DIMSE message may take this long.",
    "pdu_bytes": "Maximum length received, as offered to the peer.",
    "data_set_bytes": "A larger data set is refused.",
    "drain_seconds": "How long open associations of a receiver that was\nswitched off may go on.",
    "low_space_percent": "Free space below which a warning is given.",
    "low_space_bytes": "The same as a size, such as 500 MB; the greater of both counts.",
    "reserve_percent": "Free space below which associations and objects are\nrefused.",
    "reserve_bytes": "The same as a size, such as 256 MiB; the greater of both counts.",
}
_RULES_HELP = r"""One rule per line, tried from top to bottom, after the
receiver's own rules and before the defaults:

  (gggg,eeee):pattern:group
  (gggg,eeee):pattern:group t:text r:replacement

The pattern must match the whole value, of which the first
64 characters are seen. The group is 1 if left out.

  (0010,4000):.*Project:\s*([\w-]+).*:1
  (0008,1030):([A-Z]+-\d+).*:1"""
_EXAMPLE = {
    0x00080016: "1.2.840.10008.5.1.4.1.1.2",
    0x00080018: "1.2.840.99999.1.3.112",
    0x00080060: "CT",
    0x0020000D: "1.2.840.99999.1",
    0x0020000E: "1.2.840.99999.1.3",
    0x00200011: "3",
    0x00200013: "112",
}


class SiteForm(SettingsForm[SiteSettings]):
    """A form that changes some of the site's settings."""

    def __init__(self, site: SiteSettings) -> None:
        super().__init__(site, site)

    def record(self) -> dict[str, Any]:
        """Return the members of the site's record that the form is about."""
        raise NotImplementedError

    def result(self) -> SiteSettings:
        """Return the site with the form's values in it."""
        assert self.original is not None
        before = self.original.to_record()
        return SiteSettings.parse(before | self.record())


def _limit(name: str, section: str) -> FieldSpec:
    usual = getattr(Limits(), name)
    allowed = BOUNDS[name]
    shown = exact_size if name.endswith("_bytes") else "{:,}".format
    hint = f"{shown(allowed.start)} to {shown(allowed.stop - 1)}; {shown(usual)} if empty"
    return FieldSpec(
        name, FieldKind.NUMBER, _LIMIT_LABELS[name], _LIMIT_HELP[name], section, hint=hint,
        usual=typed_number(name, usual),
    )  # fmt: skip


class ReceiversForm(SiteForm):
    """The switch over all receivers, their ports, and what peers may use."""

    TITLE = "Receivers of this site"
    SPECS = (
        FieldSpec("receivers_allowed", FieldKind.SWITCH, "Receivers",
                  "The switch over all receivers. Off: none listens, whatever its own switch says.",
                  words=("off: no receiver of this site listens", "on: enabled receivers listen")),
        FieldSpec("allow_low_ports", FieldKind.SWITCH, "Any port",
                  "Whether receivers may use ports outside 1024 to 49151.\n"
                  "Ports below 1024 need a privilege of the process.",
                  words=("off: ports 1024 to 49151", "on: ports 1 to 65535")),
        FieldSpec("direct_archive_append", FieldKind.SWITCH, "Direct append",
                  "XNAT's Direct Archive Append. On: receivers with direct archive add later\n"
                  "objects to archived sessions, in the mode of each receiver.\n"
                  "Off: such objects go to the prearchive, and their project decides.",
                  words=("off: the project decides on later objects",
                         "on: later objects are added to archived sessions")),
        FieldSpec("offer_all_identifiers", FieldKind.SWITCH, "Identifiers",
                  "The list of identifiers in the receiver dialog. XNAT's own, those in use\n"
                  "and plug-ins are always offered; a list of one is not shown.",
                  words=("off: XNAT's, those in use, and plug-ins", "on: all are offered")),
        FieldSpec("bind_address", FieldKind.LINE, "Bind address",
                  "The local address that receivers listen on, unless one\nhas its own.",
                  hint="empty for all addresses, IPv4 and IPv6", usual="all addresses"),
        *(_limit(name, "Limits of associations") for name in list(BOUNDS)[:9]),
        *(_limit(n, "Limits of messages") for n in list(BOUNDS)[9:] if n not in STORAGE),
    )  # fmt: skip
    LIMITS: ClassVar[tuple[str, ...]] = tuple(name for name in BOUNDS if name not in STORAGE)

    def values_of(self, thing: SiteSettings) -> Values:
        """Return the raw values."""
        return {
            "receivers_allowed": thing.receivers_allowed,
            "allow_low_ports": thing.allow_low_ports,
            "direct_archive_append": thing.direct_archive_append,
            "offer_all_identifiers": thing.offer_all_identifiers,
            "bind_address": thing.bind_address,
            **_limit_values(thing, self.LIMITS),
        }

    def record(self) -> dict[str, Any]:
        """Return the members."""
        assert self.original is not None
        return {
            "receivers_allowed": self.is_on("receivers_allowed"),
            "allow_low_ports": self.is_on("allow_low_ports"),
            "direct_archive_append": self.is_on("direct_archive_append"),
            "offer_all_identifiers": self.is_on("offer_all_identifiers"),
            "bind_address": self.text("bind_address").strip(),
            "limits": self.original.limits.to_record() | _limits_record(self, self.LIMITS),
        }

    def remark(self, name: str) -> Remark:
        """Return what a number is in words."""
        return _number_remark(self, name) or super().remark(name)

    def summary(self) -> str:
        """Say what saving would do to open associations."""
        if not self.is_on("receivers_allowed"):
            return "! No receiver will listen; open associations may finish."
        return "Open associations are not disturbed; limits hold for the next ones."


class RoutingForm(SiteForm):
    """Rules for the objects of all receivers, one text for each attribute."""

    TITLE = "Site-wide routing"
    SPECS = (
        *(
            spec
            for name in ATTRIBUTES
            for spec in (
                FieldSpec(f"{name}_enabled", FieldKind.SWITCH, name.replace("_", "-").capitalize(),
                          "Whether these rules are asked, after those of the receiver.",
                          words=("off: these rules are not asked",
                                 "on: asked after the receiver's own rules")),
                FieldSpec(f"{name}_routing", FieldKind.RULES, "  Rules", _RULES_HELP,
                          needs=f"{name}_enabled", by_line=True),
            )
        ),
        FieldSpec("tolerant_comments", FieldKind.SWITCH, "Comments",
                  "Whether Project: Subject: Session: in comments may stand\n"
                  "on lines of their own; XNAT reads one line only.",
                  words=("off: as XNAT, all in one line", "on: lines of their own are found too")),
    )  # fmt: skip

    def values_of(self, thing: SiteSettings) -> Values:
        """Return the raw values."""
        record = thing.routing.to_record()
        return {name: _raw(record[name]) for name in self.specs}

    def record(self) -> dict[str, Any]:
        """Return the members."""
        return {"routing": {name: self.value(name) for name in self.specs}}

    def summary(self) -> str:
        """Say which rules would be in force."""
        on = [n.replace("_", "-") for n in ATTRIBUTES if self.is_on(f"{n}_enabled")]
        asked = ", ".join(on) or "none"
        return f"In force for all receivers: {asked}. Stored objects stay where they are."


class AnonymizationForm(SiteForm):
    """What is done to each object on receipt, where the receiver's anonymization is on."""

    TITLE = "Anonymization on receipt"
    SCOPE = ScriptScope.SITE
    SPECS = anonymization_specs("when an object arrives", "objects are stored as they arrive")

    def values_of(self, thing: SiteSettings) -> Values:
        """Return the raw values."""
        return anonymization_values(thing.to_record())

    def record(self) -> dict[str, Any]:
        """Return the members."""
        return anonymization_record(self._values)

    def field_of(self, problem: Problem) -> str:
        """Return the field of a problem; those of the profile have no field of their own name."""
        return field_of_profile(super().field_of(problem))

    def trial(self) -> ScriptTrial | None:
        """Return what is to be tried on an object; None if a value is wrong."""
        profile = profile_of(self._values)
        if profile is None:
            return None
        return ScriptTrial(self.SCOPE, text=self.text(SITE_SCRIPT), profile=profile)

    def untried(self) -> str:
        """Say why nothing can be tried."""
        return "the preview waits until the fields marked ✗ are corrected"

    def summary(self) -> str:
        """Say what objects would be stored as."""
        names = {PROFILE_ENABLED: "profile", ENABLED: "script"}
        on = [words for name, words in names.items() if self.is_on(name)]
        if not on:
            return "! Nothing is anonymized on receipt; objects are stored as they arrive."
        runs = "run" if len(on) > 1 else "runs"
        return (
            f"{' and '.join(on).capitalize()} {runs} on receipt; what can't be edited is refused."
        )


class SessionsForm(SiteForm):
    """When sessions are complete, how files are named, what is kept and what is not wanted."""

    TITLE = "Sessions and storage"
    SPECS = (
        FieldSpec("idle_seconds", FieldKind.NUMBER, "Complete after",
                  "A session is complete when no object came for so many\nseconds.",
                  hint="1 to 86,400 seconds; 300 if empty", usual="300"),
        FieldSpec("new_project_auto_archive", FieldKind.CHOICE, "New projects",
                  "What becomes of complete sessions of a project that is\n"
                  "made from now on; each project can say otherwise.",
                  choices=tuple((words, str(int(code)))
                                for code, words in AUTO_ARCHIVE_WORDS.items())),
        FieldSpec("duplicates", FieldKind.CHOICE, "Duplicates",
                  "For an object that is in its session already, with other\n"
                  "content; a receiver can say otherwise. The same content\n"
                  "again is answered with success and not written twice.",
                  choices=tuple((words, str(p)) for p, words in DUPLICATE_WORDS.items())),
        FieldSpec("trash_days", FieldKind.NUMBER, "Trash",
                  "How long deleted sessions and replaced objects are kept.",
                  hint="1 to 3,650 days; 30 if empty", usual="30"),
        FieldSpec("index_days", FieldKind.NUMBER, "Index",
                  "How long the index keeps rows of objects in no session,\n"
                  "and of archived sessions at rest. 0 for ever.",
                  hint="0 to 36,500 days; 730 if empty", usual="730"),
        FieldSpec("file_name_template", FieldKind.LINE, "File names",
                  "How stored objects are named. ${Keyword} stands for the\n"
                  "value of that element, ${HashAWithB} for a hash of two:\n\n"
                  "  ${SeriesNumber}-${InstanceNumber}-${SOPInstanceUID}"),
        FieldSpec("series_filter", FieldKind.LINES, "Series filter", by_line=True,
                  completes=Names.MODALITIES, hint=f"below [Modality]: {COMPLETES}", help=
                  "Which objects are not kept, one pattern per line; they\n"
                  "are answered with success. A pattern looks into the\n"
                  "Series Description, or the element named above it:\n\n"
                  "  whitelist\n  [Modality]\n  CT|MR\n  [(0008,103E)]\n  .*localizer.*"),
        FieldSpec("rerun_script_on_rename", FieldKind.SWITCH, "After renames",
                  "Objects that the project's script anonymized keep the labels\n"
                  "of then. On: it runs again when a session gets another subject\n"
                  "or label. A move to another project always runs that one's script.",
                  words=("off: objects keep the labels of their first run",
                         "on: the project's script runs again")),
        *(_limit(name, "Free space") for name in STORAGE),
    )  # fmt: skip

    def values_of(self, thing: SiteSettings) -> Values:
        """Return the raw values."""
        sessions = thing.sessions
        return {
            "idle_seconds": str(sessions.idle_seconds),
            "new_project_auto_archive": str(int(thing.new_project_auto_archive)),
            "duplicates": str(sessions.duplicates),
            "trash_days": str(sessions.trash_days),
            "index_days": str(sessions.index_days),
            "file_name_template": sessions.file_name_template,
            "series_filter": sessions.series_filter,
            "rerun_script_on_rename": sessions.rerun_script_on_rename,
            **_limit_values(thing, STORAGE),
        }

    def record(self) -> dict[str, Any]:
        """Return the members."""
        assert self.original is not None
        usual = SessionSettings()
        sessions = {
            "idle_seconds": number_in(self.text("idle_seconds"), usual.idle_seconds),
            "trash_days": number_in(self.text("trash_days"), usual.trash_days),
            "index_days": number_in(self.text("index_days"), usual.index_days),
            "duplicates": self.text("duplicates"),
            "file_name_template": self.text("file_name_template").strip(),
            "series_filter": self.text("series_filter"),
            "rerun_script_on_rename": self.is_on("rerun_script_on_rename"),
        }
        return {
            "sessions": self.original.sessions.to_record() | sessions,
            "new_project_auto_archive": int(self.text("new_project_auto_archive")),
            "limits": self.original.limits.to_record() | _limits_record(self, STORAGE),
        }

    def remark(self, name: str) -> Remark:
        """Return what a number is in words."""
        return _number_remark(self, name) or super().remark(name)

    def hint(self, name: str) -> str:
        """Return what a file name would look like."""
        if name == "file_name_template":
            return example_name(self.text(name).strip())
        return super().hint(name)

    def line_remarks(self, name: str) -> tuple[Remark, ...]:
        """Return what each line of the filter does."""
        return filter_remarks(self.text(name)) if name == "series_filter" else ()


def example_name(template: str) -> str:
    """Return the name that a made-up object would get; nothing if the template is wrong."""
    try:
        parsed = parse_template(template)
    except InvalidSite:
        return ""
    return f"such as {safe(parsed.name(lambda tag: _EXAMPLE.get(tag, 'value')))}"


def _limit_values(site: SiteSettings, names: tuple[str, ...]) -> Values:
    return {name: typed_number(name, getattr(site.limits, name)) for name in names}


def _limits_record(form: SiteForm, names: tuple[str, ...]) -> dict[str, object]:
    return {name: _limit_in(name, form.text(name)) for name in names}


def _limit_in(name: str, text: str) -> int | str:
    usual: int = getattr(Limits(), name)
    if name.endswith("_bytes") and text.strip():
        return size_in(text)
    return number_in(text, usual)


def _number_remark(form: SiteForm, name: str) -> Remark | None:
    spec = form.specs[name]
    if spec.kind is not FieldKind.NUMBER or name in form.problems():
        return None
    typed = form.text(name).strip()
    said = with_unit(name, typed or spec.usual)
    return Remark(said if typed else f"{said}, the default")


def _raw(value: object) -> str | bool:
    return value if isinstance(value, bool) else str(value)


def section_words(site: SiteSettings) -> dict[str, str]:
    """Return the state of each section in a few words, for the list of sections."""
    rules = [name for name in ATTRIBUTES if site.routing.is_enabled(name)]
    steps = [w for w, on in (("profile", site.profile.enabled), ("script", site.script.enabled))
             if on]  # fmt: skip
    return {
        "receivers": "on" if site.receivers_allowed else "✗ all off",
        "routing": counted(len(rules), "text") + " on" if rules else "off",
        "anonymization": " + ".join(steps) or "off",
        "sessions": f"{with_unit('idle_seconds', str(site.sessions.idle_seconds))} idle",
        "alerts": counted(len(site.alerts.targets), "target") if site.alerts.targets else "nobody",
    }
