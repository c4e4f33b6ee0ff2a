"""What was observed: of each host, and of the cluster as one healthy control plane sees it. Frozen, no I/O.

The shapes are those of the probe's document; keys that we do not know are ignored (a newer probe may say
more), keys that we need must be there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface
from typing import Any

from pydantic import ValidationError

from provision.errors import ProvisionError
from provision.model.cluster import Cluster, Host
from provision.providers.kubeadm.facts.cluster import ClusterFacts, Facts
from provision.providers.kubeadm.facts.software import Kubernetes, Software


class System(Facts):
    """Operating system: `ID`, `VERSION_ID`, `VERSION_CODENAME` and `PRETTY_NAME` of os-release."""

    id: str
    version: str
    codename: str
    name: str


class Disk(Facts):
    """File system that holds a directory; `device` is equal where two directories share one."""

    free_mib: int
    size_mib: int
    device: int
    noexec: bool
    read_only: bool


class SwapSource(Facts):
    """What switches swap on at boot: "/swapfile" by "/etc/fstab"; `path` is "" where only the service is known."""

    path: str
    origin: str


class Swap(Facts):
    active: tuple[str, ...]
    sources: tuple[SwapSource, ...]


class HostsEntry(Facts):
    """A line of /etc/hosts."""

    address: str
    names: tuple[str, ...]


class Machine(Facts):
    os: System
    architecture: str
    kernel: str
    python: str
    systemd: bool
    cpus: int
    memory_mib: int
    disks: Mapping[str, Disk]
    swap: Swap
    hostname: str
    machine_id: str
    product_uuid: str
    boot_id: str
    hosts: tuple[HostsEntry, ...]
    login: str  # the user whom sudo made root, or root


class Module(Facts):
    loaded: bool
    at_boot: bool


class Sysctl(Facts):
    """Value now and the one that files set at boot, "" for none; `file` is the one that wins."""

    now: str
    at_boot: str
    file: str


class Kernel(Facts):
    """`lacking` are modules that the running kernel does not have and that no file of it could add."""

    modules: Mapping[str, Module]
    lacking: tuple[str, ...] = ()
    sysctls: Mapping[str, Sysctl]
    cgroup: int


class Address(Facts):
    """An address with its prefix length, `10.0.0.11/24`."""

    cidr: str
    interface: str

    @property
    def ip(self) -> str:
        return self.cidr.partition("/")[0]


class Route(Facts):
    cidr: str
    interface: str
    gateway: str


class Listener(Facts):
    """A TCP port in use; `process` is "" and `pid` 0 where it was not looked for (the host is a node already)."""

    port: int
    process: str
    pid: int


class Network(Facts):
    addresses: tuple[Address, ...]
    routes: tuple[Route, ...]
    macs: tuple[str, ...]
    ports: tuple[Listener, ...]

    def beside(self, address: str, own: str) -> Address | None:
        """The host's `own` address, if it has it and hosts of its network can have `address`; else None."""
        ip = ip_address(address)
        for one in self.addresses:
            interface = ip_interface(one.cidr)
            ends = (interface.ip, interface.network[0], interface.network[-1])
            if one.ip == own and one.interface and ip in interface.network and ip not in ends:
                return one
        return None


class EtcdMember(Facts):
    """A member as another one knows it; one that was announced and never started has no name. `peers` are hosts."""

    id: str
    name: str
    peers: tuple[str, ...]
    learner: bool


class Etcd(Facts):
    """etcd by the member of one host; `error` says why that did not answer, and then nothing else is known.

    `healthy`: it can read what a majority has agreed on. `size` is its database's, in bytes.
    """

    error: str = ""
    id: str = ""
    leader: str = ""
    version: str = ""
    size: int = 0
    healthy: bool = False
    reason: str = ""
    members: tuple[EtcdMember, ...] = ()


class FirewallChain(Facts):
    """A chain of nftables that drops by default (`inet filter input`); `opened`: our rules are asked in it first."""

    name: str
    hook: str
    opened: bool


class Firewalld(Facts):
    active: bool = False
    backend: str = ""
    lockdown: bool = False


