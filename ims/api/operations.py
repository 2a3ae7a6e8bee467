"""Declarations of the REST API's operations. Serving and documentation both use them.

A module of `ims/api/v1` creates a `Group` and decorates functions with it. A function gets the arguments it declares,
already validated: path parameters by name, and `query`, `headers` and `body` as models. It returns a model, an `Answer`
(body with status, headers or ETag), a `Stream`, or None.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal, TypeVar, get_type_hints

from pydantic import BaseModel

from ims.core.errors import IMSError
from ims.core.principal import Role
from ims.core.schemas import RequestModel

Function = TypeVar("Function", bound=Callable[..., Any])
Method = Literal["GET", "POST", "PATCH", "DELETE"]

SAFE: Final = frozenset({"GET"})


class Security(StrEnum):
    """Which credential an operation requires."""

    ACCOUNT = "account"
    """A token of an account, or the session of a browser."""
    SOURCE = "source"
    """A token of a source; the operation checks it itself."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Answer:
    """A response with a status, headers or an ETag of its own."""

    body: BaseModel | None = None
    status: int | None = None
    """None: the operation's status."""
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """A streamed response in the operation's media type. No error response is possible after it has started."""

    parts: Iterator[str]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    function: Callable[..., Any]
    method: Method
    path: str
    """Relative to /api/v1, with parameters in braces."""
    tag: str
    summary: str
    description: str
    least: Role
    security: Security
    status: int
    answers: type[BaseModel] | None
    query: type[RequestModel] | None
    headers: type[RequestModel] | None
    body: Any
    """A model, or another type that Pydantic can validate; None: no body."""
    parameters: Mapping[str, Any]
    """Annotated types of the path parameters, by name."""
    raises: tuple[type[IMSError], ...]
    also: Mapping[int, str]
    """Further success statuses with their meaning."""
    media_type: str
    example: Any
    """A valid body."""
    example_query: str
    """Query string of the example request."""
    reads_body: bool
    """False: the function reads the body itself, and `body` only documents it."""

    @property
    def name(self) -> str:
        """Unique name: the operationId and the Flask endpoint."""
        return f"{self.function.__module__.rpartition('.')[2]}_{self.function.__name__.strip('_')}"

    @property
    def is_safe(self) -> bool:
        """Whether the operation only reads."""
        return self.method in SAFE


@dataclass
class Group:
    """The operations of one resource, documented under one heading."""

    tag: str
    about: str
    operations: list[Operation] = field(default_factory=list)

    def get(self, path: str, **more: Any) -> Callable[[Function], Function]:
        """Declare a GET; see `_declare` for the arguments."""
        return self._declare("GET", path, **more)

    def post(self, path: str, **more: Any) -> Callable[[Function], Function]:
        return self._declare("POST", path, **more)

    def patch(self, path: str, **more: Any) -> Callable[[Function], Function]:
        return self._declare("PATCH", path, **more)

    def delete(self, path: str, **more: Any) -> Callable[[Function], Function]:
        return self._declare("DELETE", path, **more)

    def _declare(
        self,
        method: Method,
        path: str,
        *,
        answers: type[BaseModel] | None = None,
        status: int = 200,
        least: Role | None = None,
        security: Security = Security.ACCOUNT,
        raises: tuple[type[IMSError], ...] = (),
        also: Mapping[int, str] | None = None,
        media_type: str = "application/json",
        documents_body: Any = None,
        example: Any = None,
        example_query: str = "",
    ) -> Callable[[Function], Function]:
        """Register a function as an operation. Its docstring's first line is the summary, the rest the description."""

        def keep(function: Function) -> Function:
            hints = get_type_hints(function, include_extras=True)
            summary, _, description = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
            self.operations.append(
                Operation(
                    function=function,
                    method=method,
                    path=path,
                    tag=self.tag,
                    summary=summary.rstrip("."),
                    description=" ".join(description.split("\n")),
                    least=least or (Role.VIEWER if method in SAFE else Role.RESPONDER),
                    security=security,
                    status=status,
                    answers=answers,
                    query=hints.get("query"),
                    headers=hints.get("headers"),
                    body=hints.get("body", documents_body),
                    parameters={name: hints[name] for name in names_in(path)},
                    raises=raises,
                    also=also or {},
                    media_type=media_type,
                    example=example,
                    example_query=example_query,
                    reads_body="body" in hints,
                )
            )
            return function

        return keep


def names_in(path: str) -> list[str]:
    """Names of the parameters in a path."""
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]
