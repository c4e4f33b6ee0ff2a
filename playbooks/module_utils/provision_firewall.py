"""Rules that kube-proxy, the kubelet and Calico left in the firewall, removed; those of others stay.

A rule is ours if it stands in a chain of ours, leads into one, or carries Calico's comment.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import shutil
from typing import TYPE_CHECKING

from ansible.module_utils.provision_host import PATH, Changes, Run, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Which = Callable[..., "str | None"]

_CHAINS = ("cali-", "KUBE-")
_DOCKER_CHAINS = ("DOCKER",)
_DOCKER_RULE = re.compile(r" -[io] docker0\b")
_HOST_PORT = "CNI-DN-"  # a chain per pod with a host port; Podman's are called the same
_TARGET = re.compile(r" (?:-j|-g) (\S+)")
_CALICO_RULE = re.compile(r'--comment "?cali:')
_DESTINATION = re.compile(r"--to-destination \[?([0-9a-f.:]+?)\]?:\d+")
_NFT_TABLES = re.compile(r"table ((?:ip|ip6) (?:kube-proxy|calico))")
_SETS = re.compile(r"cali[46]0\S*|KUBE-\S+")


def remove_rules(
    pod_cidr: str,
    service_cidr: str,
    changes: Changes,
    *,
    run: Run = run,
    which: Which = shutil.which,
    docker_leaves: bool = False,
) -> None:
    """Remove our rules from every firewall that this host has: iptables (both kinds), nftables, IPVS, ipset.

    `docker_leaves`: those of Docker, too, which leaves them when it stops.
    """
    for family in ("iptables", "ip6tables"):
        for program in _variants(family, which):
            saved = run([f"{program}-save"], check=False)
            commands = removal(saved.out, pod_cidr, docker=docker_leaves) if saved.status == 0 else ""
            whose = "Kubernetes, Calico and Docker" if docker_leaves else "Kubernetes and Calico"
            if commands:
                changes.make(
                    f"removed the rules of {whose} from {program}",
                    lambda program=program, commands=commands: run(
                        [f"{program}-restore", "--wait=30", "--noflush"], stdin=commands
                    ),
                    before=saved.out,
                )
    if which("nft", path=PATH):
        for table in _NFT_TABLES.findall(run(["nft", "list", "tables"], check=False).out):
            changes.make(
                f"removed the table {table}",
                lambda table=table: run(["nft", "delete", "table", *table.split()]),
            )
    if which("ipvsadm", path=PATH):
        _remove_virtual_servers(service_cidr, changes, run)
    if which("ipset", path=PATH):
        for name in run(["ipset", "list", "-name"], check=False).out.split():
            if _SETS.fullmatch(name):
                changes.make(f"removed the IP set {name}", lambda name=name: run(["ipset", "destroy", name]))


def removal(saved: str, pod_cidr: str, *, docker: bool = False) -> str:
    """The input of `iptables-restore --noflush` that removes our part of what `iptables-save` wrote; "" for nothing."""
    tables = re.split(r"^(?=\*)", saved, flags=re.MULTILINE)
    return "".join(_table(table, pod_cidr, docker=docker) for table in tables)


def _table(text: str, pod_cidr: str, *, docker: bool) -> str:
    lines = text.splitlines()
    chains = [line[1:].split()[0] for line in lines if line.startswith(":")]
    rules = [line for line in lines if line.startswith("-A ")]
    prefixes = (*_CHAINS, *(_DOCKER_CHAINS if docker else ()))
    ours = {chain for chain in chains if chain.startswith(prefixes) or _is_of_a_pod(chain, rules, pod_cidr)}
    leading = [
        rule
        for rule in rules
        if rule.split()[1] not in ours
        and (_is_ours(rule, ours) or (docker and _DOCKER_RULE.search(rule) is not None))
    ]
    if not ours and not leading:
        return ""
    return "\n".join(
        [
            lines[0],
            *(f"-D {rule[3:]}" for rule in leading),
            *(f"-F {chain}" for chain in sorted(ours)),
            *(f"-X {chain}" for chain in sorted(ours)),
            "COMMIT\n",
        ]
    )


def _is_ours(rule: str, ours: set[str]) -> bool:
    target = _TARGET.search(rule)
    return (target is not None and target.group(1) in ours) or _CALICO_RULE.search(rule) is not None


def _is_of_a_pod(chain: str, rules: list[str], pod_cidr: str) -> bool:
    """Whether a chain for host ports leads to a pod of this cluster."""
    if not chain.startswith(_HOST_PORT):
        return False
    pods = ipaddress.ip_network(pod_cidr)
    own = [rule for rule in rules if rule.split()[1] == chain]
    return any(
        ipaddress.ip_address(address) in pods for rule in own for address in _DESTINATION.findall(rule)
    )


def _variants(family: str, which: Which) -> Iterator[str]:
    """Where the host has both kinds, rules may be in either: pods bring their own programs."""
    found = [f"{family}-{kind}" for kind in ("nft", "legacy") if which(f"{family}-{kind}-save", path=PATH)]
    if found:
        yield from found
    elif which(f"{family}-save", path=PATH):
        yield family


def _remove_virtual_servers(service_cidr: str, changes: Changes, run: Run) -> None:
    services = ipaddress.ip_network(service_cidr)
    for line in run(["ipvsadm", "--save", "--numeric"], check=False).out.splitlines():
        words = shlex.split(line)
        if words[:1] == ["-A"] and ipaddress.ip_address(words[2].rpartition(":")[0].strip("[]")) in services:
            changes.make(
                f"removed the virtual server {words[2]}",
                lambda words=words: run(["ipvsadm", "--delete-service", words[1], words[2]]),
            )
