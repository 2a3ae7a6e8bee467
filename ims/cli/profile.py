"""`ims profile …`: the server in use, and the account there."""

from typing import Final

from ims.cli.client import api
from ims.cli.group import examples, group
from ims.cli.output import Json, show

app = group("profile", "Show the server and token in use, and your account there.")

_OF_ME: Final = ("name", "role", "teams", "token", "scope")


@app.callback()
def profile() -> None:
    """Show the server and token in use, and your account there.

    IMS_URL and IMS_TOKEN set both; by default they come from the profile that `make up` writes for the installing user.
    """


@app.command("show", epilog=examples("ims profile show", "ims profile show --json"))
def show_profile(as_json: Json = False) -> None:
    """Show the server in use and your account there.

    Use it when a command is not allowed, or before you change anything on a machine with several installations. It
    sends a request to the server, so it also checks the token. It never prints the token.
    """
    server = api()
    me = server.get("/me")
    found = {
        "url": server.profile.url,
        "from": server.profile.origin,
        "token_from": server.profile.token_origin,
        **{name: me.get(name) for name in _OF_ME},
    }
    show(found, as_json=as_json)
