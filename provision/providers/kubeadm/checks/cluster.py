"""Does the file describe the cluster that is there: same authority, version, ranges, endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision.model.plan import Finding
from provision.model.units import numbers_of
from provision.providers.kubeadm.facts.etcd import silence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from provision.model.cluster import Cluster
    from provision.providers.kubeadm.facts.host import Observation

_DAY = 86400.0
_SOON_DAYS = 30
_STAYS = "a cluster keeps this for life"


def foreign(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """No host is a node of another cluster."""
    ours = _authority(cluster, observation)
    for host, facts in observation.observed(cluster.hosts):
        kubernetes = facts.kubernetes
        if (
            not (kubernetes.joined or kubernetes.admin)
            or kubernetes.init_interrupted
            or (kubernetes.join_interrupted and not ours)
            or kubernetes.ca_hash == ours
        ):
            continue
        server = f" ({kubernetes.kubelet_server})" if kubernetes.kubelet_server else ""
        yield Finding.error(
            "another-cluster",
            host.name,
            f"it is a node of another cluster{server}: its authority is {kubernetes.ca_hash or 'unknown'}",
            "`sudo kubeadm reset` there takes it out of that one, if it is not needed there",
        )


def versions(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """A version changes by an upgrade only, never by the way."""
    if observation.cluster is None:
        return
    running = observation.cluster.version.removeprefix("v")
    if running and running != cluster.kubernetes:
        newer = numbers_of(cluster.kubernetes) > numbers_of(running)
        yield Finding.error(
            "kubernetes-version",
            "",
            f"the cluster runs Kubernetes {running}, the file says {cluster.kubernetes}",
            f'write kubernetes: "{running}"; '
            + (
                "upgrades come with a later release"
                if newer
                else "Kubernetes cannot go back to an older version"
            ),
        )
    for host in cluster.hosts:
        node = observation.cluster.node(host.name)
        kubelet = node.kubelet.removeprefix("v") if node else ""
        if kubelet and running and kubelet != running:
            newer = numbers_of(kubelet) > numbers_of(running)
            yield (Finding.error if newer else Finding.warning)(
                "kubelet-version",
                host.name,
                f"its kubelet is {kubelet}, {'newer than' if newer else 'behind'} the API server's {running}",
                f"install kubelet {running} there",
            )


def immutable(cluster: Cluster, observation: Observation) -> Iterator[Finding]:
    """Name, ranges and encapsulation as the cluster was made with; its endpoint can be corrected."""
    if observation.cluster is None or not observation.cluster.kubeadm:
        return
    found = observation.cluster.kubeadm
    networking = found.get("networking") or {}
    network = cluster.network
    encapsulation = observation.cluster.note.get("encapsulation") or observation.cluster.pool(
        network.pod_cidr
    )
    pairs = (
        ("name", cluster.name, str(found.get("clusterName") or "")),
        ("network.pod_cidr", network.pod_cidr, str(networking.get("podSubnet") or "")),
        ("network.service_cidr", network.service_cidr, str(networking.get("serviceSubnet") or "")),
        ("network.encapsulation", network.encapsulation, encapsulation or ""),
        ("network.dataplane", network.dataplane or "", observation.cluster.dataplane or ""),
    )
    for key, wanted, there in pairs:
        if wanted != there and wanted and there:
            yield Finding.error(
                "cannot-be-changed",
                "",
                f"{key} is {wanted} in the file, but {there} in the cluster; {_STAYS}",
                f"write `{key.rpartition('.')[2]}: {there}`",
            )


def silent(cluster: Cluster, observation: Observation) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """A control plane whose API server does not answer, while its host is well."""
    for name, facts in observation.hosts.items():
        interrupted = facts.kubernetes.init_interrupted or facts.kubernetes.join_interrupted
        if facts.api is not None and facts.api.error and not interrupted:
            yield Finding.warning(
                "api-server-silent",
                name,
                f"its API server does not answer: {silence(facts)}",
                "`sudo crictl ps -a` and `sudo journalctl -u kubelet` there say why; after a reboot it takes a minute",
            )


def certificates(cluster: Cluster, observation: Observation) -> Iterator[Finding]:  # noqa: ARG001 - all checks look alike
    """Certificates that end soon, or have ended."""
    for name, facts in observation.hosts.items():
        days = {part: (end - observation.at) / _DAY for part, end in facts.kubernetes.ends().items()}
        soon = {part: left for part, left in days.items() if left < _SOON_DAYS}
        if soon:
            first = min(soon, key=lambda part: soon[part])
            left = f"ends in {soon[first]:.0f} days" if soon[first] > 0 else "has ended"
            more = f" (and {len(soon) - 1} more)" if len(soon) > 1 else ""
            yield Finding.warning(
                "certificate-ends",
                name,
                f"its certificate {first} {left}{more}",
                "`sudo kubeadm certs renew all` there, then restart the control plane's pods",
            )


def _authority(cluster: Cluster, observation: Observation) -> str:
    """Hash of our CA: that of the control plane that answers, or else of the first one that there is."""
    if observation.source:
        return observation.hosts[observation.source].kubernetes.ca_hash
    planes = (facts.kubernetes for _, facts in observation.observed(cluster.control_planes))
    return next((one.ca_hash for one in planes if one.role == "control-plane" and one.ca_hash), "")
