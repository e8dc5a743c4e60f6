"""The receiver form: visibility, hidden values, problems, verdicts, and what it turns into."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from engine.errors import InvalidReceiver, Problem
from engine.model.anonymization import AsReceived, SiteScript
from engine.model.peer import AETitle
from engine.model.plugins import DEFAULT_IDENTIFIERS, FileNamerInfo, IdentifierField, IdentifierInfo
from engine.model.processor import Processor
from engine.model.receiver import Receiver, ReceiverRules
from engine.model.site import SiteSettings
from engine.model.tls import ClientCertificates
from tui.receivers.form import FIELD_ORDER, LIMIT_FIELDS, SWITCH_FIELDS, TLS_DETAILS, ReceiverForm
from tui.receivers.help import HELP, LABELS
from tui.widgets.whitelist import CallerState, LineState

FIXED = IdentifierInfo("fixedProjectSubject", "Fixed project and subject", can_route=False)
DEFAULT = DEFAULT_IDENTIFIERS[0]
ALWAYS = {
    "ae_title",
    "port",
    "direct_archive",
    "anonymization",
    "custom_processing",
    "whitelist_enabled",
    "advanced",
}
WHITELIST = {"whitelist", "caller_ae_title", "caller_address"}
ROUTING = {"project_routing", "subject_routing", "session_routing"}


def make_receiver(ae_title: str = "XNAT", port: int = 8104, **changes: object) -> Receiver:
    return Receiver(**{"id": 1, "ae_title": AETitle(ae_title), "port": port, **changes})  # type: ignore[arg-type]


def make_form(*identifiers: IdentifierInfo, **values: str | bool) -> ReceiverForm:
    form = ReceiverForm.new(ReceiverRules(identifiers=identifiers or DEFAULT_IDENTIFIERS))
    for name, value in {"ae_title": "XNAT_2", **values}.items():
        form.set(name, value)
    return form


@pytest.mark.parametrize(
    ("several", "can_route", "whitelist", "routing"), itertools.product([False, True], repeat=4)
)
def test_visibility_follows_from_identifiers_and_switches(
    several: bool, can_route: bool, whitelist: bool, routing: bool
) -> None:
    chosen = IdentifierInfo("chosen", "Chosen", can_route, is_default=True)
    form = make_form(
        *((chosen, DEFAULT) if several else (chosen,)),
        whitelist_enabled=whitelist,
        routing_enabled=routing,
    )
    assert form.value("identifier") == "chosen"
    assert form.visible_fields() == (
        ALWAYS
        | ({"identifier"} if several else set())
        | (WHITELIST if whitelist else set())
        | ({"routing_enabled"} if can_route else set())
        | (ROUTING if can_route and routing else set())
    )


@pytest.mark.parametrize(("whitelist", "routing"), itertools.product([False, True], repeat=2))
def test_text_behind_a_switch_is_kept_in_the_record_and_only_checked_while_on(
    whitelist: bool, routing: bool
) -> None:
    form = make_form(
        whitelist_enabled=True,
        whitelist="10.4.7.300",
        routing_enabled=True,
        project_routing="(0010,4000):(.*)",
    )
    form.set("whitelist_enabled", whitelist)
    form.set("routing_enabled", routing)
    assert form.value("whitelist") == "10.4.7.300"
    assert form.value("project_routing") == "(0010,4000):(.*)"
    assert set(form.problems()) == ({"whitelist"} if whitelist else set())
    form.set("whitelist", "10.4.7.30")
    receiver = form.result()
    assert (receiver.whitelist_enabled, receiver.routing_enabled) == (whitelist, routing)
    assert receiver.whitelist == ("10.4.7.30",)
    assert len(receiver.whitelist_entries) == int(whitelist)
    assert receiver.project_routing == "(0010,4000):(.*)"


def test_routing_is_saved_as_off_if_the_identifier_cannot_route() -> None:
    form = make_form(DEFAULT, FIXED, routing_enabled=True, subject_routing="(0010,0020):(.*)")
    form.set("identifier", FIXED.id)
    assert not form.is_on("routing_enabled")
    assert form.problems() == {}
    receiver = form.result()
    assert not receiver.routing_enabled
    assert receiver.subject_routing == "(0010,0020):(.*)"


def test_an_identifier_that_cannot_route_needs_confirmation_while_routing_is_on() -> None:
    form = make_form(DEFAULT, FIXED, routing_enabled=True)
    assert form.choose_identifier(FIXED.id)
    assert form.value("identifier") == DEFAULT.id
    assert form.is_on("routing_enabled")
    assert not form.choose_identifier(FIXED.id, confirmed=True)
    assert form.value("identifier") == FIXED.id
    assert not form.value("routing_enabled")
    assert not form.choose_identifier(DEFAULT.id)
    assert not form.is_on("routing_enabled")


def test_an_identifier_that_cannot_route_needs_no_confirmation_while_routing_is_off() -> None:
    form = make_form(DEFAULT, FIXED)
    assert form.choose_identifier(FIXED.id) is False
    assert form.value("identifier") == FIXED.id


def test_a_confirmed_change_to_a_routing_identifier_keeps_routing_on() -> None:
    other = IdentifierInfo("dqrObjectIdentifier", "Query/retrieve", can_route=True)
    form = make_form(DEFAULT, other, routing_enabled=True)
    assert not form.choose_identifier(other.id)
    assert form.is_on("routing_enabled")


def test_while_the_identifiers_are_not_known_there_is_the_usual_one() -> None:
    form = ReceiverForm.new(ReceiverRules(identifiers=None))
    assert form.identifier_choices() == (DEFAULT.id,)
    assert form.info() is None
    assert "identifier" not in form.visible_fields()


def test_a_new_receiver_starts_as_xnat_does() -> None:
    form = ReceiverForm.new(ReceiverRules(identifiers=(FIXED, DEFAULT)))
    assert form.value("ae_title") == ""
    assert form.value("port") == "8104"
    assert form.value("identifier") == DEFAULT.id
    assert [name for name in SWITCH_FIELDS if form.value(name)] == [
        "anonymization",
        "storage_commitment",
        "tls_client",
    ]
    assert not form.is_dirty()
    form.set("ae_title", "XNAT")
    assert form.result() == make_receiver(id=0)


@pytest.mark.parametrize(
    ("ports", "suggested"),
    [
        ((), "8104"),
        ((11112,), "8104"),
        ((8104,), "8104"),
        ((8104, 11112, 11112), "11112"),
        ((8104, 8104, 11112), "8104"),
    ],
)
def test_the_suggested_port_is_the_usual_one_or_the_one_others_use(
    ports: tuple[int, ...], suggested: str
) -> None:
    others = [make_receiver(f"AE{n}", port, id=n) for n, port in enumerate(ports, start=1)]
    assert ReceiverForm.new(ReceiverRules(others=others)).value("port") == suggested


def test_a_port_may_be_given_instead_of_suggested() -> None:
    assert ReceiverForm.new(ReceiverRules(), port=8107).value("port") == "8107"


def test_editing_changes_only_what_was_edited() -> None:
    receiver = make_receiver(
        id=7,
        enabled=False,
        file_namer="dicomFileNamer",
        direct_archive=True,
        anonymization=False,
        custom_processing=True,
        whitelist_enabled=True,
        whitelist=("CT1", "10.1.0.0/16"),
        routing_enabled=True,
        project_routing="(0010,4000):(.*)\n(0008,1030):(.*)",
        subject_routing="(0010,0020):(.*)",
        session_routing="(0020,0010):(.*)",
    )
    form = ReceiverForm.edit(receiver, ReceiverRules(others=(receiver,)))
    assert form.result() == receiver
    assert form.value("whitelist") == "CT1\n10.1.0.0/16"
    form.set("port", "8107")
    assert form.is_dirty()
    assert form.result().port == 8107
    form.set("port", "8104")
    assert not form.is_dirty()


def test_all_problems_are_found_at_once_in_the_order_of_the_dialog() -> None:
    form = make_form(ae_title="A\\B", port="70000", whitelist_enabled=True, whitelist="10.0.0.0/33")
    assert list(form.problems()) == ["ae_title", "port", "whitelist"]
    with pytest.raises(InvalidReceiver) as caught:
        form.result()
    assert len(caught.value.problems) == 3


def test_a_pair_of_ae_title_and_port_that_exists_is_a_problem_of_the_ae_title() -> None:
    form = ReceiverForm.new(ReceiverRules(others=(make_receiver(),)))
    form.set("ae_title", "XNAT")
    (problem,) = form.problems()["ae_title"]
    assert problem.message == "receiver XNAT:8104 exists already"
    form.set("port", "8105")
    assert form.problems() == {}


def test_low_ports_are_refused_unless_the_site_allows_them() -> None:
    assert list(make_form(port="104").problems()) == ["port"]
    allowing = ReceiverForm.new(ReceiverRules(site=SiteSettings(allow_low_ports=True)), port=104)
    assert "port" not in allowing.problems()


def test_whitelist_problems_name_the_line_on_the_screen() -> None:
    form = make_form(whitelist_enabled=True, whitelist="\nCT1\n\n  10.4.7.300\nMR1\n10.0.0.0/99\n")
    assert [problem.line for problem in form.problems()["whitelist"]] == [4, 6]
    bad = [n for n, v in enumerate(form.whitelist_verdicts(), 1) if v.state is LineState.BAD]
    assert bad == [4, 6]


def test_every_whitelist_line_gets_a_verdict() -> None:
    form = make_form(whitelist="CT1\n10.4.0.0/16\n\n CT1 \n10.4.7.300\nCT1@10.4.1.9\nöl")
    verdicts = form.whitelist_verdicts()
    assert [(verdict.state.value, verdict.words) for verdict in verdicts] == [
        ("good", "CT1 from any address"),
        ("good", "any AE title from 10.4.0.0–10.4.255.255"),
        ("blank", ""),
        ("repeated", "same as line 1"),
        ("bad", "10.4.7.300 is not an address or network (300 is larger than 255)"),
        ("odd", "has no effect: line 1 lets in all that it does"),
        ("bad", "the AE title contains U+00F6, which is not printable ASCII"),
    ]


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", "on: no entry yet, so every caller is refused"),
        ("\n \n", "on: no entry yet, so every caller is refused"),
        ("CT1", "on: only callers below · 1 entry"),
        ("CT1\nCT1\nMR1", "on: only callers below · 2 entries"),
        ("CT1\n10.0.0.999", "on: only callers below · 2 entries, 1 wrong"),
        ("10.0.0.999", "on: only callers below · 1 entry, 1 wrong"),
    ],
)
def test_the_whitelist_switch_says_whom_it_lets_in(text: str, meaning: str) -> None:
    form = make_form(whitelist_enabled=True, whitelist=text)
    assert form.meaning("whitelist_enabled") == meaning


def test_anonymization_says_whether_there_is_a_script_to_run() -> None:
    unscripted = make_form(anonymization=True).meaning("anonymization")
    assert unscripted == "on: no script in force; stored as received"
    site = SiteSettings(script=SiteScript(True, 'version "6.1"\n'))
    scripted = ReceiverForm.new(ReceiverRules(site=site))
    assert scripted.meaning("anonymization") == "on: the site script runs on receipt"


def test_what_stores_identifying_data_or_asks_nobody_is_marked_as_unwise() -> None:
    site = SiteSettings(script=SiteScript(True, 'version "6.1"\n'))
    form = ReceiverForm.new(ReceiverRules(site=site))
    form.set("custom_processing", True)
    form.processors = ()
    assert [name for name in SWITCH_FIELDS if form.is_unwise(name)] == ["custom_processing"]
    assert form.meaning("custom_processing") == "on: no processor sees its objects"
    form.set("anonymization", False)
    assert form.as_received() is AsReceived.SWITCHED_OFF
    assert form.is_unwise("anonymization")
    assert make_form(anonymization=True).as_received() is AsReceived.NO_SCRIPT


def test_only_who_switches_anonymization_off_is_asked() -> None:
    on, off = make_receiver(anonymization=True), make_receiver(anonymization=False)
    assert not ReceiverForm.edit(off, ReceiverRules()).gives_up_anonymization()
    for form in (ReceiverForm.edit(on, ReceiverRules()), make_form()):
        assert not form.gives_up_anonymization()
        form.set("anonymization", False)
        assert form.gives_up_anonymization()


@pytest.mark.parametrize("name", SWITCH_FIELDS)
def test_every_switch_says_what_on_and_off_mean(name: str) -> None:
    form = make_form()
    form.set(name, False)
    assert form.meaning(name).startswith("off: ")
    form.set(name, True)
    assert form.meaning(name).startswith("on: ")


@pytest.mark.parametrize(
    ("values", "summary"),
    [
        ({}, "Will listen on port 8104 as XNAT_2, into the prearchive."),
        ({"direct_archive": True}, "Will listen on port 8104 as XNAT_2, into the archive."),
        ({"ae_title": " "}, "Needs an AE title before it can listen."),
        ({"port": ""}, "Needs a port before it can listen."),
        ({"ae_title": "", "port": ""}, "Needs an AE title and a port before it can listen."),
    ],
)
def test_the_summary_says_what_saving_would_mean(
    values: dict[str, str | bool], summary: str
) -> None:
    assert make_form(**values).summary() == summary


def test_the_summary_of_a_disabled_receiver_does_not_promise_listening() -> None:
    form = ReceiverForm.edit(make_receiver(enabled=False), ReceiverRules())
    assert form.summary() == "Once enabled, will listen on port 8104 as XNAT, into the prearchive."


def test_an_identifier_that_is_not_installed_any_more_can_be_replaced() -> None:
    form = ReceiverForm.edit(make_receiver(identifier="gone"), ReceiverRules())
    assert form.identifier_choices() == (DEFAULT.id, "gone")
    assert "identifier" in form.visible_fields()
    assert list(form.problems()) == ["identifier"]
    form.choose_identifier(DEFAULT.id)
    assert form.problems() == {}
    assert "identifier" in form.visible_fields()


def test_problems_of_fields_that_are_not_shown_appear_where_they_can_be_seen() -> None:
    form = make_form()
    hidden = ("whitelist", "project_routing", "id", "identifier")
    problems = tuple(Problem(name, "", f"about {name}", "mend it") for name in hidden)
    shown = {name: [p.message for p in found] for name, found in form.by_field(problems).items()}
    assert shown == {
        "ae_title": ["about id", "about identifier"],
        "whitelist_enabled": ["about whitelist"],
        "routing_enabled": ["about project_routing"],
    }


def test_a_hidden_text_too_long_to_store_blocks_saving_visibly() -> None:
    form = make_form(FIXED, subject_routing="x" * 200_000)
    assert list(form.problems()) == ["ae_title"]


@pytest.mark.parametrize(
    ("others", "port", "own"),
    [
        ((), "8104", True),
        ((), "8105", False),
        ((make_receiver("CT", 8104, id=2),), "8104", False),
        ((make_receiver("CT", 8105, id=2),), "8104", True),
    ],
)
def test_a_receiver_knows_a_port_that_only_it_uses(
    others: tuple[Receiver, ...], port: str, own: bool
) -> None:
    receiver = make_receiver()
    form = ReceiverForm.edit(receiver, ReceiverRules(others=(receiver, *others)))
    form.set("port", port)
    assert form.keeps_its_port() is own


def test_a_value_of_the_wrong_kind_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="anonymization can't be 'yes'"):
        make_form().set("anonymization", "yes")


@pytest.mark.parametrize("name", FIELD_ORDER)
def test_every_field_has_a_label_and_help_that_fits_a_small_terminal(name: str) -> None:
    assert LABELS[name]
    lines = HELP[name].splitlines()
    assert len(lines) <= 14
    assert max(map(len, lines)) <= 60


def test_the_switch_of_custom_processing_names_who_would_see_the_objects() -> None:
    form = make_form(custom_processing=True)
    assert form.meaning("custom_processing") == "on: installed processors run on each object"
    form.processors = (
        Processor(1, "Late [x]", "acme", priority=20),
        Processor(2, "Early", "acme", priority=5, receivers_allowed=("XNAT_2:8104",)),
        Processor(3, "Off", "acme", enabled=False),
        Processor(4, "Elsewhere", "acme", receivers_denied=("XNAT_2:8104",)),
    )
    assert form.meaning("custom_processing") == "on: 2 processors will see its objects"
    assert form.processing_in_words() == "Early, then Late [x]"
    form.set("ae_title", "OTHER")
    assert form.processing_in_words() == "Elsewhere, then Late [x]"
    form.processors = ()
    assert "screen 7 adds one" in form.processing_in_words()
    form.set("custom_processing", False)
    assert form.processing_in_words() == ""


def test_a_file_namer_is_asked_for_only_if_there_is_a_choice() -> None:
    form = make_form()
    form.open_advanced()
    assert "file_namer" not in {*form.field_order, *form.visible_fields()}
    namers = (FileNamerInfo("station", "By station"), FileNamerInfo("bad", "Bad", error="broken"))
    receiver = make_receiver(file_namer="gone")
    rules = ReceiverRules(identifiers=DEFAULT_IDENTIFIERS, file_namers=namers)
    form = ReceiverForm.edit(receiver, rules)
    assert form.is_advanced_open()
    assert "file_namer" in form.visible_fields()
    assert form.file_namer_choices() == ("station", "bad", "gone")
    assert form.advanced_in_words() == "its own: file namer"
    assert list(form.problems()) == ["file_namer"]
    form.set("file_namer", "bad")
    assert "can't be used: broken" in form.problems()["file_namer"][0].message
    form.set("file_namer", "station")
    assert form.result() == make_receiver(file_namer="station")
    form.set("file_namer", "")
    assert form.result() == make_receiver()
    alone = ReceiverForm.edit(receiver, replace(rules, file_namers=()))
    assert list(alone.problems()) == ["file_namer"]


def test_the_file_namer_is_asked_for_right_after_the_duplicates() -> None:
    rules = ReceiverRules(file_namers=(FileNamerInfo("station", "By station"),))
    order = ReceiverForm.new(rules).field_order
    assert order[order.index("duplicates") :][:2] == ("duplicates", "file_namer")


def test_a_duplicate_is_told_the_same_and_has_no_ae_title_yet() -> None:
    key = IdentifierField("key", "Key", "write a key")
    keyed = IdentifierInfo("keyed", "Keyed", can_route=False, fields=(key,))
    receiver = make_receiver(identifier="keyed", identifier_settings=(("key", "K1"),))
    form = ReceiverForm.duplicate(receiver, ReceiverRules(identifiers=(DEFAULT, keyed)))
    assert form.value("ae_title") == ""
    assert not form.is_dirty()
    form.set("ae_title", "OTHER")
    assert form.result() == make_receiver(
        "OTHER", id=0, identifier="keyed", identifier_settings=(("key", "K1"),)
    )


def test_a_caller_that_is_tried_is_no_part_of_the_receiver() -> None:
    form = make_form(whitelist_enabled=True)
    before = form.result()
    form.set("caller_ae_title", "CT1")
    assert form.value("caller_ae_title") == "CT1"
    assert form.result() == before


def test_while_the_processors_are_not_known_nothing_is_said_of_them() -> None:
    form = make_form(custom_processing=True)
    assert form.processing_in_words() == ""
    assert form.seeing_processors() == ()


KEY = IdentifierField(
    "key", "[Key]", "write a key", check=lambda text: "" if text != "K1" else "is no key"
)
KEYED = IdentifierInfo("keyed", "Keyed", can_route=False, fields=(KEY,))
BROKEN = replace(KEYED, error="ModuleNotFoundError", fields=())
OTHER = IdentifierInfo("other", "Other", can_route=True, fields=(KEY,))
TOLD = (("key", "K1"),)


def test_what_an_identifier_wants_to_know_is_asked_right_after_it_while_it_is_chosen() -> None:
    form = make_form(DEFAULT, KEYED, OTHER)
    after = form.field_order.index("identifier") + 1
    assert form.field_order[after : after + 3] == (
        "setting_1_key",
        "setting_2_key",
        FIELD_ORDER[after],
    )
    assert not form.settings.keys() & form.visible_fields()
    form.choose_identifier("keyed")
    assert form.settings.keys() & form.visible_fields() == {"setting_1_key"}
    assert form.label("setting_1_key") == "  [Key] *"
    assert form.label("port") == LABELS["port"]
    assert form.help("setting_1_key") == "Write a key."
    assert form.help("port") == HELP["port"]
    form.set("setting_1_key", "K1")
    assert list(form.problems()) == ["setting_1_key"]


def test_a_problem_of_a_setting_without_a_field_is_one_of_the_identifier() -> None:
    form = make_form(DEFAULT, KEYED)
    problem = Problem("identifier_settings.gone", "", "is unknown", "leave it out")
    assert list(form.by_field([problem])) == ["identifier"]


@pytest.mark.parametrize("known", [(DEFAULT, BROKEN), (DEFAULT,)], ids=["broken", "gone"])
def test_an_identifier_that_can_not_be_asked_keeps_what_it_was_told(
    known: tuple[IdentifierInfo, ...],
) -> None:
    receiver = make_receiver(identifier="keyed", identifier_settings=TOLD)
    form = ReceiverForm.edit(receiver, ReceiverRules(identifiers=known))
    assert form._settings_record() == dict(TOLD)
    form.choose_identifier(DEFAULT.id)
    assert form.result().identifier_settings == ()


def test_another_identifier_is_not_told_what_the_one_before_was() -> None:
    receiver = make_receiver(identifier="keyed", identifier_settings=TOLD)
    form = ReceiverForm.edit(receiver, ReceiverRules(identifiers=(DEFAULT, KEYED, OTHER)))
    assert form._settings_record() == {"key": "K1"}
    form.choose_identifier("other")
    assert form._settings_record() == {"key": ""}


def test_a_receiver_that_changed_elsewhere_keeps_what_was_changed_here() -> None:
    form = ReceiverForm.edit(make_receiver(), ReceiverRules())
    form.set("port", "8105")
    form.set("direct_archive", True)
    assert list(form.problems()) == []
    current = make_receiver("RENAMED", direct_archive=True, anonymization=False)
    assert form.rebase(current) == ("port",)
    assert form.is_dirty()
    assert form.original == current
    assert form.result() == replace(current, port=8105)
    assert form.rebase(make_receiver("XNAT", 8105, direct_archive=True)) == ()
    assert not form.is_dirty()


def test_a_change_of_the_identifier_or_of_routing_is_worth_a_dry_run() -> None:
    assert not make_form(DEFAULT, FIXED).previews_routing()
    assert make_form(routing_enabled=True).previews_routing()
    form = ReceiverForm.edit(make_receiver(), ReceiverRules(identifiers=(DEFAULT, FIXED)))
    assert not form.previews_routing()
    form.choose_identifier(FIXED.id)
    assert form.previews_routing()


def test_a_dry_run_needs_only_what_identifies_objects_to_be_right() -> None:
    wrong = {"ae_title": "", "port": "no port", "project_routing": "(0010,4000):(.*)"}
    form = make_form(routing_enabled=True, **wrong)
    draft = form.to_draft()
    assert (draft.id, str(draft.ae_title), draft.port) == (0, "DRAFT", 1024)
    assert (draft.routing_enabled, draft.project_routing) == (True, "(0010,4000):(.*)")
    receiver = make_receiver("XNAT", 8107, id=7)
    form = ReceiverForm.edit(receiver, ReceiverRules(others=(receiver,)))
    form.set("port", "")
    assert form.to_draft() == receiver


def test_limits_are_numbers_and_empty_ones_are_the_sites() -> None:
    form = make_form()
    assert form.advanced_in_words() == "as the site says"
    assert not form.is_advanced_open()
    name = LIMIT_FIELDS[0]
    form.set(name, " 7 ")
    assert dict(form.result().limits) == {name: 7}
    assert form.advanced_in_words().startswith("its own: ")
    form.set(name, "\u0667")
    assert form.is_advanced_open()
    assert list(form.problems()) == [name]
    again = ReceiverForm.edit(make_receiver(limits=((name, 7),)), ReceiverRules())
    assert again.value(name) == "7"
    assert again.is_advanced_open()


def test_the_files_of_tls_are_shown_while_it_is_on_and_the_section_is_open() -> None:
    form = make_form(tls_enabled=True, tls_certificate="relative.pem")
    assert list(form.problems()) == ["tls_certificate", "tls_key", "tls_ca"]
    form.set("tls_enabled", False)
    assert form.problems() == {}
    form.open_advanced()
    assert not form.visible_fields() & {*TLS_DETAILS}
    form.set("tls_enabled", True)
    assert {*TLS_DETAILS} <= form.visible_fields()
    form.set("tls_client", False)
    for name in ("tls_certificate", "tls_key"):
        form.set(name, f"/etc/{name}")
    assert form.result().tls_client is ClientCertificates.NONE
    saved = ReceiverForm.edit(replace(form.result(), id=1), ReceiverRules())
    assert saved.value("tls_client") is False
    saved.open_advanced(False)
    assert not saved.is_advanced_open()
    assert not saved.visible_fields() & {*TLS_DETAILS}


def test_appending_to_the_archive_is_a_question_of_direct_archiving() -> None:
    form = make_form()
    assert "direct_archive_append" not in form.visible_fields()
    form.set("direct_archive", True)
    assert "direct_archive_append" in form.visible_fields()


def test_a_caller_is_tried_with_the_lines_as_they_stand() -> None:
    form = make_form(whitelist="CT1@10.1.2.3")
    form.set("caller_ae_title", "CT1")
    form.set("caller_address", "10.1.2.3")
    assert form.caller_verdict().state is CallerState.ADMITTED
    form.set("caller_address", "10.1.2.4")
    assert form.caller_verdict().state is CallerState.REFUSED
