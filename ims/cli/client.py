"""The command's way to the REST API."""

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

SILENCE_SECONDS: Final = 60
"""How long nothing may come from the server."""
PAGE: Final = 200
"""Rows that are asked for at once."""
_KEY: Final = "Idempotency-Key"


class Api:
    """The REST API of one server."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        # Not at the top: help, completion and the commands of this machine need no client, and it takes longer to
        # import than they take in all.
        import httpx2

        headers = {"Accept": "application/json"}
        if profile.token:
            headers["Authorization"] = f"Bearer {profile.token}"
        # The certificates of all authorities are loaded for nothing when there is no TLS.
        is_secure = profile.url.startswith("https://")
        self._http = httpx2.Client(headers=headers, timeout=SILENCE_SECONDS, verify=is_secure, trust_env=is_secure)
        self._trouble = (httpx2.HTTPError, httpx2.InvalidURL)
        self._broken = (httpx2.NetworkError, httpx2.RemoteProtocolError)

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """What the API answers to one request. Raises a `CommandFailed` with the problem's own words.

        Where a repeat changes nothing, a connection that broke is tried once more: ims-web may just be restarting.
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
        """Read one thing, or one page."""
        return self.ask("GET", path, query=query)

    def first(self, path: str, limit: int, **query: Any) -> list[Any]:
        """The first `limit` rows of a list, in as many pages as it takes; a page may be empty and not the last."""
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
        """All rows of a list that is short by nature."""
        return self.first(path, 10**9, **query)

    def lines(self, path: str, **query: Any) -> Iterator[str]:
        """A long answer, line by line as it comes."""
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
        """An answer's object. Raises `CommandFailed` for what IMS never answers."""
        try:
            content = json.loads(text)
        except ValueError:
            raise self._not_ims() from None
        if not isinstance(content, dict):
            raise self._not_ims()
        return content

    def _not_ims(self) -> CommandFailed:
        return CommandFailed(f"What answers at {self.profile.url} is not IMS. {self._named_by()}")

    def _away(self, error: Exception) -> Away:
        said = f" {error}" if str(error) else ""
        return Away(
            f"{self.profile.url} does not answer ({type(error).__name__}{said}). {self._named_by()}"
            " `make status` on that machine tells whether IMS is up."
        )

    def _named_by(self) -> str:
        return f"It is named by {self.profile.origin}."

    def _failure(self, status: int, text: str, elsewhere: str | None) -> CommandFailed:
        """What an answer means that is no success."""
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
            lines.append("`ims profile show` says who you are here, and what your token may do.")
        return kind("\n".join(lines))

    def _remedy(self) -> str:
        """What to do about a token that is not accepted."""
        origin = self.profile.token_origin
        used = f"The token of {origin} is not valid (any more)." if origin else "No token was given."
        if origin not in (None, "IMS_TOKEN", os.environ.get("IMS_TOKEN_FILE")):
            return f"{used} `make up` replaces it; or set IMS_TOKEN to a token of your own."
        return f"{used} Set IMS_TOKEN to a token of your own: your account's page makes one."


def place(*parts: object) -> str:
    """The path of something with a name that somebody typed. Raises `NothingThere` for what cannot be a name.

    Without quoting, `ims team remove a/../../users/b` would remove something else than a team.
    """
    for part in parts:
        if str(part) in ("", ".", ".."):
            raise NothingThere(f"There is nothing named {str(part)!r}.")
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


@cache
def api() -> Api:
    """The server that the profile names. Raises `CommandFailed` when there is none."""
    return Api(read_profile())
