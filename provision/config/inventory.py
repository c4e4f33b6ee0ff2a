"""Read hosts from an Ansible inventory in any format of `ansible-inventory`, dynamic plugins included.

It runs as a program, because importing Ansible is slow.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision.config.yaml.problem import VARIABLES, Key, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TIMEOUT = 120  # seconds; dynamic plugins ask clouds
_ROLES = {"control_plane": "control-plane", "workers": "worker"}
_HERE: Key = ("inventory",)
_ARGUMENTS = "write ssh.bastion for a jump host; other options go to ~/.ssh/config, which counts"
_PASSWORD = "log in with a key (ssh.key, or an agent); passwords are not used"  # noqa: S105
_SUDO = "type the password of sudo when it is asked for, or allow sudo without one"
# Variable -> values that say what is done anyway, and what to do instead.
_REFUSED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "ansible_ssh_args": ((), _ARGUMENTS),
    "ansible_ssh_common_args": ((), _ARGUMENTS),
    "ansible_ssh_extra_args": ((), _ARGUMENTS),
    "ansible_ssh_executable": (("ssh", "/usr/bin/ssh"), "put the wanted ssh first on PATH"),
    "ansible_password": ((), _PASSWORD),
    "ansible_ssh_pass": ((), _PASSWORD),
    "ansible_ssh_password": ((), _PASSWORD),
    "ansible_become_password": ((), _SUDO),
    "ansible_become_pass": ((), _SUDO),
    "ansible_sudo_pass": ((), _SUDO),
    "ansible_become_method": (
        ("sudo", "ansible.builtin.sudo"),
        "let the login user use sudo, or log in as root",
    ),
    "ansible_become_user": (("root",), "let the login user use sudo as root"),
    "ansible_become_exe": (("sudo", "/usr/bin/sudo"), "let sudo be the program of that name on the host"),
    "ansible_python_interpreter": (
        ("/usr/bin/python3", "auto", "auto_silent", "auto_legacy", "auto_legacy_silent", "python3"),
        "let /usr/bin/python3 be Python 3.9 or newer there",
    ),
}


@dataclass(frozen=True, slots=True)
class Inventory:
    """Hosts as plain data of the cluster file, in the inventory's order.

    `user` and `key` (a private key's path) are those that all hosts share, "" if they differ.
    """

    hosts: tuple[dict[str, object], ...]
    user: str
    key: str
    problems: tuple[Problem, ...]


def read_inventory(path: Path) -> Inventory:
    """Run `ansible-inventory` of this interpreter's environment; failures are in `problems`."""
    if not path.exists():
        return _failed(f"{path} does not exist", "write a path relative to the cluster file's directory")
    try:
        answer = subprocess.run(
            # -P: no module of the working directory is imported.
            [sys.executable, "-P", "-m", "ansible", "inventory", "--inventory", str(path), "--list"],
            env={**os.environ, "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", "ANSIBLE_NOCOLOR": "true"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        listed = json.loads(answer.stdout) if answer.returncode == 0 else None
    except subprocess.TimeoutExpired:
        return _failed(
            f"{path} was not read within {_TIMEOUT} s", f"try `ansible-inventory -i {path} --list`"
        )
    except json.JSONDecodeError:
        listed = None
    if not isinstance(listed, dict):
        why = _last_error(answer.stderr)
        return _failed(
            f"ansible-inventory cannot read {path}: {why}", f"try `ansible-inventory -i {path} --list`"
        )
    return parse_inventory(listed, str(path))


def parse_inventory(listed: Mapping[str, object], name: str) -> Inventory:
    """Read the hosts from the output of `ansible-inventory --list`; `name` is the inventory in messages."""
    roles: dict[str, str] = {}
    for group, role in _ROLES.items():
        for host in _members(listed, group):
            if host in roles and roles[host] != role:
                message = f"{name}: {host} is in both groups, control_plane and workers"
                return _failed(message, "put every host into one of them")
            roles[host] = role
    if "control-plane" not in roles.values():
        groups = ", ".join(sorted(set(listed) - {"_meta"})) or "none"
        message = f"{name}: the group control_plane has no hosts (groups: {groups})"
        return _failed(message, "put hosts into the groups control_plane and workers")
    variables = _mapping(_mapping(listed.get("_meta")).get("hostvars"))
    of_host = {host: _mapping(variables.get(host)) for host in roles}
    hosts = tuple(_host(host, role, of_host[host]) for host, role in roles.items())
    keys = {str(values.get("ansible_ssh_private_key_file") or "") for values in of_host.values()}
    problems = [*_other_connections(of_host, name), *_not_understood(of_host, name)]
    if len(keys) > 1:
        fix = "use one key (ssh.key), an agent, or IdentityFile in ~/.ssh/config"
        message = (
            f"{name}: hosts have different values of ansible_ssh_private_key_file, which is not supported"
        )
        problems.append(Problem(_HERE, "inventory", message, fix))
    users = {host.get("user") for host in hosts}
    user = users.pop() if len(users) == 1 else None
    key = keys.pop() if len(keys) == 1 else ""
    return Inventory(hosts, user if isinstance(user, str) else "", key, tuple(problems))


def _host(name: str, role: str, variables: Mapping[str, object]) -> dict[str, object]:
    host: dict[str, object] = {"name": name, "address": name, "role": role}
    for key, names in VARIABLES.items():
        value = next((variables[each] for each in names if variables.get(each) is not None), None)
        if value is not None:
            host[key] = _plain(value)
    port = host.get("port")
    if isinstance(port, str) and port.isdecimal() and len(port) <= len("65535"):
        host["port"] = int(port)  # an INI inventory has no numbers in group variables
    return host


def _other_connections(of_host: Mapping[str, Mapping[str, object]], name: str) -> Iterator[Problem]:
    for host, variables in of_host.items():
        connection = variables.get("ansible_connection", "ssh")
        if connection not in ("ssh", "smart", "ansible.builtin.ssh"):
            message = f"{name}: {host} has ansible_connection {connection}; hosts are reached by ssh"
            yield Problem(_HERE, "inventory", message, "take the variable out")


def _not_understood(of_host: Mapping[str, Mapping[str, object]], name: str) -> Iterator[Problem]:
    """Variables that change how Ansible reaches a host, and that are neither honoured nor harmless."""
    for variable, (harmless, fix) in _REFUSED.items():
        values = {
            host: str(_plain(its[variable]))
            for host, its in of_host.items()
            if its.get(variable) not in (None, "")
        }
        hosts = [host for host, value in values.items() if value not in harmless]
        if hosts:
            more = f" and {len(hosts) - 1} other hosts" if len(hosts) > 1 else ""
            message = f"{name}: {variable} of {hosts[0]}{more} is not understood"
            yield Problem(_HERE, "inventory", message, f"take it out, and {fix}")


def _members(listed: Mapping[str, object], group: str) -> Iterator[str]:
    """Yield the hosts of a group and of its child groups, in order; Ansible has refused loops already."""
    content = _mapping(listed.get(group))
    yield from _texts(content.get("hosts"))
    for child in _texts(content.get("children")):
        yield from _members(listed, child)


def _plain(value: object) -> object:
    """Convert lists to tuples, as in a document, and unwrap Ansible's unsafe text."""
    if isinstance(value, list):
        return tuple(_plain(item) for item in value)
    if isinstance(value, dict):
        if set(value) == {"__ansible_unsafe"}:
            return value["__ansible_unsafe"]
        return {str(name): _plain(item) for name, item in value.items()}
    return value


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _last_error(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    wrong = [
        line for line in lines if "ERROR" in line or "Failed to parse" in line or "Unable to parse" in line
    ]
    return (wrong or lines or ["no error message"])[-1][:300]


def _failed(message: str, fix: str) -> Inventory:
    return Inventory((), "", "", (Problem(_HERE, "inventory", message, fix),))
