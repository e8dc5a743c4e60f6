"""The container image, the compose file and the manifests fit each other and the program."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from engine.cli.context import settings_of
from engine.config.declaration import declared
from engine.config.document import read_document
from engine.model.configuration import Configuration
from engine.model.peer import MetricsAddress, metrics_networks
from tui.cli import console_parser, main

CONTAINER = Path(__file__).parents[2] / "packaging/container"
IMAGE = (CONTAINER / "Containerfile").read_text("utf-8").replace("\\\n", "")
COMPOSE = yaml.safe_load((CONTAINER / "compose.yml").read_text("utf-8"))
MANIFESTS = [*yaml.safe_load_all((CONTAINER / "kubernetes.yml").read_text("utf-8"))]
SEVERAL = [*yaml.safe_load_all((CONTAINER / "kubernetes-several.yml").read_text("utf-8"))]


def value(instruction: str) -> str:
    """Return the value of an instruction of the last stage of the image."""
    found: list[str] = re.findall(rf"^{instruction} (.*)$", IMAGE, re.MULTILINE)
    return found[-1]


def the(kind: str, manifests: list[Any] = MANIFESTS) -> Any:
    (found,) = [one for one in manifests if one["kind"] == kind]
    return found["spec"]


def pod() -> Any:
    return the("StatefulSet")["template"]["spec"]


def test_the_commands_of_image_and_pod_are_commands_of_the_program() -> None:
    for arguments in (json.loads(value("CMD")), pod()["containers"][0]["args"]):
        settings = settings_of(console_parser().parse_args(arguments))
        address = MetricsAddress.parse(settings.metrics)
        metrics_networks(settings.metrics_allow)
        assert not address.is_loopback
        assert str(address.port) in value("EXPOSE").split()
        # Else open associations are killed.
        assert settings.drain_seconds < pod()["terminationGracePeriodSeconds"]
        assert f"{int(settings.drain_seconds)}s" < COMPOSE["services"]["dock"]["stop_grace_period"]
    console_parser().parse_args(json.loads(value("HEALTHCHECK").partition("CMD ")[2])[1:])


def test_nothing_runs_as_root_or_writes_outside_the_volume() -> None:
    user, group = value("USER").split(":")
    security = pod()["securityContext"]
    assert security["runAsNonRoot"]
    assert [security[f"runAs{who}"] for who in ("User", "Group")] == [int(user), int(group)]
    assert security["fsGroup"] == int(group)
    (container,) = pod()["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert COMPOSE["services"]["dock"]["read_only"]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {value("VOLUME"), "/tmp"} == mounts
    # Below the volume, which may belong to root.
    data = re.search(r"DICOMDOCK_DATA=(\S+)", IMAGE)
    assert data
    assert str(Path(data[1]).parent) == value("VOLUME")


def test_services_and_probes_lead_to_ports_of_the_pod() -> None:
    (container,) = pod()["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for service in (one for one in MANIFESTS if one["kind"] == "Service"):
        assert service["spec"]["selector"] == {"app": "dicomdock"}
        assert all(ports[port["targetPort"]] == port["port"] for port in service["spec"]["ports"])
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/alive", "port": "metrics"}


def test_all_that_is_copied_into_the_image_exists() -> None:
    root = CONTAINER.parents[1]
    copied = [line.split()[1:-1] for line in IMAGE.splitlines() if line.startswith("COPY ")]
    sources = [name for names in copied for name in names if not name.startswith(("--", "/"))]
    assert len(sources) >= 6
    assert all((root / name).exists() for name in sources)


def test_the_pod_runs_the_image_of_this_version() -> None:
    project = tomllib.loads((CONTAINER.parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
    (container,) = pod()["containers"]
    assert container["image"] == f"dicomdock:{project['version']}"


def test_several_docks_are_the_pods_of_one_dock_and_what_keeps_senders_to_them(
    tmp_path: Path,
) -> None:
    docks, one = the("StatefulSet", SEVERAL), the("StatefulSet")
    (container,), (same) = docks["template"]["spec"]["containers"], pod()["containers"][0]
    assert docks["replicas"] == 3
    assert docks["volumeClaimTemplates"] == one["volumeClaimTemplates"]
    assert docks["template"]["spec"]["securityContext"] == pod()["securityContext"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    differing = {"args", "volumeMounts", "readinessProbe"}
    assert {k: v for k, v in container.items() if k not in differing} == {
        k: v for k, v in same.items() if k not in differing
    }
    settings = settings_of(console_parser().parse_args(container["args"]))
    assert settings.drain_seconds < docks["template"]["spec"]["terminationGracePeriodSeconds"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts["configuration"] == container["args"][container["args"].index("--config") + 1]

    labels = docks["template"]["metadata"]["labels"]
    services = {one["metadata"]["name"]: one for one in SEVERAL if one["kind"] == "Service"}
    assert all(service["spec"]["selector"] == labels for service in services.values())
    assert services["docks"]["spec"]["sessionAffinity"] == "ClientIP"
    assert the("PodDisruptionBudget", SEVERAL)["selector"]["matchLabels"] == labels
    monitor = the("ServiceMonitor", SEVERAL)
    metrics = services[docks["serviceName"]]
    assert monitor["selector"]["matchLabels"] == metrics["metadata"]["labels"]
    assert monitor["endpoints"][0]["port"] == metrics["spec"]["ports"][0]["name"]

    (texts,) = [one["data"] for one in SEVERAL if one["kind"] == "ConfigMap"]
    (name,) = texts
    (tmp_path / name).write_text(texts[name], "utf-8")
    assert main(["--data", str(tmp_path), "config", "validate", str(tmp_path)]) == 0
    made = declared(read_document(tmp_path / name), Configuration(), prune=True)
    assert {receiver.port for receiver in made.receivers} == {
        container["ports"][0]["containerPort"]
    }
    assert [processor.label for processor in made.processors] == ["ARCHIVE"]
