"""Client of the REST API for the commands."""

import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ims.cli.credentials import Profile, read_profile
from ims.cli.errors import OF_STATUS, Away, CommandFailed, NothingThere

if TYPE_CHECKING:
    import httpx2

TIMEOUT_SECONDS: Final = 60
"""Maximum time without data from the server."""
PAGE: Final = 200
"""Rows per request."""
_KEY: Final = "Idempotency-Key"


class Api:
    """The REST API of one server."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        # Imported here: help, completion and the local commands need no client, and its import takes longer than they
        # do.
        import httpx2

        headers = {"Accept": "application/json"}
        if profile.token:
            headers["Authorization"] = f"Bearer {profile.token}"
        # Without TLS, loading the CA certificates would be wasted time.
        is_secure = profile.url.startswith("https://")
        self._http = httpx2.Client(headers=headers, timeout=TIMEOUT_SECONDS, verify=is_secure, trust_env=is_secure)
        self._trouble = (httpx2.HTTPError, httpx2.InvalidURL)
        self._broken = (httpx2.NetworkError, httpx2.RemoteProtocolError)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request and return the JSON of the response. Raises `CommandFailed` with the detail of the problem.

        If the connection breaks, an idempotent request is retried once: ims-web may be restarting.
        """
        given = {name: value for name, value in (query or {}).items() if value not in (None, "", [], ())}
        sent = dict(headers or {})
        is_repeatable = method == "GET" or _KEY in sent
        try:
            try:
                answer = self._send(method, path, given, body, sent)
            except self._broken:
                if not is_repeatable:
                    raise
                answer = self._send(method, path, given, body, sent)
        except self._trouble as error:
            raise self._away(error) from None
        if not answer.is_success:
            raise self._failure(answer.status_code, answer.text, answer.headers.get("Location"))
        return self._read(answer.text) if answer.content else None

    def _send(
        self, method: str, path: str, query: Mapping[str, Any], body: Any, headers: dict[str, str]
    ) -> "httpx2.Response":
        return self._http.request(method, self._address(path), params=query, json=body, headers=headers)

    def _address(self, path: str) -> str:
        return f"{self.profile.url}/api/v1{path}"

    def get(self, path: str, **query: Any) -> Any:
        """GET an object, or a page of a list."""
        return self.request("GET", path, query=query)

    def first(self, path: str, limit: int, **query: Any) -> list[Any]:
        """The first `limit` rows of a list, over several pages; a page can be empty and not be the last."""
        rows: list[Any] = []
        cursor = None
        while True:
            page = self.get(path, **query, limit=min(limit - len(rows), PAGE), cursor=cursor)
            if "items" not in page:
                raise self._not_ims()
            rows += page["items"]
            cursor = page["next"]
            if cursor is None or len(rows) >= limit:
                return rows[:limit]

    def every(self, path: str, **query: Any) -> list[Any]:
        """All rows of a list that is known to be short."""
        return self.first(path, 10**9, **query)

    def lines(self, path: str, **query: Any) -> Iterator[str]:
        """A streamed response, line by line."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        try:
            with self._http.stream("GET", self._address(path), params=given) as answer:
                if not answer.is_success:
                    text = answer.read().decode(errors="replace")
                    raise self._failure(answer.status_code, text, answer.headers.get("Location"))
                yield from answer.iter_lines()
        except self._trouble as error:
            raise self._away(error) from None

    def _read(self, text: str) -> Any:
        """Parse a response. Raises `CommandFailed` if it is not a JSON object, which means the server is not IMS."""
        try:
            content = json.loads(text)
        except ValueError:
            raise self._not_ims() from None
        if not isinstance(content, dict):
            raise self._not_ims()
        return content

    def _not_ims(self) -> CommandFailed:
        return CommandFailed(f"The server at {self.profile.url} is not IMS. {self._named_by()}")

    def _away(self, error: Exception) -> Away:
        said = f" {error}" if str(error) else ""
        return Away(
            f"{self.profile.url} does not answer ({type(error).__name__}{said}). {self._named_by()}"
            " `make status` on that machine shows whether IMS is up."
        )

    def _named_by(self) -> str:
        return f"The URL is set in {self.profile.origin}."

    def _failure(self, status: int, text: str, elsewhere: str | None) -> CommandFailed:
        """The exception for an error response or a redirect."""
        if elsewhere is not None:
            return CommandFailed(f"{self.profile.url} redirects to {elsewhere}. {self._named_by()}")
        kind = OF_STATUS.get(status, CommandFailed)
        try:
            problem = json.loads(text)
            lines = [str(problem.get("detail") or problem["title"])]
            lines += [f"  {wrong['field']}: {wrong['message']}" for wrong in problem.get("errors", ())]
        except (ValueError, KeyError, TypeError, AttributeError):
            return kind(f"{self.profile.url} answered HTTP {status}. {self._named_by()}")
        if status == 401:
            lines.append(self._remedy())
        elif status == 403:
            lines.append("`ims profile show` shows your account and the rights of your token.")
        return kind("\n".join(lines))

    def _remedy(self) -> str:
        """What to do about a token that was rejected."""
        origin = self.profile.token_origin
        used = f"The token from {origin} is invalid or has expired." if origin else "There is no token."
        if origin not in (None, "IMS_TOKEN", os.environ.get("IMS_TOKEN_FILE")):
            return f"{used} `make up` replaces it. Alternatively set IMS_TOKEN to a token of your own."
        return f"{used} Set IMS_TOKEN to a token of your own: create one on your account page."


def place(*parts: object) -> str:
    """The URL path of an object whose name comes from the command line. Raises `NothingThere` for an invalid name.

    Without quoting, `ims team remove a/../../users/b` would remove something other than a team.
    """
    for part in parts:
        if str(part) in ("", ".", ".."):
            raise NothingThere(f"There is nothing named {str(part)!r}.")
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


@cache
def api() -> Api:
    """The client for the server of the profile. Raises `CommandFailed` if no server is configured."""
    return Api(read_profile())
