"""Runs with inventories as people have them."""

import re
from collections.abc import Callable

from ims.runs.recap import Outcome
from ims.runs.request import RunRequest
from tests.integration.runs.conftest import INVENTORY, Execution, Policy


def test_a_run_is_limited_to_a_host_with_capitals_and_underscores_whose_variables_are_linked(
    policy: Policy, play: Callable[[RunRequest], Execution]
) -> None:
    production = policy.root / "inventories/production"
    production.mkdir(parents=True)
    (production / "hosts.yml").write_text(re.sub("checkout", "Web_02.Example.COM", INVENTORY))
    (policy.root / "shared/group_vars").mkdir(parents=True)
    (policy.root / "shared/group_vars/all.yml").write_text("greeting: linked\n")
    (production / "group_vars").symlink_to("../../shared/group_vars")
    hosts = frozenset({"Web_02.Example.COM", "billing"})
    playbook = policy.playbook("- ansible.builtin.assert: {that: greeting == 'linked'}")
    result = play(
        policy.request(playbook, inventory="inventories/production", hosts=hosts, limit="Web_02.Example.COM")
    ).result
    assert (result.outcome, set(result.recap)) == (Outcome.SUCCEEDED, {"Web_02.Example.COM"}), result.reason
