"""Read a policy tree with Ansible's own reader. Runs as a separate program: `-m ims.policy.reading_child REQUEST`.

REQUEST is a JSON object (`reader.py` builds it), the answer is one JSON object on standard output. Of IMS it imports
only its own parts, so that the effects of a policy's plugins end with this process. Reading a policy runs code of that
policy (lookups and filters in templates, plugins beside the tree): a policy is trusted like the program itself, and
the separate process protects only against mistakes. Only the variables that REQUEST names are rendered and returned.
"""

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.cli import CLI
from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.inventory.host import Host
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import EncryptedString
from ansible.plugins.loader import add_all_plugin_dirs, init_plugin_loader, inventory_loader
from ansible.release import __version__
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager

from ims.policy.reading_answer import DEEPEST, Answer, chain_of, innermost_message, place_of, place_of_error
from ims.policy.reading_playbooks import PlaybookReading

SERVICES = "services"
YAML_SUFFIXES = (".yml", ".yaml", ".json")
NOT_A_HOST = "policy-of-all-hosts"
"""A host in group `all` only, so that it has exactly the variables of group_vars/all."""
NO_SOURCE = (
    "is not an inventory source that IMS reads: use YAML, INI, TOML or `constructed`. Executable scripts and plugins "
    "that query other systems are not allowed, because a revision must always mean the same hosts."
)


NOT_OPENED = (
    "no vault password of the policy fits: set vault_password_file or vault_identity_list in its ansible.cfg, which "
    "runs use, too."
)

VARIABLES_DIRECTORIES = ("group_vars", "host_vars")
UNREAD = (
    "is not read: Ansible reads only those beside the hosts of the inventory. Give {inside} as the inventory, or move "
    "the directory up."
)
NO_DIRECTORY = (
    "is a file, and Ansible reads only a directory of this name. If it is a link in Git, check it out as one: "
    "git config core.symlinks true, then git checkout it again."
)


def files_below(start: Path) -> Iterator[Path]:
    """The files in a directory and in the directories it links to, each directory once; a file is itself."""
    if start.is_file():
        yield start
    seen = set()
    for directory, inner, names in os.walk(start, followlinks=True):
        real = os.path.realpath(directory)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        yield from (path for name in names if (path := Path(directory) / name).is_file())


def plain(value: Any, depth: int = 0) -> Any:
    """A rendered value as plain JSON; YAML types that JSON does not have become text."""
    if depth > DEEPEST:
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner, depth + 1) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return str(value)


