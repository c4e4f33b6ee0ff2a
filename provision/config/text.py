"""A cluster as the text of a commented file: what is set stands there, what could be set stands in comments."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import yaml

from provision.config.syntax import refusal
from provision.model.cluster import VirtualAddress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from provision.model.cluster import Cluster, Host

_BARE = re.compile(r"[A-Za-z0-9_./~+][A-Za-z0-9_./~+@:=-]*( [A-Za-z0-9_./+@=-]+)*")

_HEAD = """\
# What the cluster {name} should be. Yours to edit, and to keep under version control.
#   provision check   every mistake in here, and every problem of the hosts; changes nothing
#   provision plan    what would be done, and why
#   provision apply   does it; again later, it does only what is missing
"""
_NETWORK = """\
# Ranges of addresses for pods and services: apart from each other and from the hosts' own network.
# They cannot be changed once the cluster is there.
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
_MIRROR = "# Where packages, images and manifests come from, if not from the public places.\n"


def _endpoint(cluster: Cluster) -> str:
    if isinstance(cluster.endpoint, VirtualAddress):
        return f"endpoint: {{vip: {scalar(cluster.endpoint.vip)}}}"
    return f"endpoint: {scalar(cluster.endpoint)}" if cluster.endpoint else "# endpoint: 10.0.0.10:6443"


def cluster_text(cluster: Cluster) -> str:
    """Return the file's text; loading it gives the same cluster."""
    network, ssh, mirror = cluster.network, cluster.ssh, cluster.mirror
    values: dict[str, str | None] = {
        "plugin": network.plugin,
        "pod_cidr": network.pod_cidr,
        "service_cidr": network.service_cidr,
        "encapsulation": network.encapsulation,
    }
    return "\n".join(
        (
            _HEAD.format(name=cluster.name) + f"name: {scalar(cluster.name)}\nprovider: {cluster.provider}\n"
            f'kubernetes: "{cluster.kubernetes}"\nruntime: {cluster.runtime}\n',
            _NETWORK + _section("network", values, {}),
            f"{_ENDPOINT}{_endpoint(cluster)}\n",
            _SSH
            + _section(
                "ssh",
                {"user": ssh.user, "key": ssh.key, "bastion": ssh.bastion},
                {"user": "ubuntu", "key": "~/.ssh/id_ed25519", "bastion": "ubuntu@bastion.example.com:22"},
            ),
            f"{_HOSTS}hosts:\n" + "".join(_host(host) for host in cluster.hosts),
            _KUBEADM + _kubeadm(cluster.kubeadm.ignore_preflight_errors),
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


def scalar(text: str) -> str:
    """Return a text as YAML reads it back: bare where that is safe, else in double quotes."""
    bare = _BARE.fullmatch(text) and yaml.safe_load(f"[{text}]") == [text]
    return text if bare else json.dumps(text)


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet; raises FileError, and leaves what is there as it is, if it is."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError as error:
        fix = "edit it, or name another file with -f"
        raise refusal(
            str(path), 0, "file-exists", f"{path} exists already and is left as it is", fix
        ) from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        fix = "name a file in a directory that you may write to"
        raise refusal(str(path), 0, "file", f"{path} cannot be written: {why}", fix) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _section(name: str, values: Mapping[str, str | None], examples: Mapping[str, str]) -> str:
    """Return a mapping; keys without a value stand in comments with an example, and so does one that has none."""
    sign = "" if any(values.values()) else "# "
    lines = [f"{sign}{name}:"]
    for key, value in values.items():
        if value is not None:
            lines.append(f"  {key}: {scalar(value)}")
        elif key in examples:
            lines.append(f"{sign}  {key}: {examples[key]}" if sign else f"  # {key}: {examples[key]}")
    return "\n".join(lines) + "\n"


def _host(host: Host) -> str:
    lines = [f"name: {scalar(host.name)}", f"address: {scalar(host.address)}", f"role: {host.role}"]
    if host.port != 22:  # noqa: PLR2004 ssh's own port is the default
        lines.append(f"port: {host.port}")
    for key, value in (("user", host.user), ("host_key", host.host_key)):
        if value is not None:
            lines.append(f"{key}: {scalar(value)}")
    if host.labels:
        pairs = ", ".join(f"{scalar(name)}: {scalar(value)}" for name, value in host.labels.items())
        lines.append(f"labels: {{{pairs}}}")
    if host.taints:
        lines.append(f"taints: [{', '.join(_quoted(host.taints))}]")
    return "  - " + "\n    ".join(lines) + "\n"


def _kubeadm(ignored: tuple[str, ...]) -> str:
    if not ignored:
        return "# kubeadm:\n#   ignore_preflight_errors: [NumCPU]\n"
    return f"kubeadm:\n  ignore_preflight_errors: [{', '.join(ignored)}]\n"


def _quoted(texts: Iterable[str]) -> Iterable[str]:
    return (json.dumps(text) for text in texts)
