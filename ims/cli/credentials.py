"""Which server the command uses, and with which token.

They come from `IMS_URL` and `IMS_TOKEN` (or `IMS_TOKEN_FILE`). Otherwise they come from the profile that `make up`
writes for the installing user: `command.toml` in the state directory, or the file that `IMS_PROFILE` names.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ims.cli.errors import CommandFailed, NotAllowed, Wrong
from ims.core.places import default_state_dir

NAME: Final = "command.toml"
_OTHERS: Final = 0o077
_URL: Final = re.compile(r"https?://(?:\[[0-9a-fA-F:.]+\]|[^\s/?#@:\[\]]+)(?::\d{1,5})?(?:/[^\s?#]*)?")
_TOKEN: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Profile:
    """A server and a token. Without a token, only public endpoints work."""

    url: str
    token: str | None
    origin: str
    """Where the URL is set: the name of a variable or file."""
    token_origin: str | None
    """Where the token is set: the name of a variable or file."""


def profile_path(environment: Mapping[str, str]) -> Path:
    if given := environment.get("IMS_PROFILE"):
        return Path(given)
    state = environment.get("IMS_STATE_DIR")
    return (Path(state) if state else default_state_dir()) / NAME


def read_profile(environment: Mapping[str, str] | None = None) -> Profile:
    """The active profile. Raises `CommandFailed` if there is none, or if other users can read its token."""
    environment = os.environ if environment is None else environment
    url = environment.get("IMS_URL")
    token, token_origin = _given_token(environment)
    if url:
        return Profile(_checked_url(url, "IMS_URL"), token, "IMS_URL", token_origin)
    path = profile_path(environment)
    try:
        stored = tomllib.loads(_private_text(path))
    except tomllib.TOMLDecodeError as error:
        raise CommandFailed(f"{path} is not valid TOML: {error}.") from None
    except FileNotFoundError:
        raise CommandFailed(
            f"No server is configured: {path} does not exist. Set IMS_URL and IMS_TOKEN, or run `make up` on the"
            " machine of the server."
        ) from None
    if not isinstance(stored.get("url"), str):
        raise CommandFailed(f"{path} has no `url`.")
    if token is None and isinstance(stored.get("token_file"), str):
        token_origin = stored["token_file"]
        token = _token_in(Path(token_origin))
    return Profile(_checked_url(stored["url"], str(path)), token, str(path), token_origin)


def _checked_url(url: str, place: str) -> str:
    """The URL without a trailing slash. Raises `Wrong`."""
    if not _URL.fullmatch(url):
        # The message does not repeat the URL: it may contain a password.
        raise Wrong(f"{place}: must be only the URL of a server, such as https://ims.example.org.")
    return url.rstrip("/")


def _given_token(environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The token from the environment, and the variable or file that has it."""
    if path := environment.get("IMS_TOKEN_FILE"):
        return _token_in(Path(path)), path
    if token := environment.get("IMS_TOKEN"):
        return _checked_token(token, "IMS_TOKEN"), "IMS_TOKEN"
    return None, None


def _token_in(path: Path) -> str:
    """The token in a file. Raises `NotAllowed`."""
    try:
        return _checked_token(_private_text(path).strip(), str(path))
    except FileNotFoundError:
        raise NotAllowed(f"{path} does not exist: it must contain the token.") from None


def _checked_token(token: str, place: str) -> str:
    """The token, if it is well-formed; messages never show it. Raises `NotAllowed`."""
    if not _TOKEN.fullmatch(token):
        raise NotAllowed(
            f"{place} does not contain a token: a token is one word of ASCII letters, digits and punctuation."
        )
    return token


def _private_text(path: Path) -> str:
    """The content of a file that only its owner can read. Raises `NotAllowed` and `FileNotFoundError`."""
    try:
        if path.stat().st_mode & _OTHERS:
            raise NotAllowed(
                f"{path} is readable by other users. Run chmod 600, and replace the token if it may have leaked."
            )
        return path.read_text(encoding="utf-8")
    except (IsADirectoryError, NotADirectoryError, UnicodeDecodeError):
        raise CommandFailed(f"{path} is not a text file.") from None
    except PermissionError:
        raise NotAllowed(f"{path} belongs to the user who installed IMS. Set your own IMS_URL and IMS_TOKEN.") from None