class Firewall(Facts):
    """The host's own firewalls, and what is open there by us.

    `noted` is what was asked of the module host_firewall, None where it was not, and `lost` what of it is not in force
    any more. `client` is the address that provision's connection comes from, `legacy`: iptables has rules that
    nftables does not know.
    """

    firewalld: Firewalld = Firewalld()
    ufw: bool = False
    chains: tuple[FirewallChain, ...] = ()
    legacy: bool = False
    programs: tuple[str, ...] = ()
    client: str = ""
    noted: Mapping[str, Any] | None = None
    lost: tuple[str, ...] = ()
    wireguard: bool = False

    @property
    def active(self) -> Iterator[str]:
        """Every firewall of the host that lets nothing in which it does not know, in words."""
        if self.firewalld.active:
            yield "firewalld is active"
        if self.ufw:
            yield "ufw is active"
        for chain in self.chains:
            if chain.hook in ("input", "forward"):
                yield f"its chain {chain.name} drops by default"


class HostFacts(Facts):
    """One host: `skew` is its clock less this machine's (seconds).

    `api` is what its API server says, `etcd` what its member says; None on a host that has none.
    """

    name: str
    skew: float
    machine: Machine
    kernel: Kernel
    network: Network
    software: Software
    kubernetes: Kubernetes
    api: ClusterFacts | None
    etcd: Etcd | None = None
    firewall: Firewall = Firewall()

    @property
    def is_healthy(self) -> bool:
        """It is a control plane that the cluster can be reached by: no join or reset of it was interrupted."""
        leaving = self.kubernetes.join_interrupted or self.kubernetes.reset_interrupted
        return self.api is not None and not self.api.error and not leaving


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Everything that was seen at `at` (seconds since the epoch).

    `cluster` comes from `source`, a healthy control plane; it is None while no API server answers.
    """

    hosts: Mapping[str, HostFacts]
    cluster: ClusterFacts | None
    source: str
    at: float

    def of_hosts(self, names: Collection[str]) -> Observation:
        """The observation of these hosts and of the cluster; other hosts count as not observed."""
        return replace(self, hosts={name: facts for name, facts in self.hosts.items() if name in names})

    def without_nodes(self, names: Collection[str]) -> Observation:
        """The observation as it will be when these nodes are deleted from the cluster."""
        if self.cluster is None:
            return self
        values = {name: getattr(self.cluster, name) for name in type(self.cluster).model_fields}
        values["nodes"] = tuple(node for node in self.cluster.nodes if node.name not in names)
        # Not a copy, which would keep the cached index of the nodes.
        return replace(self, cluster=ClusterFacts.model_construct(**values))

    def observed(self, hosts: Iterable[Host]) -> Iterator[tuple[Host, HostFacts]]:
        """Those of the hosts that were observed, in their order, with their facts."""
        return ((host, self.hosts[host.name]) for host in hosts if host.name in self.hosts)

    def covers(self, cluster: Cluster) -> bool:
        """Every host of the file was observed, not only those that a command is about."""
        return all(host.name in self.hosts for host in cluster.hosts)


def from_json(name: str, document: Mapping[str, object], *, began: float, ended: float) -> HostFacts:
    """The facts of a host from its probe's document; `began` and `ended` are this machine's clock around it.

    Raises ProvisionError if a part is missing or failed on the host.
    """
    problems = document.get("problems")
    if isinstance(problems, dict) and problems:
        part, reason = next(iter(problems.items()))
        raise ProvisionError(f"{name}: looking at its {part} failed: {reason}", fix="report this as a bug")
    try:
        clock = float(str(document.get("time")))
        return HostFacts.model_validate({**document, "name": name, "skew": clock - (began + ended) / 2})
    except (ValidationError, ValueError) as error:
        raise ProvisionError(f"{name}: its facts are not what was expected: {error}") from error


def combine(hosts: Mapping[str, HostFacts], *, at: float) -> Observation:
    """One observation of all hosts, in the file's order; the first control plane that is well speaks for the cluster.

    One whose etcd has lost the others comes last: its API server may still answer from what it remembers.
    """
    speaking = [name for name, facts in hosts.items() if facts.is_healthy]
    speaking.sort(key=lambda name: _is_cut_off(hosts[name]))
    if not speaking:
        return Observation(hosts=hosts, cluster=None, source="", at=at)
    return Observation(hosts=hosts, cluster=hosts[speaking[0]].api, source=speaking[0], at=at)


def _is_cut_off(facts: HostFacts) -> bool:
    return facts.etcd is not None and not facts.etcd.healthy
