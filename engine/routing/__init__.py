"""Routing expressions: XNAT's rules from an element's value to a project, subject or session.

Pure: no input or output, and nothing of the engine but its errors. `parse_rules` checks everything
that can be checked, so that applying a rule fails only on its time limit
(tests/engine/routing/test_java_agreement.py).
"""

from engine.routing.errors import (
    InvalidRule,
    RuleError,
    RulesTimeout,
    RuleSuspended,
    RuleTimeout,
)
from engine.routing.grammar import parse_rule, parse_rules, slow_risk
from engine.routing.rule import Application, Finder, Rule, parse_finder

__all__ = [
    "Application",
    "Finder",
    "InvalidRule",
    "Rule",
    "RuleError",
    "RuleSuspended",
    "RuleTimeout",
    "RulesTimeout",
    "parse_finder",
    "parse_rule",
    "parse_rules",
    "slow_risk",
]
