"""Values as JSON bytes, and back: what arrives is checked against its type."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError, SchemaSerializer, SchemaValidator
from pydantic_core import ValidationError as Refused

from engine.control.schema import CONFIG, Schemas
from engine.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic_core import ErrorDetails
    from pydantic_core.core_schema import CoreSchema

MAX_PROBLEMS = 10
MAX_VALUE_CHARACTERS = 80


class InvalidRequest(ConfigurationError):
    """What was sent is not what the method takes."""

    title = "The request is not valid"


class InvalidAnswer(ValueError):
    """What the engine answered is not what the method returns."""


@dataclass(frozen=True)
class Codec:
    """Writes and reads values of one kind."""

    describe: Callable[[Schemas], CoreSchema]
    lenient: bool = False
    """Whether members that are not known are left out instead of refused."""

    def dump(self, value: Any) -> bytes:
        """Return a value as JSON."""
        try:
            return self._serializer.to_json(value, warnings="error")
        except PydanticSerializationError:
            # Names of files may be no Unicode; JSON can say so, but not in UTF-8.
            return json.dumps(self._serializer.to_python(value, mode="json")).encode()

    def load(self, content: bytes) -> Any:
        """Return the value that JSON describes.

        Raises:
            Refused: with what is wrong and where.
        """
        try:
            return self._validator.validate_json(content, strict=True)
        except Refused as refused:
            if b"\\ud" not in content.lower():
                raise
            return self._load_surrogates(content, refused)

    def _load_surrogates(self, content: bytes, refused: Refused) -> Any:
        try:
            return self._validator.validate_python(json.loads(content))
        except (ValueError, RecursionError):
            raise refused from None

    @cached_property
    def _schema(self) -> CoreSchema:
        schemas = Schemas(lenient=self.lenient)
        return schemas.complete(self.describe(schemas))

    @cached_property
    def _validator(self) -> SchemaValidator:
        return SchemaValidator(self._schema, CONFIG)

    @cached_property
    def _serializer(self) -> SchemaSerializer:
        return SchemaSerializer(self._schema, CONFIG)


def in_words(refused: Refused) -> InvalidRequest:
    """Return what is wrong with a request, each problem with field, value and remedy."""
    errors = refused.errors(include_url=False, include_context=False)
    return InvalidRequest(*map(_problem, errors[:MAX_PROBLEMS]))


def _problem(error: ErrorDetails) -> Problem:
    place = ".".join(str(part)[:MAX_VALUE_CHARACTERS] for part in error["loc"][:MAX_PROBLEMS])
    message = error["msg"][:1].lower() + error["msg"][1:200]
    value = str(error["input"])[:MAX_VALUE_CHARACTERS]
    return Problem(place or "body", value, message, "see /v1/openapi.json for what is taken")
