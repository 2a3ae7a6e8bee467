"""The OpenAPI 3.1 document, generated from the operations, so that it cannot differ from what is served."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from ims.api.operations import Group, Operation, Security
from ims.api.rest import PREFIX, NotJsonMedia
from ims.core.errors import DatabaseAway, Forbidden, IMSError, Invalid, NotFound, TooLarge, Unauthenticated
from ims.core.principal import Role, scope_for
from ims.core.schemas import RequestModel

VERSION: Final = "1"
_REFERENCE: Final = "#/components/schemas/{model}"
_PROBLEM: Final = "application/problem+json"

Json = dict[str, Any]


def document(groups: Iterable[Group]) -> Json:
    groups = list(groups)
    operations = [operation for group in groups for operation in group.operations]
    schemas = _Components(operations)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "IMS",
            "version": VERSION,
            "summary": "Self-hosted incident management that heals.",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": group.tag, "description": group.about} for group in groups],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM_SCHEMA, **schemas.definitions},
            "responses": {"Problem": {"description": "An error.", "content": _problem_content()}},
            "securitySchemes": _SECURITY_SCHEMES,
        },
        "security": [{"token": []}, {"session": []}],
    }


_ABOUT: Final = (
    "Send a token of your account as `Authorization: Bearer …`; the session cookie of the web pages works too. "
    "Times are RFC 3339, durations are in seconds. Lists return `next`: send it as `cursor` to get the next page. "
    "Errors are RFC 9457 problem documents; their `errors` lists every invalid field."
)

_SECURITY_SCHEMES: Final[Json] = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of an account: `ims token create --user`."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "ims_session",
        "description": "The session cookie of a browser, named `ims_session_` followed by the port. Requests that "
        "change something also need the page's CSRF token in the header `X-CSRFToken`.",
    },
    "source": {"type": "http", "scheme": "bearer", "description": "A token of a source: `ims token create --source`."},
}

_PROBLEM_SCHEMA: Final[Json] = {
    "type": "object",
    "description": "RFC 9457. Some problems have further members, such as `allowed` with the allowed statuses.",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "description": "The type of problem, for programs."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to do."},
        "request_id": {"type": "string", "description": "The same id is in the log of IMS."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


class _Components:
    """The schemas of all request and response models, by class name."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.definitions: dict[str, Json] = {}
        for operation in operations:
            for kind, mode in ((operation.body, "validation"), (operation.answers, "serialization")):
                if kind is not None:
                    self.of(kind, "serialization" if mode == "serialization" else "validation")

    def of(self, kind: Any, mode: JsonSchemaMode) -> Json:
        """The schema of a type. Models are added to the components and referenced."""
        schema = TypeAdapter(kind).json_schema(mode=mode, ref_template=_REFERENCE)
        self.definitions.update(schema.pop("$defs", {}))
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            self.definitions[kind.__name__] = schema
            return {"$ref": _REFERENCE.format(model=kind.__name__)}
        return schema

    def fields_of(self, model: type[RequestModel]) -> tuple[Mapping[str, Json], frozenset[str]]:
        """The schema of each field of a model, and the names of the required ones."""
        schema = model.model_json_schema(ref_template=_REFERENCE)
        self.definitions.update(schema.pop("$defs", {}))
        return schema.get("properties", {}), frozenset(schema.get("required", ()))


def _operation(operation: Operation, schemas: _Components) -> Json:
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": _description(operation),
        "parameters": list(_parameters(operation, schemas)),
        "responses": _responses(operation, schemas),
        "security": _security(operation),
    }
    if operation.body is not None:
        schema = schemas.of(operation.body, "validation")
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described


def _description(operation: Operation) -> str:
    if operation.security is not Security.ACCOUNT:
        return operation.description
    scope = scope_for(operation.least, is_safe=operation.is_safe)
    role = {Role.VIEWER: "any role", Role.RESPONDER: "role responder", Role.ADMIN: "role admin"}[operation.least]
    return f"{operation.description}\n\nRequires {role}; a token needs scope `{scope}`.".strip()


def _security(operation: Operation) -> list[Json]:
    if operation.security is Security.NONE:
        return []
    return [{"source": []}] if operation.security is Security.SOURCE else [{"token": []}, {"session": []}]


def _parameters(operation: Operation, schemas: _Components) -> Iterable[Json]:
    for name, kind in operation.parameters.items():
        yield _parameter(name, "path", schemas.of(kind, "validation"), required=True)
    for place, model in (("query", operation.query), ("header", operation.headers)):
        if model is not None:
            fields, required = schemas.fields_of(model)
            for name, schema in fields.items():
                yield _parameter(name, place, schema, required=name in required)


def _parameter(name: str, place: str, schema: Json, *, required: bool) -> Json:
    """A parameter cannot be null: clients leave it out instead."""
    schema = dict(schema)
    choices = schema.get("anyOf", [])
    if {"type": "null"} in choices:
        (rest,) = [choice for choice in choices if choice != {"type": "null"}]
        schema = {**{key: value for key, value in schema.items() if key != "anyOf"}, **rest}
    if schema.get("default", 0) is None:
        del schema["default"]
    schema.pop("title", None)
    described: Json = {"name": name, "in": place, "required": required}
    for key in ("description", "deprecated"):
        if key in schema:
            described[key] = schema.pop(key)
    if examples := schema.pop("examples", None):
        described["example"] = examples[0]
    return {**described, "schema": schema}


def _responses(operation: Operation, schemas: _Components) -> Json:
    found: dict[str, Json] = {str(operation.status): _success(operation, schemas)}
    for status, meaning in operation.also.items():
        body = {} if status == 304 else {"content": _content(operation, schemas)}
        found[str(status)] = {"description": meaning, **body}
    for status, titles in sorted(_problems(operation).items()):
        found[str(status)] = {"description": " ".join(titles), "content": _problem_content()}
    return found


def _success(operation: Operation, schemas: _Components) -> Json:
    if operation.answers is None and operation.media_type == "application/json":
        return {"description": "Done."}
    return {"description": "Done." if not operation.is_safe else "OK.", "content": _content(operation, schemas)}


def _content(operation: Operation, schemas: _Components) -> Json:
    if operation.answers is None:
        return {operation.media_type: {"schema": {"type": "string"}}}
    return {operation.media_type: {"schema": schemas.of(operation.answers, "serialization")}}


def _problems(operation: Operation) -> dict[int, list[str]]:
    """Every error an operation can return, by status, with the same text as in the response."""
    kinds: list[type[IMSError]] = [Invalid, DatabaseAway, *operation.raises]
    if operation.security is not Security.NONE:
        kinds += [Unauthenticated, Forbidden]
    if operation.parameters:
        kinds.append(NotFound)
    if operation.body is not None:
        kinds.append(TooLarge)
    if operation.reads_body:
        kinds.append(NotJsonMedia)
    found: dict[int, list[str]] = {}
    for kind in kinds:
        title = (kind.__doc__ or "").strip().splitlines()[0]
        if title not in found.setdefault(kind.status, []):
            found[kind.status].append(title)
    return found


def _problem_content() -> Json:
    return {_PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
