"""Which server the command asks, and by which token.

`IMS_URL` and `IMS_TOKEN` (or `IMS_TOKEN_FILE`) say it; else the profile that `make up` writes for whoever installs,
`command.toml` in the state directory, or the file that `IMS_PROFILE` names.
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
    """A server, and the token by which it is asked; without one only what needs none is answered."""

    url: str
    token: str | None
    origin: str
    """Where the server's address stands: a variable's name, or a file's."""
    token_origin: str | None
    """Where the token stands, likewise."""


def profile_path(environment: Mapping[str, str]) -> Path:
    """The file of the profile."""
    if given := environment.get("IMS_PROFILE"):
        return Path(given)
    state = environment.get("IMS_STATE_DIR")
    return (Path(state) if state else default_state_dir()) / NAME


def read_profile(environment: Mapping[str, str] | None = None) -> Profile:
    """The profile in force. Raises `CommandFailed` when there is none, or when others could read its token."""
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
            f"No server is known: {path} does not exist. Set IMS_URL and IMS_TOKEN, or run `make up` on the machine of"
            " the server."
        ) from None
    if not isinstance(stored.get("url"), str):
        raise CommandFailed(f"{path} has no `url`.")
    if token is None and isinstance(stored.get("token_file"), str):
        token_origin = stored["token_file"]
        token = _token_in(Path(token_origin))
    return Profile(_checked_url(stored["url"], str(path)), token, str(path), token_origin)


def _checked_url(url: str, place: str) -> str:
    """The URL without a slash at its end. Raises `Wrong`."""
    if not _URL.fullmatch(url):
        # Not repeated: somebody may have written a password into it.
        raise Wrong(f"{place}: must be the URL of a server, such as https://ims.example.org, and nothing more.")
    return url.rstrip("/")


def _given_token(environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The token that the environment gives, and where it stands."""
    if path := environment.get("IMS_TOKEN_FILE"):
        return _token_in(Path(path)), path
    if token := environment.get("IMS_TOKEN"):
        return _checked_token(token, "IMS_TOKEN"), "IMS_TOKEN"
    return None, None


def _token_in(path: Path) -> str:
    """The token that a file holds. Raises `NotAllowed`."""
    try:
        return _checked_token(_private_text(path).strip(), str(path))
    except FileNotFoundError:
        raise NotAllowed(f"{path} does not exist: it should hold the token.") from None


def _checked_token(token: str, place: str) -> str:
    """The token, if it can be one; it is never shown. Raises `NotAllowed`."""
    if not _TOKEN.fullmatch(token):
        raise NotAllowed(f"{place} holds no token: a token is one word of letters, digits and signs.")
    return token


def _private_text(path: Path) -> str:
    """The content of a file that nobody else may read. Raises `NotAllowed` and `FileNotFoundError`."""
    try:
        if path.stat().st_mode & _OTHERS:
            raise NotAllowed(f"{path} may be read by others: chmod 600 it, and make another token if it was read.")
        return path.read_text(encoding="utf-8")
    except (IsADirectoryError, NotADirectoryError, UnicodeDecodeError):
        raise CommandFailed(f"{path} is not a text file.") from None
    except PermissionError:
        raise NotAllowed(f"{path} belongs to whoever installed IMS: set IMS_URL and IMS_TOKEN of your own.") from None
