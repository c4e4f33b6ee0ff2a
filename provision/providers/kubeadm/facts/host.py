"""What was observed: of each host, and of the cluster as one healthy control plane sees it. Frozen, no I/O.

The shapes are those of the probe's document; keys that we do not know are ignored (a newer probe may say
more), keys that we need must be there.
"""

from __future__ import annotations

import calendar
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_interface
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from provision.errors import ProvisionError
from provision.model.cluster import Cluster, Role
from provision.providers.kubeadm import host_programs
from provision.providers.kubeadm.facts.cluster import ClusterFacts

# A load balancer on a node for that node alone, or behind a virtual address for everybody.
BalancerKind = Literal["local", "vip"]
_WRAPPED_YEAR = 50  # RFC 5280, 4.1.2.5.1: UTCTime years from 50 on are of the last century
_INIT_MARKER, _JOIN_MARKER = "init-started", "join-started"
_RESET_MARKER = "reset-started"  # written by the module host_reset, gone when the reset is complete


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class System(_Facts):
    """Operating system: `ID`, `VERSION_ID`, `VERSION_CODENAME` and `PRETTY_NAME` of os-release."""

    id: str
    version: str
    codename: str
    name: str


class Disk(_Facts):
    """File system that holds a directory; `device` is equal where two directories share one."""

    free_mib: int
    size_mib: int
    device: int
    noexec: bool
    read_only: bool


class SwapSource(_Facts):
    """What switches swap on at boot: "/swapfile" by "/etc/fstab"; `path` is "" where only the service is known."""

    path: str
    origin: str


class Swap(_Facts):
    active: tuple[str, ...]
    sources: tuple[SwapSource, ...]


class HostsEntry(_Facts):
    """A line of /etc/hosts."""

    address: str
    names: tuple[str, ...]


class Machine(_Facts):
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


class Module(_Facts):
    loaded: bool
    at_boot: bool


class Sysctl(_Facts):
    """Value now and the one that files set at boot, "" for none; `file` is the one that wins."""

    now: str
    at_boot: str
    file: str


class Kernel(_Facts):
    modules: Mapping[str, Module]
    sysctls: Mapping[str, Sysctl]
    cgroup: int


class Address(_Facts):
    """An address with its prefix length, `10.0.0.11/24`."""

    cidr: str
    interface: str

    @property
    def ip(self) -> str:
        return self.cidr.partition("/")[0]


class Route(_Facts):
    cidr: str
    interface: str
    gateway: str


class Listener(_Facts):
    """A TCP port in use; `process` is "" and `pid` 0 where it was not looked for (the host is a node already)."""

    port: int
    process: str
    pid: int


class Network(_Facts):
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


class Package(_Facts):
    """An installed Debian package; not `whole` after an interrupted dpkg."""

    version: str
    held: bool
    whole: bool

    @property
    def upstream(self) -> str:
        """`2.2.3-1~debian.13~trixie` -> `2.2.3`."""
        return self.version.rpartition(":")[2].partition("-")[0].partition("~")[0]

    def state(self, name: str) -> Iterator[str]:
        """What is wrong with the package of that name, other than its version."""
        if not self.whole:
            yield f"{name} is only half installed"
        elif not self.held:
            yield f"{name} is not held at its version"


class Dpkg(_Facts):
    broken: tuple[str, ...]
    locked_by: str


class Service(_Facts):
    active: bool
    enabled: bool


class Registry(_Facts):
    """A hosts.toml of containerd: the URLs that stand for a registry, and whether we wrote it."""

    urls: tuple[str, ...]
    ours: bool


class Containerd(_Facts):
    """Settings of containerd; `hosts` are its registries with a hosts.toml."""

    configured: bool
    systemd_cgroup: bool
    sandbox_image: str
    config_path: str
    cri_disabled: bool
    hosts: Mapping[str, Registry]
    socket: bool


class Balancer(_Facts):
    """A load balancer of ours for the API server: its own `address:port`, and those it passes connections on to."""

    listens: str
    servers: tuple[str, ...]


class Software(_Facts):
    """`balancers` are those of ours, by their kind; `reloads` units that have not read what was written for them."""

    packages: Mapping[str, Package]
    dpkg: Dpkg
    services: Mapping[str, Service]
    containerd: Containerd
    cni: tuple[str, ...]
    balancers: Mapping[BalancerKind, Balancer] = {}
    reloads: tuple[str, ...] = ()

    def keeps(self, endpoint: str) -> bool:
        """Whether an `address:port` is that of a virtual address that this host helps to keep."""
        there = self.balancers.get("vip")
        return there is not None and there.listens == endpoint


class Kubernetes(_Facts):
    """What is in /etc/kubernetes; `certificates` maps a name to the DER time of its end.

    `names` are those that the API server's certificate holds for; `*_server` the URLs in kubeconfigs.
    """

    ca: str
    kubelet_server: str
    admin_server: str = ""
    names: tuple[str, ...] = ()
    joined: bool
    admin: bool
    manifests: Mapping[str, str]
    markers: tuple[str, ...]
    etcd_data: bool
    certificates: Mapping[str, str]

    @property
    def ca_hash(self) -> str:
        """`sha256:<hex>` over the public key of the cluster's authority, as kubeadm pins it; "" without one."""
        return host_programs.ca_hash(self.ca)

    @property
    def role(self) -> Role | None:
        if "kube-apiserver" in self.manifests:
            return "control-plane"
        return "worker" if self.joined else None

    @property
    def init_interrupted(self) -> bool:
        return _INIT_MARKER in self.markers

    @property
    def join_interrupted(self) -> bool:
        return _JOIN_MARKER in self.markers

    @property
    def reset_interrupted(self) -> bool:
        return _RESET_MARKER in self.markers

    def ends(self) -> dict[str, float]:
        """Name of each certificate -> when it ends, seconds since the epoch."""
        return {name: _epoch(text) for name, text in self.certificates.items()}


class EtcdMember(_Facts):
    """A member as another one knows it; one that was announced and never started has no name. `peers` are hosts."""

    id: str
    name: str
    peers: tuple[str, ...]
    learner: bool


class Etcd(_Facts):
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


class HostFacts(_Facts):
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


def _epoch(text: str) -> float:
    """`271121101530Z` or `20571121101530Z` -> seconds since the epoch."""
    if len(text) == len("271121101530Z"):
        text = ("19" if int(text[:2]) >= _WRAPPED_YEAR else "20") + text
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))
