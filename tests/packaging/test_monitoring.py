"""The rules for Prometheus and the dashboard for Grafana name what the engine has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from engine.api.status import ReceiverState
from engine.cli.commands import COMMANDS
from engine.model.session import SessionStatus

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "packaging/monitoring"
RULES = (MONITORING / "dicomdock.rules.yml").read_text("utf-8")
DASHBOARD = (MONITORING / "dicomdock.dashboard.json").read_text("utf-8")


def metrics() -> dict[str, set[str]]:
    """Return the labels of each metric, from the page that is drawn from the code."""
    page = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", page, re.MULTILINE)
    assert len(rows) > 20
    found = {name: set(re.findall(r"\w+", labels)) for name, _type, labels in rows}
    histograms = [name for name, kind, _labels in rows if kind == "histogram"]
    return found | {f"{name}_bucket": found[name] | {"le"} for name in histograms}


def test_every_metric_and_label_exists() -> None:
    known = metrics()
    panels = json.loads(DASHBOARD)["panels"]
    shown = [target["expr"] for panel in panels for target in panel["targets"]]
    alerts = re.findall(r"expr: (.*)", RULES)
    for expression in (*shown, *alerts):
        used = set(re.findall(r"\bdicomdock_\w+", expression))
        assert used <= known.keys(), expression
        grouped = re.findall(r"by \(([\w, ]+)\)", expression)
        matched = re.findall(r"(\w+)(?:=~|=|!=)\"", expression)
        labels = {*matched, *(label for some in grouped for label in some.split(", "))}
        own = {"instance", "job"}.union(*(known[name] for name in used))
        assert labels <= own, expression


def test_states_and_commands_that_are_named_exist() -> None:
    states = set(re.findall(r'state=\\?"(\w+)', RULES + DASHBOARD))
    assert states == {ReceiverState.FAILED}
    for statuses in re.findall(r'status=~\\?"([\w|]+)', RULES + DASHBOARD):
        assert set(statuses.split("|")) <= {*SessionStatus}
    commands = set(re.findall(r"`dicomdock (\w+)", RULES))
    assert commands
    assert commands <= {command.name for command in COMMANDS}


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    rules = yaml.safe_load(RULES)["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_every_alert_and_every_curve_of_a_machine_names_its_dock() -> None:
    for rule in yaml.safe_load(RULES)["groups"][0]["rules"]:
        assert "{{ $labels.instance }}" in rule["annotations"]["summary"], rule["alert"]
        groups = re.findall(r"by \(([\w, ]+)\)", rule["expr"])
        assert all("instance" in group.split(", ") for group in groups), rule["alert"]
    dashboard = json.loads(DASHBOARD)
    assert "instance" in {variable["name"] for variable in dashboard["templating"]["list"]}
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            assert 'instance=~"$instance"' in target["expr"], panel["title"]
            # What one dock may lack while the others have plenty.
            if re.search("process|waiting|free|lag|answer", target["expr"].partition("{")[0]):
                kept = "(instance" in target["expr"] or target["legendFormat"] == "{{instance}}"
                assert kept or "sessions_waiting" in target["expr"], panel["title"]


def test_every_panel_has_a_place_of_its_own() -> None:
    panels = json.loads(DASHBOARD)["panels"]
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23
