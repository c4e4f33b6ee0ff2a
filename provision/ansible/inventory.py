"""The Ansible inventory of a step, with the OpenSSH options of each host. Pure.

Every text of a user is marked unsafe, so that Ansible never renders it as a template.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from provision.model.units import split_destination

if TYPE_CHECKING:
    from provision.model.cluster import Cluster, Host
    from provision.model.plan import PlaybookStep

_STRICT = ("-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes")
_JUMP = ("ssh", *_STRICT)


def inventory_text(cluster: Cluster, step: PlaybookStep, known_hosts: Path) -> str:
    """All hosts of the cluster (a step may delegate to one that it does not change), in groups by role.

    The step's variables are here and not extra variables, which would override those of a host. `known_hosts`
    is the file with what `known_hosts_text` returns.
    """

    def variables(host: Host) -> dict[str, object]:
        values: dict[str, object] = {
            "ansible_host": host.address,
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_common_args": _ssh_arguments(cluster, host, known_hosts),
        }
        if host.port:
            values["ansible_port"] = host.port
        user = host.user or cluster.ssh.user
        if user:
            values["ansible_user"] = user
        if cluster.ssh.key:
            values["ansible_ssh_private_key_file"] = str(Path(cluster.ssh.key).expanduser())
        return {**values, **_unsafe(step.host_variables.get(host.name, {}))}

    groups = {"control_plane": cluster.control_planes, "workers": cluster.workers}
    children = {
        name: {"hosts": {host.name: variables(host) for host in hosts}} for name, hosts in groups.items()
    }
    return _to_yaml(
        {"all": {"vars": _unsafe({**step.variables, **step.node_variables}), "children": children}}
    )


def known_hosts_text(cluster: Cluster) -> str:
    """The pinned keys of the hosts, as OpenSSH reads them, by their names: ssh_config may change their addresses."""
    return "".join(f"{host.name} {host.host_key}\n" for host in cluster.hosts if host.host_key)


def _ssh_arguments(cluster: Cluster, host: Host, known_hosts: Path) -> str:
    """Options of OpenSSH for one host: its known keys, the key to log in with, the bastion."""
    # An agent with many keys would exhaust the attempts that a server allows before the right one is offered.
    identity = ["-o", "IdentitiesOnly=yes"] if cluster.ssh.key else []
    options = [*_STRICT, *identity]
    if host.host_key:
        options += ["-o", f"UserKnownHostsFile={known_hosts}", "-o", "GlobalKnownHostsFile=/dev/null"]
        options += ["-o", f"HostKeyAlias={host.name}"]
    if cluster.ssh.bastion:
        jump = [*_JUMP, *identity, "-W", "[%h]:%p"]
        if cluster.ssh.key:
            jump += ["-i", str(Path(cluster.ssh.key).expanduser())]
        user, name, port = split_destination(cluster.ssh.bastion)
        jump += ["-p", str(port)] if port else []
        jump += ["--", f"{user}@{name}" if user else name]
        options += ["-o", f"ProxyCommand={shlex.join(jump)}"]
    return shlex.join(options)


class _Unsafe(str):
    """Text that Ansible must never render as a template."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (the name is PyYAML's)
        return True


_Dumper.add_representer(
    _Unsafe, lambda dumper, text: dumper.represent_scalar("!unsafe", str(text), style="'")
)


def _to_yaml(data: object) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=10_000)


def _unsafe(value: Any) -> Any:
    """The same data with every text marked: `{{ lookup('pipe', ...) }}` stays literal."""
    if isinstance(value, Mapping):
        return {str(key): _unsafe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_unsafe(item) for item in value]
    return _Unsafe(value) if isinstance(value, str) else value
