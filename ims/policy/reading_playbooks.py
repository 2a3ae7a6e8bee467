"""Whether Ansible can load the playbooks of the rules, and whether they touch a service. Part of `reading_child`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from ims.policy.loading import PlaybookLoading, in_fork
from ims.policy.reading_answer import Answer, finding, innermost_message, place_of, place_of_error


@dataclass(frozen=True, slots=True)
class PlaybookReading:
    """The playbooks that the rules in `answer` name, with the inventory that they would run on."""

    root: Path
    loader: DataLoader
    manager: InventoryManager
    answer: Answer
    fault_of_file: Callable[[Path, AnsibleError], None]
    """Report a file that cannot be parsed."""

    def check(self) -> None:
        """For each rule's playbook: can Ansible load it, and does any play touch a service?

        A run is limited to one service, and else does nothing.
        """
        services = set(self.answer.services)
        for name, parameters in sorted(self.playbooks_of_rules().items()):
            path = self.root / name
            if path.is_file() and path.resolve().is_relative_to(self.root.resolve()):
                self.answer.playbooks[name] = self.check_playbook(path, services, parameters)

    def playbooks_of_rules(self) -> dict[str, set[str]]:
        """The playbooks, each with the names of extra variables that its runs may have."""
        rules = self.answer.settings.get("healing_rules")
        found: dict[str, set[str]] = {}
        for rule in rules if isinstance(rules, list) else []:
            if isinstance(rule, dict) and isinstance(name := rule.get("playbook"), str):
                parameters = rule.get("parameters")
                found.setdefault(name, {"alert"}).update(parameters if isinstance(parameters, dict) else ())
        return found

    def check_playbook(self, path: Path, services: set[str], parameters: set[str]) -> dict[str, Any]:
        try:
            plays = self.loader.load_from_file(str(path), cache="none", trusted_as_template=True)
        except AnsibleError as error:
            self.fault_of_file(path, error)
            return {"readable": False}
        if not isinstance(plays, list) or not plays or not all(isinstance(play, Mapping) for play in plays):
            self.answer.fault(place_of(plays), "", "is not a playbook: it must be a list of plays.", str(path))
            return {"readable": False}
        found = in_fork(lambda: self.load_playbook(path, plays, parameters))
        if found is None:
            self.answer.fault(None, "", "could not be loaded: something of the policy ended Ansible.", str(path))
        else:
            self.answer.faults.extend(found["faults"])
            self.answer.warnings.extend(found["warnings"])
        return {"readable": True, "touches_services": any(touches(self.manager, play, services) for play in plays)}

    def load_playbook(self, path: Path, plays: list[Any], parameters: set[str]) -> dict[str, Any]:
        """What Ansible says when it loads the playbook."""
        found = PlaybookLoading(path, self.loader, self.manager, parameters).load(plays)
        return {
            "faults": [
                *(
                    finding(place_of_error(error) or place_of(of), "", innermost_message(error), str(path))
                    for of, error in found.errors
                ),
                *(finding(place_of(of), "", message, str(path)) for of, message in found.faults),
            ],
            "warnings": [finding(place_of(of), "", message, str(path)) for of, message in found.warnings],
        }


def touches(manager: InventoryManager, play: Mapping[str, Any], services: set[str]) -> bool:
    """Whether a play's hosts include a service; True if that is only known at run time."""
    hosts = play.get("hosts")
    if hosts is None or "{{" in str(hosts):
        return "hosts" in play or any("import_playbook" in str(key) for key in play)
    try:
        return any(host.name in services for host in manager.get_hosts(hosts))
    except AnsibleError:
        return False
