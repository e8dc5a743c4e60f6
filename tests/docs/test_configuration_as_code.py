"""The examples of the page on configuration as code: Ansible and Kubernetes."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

from engine.cli import build_parser
from engine.config.declaration import declared
from engine.config.document import read_document
from engine.model.configuration import Configuration

yaml: Any = importlib.import_module("yaml")  # has no types
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "configuration-as-code.md"
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def options_of(words: list[str]) -> dict[str, object]:
    parser, _ = build_parser("dicomdock")
    return vars(parser.parse_args(words[1:]))


def test_the_playbook_gives_a_command_that_says_by_its_exit_code_what_changed() -> None:
    ((play,),) = (yaml.safe_load(block) for block in BLOCKS if "ansible" in block)
    copy, apply = play["tasks"]
    options = options_of(shlex.split(apply["ansible.builtin.command"]))
    assert Path(copy["ansible.builtin.copy"]["dest"]) == options["file"]
    assert (options["prune"], options["exit_code"], options["dry_run"]) == (True, True, False)
    assert (apply["changed_when"], apply["failed_when"]) == (
        "applied.rc == 10",
        "applied.rc not in [0, 10]",
    )


def test_the_config_map_is_a_document_that_the_engine_of_the_manifest_reads(
    tmp_path: Path,
) -> None:
    (manifest,) = (block for block in BLOCKS if "ConfigMap" in block)
    parts = {part["kind"]: part for part in yaml.safe_load_all(manifest)}
    (container,) = parts["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    mounts = {one["mountPath"] for one in container["volumeMounts"]}
    options = options_of(container["command"])
    assert {str(options["config_source"]), str(options["data"])} < mounts

    document = tmp_path / "dicomdock.toml"
    document.write_text(parts["ConfigMap"]["data"]["dicomdock.toml"])
    read = read_document(document, needs_secrets=False)
    (secret,) = parts["Secret"]["stringData"]
    assert read.unread == (
        f"site.alerts.targets[ops].webhook: file '/run/secrets/dicomdock/{secret}'",
    )
    made = declared(read, Configuration(), prune=True)
    ports = [one["containerPort"] for one in container["ports"]]
    assert [receiver.port for receiver in made.receivers] == ports
