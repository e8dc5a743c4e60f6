"""`rule`: one routing rule on one value, explained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.options import set_run
from engine.host import terminal
from engine.model.identity import element_number, to_label
from engine.routing import parse_rule, slow_risk

if TYPE_CHECKING:
    import argparse

    from engine.routing import Application, Rule

_FOUND = 1
"""Exit code: the rule gives no value."""


def add_rule(parser: argparse.ArgumentParser) -> None:
    """Add the command that explains a rule."""
    set_run(parser, _rule)
    parser.add_argument("rule", metavar="RULE", help="such as '(0010,0020):([^_]+)_.*:1'")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--value", metavar="TEXT", help="the element's value")
    given.add_argument("--file", metavar="FILE", help="a DICOM file that has the element")


def _rule(arguments: argparse.Namespace) -> int:
    rule = parse_rule(arguments.rule.strip())
    value = _value_in(arguments.file, rule) if arguments.file else arguments.value
    applied = rule.explain(value)
    if arguments.json:
        terminal.print_json(_record(rule, value, applied))
    else:
        terminal.print_table(("RULE", rule.text), _rows(rule, applied))
    risk = slow_risk(rule)
    if risk:
        terminal.say(f"this rule may be slow: {risk}")
    return 0 if applied.result else _FOUND


def _value_in(file: str, rule: Rule) -> str | None:
    from engine.dicom.part10 import read_file  # pydicom, which takes a while

    return read_file(Path(file), last_tag=rule.tag).text(rule.tag)


def _rows(rule: Rule, applied: Application) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [
        ("element", element_number(rule.tag)),
        ("pattern", rule.pattern),
        ("group", rule.group),
    ]
    if rule.target is not None:
        rows += [("t:", rule.target), ("r:", rule.replacement)]
    cut = " (cut to 64 characters)" if applied.cut else ""
    rows += [("value", applied.value + cut), ("captured", applied.captured)]
    rows += [("result", applied.result), ("as a label", to_label(applied.result or ""))]
    if not applied.result:
        rows.append(("why not", applied.why_not or "the result is empty"))
    return rows


def _record(rule: Rule, value: str | None, applied: Application) -> dict[str, object]:
    return {
        "rule": rule.text,
        "element": element_number(rule.tag),
        "pattern": rule.pattern,
        "group": rule.group,
        "target": rule.target,
        "replacement": rule.replacement,
        "value": value,
        "seen": applied.value,
        "cut": applied.cut,
        "matched": applied.matched,
        "captured": applied.captured,
        "result": applied.result,
        "label": to_label(applied.result) if applied.result else None,
        "why_not": applied.why_not,
    }
