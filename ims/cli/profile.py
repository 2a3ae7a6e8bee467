"""`ims profile …`: which server is asked, and who one is there."""

from typing import Final

from ims.cli.client import api
from ims.cli.group import examples, group
from ims.cli.output import Json, show

app = group("profile", "Show which server is asked, by which token, and who you are there.")

_OF_ME: Final = ("name", "role", "teams", "token", "scope")


@app.callback()
def profile() -> None:
    """Show which server is asked, by which token, and who you are there.

    IMS_URL and IMS_TOKEN name both; without them, the profile that `make up` writes for whoever installs.
    """


@app.command("show", epilog=examples("ims profile show", "ims profile show --json"))
def show_profile(as_json: Json = False) -> None:
    """Show which server is asked, and who you are there.

    When a command may not do what you want, and before you change anything on a machine with more than one
    installation. It asks the server, so it also tells whether the token works. The token itself is never shown.
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
