"""Run a step's playbook by ansible-runner.

Defaults of ansible-runner that are overridden here (seen in 2.4.3): it switches host key checking off, passes the
whole environment to Ansible and writes it to a file, keeps every event and variable on disk, and takes the first
`ansible-playbook` on PATH. Everything a run writes is in one private directory, in memory where possible, and removed
at its end; what a killed run left is removed by the next.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import ansible_runner

from provision.ansible.events import Listener
from provision.ansible.inventory import inventory_text, known_hosts_text
from provision.ansible.workspace import MARK, SOCKETS, end_processes, workspace, write_private
from provision.engine.executor import StepResult
from provision.errors import StepFailedError
from provision.paths import playbook

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping

    from provision.engine.events import Emit
    from provision.model.cluster import Cluster
    from provision.model.plan import PlaybookStep

_MAX_FORKS = 50
# Without keep-alive, a host that is lost while a module runs there would be waited for forever.
_SSH = (
    "-o ConnectTimeout=10 -o ControlMaster=auto -o ControlPersist=180s "
    "-o ServerAliveInterval=15 -o ServerAliveCountMax=4"
)
_KNOWN_HOSTS, _SETTINGS, _PASSWORD = "known_hosts", "ansible.cfg", "sudo"  # files of the private directory
_USERS = ("HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "TMPDIR")  # what ssh needs of the user's environment
_RUNNERS_OWN = (
    MARK,
    "ANSIBLE_CALLBACK_PLUGINS",
    "ANSIBLE_STDOUT_CALLBACK",
    "RUNNER_OMIT_EVENTS",
    "RUNNER_ONLY_FAILED_EVENTS",
)


@contextmanager
def playbooks(cluster: Cluster, *, sudo_password: str | None = None) -> Iterator[Playbooks]:
    """Prepare to run playbooks against a cluster; remove all traces at the end.

    SSH connections are shared by all steps of the run and closed at its end. The sudo password is in a 0600 file
    of the private directory, never on a command line.
    """
    with workspace() as directory:
        (directory / _SETTINGS).touch()
        write_private(directory / _KNOWN_HOSTS, known_hosts_text(cluster))
        if sudo_password is not None:
            write_private(directory / _PASSWORD, sudo_password + "\n")
        yield Playbooks(cluster, directory)


@dataclass(frozen=True, slots=True)
class Playbooks:
    """Made by `playbooks`; `directory` is private to the run."""

    cluster: Cluster
    directory: Path

    def run_step(self, step: PlaybookStep, emit: Emit, cancel: threading.Event) -> StepResult:
        """Run the step's playbook against its hosts; ends soon after `cancel` is set.

        Hosts that failed are in the result, each with a HostFailed event. Raises StepFailedError if Ansible itself
        could not run the playbook.
        """
        directory = self.directory / step.name
        directory.mkdir(mode=0o700)
        inventory = directory / "inventory.yml"
        write_private(inventory, inventory_text(self.cluster, step, self.directory / _KNOWN_HOSTS))
        listener = Listener(step.name, emit, step.through)
        runner = ansible_runner.interface.init_runner(
            private_data_dir=str(directory),
            playbook=str(playbook(step.playbook)),
            inventory=str(inventory),
            limit=":".join(step.hosts),  # plays put it into patterns, where a comma would bind weaker
            cmdline=self._become_arguments(),
            envvars=self._environment(directory),
            settings={"pexpect_timeout": 1, "suppress_output_file": True, "fact_cache_type": "memory"},
            quiet=True,
            event_handler=listener.handle,
            cancel_callback=cancel.is_set,
        )
        runner.config.env = _scrub(runner.config.env, self._environment(directory))
        try:
            runner.run()
        finally:
            # ansible-runner kills one process group, but every worker of Ansible leads a session of its own.
            end_processes(directory)
            shutil.rmtree(directory)
        if runner.status == "canceled":
            return StepResult(listener.changed, frozenset(step.hosts))
        failed = listener.failed_hosts(step.hosts)
        if runner.rc != 0 and not failed:
            last = tuple(listener.errors)[-10:]
            raise StepFailedError(
                f"{step.name}: ansible-playbook ended with exit code {runner.rc}", detail=last
            )
        return StepResult(listener.changed, failed)

    def _become_arguments(self) -> str | None:
        password = self.directory / _PASSWORD
        return shlex.join(["--become-password-file", str(password)]) if password.exists() else None

    def _environment(self, directory: Path) -> dict[str, str]:
        """All settings of Ansible: no ansible.cfg and no variable of the user's shell counts."""
        programs = Path(sys.executable).parent
        return {
            "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "ANSIBLE_CONFIG": str(self.directory / _SETTINGS),  # empty
            "ANSIBLE_HOME": str(directory / "home"),
            "ANSIBLE_LOCAL_TEMP": str(directory / "tmp"),
            "ANSIBLE_HOST_KEY_CHECKING": "True",
            "ANSIBLE_PIPELINING": "True",
            "ANSIBLE_SSH_ARGS": _SSH,
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.directory / SOCKETS),
            "ANSIBLE_TIMEOUT": "60",  # for sudo, which first asks name servers that may not answer; ssh has its own
            "ANSIBLE_NO_TARGET_SYSLOG": "True",  # modules would log their parameters there
            "ANSIBLE_FORKS": str(min(len(self.cluster.hosts), _MAX_FORKS)),
            "ANSIBLE_GATHERING": "explicit",
            "ANSIBLE_CACHE_PLUGIN": "memory",
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "ANSIBLE_NOCOWS": "1",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "False",
            "ANSIBLE_CALLBACK_PLUGINS": "",
            "ANSIBLE_INVENTORY_ENABLED": "yaml",
        }


def _scrub(environment: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """Reduce ansible-runner's environment to our settings, its own, and what ssh needs of the user's."""
    kept = {name: environment[name] for name in (*_USERS, *_RUNNERS_OWN) if name in environment}
    return {**kept, **{name: value for name, value in ours.items() if name not in _RUNNERS_OWN}}
