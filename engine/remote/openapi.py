"""The OpenAPI description, made from the same schemas that requests are read with."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from engine import __version__
from engine.remote.protocol import methods
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


@cache
def describe() -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of every method."""
    schemas, inputs = Schemas(), []
    for path, method in methods().items():
        inputs.append((path, "validation", method.described_arguments(schemas)))
        inputs.append((path, "serialization", method.described_result(schemas)))
    complete: Any = [(path, mode, schemas.complete(schema)) for path, mode, schema in inputs]
    found, definitions = _Generator(ref_template=_REFERENCE).generate_definitions(complete)
    made: dict[Any, Any] = dict(found)
    return {
        "openapi": "3.1.0",
        "info": {"title": "dicomdock control API", "version": __version__},
        "paths": {f"/v1/{path}": _described(method, made) for path, method in methods().items()},
        "components": {"schemas": {**definitions, "Error": _ERROR}},
    }


def _described(method: Method, made: dict[Any, Any]) -> dict[str, Any]:
    result = made[method.path, "serialization"]
    operation = {
        "summary": (inspect.getdoc(method.function) or "").partition("\n")[0],
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
    """Says what every tool understands; defaults of fields are left out, the engine has them."""

    def tuple_schema(self, schema: Any) -> dict[str, Any]:
        """Describe a tuple without ``prefixItems``, which not every tool knows."""
        if schema.get("variadic_item_index") is not None:
            return super().tuple_schema(schema)
        kinds = [self.generate_inner(item) for item in schema["items_schema"]]
        different = [kind for n, kind in enumerate(kinds) if kind not in kinds[:n]]
        items = different[0] if len(different) == 1 else {"anyOf": different}
        return {"type": "array", "items": items, "minItems": len(kinds), "maxItems": len(kinds)}

    def default_schema(self, schema: Any) -> dict[str, Any]:
        """Describe a field that may be left out."""
        return self.generate_inner(schema["schema"])