class Reader:
    """One reading of one tree."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.root = Path(request["root"])
        self.inventory = str(self.root / request["inventory"])
        self.setting_names: list[str] = request["settings"]
        self.service_names: list[str] = request["service_variables"]
        self.vault_variables: list[str] = request["vault_variables"]
        self.answer = Answer()
        self.encrypted: dict[int, EncryptedString] = {}
        self.loader = DataLoader()
        # Lookups search beside the tree's own site.yml, and never in the caller's current directory.
        self.loader.set_basedir(str(self.root))

    def read(self) -> dict[str, Any]:
        """The whole answer, or only faults if a file cannot be parsed."""
        try:
            # The password comes from ansible.cfg alone, as in a run; there is no prompt.
            CLI.setup_vault_secrets(self.loader, vault_ids=constants.DEFAULT_VAULT_IDENTITY_LIST, auto_prompt=False)
        except AnsibleError as error:
            self.answer.fault(None, "", f"the vault password cannot be read: {innermost_message(error)}", "ansible.cfg")
        self.check_files()
        if not self.answer.faults:
            try:
                self.read_inventory()
            except AnsibleError as error:
                # An inventory plugin failed, although every file can be parsed.
                self.answer.fault(place_of_error(error), "", innermost_message(error), self.inventory)
        return {"ansible": __version__, **vars(self.answer)}

    def check_files(self) -> None:
        """Parse every inventory file separately, so that all broken files are reported at once, with positions."""
        top = Path(self.inventory)
        for name in VARIABLES_DIRECTORIES:
            if (path := (top if top.is_dir() else top.parent) / name).is_file():
                self.answer.fault(None, "", NO_DIRECTORY, str(path))
        if top.is_dir():
            self.note_unread(top)
        for path, is_variables in self.yaml_files():
            try:
                content = self.loader.load_from_file(str(path), cache="all", unsafe=True, trusted_as_template=True)
            except AnsibleError as error:
                self.fault_of_file(path, error)
                continue
            if is_variables and content and not isinstance(content, Mapping):
                message = "must be a mapping of variable names to values."
                self.answer.fault(place_of(content), "", message, str(path))

    def note_unread(self, top: Path) -> None:
        """Warn of variables in a directory below: Ansible reads the hosts of an inventory inside, not its variables."""
        below = {above for path in files_below(top) for above in path.parents}
        for path in sorted(path for path in below if path.name in VARIABLES_DIRECTORIES and path.parent != top):
            if path.is_relative_to(top) and not set(path.relative_to(top).parts[:-1]) & set(VARIABLES_DIRECTORIES):
                self.answer.warn(None, "", UNREAD.format(inside=path.parent.relative_to(self.root)), str(path))

    def yaml_files(self) -> Iterator[tuple[Path, bool]]:
        """The YAML files of the inventory, and whether each holds variables; the others are sources of hosts."""
        top = Path(self.inventory)
        base = top if top.is_dir() else top.parent
        starts = (base,) if top.is_dir() else (top, *(base / name for name in VARIABLES_DIRECTORIES))
        for path in sorted(path for start in starts for path in files_below(start)):
            inner = path.relative_to(base).parts
            if any(part.startswith(".") or part.endswith("~") for part in inner):
                continue
            is_variables = len(inner) > 1 and inner[0] in VARIABLES_DIRECTORIES
            is_yaml = path.suffix in YAML_SUFFIXES or (is_variables and not path.suffix)
            if is_yaml and (is_variables or top.is_dir() or path == top):
                yield path, is_variables

    def fault_of_file(self, path: Path, error: AnsibleError) -> None:
        message = innermost_message(error)
        if "vault" in message.lower():
            message += (
                f" This file is encrypted and {self.no_password()} Or move what no run needs out of the inventory."
            )
        place = place_of_error(error)
        if place is None or place[0] != str(path):
            # The mark of the YAML parser is public API.
            marks = [mark for link in chain_of(error) if (mark := getattr(link, "problem_mark", None))]
            place = (str(path), marks[0].line + 1, marks[0].column + 1) if marks else None
        self.answer.fault(place, "", message, str(path))

    def read_inventory(self) -> None:
        manager = self.parse_sources()
        if isinstance(manager, AnsibleError):
            self.fault_of_sources(manager)
            return
        variables = VariableManager(self.loader, manager)
        # Like `ansible` and `ansible-inventory` without --playbook-dir: no group_vars beside a playbook or in the
        # current directory, because only the inventory is the policy.
        variables.safe_basedir = False
        HostVars(manager, variables, self.loader)  # Registers itself, so that templates can use `hostvars`.
        self.answer.hosts = sorted(manager.hosts)
        self.answer.groups = {
            str(name): sorted(host.name for host in group.get_hosts()) for name, group in manager.groups.items()
        }
        common = self.read_settings(variables)
        for host in manager.groups[SERVICES].get_hosts() if SERVICES in manager.groups else []:
            self.read_service(variables, host, common)
        PlaybookReading(self.root, self.loader, manager, self.answer, self.fault_of_file).check()

    def parse_sources(self) -> Any:
        """The inventory or the error, which is returned so that it does not become the cause of later errors."""
        try:
            return InventoryManager(self.loader, sources=[self.inventory])
        except AnsibleError as error:
            return error

    def fault_of_sources(self, error: AnsibleError) -> None:
        """Report why sources cannot be parsed: the manager only names the source, the YAML plugin has the reason."""
        for path, is_variables in self.yaml_files():
            content = self.loader.load_from_file(str(path), cache="all", unsafe=True, trusted_as_template=True)
            if is_variables or (isinstance(content, Mapping) and "plugin" in content):
                continue
            try:
                inventory_loader.get("ansible.builtin.yaml").parse(InventoryData(), self.loader, str(path))
            except AnsibleError as reason:
                self.fault_of_file(path, reason)
        if not self.answer.faults:
            words = innermost_message(error).split()
            source = next((word for word in words if word.startswith(str(self.root))), self.inventory)
            self.answer.fault(None, "", NO_SOURCE, source)

    def read_settings(self, variables: VariableManager) -> dict[str, Any]:
        """Read the variables of the policy as a whole, which only group_vars/all may set."""
        raw: dict[str, Any] = variables.get_vars(host=Host(NOT_A_HOST, gen_uuid=False))
        self.answer.names[""] = self.note_names(raw, "")
        self.answer.settings = self.render(raw, self.setting_names, "")
        return raw

    def read_service(self, variables: VariableManager, host: Host, common: Mapping[str, Any]) -> None:
        raw: dict[str, Any] = variables.get_vars(host=host)
        prefix = f"services.{host.name}."
        if place := place_of(host.name):
            self.answer.places[prefix.rstrip(".")] = place
        # Only variables that are not in group_vars/all can be misspelt host variables.
        own = {key: value for key, value in raw.items() if key not in common}
        self.answer.names[host.name] = self.note_names(own, prefix)
        self.answer.services[host.name] = self.render(raw, self.service_names, prefix)
        for name in self.setting_names:
            # Compare identity first: comparing encrypted values would need their password.
            if name in raw and raw[name] is not common.get(name) and raw[name] != common.get(name):
                self.answer.note_places(prefix + name, raw[name], next(k for k in raw if k == name))
                self.answer.overridden.append(prefix + name)

    def note_names(self, raw: Mapping[str, Any], prefix: str) -> list[str]:
        """The names of variables, to find misspelt ones; stores their positions, but returns no values."""
        for key, value in raw.items():
            if place := place_of(value) or place_of(key):
                self.answer.places.setdefault(prefix + str(key), place)
            self.check_encrypted(value, str(key))
        return sorted(str(key) for key in raw)

    def no_password(self) -> str:
        """What to do about what is encrypted; who has set a variable of the shell hears that it is not used."""
        given = " and ".join(self.vault_variables)
        return NOT_OPENED + (f" {given} of this shell is not used, because a run would not have it." if given else "")

    def check_encrypted(self, value: Any, name: str, depth: int = 0) -> None:
        """Look for what no password of the policy decrypts: a playbook that uses it fails.

        Whoever gave a password by a variable of the shell believes that it can be used, and is refused; else nobody may
        need it for healing, and it is a warning.
        """
        if isinstance(value, EncryptedString):
            self.check_encrypted_string(value, name)
        elif depth < DEEPEST and isinstance(value, dict):  # `hostvars` is another mapping, which renders what it gives
            for inner in value.values():
                self.check_encrypted(inner, name, depth + 1)
        elif depth < DEEPEST and isinstance(value, (list, tuple)):
            for inner in value:
                self.check_encrypted(inner, name, depth + 1)

    def check_encrypted_string(self, value: EncryptedString, name: str) -> None:
        if name in self.setting_names or name in self.service_names or id(value) in self.encrypted:
            return  # rendering it says the same, or it was looked at before
        self.encrypted[id(value)] = value
        try:
            str(value)
        except AnsibleError:
            note = self.answer.fault if self.vault_variables else self.answer.warn
            note(place_of(value), "", f"{name} is encrypted and {self.no_password()}", self.inventory)

    def render(self, raw: dict[str, Any], names: list[str], prefix: str) -> dict[str, Any]:
        """Render the named variables one by one, so that a fault in one does not hide the others."""
        templar = Templar(self.loader, raw)
        rendered = {}
        for key in [key for key in raw if key in names]:
            path, value = prefix + str(key), raw[key]
            self.answer.note_places(path, value, key)
            if isinstance(value, list):
                rendered[str(key)] = [self.render_one(templar, f"{path}.{i}", item) for i, item in enumerate(value)]
            else:
                rendered[str(key)] = self.render_one(templar, path, value)
        return rendered

    def render_one(self, templar: Templar, path: str, value: Any) -> Any:
        try:
            rendered = plain(templar.template(value))
            if str(self.root) in json.dumps(rendered):
                raise AnsibleError("it contains the directory of the policy, which differs on every machine.")
            return rendered
        except AnsibleError as error:
            message = f"cannot be rendered: {innermost_message(error)}"
            if "vault" in message.lower():
                message = f"is encrypted and {self.no_password()}"
            self.answer.fault(place_of_error(error) or self.answer.places.get(path), path, message, self.inventory)
            self.answer.unrendered.append(path)
            return None


def main() -> None:
    """Write the answer to the real standard output; output of plugins goes to standard error."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.loads(sys.argv[1])
    init_plugin_loader()
    # A run adds them, too: see `ims.runs.supervision.launch`.
    add_all_plugin_dirs(request["root"])
    with answer:
        json.dump(Reader(request).read(), answer, allow_nan=False, default=str)


if __name__ == "__main__":
    main()
