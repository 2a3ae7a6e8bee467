"""The command's way to the REST API."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from ims.cli.errors import OF_STATUS, Away, CommandFailed, NotAllowed
from ims.cli.profile import Profile, read_profile

TOTAL_SECONDS: Final = 60
PAGE: Final = 200
"""Rows that are asked for at once."""
_REMEDY: Final = "Set IMS_TOKEN to a token of yours, made on your account's page or by `ims token create --user YOU`."


class Api:
    """The REST API of one server."""

    def __init__(self, profile: Profile) -> None:
        self.url = profile.url
        # Not at the top: help, completion and the commands of this machine need no client, and it takes longer to
        # import than they take in all.
        import httpx2

        headers = {"Accept": "application/json"}
        if profile.token:
            headers["Authorization"] = f"Bearer {profile.token}"
        # The certificates of all authorities are loaded for nothing when there is no TLS.
        is_secure = profile.url.startswith("https://")
        self._http = httpx2.Client(headers=headers, timeout=TOTAL_SECONDS, verify=is_secure, trust_env=is_secure)
        self._trouble = httpx2.HTTPError

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """What the API answers to one request. Raises a `CommandFailed` with the problem's own words."""
        given = {name: value for name, value in (query or {}).items() if value not in (None, "", [], ())}
        try:
            answer = self._http.request(
                method, f"{self.url}/api/v1{path}", params=given, json=body, headers=dict(headers or {})
            )
        except self._trouble as error:
            raise self._away(error) from None
        if not answer.is_success:
            raise _failure(answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def get(self, path: str, **query: Any) -> Any:
        """Read one thing, or one page."""
        return self.ask("GET", path, query=query)

    def first(self, path: str, limit: int, **query: Any) -> list[Any]:
        """The first `limit` rows of a list, in as many pages as it takes; a page may be empty and not the last."""
        rows: list[Any] = []
        cursor = None
        while True:
            page = self.get(path, **query, limit=min(limit - len(rows), PAGE), cursor=cursor)
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
            with self._http.stream("GET", f"{self.url}/api/v1{path}", params=given) as answer:
                if not answer.is_success:
                    raise _failure(answer.status_code, answer.read().decode(errors="replace"))
                yield from answer.iter_lines()
        except self._trouble as error:
            raise self._away(error) from None

    def _away(self, error: Exception) -> Away:
        return Away(f"{self.url} does not answer ({type(error).__name__}). Is IMS up there? `make status` tells.")


@cache
def api() -> Api:
    """The server that the profile names. Raises `CommandFailed` when there is none."""
    return Api(read_profile())


def _failure(status: int, text: str) -> CommandFailed:
    kind = OF_STATUS.get(status, CommandFailed)
    try:
        problem = json.loads(text)
        lines = [str(problem.get("detail") or problem["title"])]
        lines += [f"  {wrong['field']}: {wrong['message']}" for wrong in problem.get("errors", ())]
    except (ValueError, KeyError, TypeError, AttributeError):
        lines = [f"The server answered HTTP {status}."]
    if kind is NotAllowed and status == 401:
        lines.append(_REMEDY)
    return kind("\n".join(lines))
