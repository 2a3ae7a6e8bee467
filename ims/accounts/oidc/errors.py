"""Reasons why a sign-in at the identity provider failed, with the remedy; the sign-in page shows them."""

from ims.core.errors import IMSError


class SignInRefused(IMSError):
    """The sign-in at the identity provider failed."""

    status = 403


class ProviderAway(SignInRefused):
    """The identity provider does not answer. Try again in a moment, or sign in by password."""

    status = 503


class ProviderFaulty(SignInRefused):
    """The identity provider's response cannot be trusted. Contact your administrator: the log of IMS has the reason."""

    status = 502


class SignInForgotten(SignInRefused):
    """This sign-in was begun in another browser, was used before, or took too long. Begin again."""

    status = 400


class SignInDenied(SignInRefused):
    """The identity provider did not let you in, or you did not consent. Begin again, or sign in by password."""


class NoGroup(SignInRefused):
    """None of your groups has access to IMS. Ask an administrator to give one of them a role in IMS_OIDC_ROLES."""


class GroupsLeftOut(SignInRefused):
    """Your identity provider left out your groups, because there are too many, and you have no account in IMS yet.

    Ask an administrator to have the provider send only the groups that IMS needs, or to set IMS_OIDC_DEFAULT_ROLE.
    """


class NameUnusable(SignInRefused):
    """Your name at the identity provider is not valid in IMS. Ask an administrator to set IMS_OIDC_NAME_CLAIM."""


class NameBelongsToAnother(SignInRefused):
    """There is already an account with your name that does not sign in at the identity provider."""

    status = 409


class AccountDisabled(SignInRefused):
    """Your account is disabled. Ask an administrator."""
