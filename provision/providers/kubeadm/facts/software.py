"""Software and Kubernetes files of one host, as observed. Frozen, no I/O."""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator, Mapping
from typing import Literal

from provision.model.cluster import Role
from provision.providers.kubeadm import host_programs
from provision.providers.kubeadm.facts.cluster import Facts

# A load balancer on a node for that node alone, or behind a virtual address for all clients.
BalancerKind = Literal["local", "vip"]
_WRAPPED_YEAR = 50  # RFC 5280, 4.1.2.5.1: UTCTime years from 50 on are of the last century
_INIT_MARKER, _JOIN_MARKER = "init-started", "join-started"
_RUNTIME_MARKER = "runtime-change"  # written by the module runtime_change, gone when the change is complete
_RESET_MARKER = "reset-started"  # written by the module host_reset, gone when the reset is complete


class Package(Facts):
    """An installed package; not `whole` after an interrupted installation. `held`: upgrades leave it alone."""

    version: str
    held: bool
    whole: bool

    @property
    def upstream(self) -> str:
        """`2.2.3-1~debian.13~trixie` and `0:2.2.3-1.el9` -> `2.2.3`."""
        return self.version.rpartition(":")[2].partition("-")[0].partition("~")[0]

    def state(self, name: str) -> Iterator[str]:
        """What is wrong with the package of that name, other than its version."""
        if not self.whole:
            yield f"{name} is only half installed"
        elif not self.held:
            yield f"{name} is not held at its version"


class PackageDatabase(Facts):
    """dpkg's or rpm's: packages that an interrupted installation left `broken`, and the program that changes it."""

    broken: tuple[str, ...]
    locked_by: str


class Rpm(Facts):
    """What only hosts with rpm have. `kernels` are the installed ones, as `uname -r` names the one that runs.

    `selinux` is "" where it is off; `has_modules`: the directory of the running kernel's modules is there.
    `cloud_setup` are enabled units of nm-cloud-setup, `repositories` names of enabled package repositories that are
    not ours, and `rivals` those of them that have the same packages and do not exclude them from upgrades.
    `registered`: it is no RHEL, or one with a subscription.
    """

    kernels: tuple[str, ...] = ()
    selinux: Literal["", "permissive", "enforcing"] = ""
    has_modules: bool = True
    cloud_setup: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    registered: bool = True


class Service(Facts):
    active: bool
    enabled: bool


class Registry(Facts):
    """The mirrors of a registry, in the spelling of the runtime's configuration, and whether we wrote them."""

    urls: tuple[str, ...]
    ours: bool


class RuntimeSettings(Facts):
    """The configuration of a container runtime; `hosts` are registries with mirrors. Runtimes may run without one."""

    configured: bool = False
    systemd_cgroup: bool = False
    sandbox_image: str = ""
    cri_disabled: bool = False
    selinux: bool = False
    hosts: Mapping[str, Registry] = {}


class DockerSettings(RuntimeSettings):
    """Docker Engine's and those of cri-dockerd, whose `version` is "" where it is not installed as we do it.

    `bounded_logs`: container logs are files of a limited size. `insecure` are registries that need no TLS.
    """

    version: str = ""
    bounded_logs: bool = False
    insecure: tuple[str, ...] = ()


class Balancer(Facts):
    """A load balancer that provision installed: its own `address:port`, and the servers behind it."""

    listens: str
    servers: tuple[str, ...]


class Software(Facts):
    """`balancers` by their kind; `reloads` are units that have not read their new configuration yet.

    `rpm` is None where the distribution's packages are dpkg's; `unmanaged`: NetworkManager leaves pods alone.
    """

    packages: Mapping[str, Package]
    package_database: PackageDatabase
    rpm: Rpm | None = None
    services: Mapping[str, Service]
    containerd: RuntimeSettings
    crio: RuntimeSettings = RuntimeSettings()
    docker: DockerSettings = DockerSettings()
    cni: tuple[str, ...]
    balancers: Mapping[BalancerKind, Balancer] = {}
    reloads: tuple[str, ...] = ()
    unmanaged: bool = False

    @property
    def selinux(self) -> bool:
        """Whether the host labels processes and files: container runtimes have to as well."""
        return self.rpm is not None and self.rpm.selinux != ""

    def keeps(self, endpoint: str) -> bool:
        """Whether an `address:port` is that of a virtual address that this host helps to keep."""
        there = self.balancers.get("vip")
        return there is not None and there.listens == endpoint


class Kubernetes(Facts):
    """What is in /etc/kubernetes; `certificates` maps a name to the DER time of its end.

    `names` are those that the API server's certificate holds for; `*_server` the URLs in kubeconfigs,
    `runtime_endpoint` that of the kubelet's CRI socket.
    """

    ca: str
    kubelet_server: str
    admin_server: str = ""
    names: tuple[str, ...] = ()
    runtime_endpoint: str = ""
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
    def runtime_change_interrupted(self) -> bool:
        return _RUNTIME_MARKER in self.markers

    @property
    def reset_interrupted(self) -> bool:
        return _RESET_MARKER in self.markers

    def ends(self) -> dict[str, float]:
        """Name of each certificate -> when it ends, seconds since the epoch."""
        return {name: _epoch(text) for name, text in self.certificates.items()}


def _epoch(text: str) -> float:
    """`271121101530Z` or `20571121101530Z` -> seconds since the epoch."""
    if len(text) == len("271121101530Z"):
        text = ("19" if int(text[:2]) >= _WRAPPED_YEAR else "20") + text
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))
