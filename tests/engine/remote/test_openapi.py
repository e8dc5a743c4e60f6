"""The OpenAPI description: complete, and what the server really does with whatever it allows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from engine.remote.callers import ApiCaller
from engine.remote.openapi import describe
from engine.remote.protocol import ACTOR, served_methods
from engine.remote.routes import application
from engine.remote.schema import hints_of
from tests.samples import sample

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

NEGATIVE = GenerationMode.NEGATIVE


def test_every_method_is_described_with_its_arguments_and_the_references_lead_somewhere() -> None:
    description = describe()
    assert set(description["paths"]) == {f"/v1/{path}" for path in served_methods()}
    for path, method in served_methods().items():
        content = description["paths"][f"/v1/{path}"]["post"]["requestBody"]["content"]
        arguments = content["application/json"]["schema"]
        assert set(arguments["properties"]) == set(method.signature.parameters)
        assert ACTOR not in arguments.get("required", ())
        assert description["paths"][f"/v1/{path}"]["post"]["summary"]
    tags = {tag for verbs in description["paths"].values() for tag in verbs["post"]["tags"]}
    assert [{"name": tag} for tag in sorted(tags)] == description["tags"]
    # Without credentials on the socket, with the token on TCP.
    assert description["security"] == [{}, {"token": []}]
    assert description["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert description["servers"][0]["url"] == "http://localhost"
    text = json.dumps(description)
    named = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert named <= set(description["components"]["schemas"])
    assert {"EngineSnapshot", "Receiver", "SiteSettings", "Error"} <= named


def test_an_event_is_described_with_its_kind() -> None:
    event = describe()["components"]["schemas"]["ReceiverFailedOfKind"]
    assert event["properties"]["kind"] == {"const": "ReceiverFailed", "type": "string"}
    assert {"kind", "reason", "remedy"} <= set(event["required"])


class Local:
    """The application as a local client sees it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "state": {"peer": ApiCaller("anna")}}, receive, send)


class Answers:
    """Takes the place of an engine that answers everything, with values of the right types."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        method = served_methods().get(self._prefix + name)
        if method is None:
            return Answers(f"{self._prefix}{name}/")
        hint = hints_of(method.function)["return"]
        return lambda **_: sample(hint)


@pytest.mark.parametrize(
    ("mode", "examples"), [(GenerationMode.POSITIVE, 1), (GenerationMode.NEGATIVE, 1)]
)
def test_whatever_is_asked_is_answered_as_the_description_says(
    mode: GenerationMode, examples: int
) -> None:
    schema = schemathesis.openapi.from_dict(describe())
    schema.app = Local(application(Answers()))
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        if operation.method == "get" or (mode is NEGATIVE and not operation.body):
            continue
        tried += 1
        search(operation, mode, examples)
    assert tried > len(served_methods()) / 2


def search(operation: Any, mode: GenerationMode, examples: int) -> None:
    """Ask what may be asked, or may not; domain rules may refuse what the description allows."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=examples, deadline=None, database=None, derandomize=True,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    def ask(case: Any) -> None:
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    ask()
