"""Write a new cluster file of provider kubeadm from arguments: set values, and comments for what could be set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from provision.config.edit.host_text import host_pairs
from provision.config.rules import validate_values
from provision.config.yaml.problem import Key, Problem, key_text, quote, to_findings
from provision.config.yaml.syntax import scalar
from provision.errors import FileError
from provision.model.cluster import Cluster, Firewall, Host, Role, Ssh, VirtualAddress
from provision.model.units import split_destination
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_HOST = re.compile(r"(?:(?P<user>[^@=]+)@)?(?P<place>[^@=]+)(?:=(?P<name>[^@=]+))?")
_PREFIXES: dict[Role, str] = {"control-plane": "cp", "worker": "w"}
_FLAGS: dict[Key, str] = {
    ("name",): "--name",
    ("kubernetes",): "--kubernetes",
    ("endpoint",): "--endpoint",
    ("endpoint", "vip"): "--endpoint",
    ("ssh", "key"): "--ssh-key",
    ("ssh", "bastion"): "--bastion",
    ("hosts",): "--control-plane",
}
_HEAD = """\
# What the cluster {name} should be. Yours to edit, and to keep under version control.
#   provision check   every mistake in here, and every problem of the hosts; changes nothing
#   provision plan    what would be done, and why
#   provision apply   does it; again later, it does only what is missing
"""
_NETWORK = """\
# Ranges of addresses for pods and services: apart from each other and from the hosts' own network. They cannot be
# changed once the cluster is there; `version` is the plugin's in a new cluster.
"""
_ENDPOINT = """\
# Where clients reach the API server. Needed with more than one control plane: the address and port of a load
# balancer of yours, or `{vip: ADDRESS}`, which the control planes keep, or `local`, a load balancer on every node.
"""
_SSH = """\
# How hosts are reached. What is left out is what OpenSSH itself would use (agent, ~/.ssh/config).
"""
_HOSTS = """\
# The machines. A host may also have a `port`, a `user`, `labels: {disk: ssd}` and
# `taints: ["key=value:NoSchedule"]`, and its pinned key. Without that, ~/.ssh/known_hosts decides whether
# a machine is trusted. To pin it, compare what `ssh-keyscan -t ed25519 ADDRESS` prints with the machine's
# own console, and write its last two words:
#   host_key: ssh-ed25519 AAAAC3Nza...
"""
_KUBEADM = "# kubeadm's preflight checks to ignore, by name, one by one.\n"
_FIREWALL = """\
# Firewalls of the hosts (firewalld, ufw, nftables, iptables) stay on; they are opened for the hosts of this file.
# Who else reaches the API server, by default the machine that runs provision, and (node_ports_from) node ports.
"""
_MIRROR = "# Where packages, images and manifests come from, if not from the public places.\n"


def cluster_from_arguments(
    *,
    name: str,
    control_planes: Sequence[str],
    workers: Sequence[str] = (),
    kubernetes: str | None = None,
    endpoint: str | None = None,
    ssh_key: str | None = None,
    bastion: str | None = None,
) -> Cluster:
    """Return the cluster that flags describe; hosts are `[user@]host[:port][=name]`.

    An IPv6 address with a port is in brackets. Hosts without a name are called cp1, cp2, ... and w1, w2, ...
    `kubernetes` None is this release's default. `endpoint` may also be `vip:ADDRESS`.

    Raises FileError with a finding per argument that is wrong.
    """
    arguments: list[tuple[Role, str]] = [("control-plane", text) for text in control_planes]
    arguments += [("worker", text) for text in workers]
    hosts = tuple(_hosts(arguments))
    users = {host.user for host in hosts}
    common = users.pop() if len(users) == 1 else None
    if common:
        hosts = tuple(host.model_copy(update={"user": None}) for host in hosts)
    word, _, vip = (endpoint or "").partition(":")  # a host may be called vip, too: vip:6443
    cluster = Cluster(
        name=name,
        kubernetes=kubernetes or versions().kubernetes.default,
        endpoint=VirtualAddress(vip=vip) if word == "vip" and not vip.isdecimal() else endpoint,
        ssh=Ssh(user=common, key=ssh_key, bastion=bastion),
        hosts=hosts,
    )
    problems = [problem for problem in validate_values(cluster.model_dump()) if problem.severity == "error"]
    _raise_for(problems, arguments)
    return cluster


def _hosts(arguments: Sequence[tuple[Role, str]]) -> Iterator[Host]:
    """Parse the host arguments; the rules validate the parts. Raises FileError for those that do not parse."""
    found = [_HOST.fullmatch(text) for _, text in arguments]
    _raise_for(
        [_malformed(index, arguments[index]) for index, match in enumerate(found) if not match], arguments
    )
    taken = {match["name"] for match in found if match}
    for match, (role, _) in zip(found, arguments, strict=True):
        if not match:  # cannot happen: refused above
            continue
        name = match["name"] or next(
            free for number in count(1) if (free := f"{_PREFIXES[role]}{number}") not in taken
        )
        taken.add(name)
        _, address, port = split_destination(match["place"])
        yield Host(name=name, address=address, role=role, port=port or None, user=match["user"])


def _malformed(index: int, argument: tuple[Role, str]) -> Problem:
    message = f"{quote(argument[1])} is not [user@]host[:port][=name]"
    return Problem(("hosts", index), "host-argument", message, "for example ubuntu@10.0.0.11=cp1")


@dataclass(frozen=True, slots=True)
class _ArgumentLocator:
    """Locates a value by its flag, and for a host by the argument, too."""

    arguments: Sequence[tuple[Role, str]]

    def line(self, _problem: Problem) -> int:
        return 0

    def locate(self, problem: Problem) -> tuple[str, str]:
        key = problem.key
        if len(key) > 1 and isinstance(key[1], int):
            role, text = self.arguments[key[1]]
            return f"--{role} {text}", key_text(key[2:])
        if key == ("ssh", "user"):  # common to all hosts: name the first
            return f"--{self.arguments[0][0]} {self.arguments[0][1]}", "user"
        return _FLAGS.get(key, "arguments"), ""


def _raise_for(problems: Sequence[Problem], arguments: Sequence[tuple[Role, str]]) -> None:
    if problems:
        findings = to_findings(problems, _ArgumentLocator(arguments))
        raise FileError("the arguments do not describe a cluster", findings=findings)


def _endpoint(cluster: Cluster) -> str:
    if isinstance(cluster.endpoint, VirtualAddress):
        return f"endpoint: {{vip: {scalar(cluster.endpoint.vip)}}}"
    return f"endpoint: {scalar(cluster.endpoint)}" if cluster.endpoint else "# endpoint: 10.0.0.10:6443"


def _runtime_version(cluster: Cluster) -> str:
    if cluster.runtime_version is None:
        return f'# runtime_version: "{versions().containerd.version}"   # of new hosts; nodes keep theirs\n'
    return f'runtime_version: "{cluster.runtime_version}"\n'


def cluster_text(cluster: Cluster) -> str:
    """Return the file's text; loading it gives the same cluster."""
    network, ssh, mirror = cluster.network, cluster.ssh, cluster.mirror
    values: dict[str, str | None] = {
        "plugin": network.plugin,
        "version": network.version,
        "pod_cidr": network.pod_cidr,
        "service_cidr": network.service_cidr,
        "encapsulation": network.encapsulation,
        "dataplane": network.dataplane,
    }
    return "\n".join(
        (
            _HEAD.format(name=cluster.name) + f"name: {scalar(cluster.name)}\nprovider: {cluster.provider}\n"
            f'kubernetes: "{cluster.kubernetes}"\nruntime: {cluster.runtime}\n' + _runtime_version(cluster),
            _NETWORK + _section("network", values, {"version": f'"{versions().calico.version}"'}),
            f"{_ENDPOINT}{_endpoint(cluster)}\n",
            _SSH
            + _section(
                "ssh",
                {"user": ssh.user, "key": ssh.key, "bastion": ssh.bastion},
                {"user": "ubuntu", "key": "~/.ssh/id_ed25519", "bastion": "ubuntu@bastion.example.com:22"},
            ),
            f"{_HOSTS}hosts:\n" + "".join(_host(host) for host in cluster.hosts),
            _KUBEADM + _kubeadm(cluster.kubeadm.ignore_preflight_errors),
            _FIREWALL + _firewall(cluster.firewall),
            _MIRROR
            + _section(
                "mirror",
                {
                    "packages": mirror.packages,
                    "packages_key": mirror.packages_key,
                    "images": mirror.images,
                    "manifests": mirror.manifests,
                },
                {
                    "packages": "https://mirror.example.com",
                    "images": "https://registry.example.com:5000",
                    "manifests": "https://mirror.example.com",
                },
            ),
        )
    )


