"""Every operation of the API rejects callers without the rights."""

import pytest

from ims.api.documentation import example_path
from ims.api.operations import Operation, Security
from ims.core.principal import Role, Scope, scope_for
from ims.programs.web import GROUPS
from tests.integration.api.conftest import Ask

OPERATIONS = [operation for group in GROUPS for operation in group.operations if operation.security is Security.ACCOUNT]


def _name(operation: Operation) -> str:
    return operation.name


@pytest.mark.parametrize("operation", OPERATIONS, ids=_name)
def test_requests_without_a_valid_token_are_unauthenticated(ask: Ask, operation: Operation) -> None:
    path = example_path(operation)
    assert ask(None, operation.method, path).status_code == 401
    wrong = ask(None, operation.method, path, headers={"Authorization": "Bearer ims_wrong"})
    assert wrong.status_code == 401


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one.least is not Role.VIEWER], ids=_name)
def test_a_role_below_the_least_is_forbidden(ask: Ask, operation: Operation) -> None:
    lesser = ["victor"] if operation.least is Role.RESPONDER else ["victor", "alice", "bob", "charlie"]
    for name in lesser:
        assert ask(name, operation.method, example_path(operation), json=operation.example).status_code == 403, name


@pytest.mark.parametrize("operation", OPERATIONS, ids=_name)
def test_a_token_with_a_lesser_scope_is_forbidden(ask: Ask, operation: Operation) -> None:
    needed = scope_for(operation.least, is_safe=operation.is_safe)
    for scope in list(Scope)[: list(Scope).index(needed)]:
        answer = ask("root", operation.method, example_path(operation), json=operation.example, scope=scope)
        assert answer.status_code == 403, scope
