"""Load playbooks as ansible-playbook does before their first task, and go on after a fault. Part of `reading_child`.

`ansible-playbook --syntax-check` stops at the first fault, takes a second for each playbook, and does not look at what
is included while a playbook runs. Here Ansible's own classes load each playbook in a fork of the reader, which has
imported them already, and so no plugin of one playbook is found by another. Two of their functions are replaced by ones
that note a fault and load the rest. Where Ansible has moved them, only its first fault is reported.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ansible import constants
from ansible.errors import AnsibleError, AnsibleFileNotFound, AnsibleUndefinedVariable
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook import Play
from ansible.playbook.block import Block
from ansible.playbook.handler import Handler
from ansible.playbook.helpers import load_list_of_blocks, load_list_of_roles, load_list_of_tasks
from ansible.playbook.playbook_include import PlaybookInclude
from ansible.playbook.role import Role
from ansible.playbook.role_include import IncludeRole
from ansible.playbook.task import Task
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.loader import add_all_plugin_dirs
from ansible.utils.collection_loader import AnsibleCollectionConfig
from ansible.vars.manager import VariableManager

INCLUDES = 2_000
"""Includes that are followed in one playbook: one that includes itself for as long as a condition holds is sound."""
_TASKS_LOADERS = ("ansible.playbook.block.load_list_of_tasks",)
_ROLES_LOADERS = ("ansible.playbook.play.load_list_of_roles", "ansible.playbook.role.metadata.load_list_of_roles")

_FORGOTTEN = (
    "is started with `poll: 0`, and nobody waits for it. A run stops every process that it leaves on the worker's "
    "machine, so on a local connection this is stopped with the run, done or not. Wait for it with "
    "ansible.builtin.async_status, or have a service manager start it."
)


@dataclass
class Findings:
    """What the loading of a playbook found, each with the object that has the place."""

    errors: list[tuple[Any, AnsibleError]] = field(default_factory=list)
    faults: list[tuple[Any, str]] = field(default_factory=list)
    warnings: list[tuple[Any, str]] = field(default_factory=list)


def in_fork(work: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """Return what `work` returns in a fork of this process, by way of JSON; None if the fork came to no end."""
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.close(receiving)
            with os.fdopen(sending, "w", encoding="utf-8") as answer:
                json.dump(work(), answer, default=str)
            os._exit(0)
        os._exit(1)
    os.close(sending)
    with os.fdopen(receiving, encoding="utf-8") as answer:
        text = answer.read()
    _, status = os.waitpid(pid, 0)
    result: dict[str, Any] | None = json.loads(text) if status == 0 else None
    return result


class PlaybookLoading:
    """The loading of one playbook, whose run will have extra variables of these names."""

    def __init__(
        self, path: Path, loader: DataLoader, inventory: InventoryManager, extra_variables: Iterable[str]
    ) -> None:
        self.findings = Findings()
        self._path = path
        self._loader = loader
        self._variables = VariableManager(loader, inventory)
        self._extra_variables = frozenset(extra_variables)
        self._jobs: list[Task] = []
        self._waits: list[str] = []
        self._followed: set[tuple[str, str]] = set()

    def load(self, entries: Iterable[Any]) -> Findings:
        """Load the entries of the playbook, and all that they import and include by names without templates."""
        self._loader.set_basedir(str(self._path.parent))
        add_all_plugin_dirs(str(self._path.parent))
        AnsibleCollectionConfig.playbook_paths = [str(self._path.parent)]
        with self._going_on():
            for entry in entries:
                with self._noted(entry):
                    for play in self._plays(entry):
                        self._follow_play(play)
        for job in self._jobs:
            if not any(job.register and job.register in wait for wait in self._waits):
                self.findings.warnings.append((job.get_ds(), _FORGOTTEN))
        return self.findings

    def _plays(self, entry: Mapping[str, Any]) -> list[Play]:
        if not any(action in entry for action in constants._ACTION_IMPORT_PLAYBOOK):
            return [Play.load(entry, variable_manager=self._variables, loader=self._loader)]
        imported = PlaybookInclude.load(
            entry, basedir=str(self._path.parent), variable_manager=self._variables, loader=self._loader
        )
        plays: list[Play] = imported.get_plays() if imported is not None else []
        return plays

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        """While this lasts, Ansible loads each task and each role alone."""

        def tasks(given: Any, play: Play, **options: Any) -> list[Any]:
            return self._each(given, lambda items: load_list_of_tasks(items, play, **options))

        def roles(given: Any, play: Play, **options: Any) -> list[Any]:
            def load(items: list[Any]) -> list[Any]:
                found: list[Any] = load_list_of_roles(items, play, **options)
                for role in found:
                    Role.load(role, play=play)  # what is wrong in it, while the others can still be loaded
                return found

            return self._each(given, load)

        with contextlib.ExitStack() as stack:
            for names, replacement in ((_TASKS_LOADERS, tasks), (_ROLES_LOADERS, roles)):
                for name in names:
                    with contextlib.suppress(AttributeError, ImportError):
                        stack.enter_context(patch(name, replacement))
            yield

    def _each(self, given: Any, load: Callable[[list[Any]], list[Any]]) -> list[Any]:
        if not isinstance(given, list):
            return load(given)  # Ansible says that it must be one
        loaded: list[Any] = []
        for item in given:
            with self._noted(item):
                loaded.extend(load([item]))
        return loaded

    @contextlib.contextmanager
    def _noted(self, item: Any) -> Iterator[None]:
        try:
            yield
        except AnsibleFileNotFound as error:
            name = Path(str(error.file_name or "")).name
            self.findings.faults.append((item, f"names {name or 'a file'}, which is not there."))
        except AnsibleError as error:
            if not self._needs_extra_variable(error):
                self.findings.errors.append((item, error))

    def _needs_extra_variable(self, error: BaseException) -> bool:
        """Whether a run may load what could not be loaded here, because it has variables that come from the alert."""
        link: BaseException | None = error
        while link is not None and not isinstance(link, AnsibleUndefinedVariable):
            link = link.__cause__ or link.__context__
        return link is not None and any(f"'{name}' is undefined" in str(link) for name in self._extra_variables)

    def _follow_play(self, play: Play) -> None:
        self._check_vars_files(play)
        self._follow(play, [*play.compile(), *play.handlers, *play.compile_roles_handlers()])

    def _follow(self, play: Play, parts: Iterable[Any]) -> None:
        for part in parts:
            if isinstance(part, Block):
                self._follow(play, [*part.block, *part.rescue, *part.always])
            elif isinstance(part, Task):
                with self._noted(part.get_ds()):
                    self._look_at(play, part)

    def _look_at(self, play: Play, task: Task) -> None:
        if task.async_val and task.poll == 0:
            self._jobs.append(task)
        if task.action.endswith("async_status"):
            self._waits.append(f"{task.args} {task.loop}")
        if isinstance(task, IncludeRole):
            if not task.statically_loaded and _is_plain(task._role_name) and self._is_new(task, task._role_name):
                blocks, handlers = task.get_block_list(play=play, variable_manager=self._variables, loader=self._loader)
                self._follow(play, [*blocks, *handlers])
        elif isinstance(task, TaskInclude):
            self._follow_include(play, task)
        elif task.action in constants._ACTION_INCLUDE_VARS:
            self._check_include_vars(task)

    def _follow_include(self, play: Play, task: TaskInclude) -> None:
        name = task.args.get("_raw_params")
        if task.statically_loaded or not isinstance(name, str) or not _is_plain(name):
            return
        candidates = list(self._places_of(task, name))
        path = next((place for place in candidates if Path(place).is_file()), None)
        if path is None:
            if candidates:
                self.findings.faults.append((task.get_ds(), f"includes {name}, which is not there."))
            return
        if not self._is_new(task, path):
            return
        content = self._loader.load_from_file(path, cache="none", trusted_as_template=True)
        if content is not None and not isinstance(content, list):
            self.findings.faults.append((task.get_ds(), f"includes {name}, which is no list of tasks."))
            return
        blocks = load_list_of_blocks(
            content,
            play=play,
            parent_block=task.build_parent_block(),
            role=task._role,
            use_handlers=isinstance(task, Handler),
            variable_manager=self._variables,
            loader=self._loader,
        )
        self._follow(play, blocks)

    def _places_of(self, task: TaskInclude, name: str) -> Iterator[str]:
        """Where Ansible looks for an included file: beside each file that includes the task, then as of the play."""
        kind = "handlers" if isinstance(task, Handler) else "tasks"
        role = task._role._role_path if task._role else None
        below = ""
        parent = task._parent
        while parent is not None:
            if isinstance(parent, TaskInclude):
                own = parent._role_path if isinstance(parent, IncludeRole) else parent.args.get("_raw_params")
                if not isinstance(own, str) or not _is_plain(own):
                    return  # known only when it runs
                below = str((Path(own) if isinstance(parent, IncludeRole) else Path(own).parent) / below)
                if role:
                    yield self._loader.path_dwim_relative(role, kind, name, is_role=True)
                    yield self._loader.path_dwim_relative(str(Path(role, kind, below)), kind, name, is_role=True)
                else:
                    yield self._loader.path_dwim_relative(self._loader.get_basedir(), below, name)
            parent = parent._parent
        if role:
            yield self._loader.path_dwim_relative(role, kind, name, is_role=True)
        else:
            yield self._loader.path_dwim(name)

    def _is_new(self, task: Task, name: str) -> bool:
        """Whether an include is to be followed: each file once for each role, and never without end."""
        key = (str(task._role._role_path) if task._role else "", f"{name} {getattr(task, '_from_files', '')}")
        if key in self._followed or len(self._followed) == INCLUDES:
            return False
        self._followed.add(key)
        return True

    def _check_vars_files(self, play: Play) -> None:
        for entry in play.get_vars_files():
            names = entry if isinstance(entry, list) else [entry]
            if all(isinstance(name, str) and _is_plain(name) for name in names):
                self._check_variables(play.get_search_path(), names, names[0])

    def _check_include_vars(self, task: Task) -> None:
        name = task.args.get("file") or task.args.get("_raw_params")
        if isinstance(name, str) and _is_plain(name) and "dir" not in task.args and not task.loop_with:
            self._check_variables(task.get_search_path(), [name], task.get_ds())

    def _check_variables(self, stack: list[str], names: list[str], of: Any) -> None:
        """Of several names the first one that is there counts."""
        for name in names:
            with contextlib.suppress(AnsibleFileNotFound):
                path = self._loader.path_dwim_relative_stack(stack, "vars", name)
                content = self._loader.load_from_file(path, cache="none", unsafe=True, trusted_as_template=True)
                if content is not None and not isinstance(content, Mapping):
                    self.findings.faults.append((of, f"names the variables file {name}, which is no mapping."))
                return
        self.findings.faults.append((of, f"names the variables file {' or '.join(names)}, which is not there."))


def _is_plain(name: str) -> bool:
    """Whether a name says the same before the playbook runs."""
    return "{{" not in name and "{%" not in name