def _section(name: str, values: Mapping[str, str | None], examples: Mapping[str, str]) -> str:
    """Return a mapping, with examples in comments for keys without a value; all in comments if none has one."""
    sign = "" if any(values.values()) else "# "
    lines = [f"{sign}{name}:"]
    for key, value in values.items():
        if value is not None:
            lines.append(f'  {key}: "{value}"' if key == "version" else f"  {key}: {scalar(value)}")
        elif key in examples:
            lines.append(f"{sign}  {key}: {examples[key]}" if sign else f"  # {key}: {examples[key]}")
    return "\n".join(lines) + "\n"


def _host(host: Host) -> str:
    return "  - " + "\n    ".join(f"{key}: {value}" for key, value in host_pairs(host).items()) + "\n"


def _kubeadm(ignored: tuple[str, ...]) -> str:
    if not ignored:
        return "# kubeadm:\n#   ignore_preflight_errors: [NumCPU]\n"
    return f"kubeadm:\n  ignore_preflight_errors: [{', '.join(ignored)}]\n"


def _firewall(firewall: Firewall) -> str:
    values = {"api_from": firewall.api_from, "node_ports_from": firewall.node_ports_from}
    lines = [f"  {key}: [{', '.join(map(scalar, found))}]\n" for key, found in values.items() if found]
    lines += [] if firewall.managed else ["  managed: false\n"]
    return f"firewall:\n{''.join(lines)}" if lines else "# firewall:\n#   api_from: [10.20.0.0/16]\n"
