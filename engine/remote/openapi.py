"""The OpenAPI 3.1 description of the control API, made from the methods of the view."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from engine import __version__
from engine.remote.protocol import served_methods
from engine.remote.schema import Schemas

if TYPE_CHECKING:
    from engine.remote.protocol import Method

_REFERENCE = "#/components/schemas/{model}"
_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error", "title", "detail", "remedy", "exit_code"],
    "properties": {
        "error": {"type": "string", "description": "The class of the error."},
        "title": {"type": "string"},
        "detail": {"type": "string"},
        "remedy": {"type": "string"},
        "exit_code": {"type": "integer"},
        "carries": {"type": "object"},
    },
}
_REFUSED = {
    "description": "It was not done; says why, and what helps.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}


_ABOUT = """\
What consoles and commands ask of a running engine, by HTTP on `control.sock` in the data directory,
and on a TCP port if the engine has one. Requests are POSTs with a JSON object; those without
arguments may be GETs. What changes something is recorded with the name of the caller."""
_SERVERS: list[dict[str, Any]] = [
    {"url": "http://localhost", "description": "The UNIX socket control.sock; any host name."},
    {
        "url": "{scheme}://{address}:{port}",
        "description": "The TCP port of --control-tcp.",
        "variables": {
            "scheme": {"default": "http", "enum": ["http", "https"]},
            "address": {"default": "127.0.0.1"},
            "port": {"default": "8443"},
        },
    },
]
_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "The text of control.token in the data directory; needed on TCP.",
}


@cache
def describe() -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of every method."""
    schemas, inputs = Schemas(), []
    for path, method in served_methods().items():
        inputs.append((path, "validation", method.described_arguments(schemas)))
        inputs.append((path, "serialization", method.described_result(schemas)))
    complete: Any = [(path, mode, schemas.complete(schema)) for path, mode, schema in inputs]
    found, definitions = _Generator(ref_template=_REFERENCE).generate_definitions(complete)
    made: dict[Any, Any] = dict(found)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dicomdock control API",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": _SERVERS,
        # The first is for the socket, where the kernel says who asks.
        "security": [{}, {"token": []}],
        "tags": [{"name": name} for name in sorted({_tag(path) for path in served_methods()})],
        "paths": {
            f"/v1/{path}": _described(method, made) for path, method in served_methods().items()
        },
        "components": {
            "schemas": {**definitions, "Error": _ERROR},
            "securitySchemes": {"token": _TOKEN},
        },
    }


def _tag(path: str) -> str:
    """Return the group of a method; those of the engine itself are in none."""
    group, slash, _ = path.partition("/")
    return group if slash else "engine"


def _described(method: Method, made: dict[Any, Any]) -> dict[str, Any]:
    result = made[method.path, "serialization"]
    summary, _, more = (inspect.getdoc(method.function) or "").partition("\n")
    operation = {
        "summary": summary,
        "description": more.strip() or summary,
        "tags": [_tag(method.path)],
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": result}}},
            "default": _REFUSED,
        },
    }
    arguments = {"application/json": {"schema": made[method.path, "validation"]}}
    name = method.path.replace("/", ".")
    body = {"required": bool(method.signature.parameters), "content": arguments}
    verbs = {"post": {**operation, "operationId": name, "requestBody": body}}
    if not method.signature.parameters:
        verbs["get"] = {**operation, "operationId": f"get.{name}"}
    return verbs


class _Generator(GenerateJsonSchema):
    """Writes only JSON Schema that all tools understand; defaults of fields are left out."""

    def tuple_schema(self, schema: Any) -> dict[str, Any]:
        """Describe a tuple without ``prefixItems``, which some tools do not know."""
        if schema.get("variadic_item_index") is not None:
            return super().tuple_schema(schema)
        kinds = [self.generate_inner(item) for item in schema["items_schema"]]
        different = [kind for n, kind in enumerate(kinds) if kind not in kinds[:n]]
        items = different[0] if len(different) == 1 else {"anyOf": different}
        return {"type": "array", "items": items, "minItems": len(kinds), "maxItems": len(kinds)}

    def default_schema(self, schema: Any) -> dict[str, Any]:
        """Describe an optional field."""
        return self.generate_inner(schema["schema"])
