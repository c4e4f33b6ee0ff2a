"""Variables of roles from the file and versions.yaml: addresses, repositories, images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.cluster import VirtualAddress
from provision.model.units import is_ip, join_host_port
from provision.providers.kubeadm.host_programs import MODULES, NFTABLES_MODULES
from provision.providers.kubeadm.runtimes.runtime import KUBERNETES_REGISTRY, mirror_locations, sandbox_image
from provision.providers.kubeadm.systems import RED_HAT, family_of
from provision.versions import versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from provision.model.cluster import Cluster, Dataplane, Host
    from provision.providers.kubeadm.facts.host import HostFacts, Observation
    from provision.providers.kubeadm.facts.software import BalancerKind

API_PORT = 6443
LOCAL = "local"  # the endpoint that is a load balancer on every node
BALANCER_PORT = 7443  # of our own load balancers: API servers have 6443 on every address of their host
_RED_HAT_WITHOUT_IPTABLES = 10
_CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
SYSCTL_VALUE = "1"  # of every sysctl that kubeadm and kube-proxy want


def endpoint(cluster: Cluster) -> str:
    """`host:port` under which nodes reach the API; of a single control plane its own address."""
    if isinstance(cluster.endpoint, VirtualAddress):
        return join_host_port(cluster.endpoint.vip, BALANCER_PORT)
    if cluster.endpoint == LOCAL:
        return join_host_port("127.0.0.1", BALANCER_PORT)
    if cluster.endpoint:
        return cluster.endpoint
    return join_host_port(cluster.control_planes[0].address, API_PORT)


def configured_endpoint(cluster: Cluster) -> str:
    """What kubeadm's configuration has as controlPlaneEndpoint; "" for the address of a single control plane."""
    return endpoint(cluster) if cluster.endpoint else ""


def certificate_names(cluster: Cluster) -> list[str]:
    """Names and addresses beside its own for which the certificate of every API server holds."""
    names = [endpoint_host(cluster)]
    for host in cluster.control_planes:
        names += [host.address, host.name]
    return list(dict.fromkeys(names))


def virtual_address(cluster: Cluster) -> str:
    """The address that keepalived keeps on one of the control planes; "" without one."""
    return cluster.endpoint.vip if isinstance(cluster.endpoint, VirtualAddress) else ""


def balancer(cluster: Cluster, host: Host) -> BalancerKind | None:
    """The kind of load balancer that a host has; None where it has none of ours."""
    if virtual_address(cluster):
        return "vip" if host.role == "control-plane" else None
    return "local" if cluster.endpoint == LOCAL else None


def backends(cluster: Cluster) -> list[dict[str, object]]:
    """Where load balancers pass connections on to."""
    return [{"name": host.name, "address": host.address, "port": API_PORT} for host in cluster.control_planes]


def endpoint_host(cluster: Cluster) -> str:
    """The host part of the endpoint, an IPv6 address without brackets."""
    return endpoint(cluster).rpartition(":")[0].strip("[]")


def hosts_entries(cluster: Cluster, host: Host) -> list[dict[str, object]]:
    """Lines that a host needs in /etc/hosts: its own, and the endpoint's if that is the name of a host of ours.

    Not those of the other hosts: a new node must not mean a change on all the old ones.
    """
    name = endpoint_host(cluster)
    wanted = [host, *(other for other in cluster.hosts if other.name == name and other is not host)]
    return [{"address": one.address, "names": [one.name]} for one in wanted if is_ip(one.address)]


def package_variables(cluster: Cluster) -> dict[str, object]:
    source = versions().kubernetes.packages
    return {
        "kube_packages_version": cluster.kubernetes,
        "kube_packages_repository_url": (cluster.mirror.packages or source.url).rstrip("/"),
        "kube_packages_repository_fingerprint": cluster.mirror.packages_key or source.fingerprint,
    }


def chosen_dataplane(cluster: Cluster, observation: Observation) -> Dataplane:
    """What kube-proxy and Calico make their rules with: that of the cluster, of the file, or what all hosts can.

    Docker has rules of iptables that drop what is forwarded, which accepts in tables of nftables cannot overrule.
    """
    found = observation.cluster.dataplane if observation.cluster else None
    if found or cluster.network.dataplane:
        return found or cluster.network.dataplane or "iptables"
    docker = any(cluster.runtime_of(host) == "docker" for host in cluster.hosts)
    without = any(lacks_legacy_iptables(facts) for facts in observation.hosts.values())
    return "nftables" if without and not docker else "iptables"


def lacks_legacy_iptables(facts: HostFacts) -> bool:
    """Release 10 and later of the RHEL family have no kernel modules of legacy iptables."""
    release = facts.machine.os
    major = release.version.partition(".")[0]
    return family_of(release) is RED_HAT and major.isdigit() and int(major) >= _RED_HAT_WITHOUT_IPTABLES


def kernel_modules(cluster: Cluster, observation: Observation) -> tuple[str, ...]:
    """Modules that the hosts load, now and at boot."""
    nftables = chosen_dataplane(cluster, observation) == "nftables"
    return (*MODULES, *(NFTABLES_MODULES if nftables else ()))


def calico_variables(cluster: Cluster, dataplane: Dataplane = "iptables") -> dict[str, object]:
    calico = versions().calico
    name = "calico-vxlan" if cluster.network.encapsulation.startswith("vxlan") else "calico"
    base = (cluster.mirror.manifests or calico.url).rstrip("/")
    tag = calico_tag(cluster)
    return {
        "calico_api_endpoint": endpoint(cluster),
        "calico_version": tag,
        "calico_manifest_url": f"{base}/projectcalico/calico/{tag}/manifests/{name}.yaml",
        "calico_manifest_sha256": calico.manifests[tag.removeprefix("v")][name],
        "calico_pod_cidr": cluster.network.pod_cidr,
        "calico_encapsulation": cluster.network.encapsulation,
        "calico_dataplane": dataplane,
    }


def calico_tag(cluster: Cluster) -> str:
    """Tag of the Calico that a new cluster gets: that of the file, or this release's choice."""
    return f"v{cluster.network.version or versions().calico.version}"


def calico_images(tag: str) -> list[str]:
    """Images of Calico with a tag."""
    return [f"{image}:{tag}" for image in versions().calico.images]


def node_images(cluster: Cluster) -> list[str]:
    """Images that every node needs besides the network's."""
    return [f"{KUBERNETES_REGISTRY}/kube-proxy:v{cluster.kubernetes}", sandbox_image(cluster)]


def control_plane_images(cluster: Cluster) -> list[str]:
    """Images of a further control plane; etcd's and CoreDNS's tags only kubeadm knows, it pulls them itself."""
    return [f"{KUBERNETES_REGISTRY}/{name}:v{cluster.kubernetes}" for name in _CONTROL_PLANE]


def docker_mirrors(cluster: Cluster, host: Host) -> dict[str, str]:
    """Registry -> repository in its place on a host with Docker, which asks mirrors for images of docker.io only."""
    return mirror_locations(cluster) if cluster.runtime_of(host) == "docker" else {}


def pulled_before(cluster: Cluster, *hosts: Host) -> tuple[str, ...]:
    """The step that kubeadm on one of these hosts must not run beside: it would pull what is missing elsewhere."""
    return ("pull-images",) if any(docker_mirrors(cluster, host) for host in hosts) else ()


def labels_and_taints(host: Host) -> dict[str, Mapping[str, str] | list[str]]:
    """Labels and taints of a node as the role node_labels wants them."""
    return {"labels": dict(host.labels), "taints": list(host.taints)}
