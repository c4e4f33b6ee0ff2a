"""What a cluster file of provider kubeadm asks for: frozen data, no I/O."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["control-plane", "worker"]
Runtime = Literal["containerd", "crio", "docker"]
Dataplane = Literal["iptables", "nftables"]
Encapsulation = Literal["vxlan", "vxlan-cross-subnet", "ipip", "ipip-cross-subnet", "none"]


class FileModel(BaseModel):
    """A mapping of the cluster file: immutable, unknown keys refused, nothing coerced.

    The descriptions and examples are what `docs/cluster-file.md` and the JSON Schema say about a key.
    What a value may hold is decided by `provision.config.rules`, with a message that says the way out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Ssh(FileModel):
    """How hosts are reached unless a host says otherwise; null means what OpenSSH itself would use."""

    user: str | None = Field(
        default=None,
        description="login user; needs sudo. null: what OpenSSH would use",
        examples=["ubuntu"],
    )
    key: str | None = Field(
        default=None,
        description="private key file; `~` and paths relative to the cluster file are understood. "
        "null: the agent and OpenSSH's default keys",
        examples=["~/.ssh/id_ed25519"],
    )
    bastion: str | None = Field(
        default=None,
        description="jump host, `[user@]host[:port]`. null: hosts are reached directly",
        examples=["ubuntu@bastion.example.com:22"],
    )


class Host(FileModel):
    """A machine reached by SSH; its name becomes its host name and its node's name."""

    name: str = Field(
        description="host name and node name: lower-case letters, digits, `-` and `.`, at most 63 characters",
        examples=["cp1"],
    )
    address: str = Field(
        description="where SSH and the other nodes reach it: IPv4, IPv6 or DNS name",
        examples=["10.0.0.11"],
    )
    role: Role = Field(description="what it is in the cluster")
    port: int | None = Field(
        default=None,
        description="port of its SSH server, 1-65535. null: what OpenSSH would use, 22 as a rule",
        examples=[2222],
    )
    user: str | None = Field(
        default=None, description="login user of this host. null: `ssh.user`", examples=["ubuntu"]
    )
    host_key: str | None = Field(
        default=None,
        description="its public SSH host key, pinned. null: `known_hosts` decides",
        examples=["ssh-ed25519 AAAAC3Nza..."],
    )
    runtime: Runtime | None = Field(
        default=None,
        description="container runtime of this host. null: `runtime` of the cluster",
        examples=["crio"],
    )
    labels: dict[str, str] = Field(default={}, description="node labels", examples=[{"disk": "ssd"}])
    taints: tuple[str, ...] = Field(
        default=(),
        description="node taints, `key=value:Effect` or `key:Effect`; "
        "the effects are NoSchedule, PreferNoSchedule and NoExecute",
        examples=[["dedicated=database:NoSchedule"]],
    )


class Network(FileModel):
    """Plugin and ranges of the pod network; none of it is changed once the cluster is there."""

    plugin: Literal["calico"] = Field(default="calico", description="network plugin")
    version: str | None = Field(
        default=None,
        description="full version of the plugin for a new cluster, in quotes and without `v`; an installed one is "
        "kept. null: this release's choice",
        examples=["3.32.1"],
    )
    pod_cidr: str = Field(
        default="10.244.0.0/16",
        description="IPv4 range of pod addresses, /8 to /24; every node takes a /24 of it",
    )
    service_cidr: str = Field(
        default="10.96.0.0/12", description="IPv4 range of service addresses, /12 to /28"
    )
    encapsulation: Encapsulation = Field(
        default="vxlan",
        description="how pod traffic crosses nodes; `-cross-subnet` encapsulates between subnets only, "
        "`none` needs a network that routes pod addresses",
    )
    dataplane: Dataplane | None = Field(
        default=None,
        description="what kube-proxy and the plugin make their rules with. null: nftables where a host's system has no "
        "legacy iptables (release 10 of the RHEL family), else iptables; an existing cluster keeps its own",
        examples=["nftables"],
    )


class Kubeadm(FileModel):
    """What is handed to kubeadm itself."""

    ignore_preflight_errors: tuple[str, ...] = Field(
        default=(),
        description="names of kubeadm's preflight checks to ignore, one by one; never `all`",
        examples=[["NumCPU"]],
    )


