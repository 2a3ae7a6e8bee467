"""`ims admin user …`: accounts, when nobody can sign in who could look after them."""

from typing import Annotated

import typer

from ims.accounts.people import usecases
from ims.accounts.people.inputs import NewAccount
from ims.cli.admin.failures import on_this_machine
from ims.cli.admin.local import local_context
from ims.cli.given import PasswordFile, password
from ims.cli.group import examples, group
from ims.cli.output import changed, say
from ims.cli.user import Name
from ims.core.errors import FieldError, Invalid
from ims.core.principal import Role
from ims.core.settings import load_settings
from ims.core.validation import read

app = group("user", "Accounts, when nobody can sign in who could look after them.")


@app.command("add", epilog=examples("ims admin user add second-admin --role admin --no-password"))
@on_this_machine
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.ADMIN,
    password_file: PasswordFile = None,
    no_password: Annotated[bool, typer.Option("--no-password", help="Nobody can sign in to it yet.")] = False,
) -> None:
    """Add an account, by default an administrator.

    The first one of an installation that was set up without, or another one when nobody can sign in.
    """
    new = read(NewAccount, {"name": name, "role": role.value, "email": "", "teams": []})
    given = None if no_password else password(password_file)
    with local_context() as context:
        usecases.create_account(context, new, given)
    say(f"{new.name} is {new.role}.")


@app.command("passwd", epilog=examples("ims admin user passwd admin --password-file FILE"))
@on_this_machine
def passwd(name: Name, password_file: PasswordFile = None) -> None:
    """Set another password.

    When no administrator knows theirs. Ends the account's sessions.
    """
    given = password(password_file)
    with local_context() as context:
        usecases.set_password(context, name, given)
    changed(True)


@app.command("link", epilog=examples("ims admin user link admin --issuer https://login.example.org --subject 4711"))
@on_this_machine
def link(
    name: Name,
    subject: Annotated[str, typer.Option(help="Who it is there; the page that refused the sign-in says it.")],
    issuer: Annotated[str | None, typer.Option(metavar="URL", help="The provider (default: the setting).")] = None,
) -> None:
    """Link an account to the identity provider.

    When a sign-in there was refused because there is an account of that name already, and it is the same person. From
    now on it signs in there, and no longer by a password.
    """
    provider = issuer or load_settings().oidc_issuer
    if provider is None:
        raise Invalid(fields=[FieldError("issuer", "is missing: no identity provider is set")])
    with local_context() as context:
        is_new = usecases.link_identity(context, name, provider, subject)
    changed(is_new)
