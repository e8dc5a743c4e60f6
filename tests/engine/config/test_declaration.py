"""The configuration as a document: read, compared, applied as one revision, and written again."""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config.declaration import declared
from engine.config.document import read_document
from engine.config.export import exported
from engine.config.store import ConfigurationStore
from engine.errors import ChangedMeanwhile, ConfigurationError, ReadOnlyConfiguration
from engine.host.clock import SystemClock
from engine.model.configuration import Configuration, parse_configuration
from engine.model.configuration_diff import differences

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = 'version "6.1"\r\n(0010,0010) := "x"\n'
RULES = "(0008,1030):([^^]+)\\^.*:1\n(0010,4000):'(.*)':1"
TABLES = {
    "site": {
        "1": {
            "anonymization_script": SCRIPT,
            "anonymization_script_enabled": True,
            "anonymization_script_revision": 3,
            "limits": {"associations": 77},
            "alerts": {
                "targets": [
                    {"name": "ops", "webhook": "https://hooks.example/T0KEN"},
                    {"name": "mail", "command": ["/bin/mail", "--to", "T0KEN"]},
                ]
            },
        }
    },
    "projects": {
        "1": {"id": "P1", "aliases": ["one"], "anonymization_script": SCRIPT},
        "2": {"id": "P2", "title": 'Ünï "quoted" \\ it\'s'},
    },
    "receivers": {
        "3": {
            "ae_title": "CT1",
            "port": 8105,
            "limits": {"idle_seconds": 90},
            "whitelist": ["A@10.0.0.0/8", "B"],
            "project_routing": RULES,
        },
        "5": {"ae_title": "MR1", "port": 8106, "duplicates": "reject"},
    },
    "processors": {
        "2": {
            "label": "../PACS",
            "processor_class": "forwardCopy",
            "location": "after_stored",
            "parameters": {"ae_title": "PACS", "host": "h", "port": "104", "api_token": "T0KEN"},
        }
    },
    "peers": {"1": {"ae_title": "PACS", "host": "pacs", "port": 104}},
}
BEFORE = parse_configuration(TABLES)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "dock.toml"


@pytest.fixture
def store(tmp_path: Path) -> ConfigurationStore:
    return ConfigurationStore(tmp_path / "data" / "config.json", clock=SystemClock())


def after(file: Path, text: str, *, prune: bool = False) -> Configuration:
    file.write_text(text)
    return declared(read_document(file), BEFORE, prune=prune)


def changes(file: Path, text: str, *, prune: bool = False) -> list[str]:
    return [it.sentence() for it in differences(BEFORE, after(file, text, prune=prune))]


def faults(file: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        after(file, text)
    return [problem.sentence() for problem in caught.value.problems]


@pytest.mark.parametrize("inline", [False, True])
def test_what_is_exported_and_applied_again_changes_nothing(tmp_path: Path, inline: bool) -> None:
    export = exported(BEFORE, inline=inline)
    secrets = dict.fromkeys(export.secrets, "T0KEN\n")
    secrets |= {"secrets/alert-ops-webhook": "https://hooks.example/T0KEN\n"}
    secrets |= {"secrets/alert-mail-command-2": "--to\n"}
    assert secrets.keys() == set(export.secrets)
    for name, text in {"dock.toml": export.text(), **export.scripts, **secrets}.items():
        assert (tmp_path / name).resolve().is_relative_to(tmp_path)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    document = read_document(tmp_path / "dock.toml")
    for prune in (False, True):
        assert declared(document, BEFORE, prune=prune) == BEFORE
    fresh = declared(document, Configuration(), prune=True)
    assert exported(fresh).text() == exported(BEFORE).text()
    assert "T0KEN" not in export.text() + repr(export.scripts)
    assert "revision" not in export.text()


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.lists(st.text()), st.integers(-9, 9))))
def test_every_text_is_the_same_once_it_is_read_as_toml(content: dict[str, object]) -> None:
    export = exported(Configuration())
    export.content = {"site": content, "peers": [content, {}]}
    assert tomllib.loads(export.text()) == export.content