class Mirror(FileModel):
    """Where packages, images and manifests come from; null: the public places of versions.yaml."""

    packages: str | None = Field(
        default=None,
        description="base URL with the public package repositories' paths below it, and for runtime docker that of "
        "cri-dockerd's release archive",
        examples=["https://mirror.example.com"],
    )
    packages_key: str | None = Field(
        default=None,
        description="OpenPGP fingerprint (40 hex digits) of a mirror that re-signs its packages. "
        "null: the public repositories' keys",
    )
    images: str | None = Field(
        default=None,
        description="base URL of a registry whose repositories are named like the public images",
        examples=["https://registry.example.com:5000"],
    )
    manifests: str | None = Field(
        default=None,
        description="base URL with the public manifests' paths below it",
        examples=["https://mirror.example.com"],
    )
    digests: dict[str, str] = Field(
        default={},
        description="sha256 by file name of release archives that a mirror builds itself, or whose digest this release "
        "does not know: `cri-dockerd-VERSION.ARCHITECTURE.tgz` for runtime docker, which also chooses that version",
        examples=[{"cri-dockerd-0.4.3.amd64.tgz": "64 hex digits"}],
    )


class Firewall(FileModel):
    """What the hosts' own firewalls let through, where they have any; their other rules stay as they are."""

    managed: bool = Field(
        default=True,
        description="open active firewalls (firewalld, ufw, nftables, iptables) for the other hosts of this file, and "
        "for no one else. false: leave them alone",
    )
    api_from: tuple[str, ...] = Field(
        default=(),
        description="addresses and ranges beside the hosts' own that reach the API server through the firewalls, "
        "those of a load balancer included. []: the machine that runs provision when they are opened",
        examples=[["10.20.0.0/16"]],
    )
    node_ports_from: tuple[str, ...] = Field(
        default=(),
        description="addresses and ranges that reach node ports, 30000-32767, through the firewalls",
        examples=[["0.0.0.0/0"]],
    )


class VirtualAddress(FileModel):
    """A virtual IP address that the control planes share as the endpoint."""

    vip: str = Field(
        description="free IPv4 address of a network that all control planes are in: keepalived assigns it "
        "to one of them, and haproxy there, at port 7443, forwards to the API servers that are ready",
        examples=["10.0.0.10"],
    )


class Cluster(FileModel):
    """What a cluster file of provider kubeadm asks for."""

    name: str = Field(
        description="name of the cluster: lower-case letters, digits and `-`, at most 63 characters",
        examples=["demo"],
    )
    provider: Literal["kubeadm"] = Field(default="kubeadm", description="what makes the cluster")
    kubernetes: str = Field(
        description="full Kubernetes version, in quotes and without `v`", examples=["1.36.6"]
    )
    runtime: Runtime = Field(default="containerd", description="container runtime")
    runtime_version: str | None = Field(
        default=None,
        description="full version of the container runtime, in quotes and without `v`; a node with an older one is "
        "drained and upgraded, one with a newer one keeps it. null: this release's choice for hosts without a runtime",
        examples=["2.3.7"],
    )
    network: Network = Field(default=Network(), description="pod network")
    endpoint: str | VirtualAddress | None = Field(
        default=None,
        description="`host:port` that clients use, or `local`: a load balancer on every node, for its own use, or "
        "`{vip: ADDRESS}`: a virtual address; required with more than one control plane. null: the only control "
        "plane, port 6443",
        examples=["10.0.0.10:6443"],
    )
    ssh: Ssh = Field(default=Ssh(), description="how hosts are reached")
    hosts: tuple[Host, ...] = Field(description="the machines")
    kubeadm: Kubeadm = Field(default=Kubeadm(), description="settings of kubeadm")
    mirror: Mirror = Field(default=Mirror(), description="other places for packages, images and manifests")
    firewall: Firewall = Field(default=Firewall(), description="what the hosts' firewalls let through")

    @property
    def control_planes(self) -> tuple[Host, ...]:
        return tuple(host for host in self.hosts if host.role == "control-plane")

    @property
    def workers(self) -> tuple[Host, ...]:
        return tuple(host for host in self.hosts if host.role == "worker")

    def runtime_of(self, host: Host) -> Runtime:
        return host.runtime or self.runtime

    def version_of(self, runtime: Runtime) -> str | None:
        """The version that the file asks for; None leaves it to this release, as for a runtime of single hosts."""
        return self.runtime_version if runtime == self.runtime else None

    def control_planes_among(self, names: Container[str]) -> tuple[Host, ...]:
        return tuple(host for host in self.control_planes if host.name in names)

    def host(self, name: str) -> Host:
        """Return the host of that name; KeyError if the file has none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)
