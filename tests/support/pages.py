"""A person who looks at the pages of a running ims-web."""

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT_SECONDS = 30


class Reader:
    """Signs in once and opens pages."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )

    def sign_in(self, name: str, password: str) -> None:
        """Fill in the form, as a browser does."""
        form = self.page("/sign-in")[1]
        token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', form)
        assert token, form[:500]
        fields = {"name": name, "password": password, "csrf_token": token[1]}
        with self._opener.open(f"{self.url}/sign-in", urllib.parse.urlencode(fields).encode(), TIMEOUT_SECONDS) as said:
            assert said.status == 200
            assert not said.url.endswith("/sign-in"), "the password was not accepted"

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        try:
            with self._opener.open(f"{self.url}{path}", timeout=TIMEOUT_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