def test_what_a_document_does_not_say_stays_as_it_is(file: Path) -> None:
    text = """
        [site]
        bind_address = "127.0.0.1"
        limits = { user_items = 80 }
        alerts = { targets = [{ name = "ops", webhook = "https://other.example" }] }
        [[receivers]]
        ae_title = "CT1"
        port = 8105
        enabled = false
        [[projects]]
        id = "P3"
    """
    assert changes(file, text) == [
        "receiver CT1:8105 enabled: on → off",
        "project P3 added",
        "site bind_address: nothing → 127.0.0.1",
        "site limits.user_items: 64 → 80",
        "site alerts.targets: -name: ops; webhook: https://hooks.example/T0KEN; "
        f"kinds: {KINDS}, +name: ops; webhook: https://other.example; kinds: {KINDS}",
    ]


KINDS = "receiver, storage, script, forwarding, silence, certificate, configuration"


def test_with_prune_the_document_is_the_whole_truth_of_each_part_that_it_has(file: Path) -> None:
    text = 'processors = []\n[[receivers]]\nae_title = "CT1"\nport = 8105\n[[projects]]\nid = "P1"'
    assert changes(file, text, prune=True) == [
        "receiver MR1:8106 removed",
        "receiver CT1:8105 whitelist: -A@10.0.0.0/8, -B",
        "receiver CT1:8105 project_routing: -(0008,1030):([^^]+)\\^.*:1, -(0010,4000):'(.*)':1",
        "receiver CT1:8105 limits.idle_seconds: 90 → nothing",
        "project P2 removed",
        "project P1 aliases: -one",
        'project P1 anonymization_script: -version "6.1", -(0010,0010) := "x"',
        "processor ../PACS removed",
    ]


def test_a_former_name_makes_another_name_a_change_of_the_same_record(file: Path) -> None:
    text = '[[receivers]]\nae_title = "CT9"\nport = 8105\nformerly = "CT1:8105"'
    renamed = after(file, text)
    assert renamed.receiver(3).label == "CT9:8105"
    assert renamed.receiver(3).whitelist == ("A@10.0.0.0/8", "B")
    # Applied again it has its name already.
    assert declared(read_document(file), renamed, prune=False) == renamed


def test_every_fault_is_reported_at_once_with_its_place_and_remedy(file: Path) -> None:
    text = """
        receivres = []
        peers = { PACS = 1 }
        [site]
        bind_adress = "127.0.0.1"
        limits = { associations = "many" }
        anonymization_script_revision = 4
        [[receivers]]
        ae_title = "CT1"
        port = 8105
        whitelst = []
        id = 7
        identifier = { file = "nowhere.txt" }
        [[receivers]]
        ae_title = "CT1 "
        port = "8105"
        [[receivers]]
        port = 0
        tls_key = { env = "DICOMDOCK_TEST_NOT_SET" }
        [[projects]]
        id = "P9"
        title = { text = "x" }
    """
    assert set(faults(file, text)) == {
        "receivres '': is no part of a configuration; "
        "did you mean receivers? Use site, projects, receivers, processors, peers",
        "site.anonymization_script_revision '': is assigned by dicomdock; remove it",
        'projects[P9].title \'\': is no reference; write a text, { file = "…" } or { env = "…" }',
        "receivers[CT1:8105].identifier 'nowhere.txt': the file does not exist; "
        "name a readable file",
        "receivers[number 3].tls_key 'DICOMDOCK_TEST_NOT_SET': the variable is not set; "
        "set the variable",
        "peers '': is not a list of records; write [[peers]] before each record",
        "receivers[CT1:8105].id '': is assigned by dicomdock; remove it",
        "receivers[CT1:8105] 'CT1:8105': is in the document twice; remove one of them",
        "site.bind_adress '127.0.0.1': is not known; did you mean bind_address? Else remove it",
        "site.limits.associations 'many': is not a whole number; use 1 to 10000",
        "receivers[CT1:8105].whitelst '[]': is not a receiver's field; "
        "did you mean whitelist? Else remove it",
        "receivers[number 3].ae_title '': is empty; "
        "use 1 to 16 printable ASCII characters without a backslash",
        "receivers[number 3].port '0': is outside 1–65535; use a port from 1 to 65535",
    }


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'[site]\nbind_address = "a\n', "dock.toml line 2 column 18 "),
        (b"a = 1\n\xff", "line 2 '{}': is not UTF-8 text"),
        (b"a = " + 30_000 * b"[", "is nested too deeply"),
        (b"a = " + 9_000 * b"9", "has a value that is none"),
        (b" " * 16_777_217, "is larger than 16,777,216 bytes"),
        (None, "does not exist"),
    ],
)
def test_a_file_that_is_no_document_is_refused(file: Path, raw: bytes | None, said: str) -> None:
    if raw is not None:
        file.write_bytes(raw)
    with pytest.raises(ConfigurationError) as caught:
        read_document(file)
    assert said.format(file) in caught.value.detail


