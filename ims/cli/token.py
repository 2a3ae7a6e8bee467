"""`ims token …`: credentials of sources and of people's programs."""

import argparse
import sys
from datetime import timedelta
from typing import Any, Final

from ims.accounts.models import ApiToken
from ims.accounts.people.queries import people, person
from ims.accounts.token_names import token_id, token_name
from ims.accounts.tokens.queries import token_as_json, tokens_of
from ims.accounts.tokens.usecases import NewToken, create_user_token, revoke_token, rotate_token
from ims.cli.local import add_json, command_session, local_context
from ims.cli.terminal import local, print_json, print_table, read_duration
from ims.core.clock import utc_now
from ims.core.context import Context
from ims.core.errors import FieldError, Invalid
from ims.core.principal import Scope
from ims.sources.usecases import create_source_token

_COLUMNS: Final = ("token", "of", "scope", "label", "state", "created", "expires", "last used")


def register(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands to the command line."""
    tokens = subparsers.add_parser("token", help="credentials of sources and of people: create, list, rotate, revoke")
    commands = tokens.add_subparsers(dest="token_command", metavar="COMMAND", required=True)
    creating = commands.add_parser("create", help="a new token; shown now and never again")
    owner = creating.add_mutually_exclusive_group(required=True)
    owner.add_argument("source", metavar="SOURCE", nargs="?", help="who sends alerts by it")
    owner.add_argument("--source", dest="named_source", metavar="SOURCE", help="the same")
    owner.add_argument("--user", metavar="USER", help="whom it acts for")
    creating.add_argument("--scope", choices=list(Scope), help="what it may do for a user (default: read)")
    creating.add_argument("--label", default="", help="where it is used")
    creating.add_argument("--expires", metavar="TIME", help="how long it works, such as 90d; default: until revoked")
    add_json(creating)
    creating.set_defaults(run=_create)
    listing = commands.add_parser("list", help="tokens, without their text")
    whose = listing.add_mutually_exclusive_group()
    whose.add_argument("--source", metavar="SOURCE", help="only of this source")
    whose.add_argument("--user", metavar="USER", help="only of this user")
    add_json(listing)
    listing.set_defaults(run=_list)
    rotating = commands.add_parser("rotate", help="a successor; the old one works a little longer")
    rotating.add_argument("token", metavar="TOKEN", help="T-3 or 3")
    rotating.add_argument("--overlap", default="1h", metavar="TIME", help="how long the old one works (default 1h)")
    add_json(rotating)
    rotating.set_defaults(run=_rotate)
    revoking = commands.add_parser("revoke", help="end a token at once")
    revoking.add_argument("token", metavar="TOKEN", help="T-3 or 3")
    revoking.set_defaults(run=_revoke)


def _create(arguments: argparse.Namespace) -> int:
    with local_context() as context:
        token = _created(context, arguments)
    return _show_token(token, as_json=arguments.json)


def _created(context: Context, arguments: argparse.Namespace) -> NewToken:
    lifetime = read_duration(arguments.expires, "expires") if arguments.expires else None
    if arguments.user is not None:
        scope = Scope(arguments.scope or Scope.READ)
        return create_user_token(context, arguments.user, scope, arguments.label, lifetime=lifetime)
    if arguments.scope is not None:
        raise Invalid(fields=[FieldError("scope", "is for the tokens of a user: a source's may send alerts")])
    source = arguments.named_source or arguments.source
    return create_source_token(context, source, arguments.label, lifetime=lifetime)


def _rotate(arguments: argparse.Namespace) -> int:
    overlap = read_duration(arguments.overlap, "overlap")
    with local_context() as context:
        token = rotate_token(context, arguments.token, overlap)
    return _show_token(token, as_json=arguments.json, told=_until(overlap, arguments.token))


def _until(overlap: timedelta, old: str) -> str:
    return f"{token_name(token_id(old))} works for {overlap} more." if overlap else "The old token has ended."


def _show_token(token: NewToken, *, as_json: bool, told: str = "") -> int:
    """The token alone on standard output, so that a script can take it; the rest is for people."""
    if as_json:
        print_json({"id": token.name, "token": token.text})
        return 0
    print(token.text)
    print(f"This is {token.name}. It is shown only now: keep it as a secret. {told}".rstrip(), file=sys.stderr)
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    with local_context() as context:
        is_ended = revoke_token(context, arguments.token)
    print("changed" if is_ended else "unchanged")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    now = utc_now()
    with command_session() as session:
        user_id = person(session, arguments.user).id if arguments.user is not None else None
        tokens = tokens_of(session, source=arguments.source, user_id=user_id)
        names = {one.id: one.name for one in people(session)} if any(token.user_id for token in tokens) else {}
        described = [token_as_json(token, names[token.user_id] if token.user_id else None, now) for token in tokens]
        if arguments.json:
            print_json(described)
        elif tokens:
            print_table(_COLUMNS, [_row(token, one) for token, one in zip(tokens, described, strict=True)])
        else:
            print("No tokens.")
    return 0


def _row(token: ApiToken, described: dict[str, Any]) -> tuple[str, ...]:
    return (
        described["token"],
        described["source"] or described["user"],
        ", ".join(token.scopes),
        token.label,
        described["state"],
        local(token.created_at),
        local(token.expires_at),
        local(token.last_used_at) or "never",
    )
