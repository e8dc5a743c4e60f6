"""What changed between two configurations, said field by field."""

from __future__ import annotations

from dataclasses import replace

from engine.model.alerts import AlertKind, AlertSettings, AlertTarget
from engine.model.configuration import Configuration
from engine.model.configuration_diff import differences, in_one_line, masked
from engine.model.peer import AETitle
from engine.model.project import Project, ProjectRegistry
from engine.model.receiver import Receiver
from engine.model.site import SiteSettings

XNAT = Receiver(1, AETitle("XNAT"), 8104, whitelist=("CT1", "MR1"))
BEFORE = Configuration(4, receivers=(XNAT,), projects=ProjectRegistry((Project("NEURO-01"),)))


def told(after: Configuration) -> list[str]:
    return [difference.sentence() for difference in differences(BEFORE, after)]


def test_equal_configurations_differ_in_nothing_even_if_their_revisions_do() -> None:
    assert told(replace(BEFORE, revision=9, changed_by="anna")) == []


def test_an_added_and_a_removed_receiver_are_named() -> None:
    other = Receiver(2, AETitle("OTHER"), 8105)
    assert told(replace(BEFORE, receivers=(other,))) == [
        "receiver XNAT:8104 removed",
        "receiver OTHER:8105 added",
    ]


def test_a_changed_receiver_is_told_field_by_field_under_its_old_name() -> None:
    changed = replace(XNAT, port=8105, enabled=False, file_namer="uid")
    assert told(replace(BEFORE, receivers=(changed,))) == [
        "receiver XNAT:8104 port: 8104 → 8105",
        "receiver XNAT:8104 enabled: on → off",
        "receiver XNAT:8104 file_namer: nothing → uid",
    ]


def test_lines_of_a_whitelist_and_of_rules_come_and_go_one_by_one() -> None:
    changed = replace(XNAT, whitelist=("MR1", "US1"), project_routing="(0010,0020):(.*)\n")
    assert told(replace(BEFORE, receivers=(changed,))) == [
        "receiver XNAT:8104 whitelist: -CT1, +US1",
        "receiver XNAT:8104 project_routing: +(0010,0020):(.*)",
    ]


def test_a_mere_change_of_order_is_said() -> None:
    changed = replace(XNAT, whitelist=("MR1", "CT1"))
    assert told(replace(BEFORE, receivers=(changed,))) == [
        "receiver XNAT:8104 whitelist: order changed"
    ]


def test_projects_and_site_settings_are_compared_too() -> None:
    after = replace(
        BEFORE,
        projects=ProjectRegistry((Project("NEURO-01", title="Neuro"), Project("CARDIO"))),
        site=SiteSettings(allow_low_ports=True, bind_address="10.0.0.1"),
    )
    assert told(after) == [
        "project NEURO-01 title: nothing → Neuro",
        "project CARDIO added",
        "site allow_low_ports: off → on",
        "site bind_address: nothing → 10.0.0.1",
    ]


def test_alert_targets_are_told_in_words_without_their_secrets() -> None:
    target = AlertTarget("pager", webhook="https://a.example/T0KEN", kinds=(AlertKind.STORAGE,))
    site = SiteSettings(alerts=AlertSettings((target,)))
    (difference,) = masked(differences(Configuration(), Configuration(site=site)))
    told = "name: pager; webhook: https://a.example/••••••••; kinds: storage"
    assert difference.sentence() == f"site alerts.targets: +{told}"
    assert isinstance(difference.after, tuple)
    assert [in_one_line(line) for line in difference.after] == [told]
