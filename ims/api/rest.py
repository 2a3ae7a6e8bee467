"""Serve the REST API's operations: parse and validate requests, write responses."""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from flask import Blueprint, Response, current_app, request, stream_with_context
from pydantic import BaseModel, TypeAdapter, ValidationError

from ims.api.operations import Answer, Group, Operation, Security, Stream
from ims.core.errors import FieldError, IMSError, Invalid, NotFound, Unprocessable
from ims.core.json_body import read_json
from ims.core.schemas import RequestModel
from ims.core.validation import check
from ims.http.authentication import principal

PREFIX: Final = "/api/v1"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_ETAG: Final = re.compile(r'(?:W/)?"?([0-9]{1,9})"?')


class NotJsonMedia(IMSError):
    """Send the body as JSON, with the header `Content-Type: application/json`."""

    status = 415


def blueprint(groups: Iterable[Group]) -> Blueprint:
    """All operations as one blueprint. It does its own CSRF check, since requests with a token need none."""
    api = Blueprint("api", __name__, url_prefix=PREFIX)
    for group in groups:
        for operation in group.operations:
            path = _PARAMETER.sub(r"<\1>", operation.path)
            api.add_url_rule(path, operation.name, _view(operation), methods=[operation.method])
    return api


def _view(operation: Operation) -> Callable[..., Response]:
    def view(**path: str) -> Response:
        _check_csrf(operation)
        arguments: dict[str, Any] = {name: _parameter(operation, name, given) for name, given in path.items()}
        if operation.query is not None:
            arguments["query"] = check(operation.query, _query())
        elif request.args:
            raise Invalid(fields=[FieldError(name[:100], "is not a known parameter") for name in request.args])
        if operation.headers is not None:
            arguments["headers"] = check(operation.headers, _headers(operation.headers))
        if operation.reads_body:
            arguments["body"] = check(operation.body, _body())
        return _respond(operation, _call(operation, arguments))

    view.least_role = operation.least  # type: ignore[attr-defined]
    view.is_public = operation.security is not Security.ACCOUNT  # type: ignore[attr-defined]
    view.operation = operation  # type: ignore[attr-defined]
    return view


def _call(operation: Operation, arguments: dict[str, Any]) -> Any:
    """Call the operation. Its arguments are well-formed already, so its `Invalid` becomes 422 instead of 400."""
    try:
        return operation.function(**arguments)
    except Invalid as error:
        if type(error) is not Invalid:
            raise
        raise Unprocessable(None if error.message == error.title else error.message, fields=error.fields) from error


def _check_csrf(operation: Operation) -> None:
    """Browsers attach the session cookie to cross-site requests; only the token's holder sends a token."""
    found = principal()
    if found is not None and found.token is None and not operation.is_safe:
        current_app.extensions["csrf"].protect()


def _parameter(operation: Operation, name: str, given: str) -> Any:
    """A path parameter. An invalid value cannot name an existing object, so it is 404."""
    try:
        return TypeAdapter(operation.parameters[name]).validate_python(given)
    except ValidationError:
        raise NotFound from None


def _query() -> dict[str, Any]:
    """The query parameters. A repeated one is a list, which is an error unless the field is a list."""
    return {name: values if len(values) > 1 else values[0] for name, values in request.args.lists()}


def _headers(model: type[RequestModel]) -> dict[str, str]:
    names = [field.alias or name for name, field in model.model_fields.items()]
    return {name: request.headers[name] for name in names if name in request.headers}


def _body() -> Any:
    if request.mimetype != "application/json":
        raise NotJsonMedia
    return read_json(request.get_data(cache=False))


def _respond(operation: Operation, result: Any) -> Response:
    if isinstance(result, Stream):
        parts = stream_with_context(result.parts)
        return Response(parts, operation.status, dict(result.headers), mimetype=operation.media_type)
    answer = result if isinstance(result, Answer) else Answer(result)
    status = answer.status or operation.status
    if answer.etag is not None and operation.is_safe and answer.etag in request.if_none_match:
        response = Response(status=304)
    elif answer.body is None:
        response = Response(status=status)
    else:
        response = Response(answer.body.model_dump_json(by_alias=True), status, mimetype="application/json")
    response.headers.update(answer.headers)
    if "Location" in answer.headers:
        response.headers["Location"] = request.script_root + answer.headers["Location"]
    if answer.etag is not None:
        response.set_etag(answer.etag)
    return response


def wanted_version(if_match: str | None) -> int | None:
    """The version in the header If-Match; None for `*` and without the header.

    Weak ETags are accepted, because compressing proxies mark ETags as weak. Raises `Invalid`.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise Invalid(fields=[FieldError("If-Match", 'must be a single ETag from a response, such as "7"')])
    return int(found[1])


def shown(model: BaseModel) -> Any:
    """A model as JSON values."""
    return model.model_dump(mode="json", by_alias=True)
