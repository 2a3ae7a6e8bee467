"""A real identity provider, and a person with a browser that only knows forms and redirects."""

import contextlib
import html
import re
import secrets
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from benchmarks.programs import cached_environment, free_environment, running, wait_for_answer
from tests.support.postgres import free_port

PROGRAM = Path(__file__).with_name("canaille_program.py")
# Its libraries would mix with ours, so it has an environment of its own, made once.
REQUIREMENTS = ("canaille[front,oidc,sqlite]==0.3.6",)
CALLBACK = "/sign-in/oidc/callback"


IMS = "http://127.0.0.1:9"
"""Where the IMS is that the provider knows; nobody goes there, the tests carry its answers over."""


@dataclass(frozen=True)
class IdentityProvider:
    """Where it is, and the secret that IMS shares with it."""

    issuer: str
    secret: str


@contextlib.contextmanager
def identity_provider(directory: Path) -> Iterator[IdentityProvider]:
    """Canaille for the time of the block; see `canaille_program.py` for who is in it."""
    python = cached_environment("canaille", *REQUIREMENTS) / "bin/python"
    port, secret, log = free_port(), secrets.token_hex(), directory / "canaille.log"
    issuer = f"http://127.0.0.1:{port}"
    command: list[str | Path] = [python, PROGRAM, str(port), IMS + CALLBACK, secret]
    with running(command, log=log, environment=free_environment(), cwd=directory) as process:
        wait_for_answer(process, f"{issuer}/.well-known/openid-configuration", log)
        yield IdentityProvider(issuer, secret)


class Surfer:
    """A person with a browser of their own, which only knows forms and redirects, at the provider's pages."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._session = requests.Session()
        self._session.trust_env = False

    def answer_of_provider(self, begun_at: str, consent: str = "accept") -> str:
        """Sign in at the provider's own pages; gives the address to which it sends the browser back.

        The provider asks for consent each time, although it remembers what somebody has said before.
        """
        page = self._session.get(changed(begun_at, prompt="consent"), timeout=20)
        if 'name="login"' in page.text:
            page = self._submit(page, login=self.name)
            page = self._submit(page, password=f"{self.name} at home")
        assert 'value="deny"' in page.text, page.text[:2000]
        back = self._submit(page, follow=False, answer=consent)
        assert back.status_code == 302, back.text
        return back.headers["Location"]

    def _submit(self, page: requests.Response, *, follow: bool = True, **values: str) -> requests.Response:
        """Fill in the first form of a page and send it, its hidden fields included."""
        form = re.search(r'<form[^>]*method="post"[^>]*>.*?</form>', page.text, re.DOTALL | re.IGNORECASE)
        assert form, page.text[:2000]
        fields = {}
        for field in re.findall(r"<input[^>]*>", form[0]):
            name, value = re.search(r'name="([^"]+)"', field), re.search(r'value="([^"]*)"', field)
            if name and 'type="hidden"' in field:
                fields[name[1]] = html.unescape(value[1]) if value else ""
        action = re.search(r'action="([^"]*)"', form[0].partition(">")[0])
        url = urllib.parse.urljoin(page.url, html.unescape(action[1]) if action else "")
        return self._session.post(url, data={**fields, **values}, allow_redirects=follow, timeout=20)


def changed(url: str, **values: str | None) -> str:
    """The address with other parameters; None takes one away."""
    parts = urllib.parse.urlsplit(url)
    query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
    query.update({name: value for name, value in values.items() if value is not None})
    for name, value in values.items():
        if value is None:
            query.pop(name, None)
    return parts._replace(query=urllib.parse.urlencode(query)).geturl()