def test_references_are_read_through_the_links_of_a_mounted_configmap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..data").symlink_to("..2026")
    for name, text in {
        "dock.toml": '[site]\nbind_address = { file = "address" }\n'
        '[[receivers]]\nae_title = { env = "DICOMDOCK_TEST_AE" }\nport = 8107',
        "address": "127.0.0.1\n",
    }.items():
        (tmp_path / "..2026" / name).write_text(text)
        (tmp_path / name).symlink_to(f"..data/{name}")
    monkeypatch.setenv("DICOMDOCK_TEST_AE", "ENV1")
    named: set[Path] = set()
    made = declared(read_document(tmp_path / "dock.toml", named), BEFORE, prune=False)
    assert (made.site.bind_address, made.receivers[-1].label) == ("127.0.0.1", "ENV1:8107")
    assert named == {tmp_path / "address"}


def test_a_reference_to_what_never_ends_does_not_hold_up_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    said = faults(tmp_path / "d.toml", '[site]\nbind_address = { file = "fifo" }')
    assert said == [
        "site.bind_address 'fifo': the file is not a regular file; name a readable file"
    ]


def test_secrets_are_needed_only_where_they_are_used(file: Path) -> None:
    file.write_text(
        '[[site.alerts.targets]]\nname = "x"\nwebhook = { env = "DICOMDOCK_TEST_NOT_SET" }'
    )
    document = read_document(file, needs_secrets=False)
    assert document.unread == ("site.alerts.targets[x].webhook: env 'DICOMDOCK_TEST_NOT_SET'",)
    assert declared(document, Configuration(), prune=True).site.alerts.target("x")


def test_a_document_is_one_revision_and_rules_alone_until_that_ends(
    store: ConfigurationStore, file: Path
) -> None:
    store.create_default("first start")
    file.write_text(
        '[[receivers]]\nae_title = "CT1"\nport = 8105\n[[peers]]\nae_title = "Q"\nhost = "h"\n'
        'port = 104\n[[projects]]\nid = "P1"\n[[processors]]\nlabel = "L"\n'
        'processor_class = "setElements"'
    )
    made = store.declare(file, "--config")
    assert (made.revision, made.source) == (2, str(file))
    # XNAT:8104 is gone, and its id is not given again.
    assert [(one.id, one.label) for one in made.receivers] == [(2, "CT1:8105")]
    assert store.declare(file, "--config").revision == 2
    with pytest.raises(ReadOnlyConfiguration, match=r"dock\.toml"):
        store.set_enabled(2, False, "anna")
    with pytest.raises(ReadOnlyConfiguration):
        store.undo("anna")
    file.write_text("processors = []\nreceivers = []\nprojects = []\npeers = []")
    empty = store.declare(file, "--config")
    assert (empty.receivers, empty.processors, empty.peers) == ((), (), ())
    assert empty.revision == 3
    file.write_text("nonsense")
    with pytest.raises(ConfigurationError):
        store.declare(file, "--config")
    assert store.end_declaration("no --config").source == ""
    # Revision 4 changed nothing else, so that the change before it is undone.
    assert store.undo("anna").receivers == made.receivers
    assert store.set_site(replace(empty.site, bind_address="127.0.0.1"), "anna").revision == 6


def test_a_plan_for_another_configuration_is_refused_and_all_its_faults_are_named(
    store: ConfigurationStore,
) -> None:
    seen = store.create_default("first start")
    ct1, mr1 = (replace(one, id=0, identifier="absent") for one in BEFORE.receivers)
    planned = replace(seen, receivers=(*seen.receivers, ct1, replace(mr1, tls_enabled=True)))
    with pytest.raises(ConfigurationError) as caught:
        store.save_plan(planned, seen, "anna")
    assert {problem.field for problem in caught.value.problems} == {
        "receivers[CT1:8105].identifier",
        "receivers[MR1:8106].identifier",
        "receivers[MR1:8106].tls_certificate",
        "receivers[MR1:8106].tls_key",
        "receivers[MR1:8106].tls_ca",
    }
    store.set_enabled(1, False, "berta")
    with pytest.raises(ChangedMeanwhile):
        store.save_plan(seen, seen, "anna")
