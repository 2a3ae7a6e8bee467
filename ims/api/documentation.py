"""The documentation pages of the REST API, generated from its OpenAPI document; they need no scripts or network."""

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from flask import Blueprint, Response, jsonify, render_template
from pydantic.fields import FieldInfo

from ims.api.openapi import Json, document
from ims.api.operations import Group, Operation, Security
from ims.api.rest import PREFIX
from ims.core.errors import NotFound
from ims.http.authentication import public
from ims.http.resources import settings

_CURL: Final = "curl -sS --fail-with-body"


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a field of a body."""

    name: str
    place: str
    """Where it is sent: path, query, header, or body; `answer` for a response."""
    type: str
    is_required: bool
    about: str


@dataclass(frozen=True, slots=True)
class Explained:
    """One operation with everything its documentation shows."""

    operation: Operation
    description: Sequence[str]
    """Paragraphs."""
    fields: Sequence[Field]
    answer: Sequence[Field]
    statuses: Sequence[tuple[str, str]]
    curl: str


@dataclass
class Documentation:
    """Documentation of the whole API; the OpenAPI document is generated once, at the first request."""

    groups: Sequence[Group]

    @cached_property
    def openapi(self) -> Json:
        return document(self.groups)

    def explain(self, group: Group) -> list[Explained]:
        """The operations of a group in their order."""
        return [self._explain(operation) for operation in group.operations]

    def _explain(self, operation: Operation) -> Explained:
        described = self.openapi["paths"][PREFIX + operation.path][operation.method.lower()]
        parameters = [
            Field(one["name"], one["in"], self._type(one["schema"]), one["required"], one.get("description", ""))
            for one in described["parameters"]
        ]
        body = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        success = described["responses"][str(operation.status)]
        returned = success.get("content", {}).get("application/json", {}).get("schema")
        return Explained(
            operation,
            described["description"].split("\n\n"),
            [*parameters, *self._members(body, "body")],
            self._members(returned, "answer"),
            [(status, answer["description"]) for status, answer in sorted(described["responses"].items())],
            curl(operation),
        )

    def _members(self, schema: Json | None, place: str) -> list[Field]:
        """The fields of an object; for a list, the fields of its items, prefixed with their path."""
        resolved, path = self._resolve(schema or {}), ""
        if "items" in resolved.get("properties", {}):
            resolved, path = self._resolve(resolved["properties"]["items"]["items"]), "items[]."
        required = resolved.get("required", ())
        return [
            Field(path + name, place, self._type(one), name in required, one.get("description", ""))
            for name, one in resolved.get("properties", {}).items()
        ]

    def _type(self, schema: Json) -> str:
        """A short name of a schema's type."""
        if "$ref" in schema:
            resolved = self._resolve(schema)
            return self._type(resolved) if "enum" in resolved else str(schema["$ref"]).rpartition("/")[2]
        if "anyOf" in schema:
            return " or ".join(filter(None, dict.fromkeys(self._type(one) for one in schema["anyOf"])))
        if "enum" in schema:
            return ", ".join(str(value) for value in schema["enum"])
        if "const" in schema:
            return str(schema["const"])
        if schema.get("type") == "array":
            return f"list of {self._type(schema.get('items', {}))}"
        return str(schema.get("format") or schema.get("type") or "any")

    def _resolve(self, schema: Json) -> Json:
        """The model that a schema refers to; the first if there are several."""
        reference = schema.get("$ref") or next((one["$ref"] for one in schema.get("anyOf", []) if "$ref" in one), None)
        if reference is None:
            return schema
        found: Json = self.openapi["components"]["schemas"][reference.rpartition("/")[2]]
        return found


def curl(operation: Operation, *, body: Any = None, path: str | None = None) -> str:
    """The operation as a curl command that works unchanged with IMS_URL and IMS_TOKEN in the environment."""
    lines = [_CURL if operation.is_safe else f"{_CURL} -X {operation.method}"]
    if operation.security is not Security.NONE:
        variable = "IMS_SOURCE_TOKEN" if operation.security is Security.SOURCE else "IMS_TOKEN"
        lines.append(f'-H "Authorization: Bearer ${variable}"')
    given = body if body is not None else operation.example
    if given is not None:
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(given, ensure_ascii=False))}"]
    lines.append(f'"$IMS_URL{PREFIX}{path or example_path(operation)}"')
    return " \\\n  ".join(lines)


def example_path(operation: Operation) -> str:
    """The path of an operation, filled with the examples of its parameters."""
    path = operation.path
    for name, kind in operation.parameters.items():
        examples = [one.examples[0] for one in kind.__metadata__ if isinstance(one, FieldInfo) and one.examples]
        path = path.replace(f"{{{name}}}", str(examples[0]))
    return path + (f"?{operation.example_query}" if operation.example_query else "")


def blueprint(groups: Iterable[Group]) -> Blueprint:
    """The OpenAPI document and its pages. Public: they contain nothing specific to this installation."""
    pages = Blueprint("documentation", __name__)
    documentation = Documentation(list(groups))
    by_slug = {slug(group): group for group in documentation.groups}

    @pages.get(f"{PREFIX}/openapi.json")
    @public
    def openapi() -> Response:
        return jsonify(documentation.openapi)

    @pages.get("/api")
    @public
    def index() -> str:
        """Overview: authentication, first steps, conventions, and the list of resources."""
        return render_template(
            "api/index.html",
            groups=documentation.groups,
            slug=slug,
            first=_first_steps(documentation.groups),
            web_url=settings().web_url,
        )

    @pages.get("/api/<name>")
    @public
    def group(name: str) -> str:
        """The operations of one resource."""
        found = by_slug.get(name)
        if found is None:
            raise NotFound
        explained = documentation.explain(found)
        return render_template(
            "api/group.html", group=found, explained=explained, groups=documentation.groups, slug=slug
        )

    return pages


def slug(group: Group) -> str:
    """A group's name in a URL."""
    return group.tag.lower().replace(" ", "-")


_NAME_OF_INCIDENT: Final = """sed -n 's/.*"incident":"\\([^"]*\\)".*/\\1/p'"""


def _first_steps(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """Open, list, acknowledge and resolve an incident, in one shell."""
    operations = {operation.name: operation for group in groups for operation in group.operations}
    change = operations["incidents_change"]
    path = "/incidents/$INCIDENT"
    resolving = {"status": "resolved", "note": "The disk was full; removed old backups."}
    return [
        (
            "Open an incident and store its name",
            f"INCIDENT=$({curl(operations['incidents_create'])} | {_NAME_OF_INCIDENT})\necho $INCIDENT",
        ),
        ("List unresolved incidents", curl(operations["incidents_list_all"])),
        ("Acknowledge the incident", curl(change, body={"status": "acknowledged"}, path=path)),
        ("Resolve the incident", curl(change, body=resolving, path=path)),
    ]
