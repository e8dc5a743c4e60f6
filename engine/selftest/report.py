"""What a self-test looks at, and what it found, in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """One thing that is looked at, in the order of an object's way."""

    ENGINE = "engine"
    RECEIVER = "receiver"
    WHITELIST = "whitelist"
    TLS = "TLS"
    ASSOCIATION = "association"
    CONTEXTS = "contexts"
    ECHO = "C-ECHO"
    STORE = "C-STORE"
    ROUTE = "route"
    DISK = "disk"
    REMOVAL = "removal"


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at one step."""

    step: Step
    is_good: bool
    detail: str
    remedy: str = ""
    exit_code: int = 0
    """What a command says that ends here; 0 if it is good."""
