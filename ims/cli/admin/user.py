"""`ims admin user …`: manage accounts when no administrator can sign in."""

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

app = group("user", "Manage accounts when no administrator can sign in.")


@app.command("add", epilog=examples("ims admin user add second-admin --role admin --no-password"))
@on_this_machine
def add(
    name: Name,
    role: Annotated[Role, typer.Option(help="Rights of the account.")] = Role.ADMIN,
    password_file: PasswordFile = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="No sign-in until it is linked or gets a password.")
    ] = False,
) -> None:
    """Add an account, by default an administrator.

    For an installation that has no administrator, or when no administrator can sign in.
    """
    new = read(NewAccount, {"name": name, "role": role.value, "email": "", "teams": []})
    given = None if no_password else password(password_file)
    with local_context() as context:
        usecases.create_account(context, new, given)
    say(f"{new.name} is {new.role}.")


@app.command("passwd", epilog=examples("ims admin user passwd admin --password-file FILE"))
@on_this_machine
def passwd(name: Name, password_file: PasswordFile = None) -> None:
    """Set the password of an account.

    Use it when no administrator can sign in. Ends the account's sessions.
    """
    given = password(password_file)
    with local_context() as context:
        usecases.set_password(context, name, given)
    changed(True)


@app.command("link", epilog=examples("ims admin user link admin --issuer https://login.example.org --subject 4711"))
@on_this_machine
def link(
    name: Name,
    subject: Annotated[
        str, typer.Option(help="Subject at the provider, as shown by the page that refused the sign-in.")
    ],
    issuer: Annotated[str | None, typer.Option(metavar="URL", help="Issuer (default: IMS_OIDC_ISSUER).")] = None,
) -> None:
    """Link an account to the identity provider.

    Use it when a sign-in with the provider was refused because an account of that name exists, and both belong to the
    same person. The account then signs in with the provider, and no longer with a password.
    """
    provider = issuer or load_settings().oidc_issuer
    if provider is None:
        raise Invalid(fields=[FieldError("issuer", "is missing: no identity provider is configured")])
    with local_context() as context:
        is_new = usecases.link_identity(context, name, provider, subject)
    changed(is_new)
