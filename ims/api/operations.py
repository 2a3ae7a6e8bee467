"""The operations of the REST API: declared once, and served and documented from that declaration.

A domain's `api.py` makes a `Group` and marks functions with it. A function gets what it declares, already checked: the
parameters of its path by their names, `query`, `headers` and `body` as models. What it returns is a model, an `Answer`
when more is to be said, a `Stream`, or nothing.
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
    """By which credential an operation is used."""

    ACCOUNT = "account"
    """A token of a person, or a person's session."""
    SOURCE = "source"
    """A token of a source of alerts; the operation checks it itself."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that says more than its body."""

    body: BaseModel | None = None
    status: int | None = None
    """None: the operation's own."""
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that is sent while it is made, in the operation's media type. Nothing can be refused after it began."""

    parts: Iterator[str]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    function: Callable[..., Any]
    method: Method
    path: str
    """Below /api/v1, with parameters in braces."""
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
    """A model, or another type that Pydantic can read; None takes no body."""
    parameters: Mapping[str, Any]
    """Types of the path's parameters, with their descriptions, by name."""
    raises: tuple[type[IMSError], ...]
    also: Mapping[int, str]
    """Further statuses of success, with what they mean."""
    media_type: str
    example: Any
    """A body that works."""
    example_query: str
    """Parameters that show what can be asked for."""
    reads_body: bool
    """False: the function reads the body itself, and `body` only documents it."""

    @property
    def name(self) -> str:
        """Unique; the operationId, and the endpoint of Flask."""
        return f"{self.function.__module__.rpartition('.')[2]}_{self.function.__name__.strip('_')}"

    @property
    def is_safe(self) -> bool:
        """Whether nothing is changed by it."""
        return self.method in SAFE


@dataclass
class Group:
    """Operations that belong together, under one heading of the documentation."""

    tag: str
    about: str
    operations: list[Operation] = field(default_factory=list)

    def get(self, path: str, **more: Any) -> Callable[[Function], Function]:
        """Declare a GET; see `_declare` for what may be said of it."""
        return self._declare("GET", path, **more)

    def post(self, path: str, **more: Any) -> Callable[[Function], Function]:
        """Declare a POST."""
        return self._declare("POST", path, **more)

    def patch(self, path: str, **more: Any) -> Callable[[Function], Function]:
        """Declare a PATCH."""
        return self._declare("PATCH", path, **more)

    def delete(self, path: str, **more: Any) -> Callable[[Function], Function]:
        """Declare a DELETE."""
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
        """Keep a function as an operation. Its docstring's first line is the summary, the rest the description."""

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
